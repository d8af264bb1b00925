//! Verification of a cluster lock: from a file as it stands to a [`VerifiedLock`] to rely on.
//!
//! In this order, and the first that fails is the error:
//! 1. the three hashes, each over the content that it covers ([`ClusterLock::verify_hashes`]);
//! 2. numbers: validators, operators, shares and signatures are as many as the definition says, and the
//!    threshold is one of a safe cluster;
//! 3. operators: node records, none twice, and the wallets' signatures where there are any;
//! 4. validators: none twice; public shares lie on the polynomial of the public key; registration and
//!    deposits are for this validator, pay to the definition's addresses and are signed by its key;
//! 5. the lock hash is signed by every share and by every operator's node key.

use std::collections::BTreeMap;

use eth_types::containers::{DepositData, DepositMessage, ValidatorRegistration};
use eth_types::fork::{DomainType, compute_domain, signing_root_of};
use eth_types::network::{NETWORK_NAMES, Network};
use eth_types::{ExecutionAddress, ForkVersion, PublicKey, Root, Signature};
use rayon::prelude::*;
use threshold_protocol::bls::{self, PublicShares, Threshold};

use super::definition::{ClusterDefinition, ValidatorAddresses};
use super::eip712::Message;
use super::error::{LockError, SignedBy, check_count};
use super::lock::{ClusterLock, DistributedValidator};
use super::secp256k1;
use super::verified::{VerifiedLock, VerifiedOperator, VerifiedValidator};
use crate::enr::Enr;

/// What to do about the operators' wallet signatures.
///
/// They show that the holder of a wallet agreed to the configuration. That the cluster's nodes made this
/// lock is shown by their own signatures, which are checked in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WalletSignatures {
    /// Check them, where the operators signed.
    #[default]
    Verify,
    /// Leave them. For operators whose wallet is a contract: only the chain can tell what such a
    /// signature is worth (ERC-1271).
    Ignore,
}

impl ClusterLock {
    /// Checks the configuration, definition and lock hash, and nothing else.
    ///
    /// # Errors
    /// [`LockError::Hash`] or [`LockError::Limit`].
    pub fn verify_hashes(&self) -> Result<(), LockError> {
        self.cluster_definition.verify_hashes()?;
        check_hash("lock_hash", self.lock_hash, self.computed_lock_hash()?)
    }

    /// The network that the lock states, if it is one of those built in.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        known_network(self.cluster_definition.fork_version)
    }

    /// Checks everything. Takes some milliseconds of one core for each validator, and uses all cores.
    ///
    /// # Errors
    /// See [`LockError`]; the first check that fails.
    pub fn verify(&self, wallets: WalletSignatures) -> Result<VerifiedLock, LockError> {
        self.verify_hashes()?;
        let definition = &self.cluster_definition;
        let threshold = definition.check_numbers()?;
        let operators = definition.verify_operators(wallets)?;
        check_count(
            "distributed_validators",
            definition.validators.len(),
            self.distributed_validators.len(),
        )?;
        check_count("node_signatures", operators.len(), self.node_signatures.len())?;
        self.check_distinct_keys()?;
        let validators = self
            .distributed_validators
            .par_iter()
            .zip(&definition.validators)
            .enumerate()
            .map(|(index, (validator, addresses))| {
                verify_validator(index, validator, addresses, definition, threshold)
            })
            // The first error, not the first that a thread comes upon.
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        self.verify_lock_signatures(&operators)?;
        Ok(VerifiedLock::new(self, threshold, operators, validators))
    }

    /// No public key stands for two validators or two shares.
    fn check_distinct_keys(&self) -> Result<(), LockError> {
        let mut seen = BTreeMap::new();
        for (validator, entry) in self.distributed_validators.iter().enumerate() {
            for key in std::iter::once(&entry.public_key).chain(&entry.public_shares) {
                if let Some(first) = seen.insert(*key, validator) {
                    return Err(LockError::DuplicateKey { key: *key, first, second: validator });
                }
            }
        }
        Ok(())
    }

    fn verify_lock_signatures(&self, operators: &[VerifiedOperator]) -> Result<(), LockError> {
        let shares: Vec<PublicKey> = self
            .distributed_validators
            .iter()
            .flat_map(|validator| &validator.public_shares)
            .copied()
            .collect();
        let aggregate = Signature::try_from(self.signature_aggregate.as_bytes()).ok();
        let verifies =
            |signature: &Signature| bls::verify_aggregate(&shares, &self.lock_hash, signature);
        if !aggregate.as_ref().is_some_and(verifies) {
            return Err(LockError::SignatureAggregate { shares: shares.len() });
        }
        for (index, (operator, signature)) in
            operators.iter().zip(&self.node_signatures).enumerate()
        {
            let signer = secp256k1::recover(self.lock_hash.as_bytes(), signature.as_bytes())
                .map_err(|source| LockError::NotASignature {
                    by: SignedBy::Operator(index),
                    field: "node_signatures",
                    source,
                })?;
            if signer != *operator.enr().public_key() {
                return Err(LockError::NodeSignature { operator: index });
            }
        }
        Ok(())
    }
}

impl ClusterDefinition {
    /// Checks the configuration and definition hash, and nothing else.
    ///
    /// # Errors
    /// [`LockError::Hash`] or [`LockError::Limit`].
    pub fn verify_hashes(&self) -> Result<(), LockError> {
        check_hash("config_hash", self.config_hash, self.computed_config_hash()?)?;
        check_hash("definition_hash", self.definition_hash, self.computed_definition_hash()?)
    }

    /// Checks that the numbers make a safe cluster and fit the lists.
    ///
    /// # Errors
    /// [`LockError::Count`], [`LockError::Threshold`] or [`LockError::NoValidators`].
    pub fn check_numbers(&self) -> Result<Threshold, LockError> {
        let stated = usize::try_from(self.num_validators).unwrap_or(usize::MAX);
        check_count("validators", stated, self.validators.len())?;
        if self.validators.is_empty() {
            return Err(LockError::NoValidators);
        }
        // Numbers above 255 are too many operators in any case.
        let operators = u8::try_from(self.operators.len()).unwrap_or(u8::MAX);
        let threshold = u8::try_from(self.threshold).unwrap_or(u8::MAX);
        Ok(Threshold::new(operators, threshold)?)
    }

    /// Checks node records and, unless told otherwise, the signatures of operators' and creator's
    /// wallets. Either all operators signed or none.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn verify_operators(
        &self,
        wallets: WalletSignatures,
    ) -> Result<Vec<VerifiedOperator>, LockError> {
        let mut seen = BTreeMap::new();
        let mut operators = Vec::with_capacity(self.operators.len());
        for (index, operator) in self.operators.iter().enumerate() {
            let enr = Enr::parse(&operator.enr)
                .map_err(|source| LockError::Enr { operator: index, source })?;
            if let Some(first) = seen.insert(enr.public_key_bytes(), index) {
                return Err(LockError::DuplicateOperator { first, second: index });
            }
            operators.push(VerifiedOperator::new(enr));
        }
        if wallets == WalletSignatures::Verify {
            self.verify_wallets(&mut operators)?;
        }
        Ok(operators)
    }

    fn verify_wallets(&self, operators: &mut [VerifiedOperator]) -> Result<(), LockError> {
        let signed = self.operators.iter().filter(|operator| operator.is_signed()).count();
        if signed != 0 && signed != self.operators.len() {
            return Err(LockError::MixedSignatures { signed, operators: self.operators.len() });
        }
        let creator_signed = !self.creator.config_signature.is_empty();
        if signed == 0 && !creator_signed {
            return Ok(());
        }
        let chain_id = known_network(self.fork_version)
            .ok_or(LockError::UnknownChain { fork_version: self.fork_version })?
            .chain_id();
        let check = |by,
                     field,
                     address: Option<ExecutionAddress>,
                     message: Message<'_>,
                     signature: &[u8]| {
            let expected = address.ok_or(LockError::NoAddress { by, field })?;
            let signer = secp256k1::recover(&message.digest(chain_id), signature)
                .map_err(|source| LockError::NotASignature { by, field, source })?;
            let found = secp256k1::address(&signer);
            if found == expected {
                Ok(expected)
            } else {
                Err(LockError::WalletSignature { by, field, expected, found })
            }
        };
        if creator_signed {
            let message = Message::CreatorConfigHash(&self.config_hash);
            let creator = &self.creator;
            let signature = creator.config_signature.as_bytes();
            check(
                SignedBy::Creator,
                "config_signature",
                creator.address.get(),
                message,
                signature,
            )?;
        }
        for (index, operator) in self.operators.iter().enumerate().filter(|_| signed != 0) {
            let (by, address) = (SignedBy::Operator(index), operator.address.get());
            let message = Message::OperatorConfigHash(&self.config_hash);
            let signature = operator.config_signature.as_bytes();
            check(by, "config_signature", address, message, signature)?;
            let message = Message::Enr(&operator.enr);
            let address =
                check(by, "enr_signature", address, message, operator.enr_signature.as_bytes())?;
            if let Some(verified) = operators.get_mut(index) {
                verified.set_address(address);
            }
        }
        Ok(())
    }
}

/// The built-in network with this genesis fork version.
#[must_use]
pub fn known_network(genesis_fork_version: ForkVersion) -> Option<Network> {
    NETWORK_NAMES
        .into_iter()
        .filter_map(|name| Network::by_name(name).ok())
        .find(|network| network.genesis_fork_version() == genesis_fork_version)
}

fn verify_validator(
    index: usize,
    validator: &DistributedValidator,
    addresses: &ValidatorAddresses,
    definition: &ClusterDefinition,
    threshold: Threshold,
) -> Result<VerifiedValidator, LockError> {
    let key = &validator.public_key;
    let shares = PublicShares::new(key, &validator.public_shares, threshold)
        .map_err(|source| LockError::PublicShares { validator: index, source })?;

    let registration = validator.builder_registration.message;
    check_equal(index, "builder_registration.message.pubkey", key, &registration.pubkey)?;
    if let Some(expected) = addresses.fee_recipient.get() {
        let field = "builder_registration.message.fee_recipient";
        check_equal(index, field, &expected, &registration.fee_recipient)?;
    }
    let root = registration_root(&registration.into(), definition.fork_version);
    if !bls::verify(key, &root, &validator.builder_registration.signature) {
        return Err(LockError::RegistrationSignature { validator: index, key: *key });
    }

    for deposit in &validator.partial_deposit_data {
        check_equal(index, "partial_deposit_data.pubkey", key, &deposit.pubkey)?;
        if let Some(address) = addresses.withdrawal.get() {
            let compounding = definition.compounding.unwrap_or_default();
            let expected = withdrawal_credentials(address, compounding);
            let field = "partial_deposit_data.withdrawal_credentials";
            check_equal(index, field, &expected, &deposit.withdrawal_credentials)?;
        }
        if !bls::verify(key, &deposit_root(deposit, definition.fork_version), &deposit.signature) {
            return Err(LockError::DepositSignature {
                validator: index,
                key: *key,
                gwei: deposit.amount,
            });
        }
    }
    Ok(VerifiedValidator::new(validator, addresses, shares))
}

/// The signing root of a registration: a domain of the network's genesis and no chain (builder-specs).
pub(crate) fn registration_root(
    registration: &ValidatorRegistration,
    genesis_fork_version: ForkVersion,
) -> Root {
    let domain = compute_domain(DomainType::APPLICATION_BUILDER, genesis_fork_version, Root::ZERO);
    signing_root_of(registration, domain)
}

/// The signing root of a deposit, which does not cover its signature (consensus-specs
/// `is_valid_deposit_signature`).
pub(crate) fn deposit_root(deposit: &DepositData, genesis_fork_version: ForkVersion) -> Root {
    let domain = compute_domain(DomainType::DEPOSIT, genesis_fork_version, Root::ZERO);
    signing_root_of(&deposit_message(deposit, genesis_fork_version), domain)
}

pub(crate) fn deposit_message(
    deposit: &DepositData,
    genesis_fork_version: ForkVersion,
) -> DepositMessage {
    DepositMessage {
        pubkey: deposit.pubkey,
        withdrawal_credentials: deposit.withdrawal_credentials,
        amount: deposit.amount,
        genesis_fork_version,
    }
}

/// Withdrawals to an execution address: type 0x01, or 0x02 for a validator that compounds, eleven zero
/// bytes, the address (consensus-specs, EIP-7251).
#[must_use]
pub fn withdrawal_credentials(address: ExecutionAddress, compounding: bool) -> Root {
    let mut bytes = [0; Root::LEN];
    if let Some((kind, rest)) = bytes.split_first_mut() {
        *kind = if compounding { 2 } else { 1 };
        for (to, from) in rest.iter_mut().rev().zip(address.as_bytes().iter().rev()) {
            *to = *from;
        }
    }
    Root::new(bytes)
}

fn check_hash(field: &'static str, stated: Root, computed: Root) -> Result<(), LockError> {
    if stated == computed { Ok(()) } else { Err(LockError::Hash { field, stated, computed }) }
}

fn check_equal<T: PartialEq + ToString>(
    validator: usize,
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), LockError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(LockError::Field { validator, field, expected, found })
}
