//! Dealing the cards: keys split, the lock put together and signed by every share and every node.

use std::time::{SystemTime, UNIX_EPOCH};

use eth_types::containers::{DepositData, ValidatorRegistration};
use eth_types::{Root, Signature};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rayon::prelude::*;
use threshold_protocol::bls::{self, SecretKey, SecretShare};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::plan::{KeySource, Plan};
use super::{DealerError, Reporter, Step};
use crate::cluster_file::{
    ClusterDefinition, ClusterLock, Creator, DEFAULT_DKG_ALGORITHM, DistributedValidator,
    FileVersion, HexBytes, Operator, SignedRegistration, ValidatorAddresses, deposit_root,
    registration_root, withdrawal_credentials,
};
use crate::enr::Identity;

/// A finished cluster that is nowhere on disk yet.
pub(super) struct Deal {
    /// By operator.
    pub(super) identities: Vec<Identity>,
    pub(super) lock: ClusterLock,
    /// By validator, then by operator.
    pub(super) shares: Vec<Vec<SecretShare>>,
}

/// One validator: what everybody may know, and the shares.
struct DealtValidator {
    public: DistributedValidator,
    shares: Vec<SecretShare>,
}

/// Splits the keys and makes the lock. The whole keys are not needed after this.
pub(super) fn deal(
    plan: &Plan<'_>,
    keys: &[SecretKey],
    report: &Reporter<'_>,
) -> Result<Deal, DealerError> {
    let split = report.step(Step::Split, keys.len());
    let dealt = keys
        .par_iter()
        .zip(&plan.addresses)
        .map(|(key, addresses)| {
            let validator = deal_validator(plan, key, addresses)?;
            split.done();
            Ok(validator)
        })
        .collect::<Result<Vec<DealtValidator>, DealerError>>()?;
    let (validators, shares): (Vec<_>, Vec<_>) =
        dealt.into_iter().map(|dealt| (dealt.public, dealt.shares)).unzip();

    let identities =
        (0..plan.params.nodes).map(|_| Identity::generate()).collect::<Result<Vec<_>, _>>()?;
    let definition = definition(plan, &identities)?;
    let mut lock = ClusterLock::unsigned(definition, validators)?;
    lock.signature_aggregate = sign_with_all(&shares, &lock.lock_hash, report)?.into();
    lock.node_signatures = identities
        .iter()
        .map(|identity| HexBytes::from(identity.sign_digest_recoverable(lock.lock_hash.as_bytes())))
        .collect();
    Ok(Deal { identities, lock, shares })
}

/// New keys from the operating system's randomness.
pub(super) fn generate_keys(count: usize) -> Result<Vec<SecretKey>, DealerError> {
    let mut rng = os_rng()?;
    Ok((0..count).map(|_| SecretKey::generate(&mut rng)).collect())
}

/// The operating system's generator. It is asked once here, where failing is an error; after that it
/// does not fail.
fn os_rng() -> Result<UnwrapErr<SysRng>, DealerError> {
    use rand::TryRng as _;
    SysRng.try_next_u64().map_err(DealerError::Randomness)?;
    Ok(UnwrapErr(SysRng))
}

fn deal_validator(
    plan: &Plan<'_>,
    key: &SecretKey,
    addresses: &ValidatorAddresses,
) -> Result<DealtValidator, DealerError> {
    let shares = bls::split(key, plan.threshold, &mut os_rng()?)?;
    let public = DistributedValidator {
        public_key: key.public_key(),
        public_shares: shares.iter().map(SecretShare::public_share).collect(),
        builder_registration: sign_registration(plan, key, addresses),
        partial_deposit_data: sign_deposits(plan, key, addresses),
    };
    Ok(DealtValidator { public, shares })
}

fn sign_registration(
    plan: &Plan<'_>,
    key: &SecretKey,
    addresses: &ValidatorAddresses,
) -> SignedRegistration {
    let network = &plan.params.network;
    let timestamp = match plan.params.keys {
        // A validator that does not exist yet has no registration that this one would replace.
        KeySource::Generate { .. } => network.genesis_time(),
        KeySource::Split { .. } => {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
        }
    };
    let message = ValidatorRegistration {
        fee_recipient: addresses.fee_recipient.get().unwrap_or_default(),
        gas_limit: plan.params.target_gas_limit,
        timestamp,
        pubkey: key.public_key(),
    };
    let root = registration_root(&message, network.genesis_fork_version());
    SignedRegistration { message: message.into(), signature: key.sign(&root) }
}

/// One deposit for each different amount.
fn sign_deposits(
    plan: &Plan<'_>,
    key: &SecretKey,
    addresses: &ValidatorAddresses,
) -> Vec<DepositData> {
    let address = addresses.withdrawal.get().unwrap_or_default();
    let mut amounts = plan.deposit_amounts.clone();
    amounts.dedup();
    let sign = |amount: u64| {
        let mut deposit = DepositData {
            pubkey: key.public_key(),
            withdrawal_credentials: withdrawal_credentials(address, plan.params.compounding),
            amount,
            signature: Signature::ZERO,
        };
        let root = deposit_root(&deposit, plan.params.network.genesis_fork_version());
        deposit.signature = key.sign(&root);
        deposit
    };
    amounts.into_iter().map(|amount| sign(amount.as_u64())).collect()
}

fn definition(plan: &Plan<'_>, identities: &[Identity]) -> Result<ClusterDefinition, DealerError> {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let definition = ClusterDefinition {
        name: plan.params.name.clone(),
        creator: Creator::default(),
        operators: identities
            .iter()
            .map(|identity| Operator::unsigned(identity.enr().to_string()))
            .collect(),
        uuid: Uuid::new_v4().hyphenated().to_string().to_uppercase(),
        version: FileVersion::WRITTEN,
        timestamp: now.format(&Rfc3339).map_err(DealerError::Time)?,
        num_validators: plan.addresses.len() as u64,
        threshold: plan.threshold.threshold().into(),
        validators: plan.addresses.clone(),
        dkg_algorithm: DEFAULT_DKG_ALGORITHM.to_owned(),
        fork_version: plan.params.network.genesis_fork_version(),
        deposit_amounts: Some(plan.deposit_amounts.clone()),
        consensus_protocol: Some(String::new()),
        target_gas_limit: Some(plan.params.target_gas_limit),
        compounding: Some(plan.params.compounding),
        config_hash: Root::ZERO,
        definition_hash: Root::ZERO,
    };
    Ok(definition.seal()?)
}

/// The aggregate of the signatures of every share of every validator.
fn sign_with_all(
    shares: &[Vec<SecretShare>],
    lock_hash: &Root,
    report: &Reporter<'_>,
) -> Result<Signature, DealerError> {
    let all: Vec<&SecretShare> = shares.iter().flatten().collect();
    let step = report.step(Step::SignLock, all.len());
    let signatures: Vec<Signature> = all
        .par_iter()
        .map(|share| {
            let signature = share.sign_lock_hash(lock_hash);
            step.done();
            signature
        })
        .collect();
    Ok(bls::aggregate(&signatures)?)
}
