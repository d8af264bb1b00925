//! Everything about a lock that is refused, each with one clear line. A lock is changed as a forger would
//! change it: where it can be, its hashes and signatures are made right again.

use std::sync::LazyLock;

use eth_types::containers::{DepositData, DepositMessage, ValidatorRegistration};
use eth_types::fork::{DomainType, compute_domain, signing_root_of};
use eth_types::{ExecutionAddress, PublicKey, Root, Signature};
use threshold::cluster_file::{
    ClusterDefinition, ClusterLock, Creator, DEFAULT_DKG_ALGORITHM, DistributedValidator,
    FileVersion, Gwei, HexBytes, LockError, Message, Operator, OptionalAddress, SignedRegistration,
    ValidatorAddresses, WalletSignatures, withdrawal_credentials,
};
use threshold::enr::Identity;
use threshold_protocol::bls::{self, SecretKey, SecretShare, Threshold, split};

use crate::support::chain;

const HOODI_CHAIN_ID: u64 = 560_048;
const FEE_RECIPIENT: ExecutionAddress = ExecutionAddress::new([0x22; 20]);
const WITHDRAWAL: ExecutionAddress = ExecutionAddress::new([0x11; 20]);

/// A cluster of three operators of which two sign, with all its secrets.
struct Cluster {
    identities: Vec<Identity>,
    wallets: Vec<Identity>,
    keys: Vec<SecretKey>,
    shares: Vec<Vec<SecretShare>>,
    lock: ClusterLock,
}

/// Made once; tests change copies of its lock.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::new);

impl Cluster {
    fn new() -> Self {
        let threshold = Threshold::new(3, 2).unwrap();
        let identities: Vec<_> = (0..3).map(|_| Identity::generate().unwrap()).collect();
        let wallets = (0..4).map(|_| Identity::generate().unwrap()).collect();
        let keys: Vec<_> = (0..2).map(|_| SecretKey::generate(&mut rand::rng())).collect();
        let shares: Vec<_> =
            keys.iter().map(|key| split(key, threshold, &mut rand::rng()).unwrap()).collect();
        let addresses = ValidatorAddresses {
            fee_recipient: FEE_RECIPIENT.into(),
            withdrawal: WITHDRAWAL.into(),
        };
        let definition = ClusterDefinition {
            name: "test".to_owned(),
            creator: Creator::default(),
            operators: identities.iter().map(|i| Operator::unsigned(i.enr().to_string())).collect(),
            uuid: "0194FDC2-FA2F-4CC0-81D3-FF12045B73C8".to_owned(),
            version: FileVersion::WRITTEN,
            timestamp: "2026-01-01T00:00:00Z".to_owned(),
            num_validators: 2,
            threshold: 2,
            validators: vec![addresses; 2],
            dkg_algorithm: DEFAULT_DKG_ALGORITHM.to_owned(),
            fork_version: "0x10000910".parse().unwrap(),
            deposit_amounts: None,
            consensus_protocol: Some(String::new()),
            target_gas_limit: Some(60_000_000),
            compounding: Some(false),
            config_hash: Root::ZERO,
            definition_hash: Root::ZERO,
        };
        let validators = keys
            .iter()
            .zip(&shares)
            .map(|(key, shares)| DistributedValidator {
                public_key: key.public_key(),
                public_shares: shares.iter().map(SecretShare::public_share).collect(),
                builder_registration: registration(key, FEE_RECIPIENT, key.public_key()),
                partial_deposit_data: vec![deposit(
                    key,
                    withdrawal_credentials(WITHDRAWAL, false),
                    key.public_key(),
                )],
            })
            .collect();
        let lock = ClusterLock::unsigned(definition, validators).unwrap();
        let mut cluster = Self { identities, wallets, keys, shares, lock };
        cluster.lock = cluster.sealed(cluster.lock.clone());
        cluster
    }

    /// Hashes and signatures made right after a change.
    fn sealed(&self, mut lock: ClusterLock) -> ClusterLock {
        lock.cluster_definition = lock.cluster_definition.seal().unwrap();
        lock.lock_hash = lock.computed_lock_hash().unwrap();
        let signatures: Vec<Signature> = self
            .shares
            .iter()
            .flatten()
            .map(|share| share.sign_lock_hash(&lock.lock_hash))
            .collect();
        lock.signature_aggregate = bls::aggregate(&signatures).unwrap().into();
        lock.node_signatures = self
            .identities
            .iter()
            .map(|i| HexBytes::from(i.sign_digest_recoverable(lock.lock_hash.as_bytes())))
            .collect();
        lock
    }

    /// The lock with every wallet's signature: three operators' and the creator's.
    fn with_wallets(&self) -> ClusterLock {
        let mut lock = self.lock.clone();
        let definition = &mut lock.cluster_definition;
        for (operator, wallet) in definition.operators.iter_mut().zip(&self.wallets) {
            operator.address = address_of(wallet);
        }
        definition.creator.address = address_of(&self.wallets[3]);
        let mut lock = self.sealed(lock);
        let definition = &mut lock.cluster_definition;
        let config_hash = definition.config_hash;
        let sign = |wallet: &Identity, message: Message<'_>| {
            HexBytes::from(wallet.sign_digest_recoverable(&message.digest(HOODI_CHAIN_ID)))
        };
        for (operator, wallet) in definition.operators.iter_mut().zip(&self.wallets) {
            operator.config_signature = sign(wallet, Message::OperatorConfigHash(&config_hash));
            operator.enr_signature = sign(wallet, Message::Enr(&operator.enr));
        }
        definition.creator.config_signature =
            sign(&self.wallets[3], Message::CreatorConfigHash(&config_hash));
        self.sealed(lock)
    }
}

/// The address of a wallet, computed from its key without the code under test.
fn address_of(wallet: &Identity) -> OptionalAddress {
    use sha3::Digest;
    let point = wallet.public_key().to_sec1_point(false);
    let hash = sha3::Keccak256::digest(&point.as_bytes()[1..]);
    ExecutionAddress::try_from(&hash[12..]).unwrap().into()
}

fn registration(
    key: &SecretKey,
    fee_recipient: ExecutionAddress,
    pubkey: PublicKey,
) -> SignedRegistration {
    let message =
        ValidatorRegistration { fee_recipient, gas_limit: 60_000_000, timestamp: 1, pubkey };
    let domain =
        compute_domain(DomainType::APPLICATION_BUILDER, "0x10000910".parse().unwrap(), Root::ZERO);
    SignedRegistration {
        message: message.into(),
        signature: key.sign(&signing_root_of(&message, domain)),
    }
}

fn deposit(key: &SecretKey, withdrawal_credentials: Root, pubkey: PublicKey) -> DepositData {
    let genesis_fork_version = "0x10000910".parse().unwrap();
    let amount = 32_000_000_000;
    let message = DepositMessage { pubkey, withdrawal_credentials, amount, genesis_fork_version };
    let domain = compute_domain(DomainType::DEPOSIT, genesis_fork_version, Root::ZERO);
    let signature = key.sign(&signing_root_of(&message, domain));
    DepositData { pubkey, withdrawal_credentials, amount, signature }
}

fn refused(lock: &ClusterLock) -> String {
    chain(&lock.verify(WalletSignatures::Verify).unwrap_err(), std::path::Path::new("?"))
}

#[test]
fn a_lock_without_wallets_verifies() {
    let verified = CLUSTER.lock.verify(WalletSignatures::Verify).unwrap();
    assert_eq!(verified.lock_hash(), CLUSTER.lock.lock_hash);
    assert_eq!(verified.fork_version().to_string(), "0x10000910");
    assert_eq!(verified.threshold(), Threshold::new(3, 2).unwrap());
    assert!(verified.operators().iter().all(|operator| operator.address().is_none()));
    for (validator, key) in verified.validators().iter().zip(&CLUSTER.keys) {
        assert_eq!(validator.public_key(), key.public_key());
        assert_eq!(validator.public_shares().len(), 3);
    }
}

#[test]
fn a_lock_with_wallets_verifies_and_names_them() {
    let verified = CLUSTER.with_wallets().verify(WalletSignatures::Verify).unwrap();
    for (operator, wallet) in verified.operators().iter().zip(&CLUSTER.wallets) {
        assert_eq!(operator.address(), address_of(wallet).get());
    }
}

#[test]
fn locks_of_every_version_verify() {
    for (version, text) in [
        ("v1.8.0", FileVersion::V1_8),
        ("v1.9.0", FileVersion::V1_9),
        ("v1.11.0", FileVersion::V1_11),
    ] {
        let mut lock = CLUSTER.lock.clone();
        lock.cluster_definition.version = text;
        assert!(CLUSTER.sealed(lock).verify(WalletSignatures::Verify).is_ok(), "{version}");
    }
}

/// One of a lock's hashes.
type HashOf = fn(&mut ClusterLock) -> &mut Root;

#[test]
fn a_changed_hash_is_shown_with_both_values() {
    let other = Root::new([0xee; 32]);
    let change: [(&str, HashOf); 3] = [
        ("config_hash", |lock| &mut lock.cluster_definition.config_hash),
        ("definition_hash", |lock| &mut lock.cluster_definition.definition_hash),
        ("lock_hash", |lock| &mut lock.lock_hash),
    ];
    for (field, hash) in change {
        let mut lock = CLUSTER.lock.clone();
        let right = std::mem::replace(hash(&mut lock), other);
        assert_eq!(
            refused(&lock),
            format!(
                "{field} is stated as {other}, but the content hashes to {right}: the file was changed or \
                 damaged, take it from a backup or from another operator"
            )
        );
        assert!(matches!(lock.verify_hashes(), Err(LockError::Hash { .. })));
    }
}

/// What a lock is refused for, one line for each thing that can be wrong with it.
#[test]
fn locks_that_state_what_is_not_so_are_refused() {
    let lock = || CLUSTER.lock.clone();
    let resealed = |change: &dyn Fn(&mut ClusterLock)| {
        let mut lock = lock();
        change(&mut lock);
        refused(&CLUSTER.sealed(lock))
    };
    let unsealed = |change: &dyn Fn(&mut ClusterLock)| {
        let mut lock = lock();
        change(&mut lock);
        refused(&lock)
    };
    let key = |n: usize| CLUSTER.keys[n].public_key();
    let cases: Vec<(String, String)> = vec![
        (
            resealed(&|l| l.cluster_definition.num_validators = 3),
            "validators has 2 entries, expected 3".into(),
        ),
        (
            resealed(&|l| drop(l.distributed_validators.pop())),
            "distributed_validators has 1 entries, expected 2".into(),
        ),
        (
            resealed(&|l| {
                l.cluster_definition.num_validators = 0;
                l.cluster_definition.validators.clear();
            }),
            "the cluster has no validator".into(),
        ),
        (
            unsealed(&|l| drop(l.node_signatures.pop())),
            "node_signatures has 2 entries, expected 3".into(),
        ),
        (
            resealed(&|l| l.cluster_definition.threshold = 4),
            "the cluster's threshold is unusable: threshold 4 is above the number of operators, 3".into(),
        ),
        (
            resealed(&|l| l.cluster_definition.threshold = 1),
            "the cluster's threshold is unusable: threshold 1 of 3 operators is not a majority: two groups \
             of 1 could sign conflicting messages, so it has to be at least 2"
                .into(),
        ),
        (
            resealed(&|l| l.cluster_definition.threshold = u64::MAX),
            "the cluster's threshold is unusable: threshold 255 is above the number of operators, 3".into(),
        ),
        (
            resealed(&|l| l.cluster_definition.operators[1].enr = "enr:-".to_owned()),
            "the ENR of operator 1 is unusable: not URL-safe base64 without padding: Invalid input length: 1"
                .into(),
        ),
        (
            resealed(&|l| {
                l.cluster_definition.operators[2].enr =
                    l.cluster_definition.operators[0].enr.clone();
            }),
            "operators 0 and 2 have the same ENR key".into(),
        ),
        (
            resealed(&|l| {
                l.distributed_validators[1] = l.distributed_validators[0].clone();
            }),
            format!("public key {} is in validator 0 and again in validator 1", key(0)),
        ),
        (
            resealed(&|l| l.distributed_validators[0].public_shares.swap(0, 1)),
            format!(
                "the public shares of validator 0 are unusable: the public shares of validator {} do not \
                 fit it: 2 of them have to give its public key, whichever they are",
                key(0)
            ),
        ),
        (
            resealed(&|l| l.distributed_validators[1].public_shares.truncate(2)),
            "the public shares of validator 1 are unusable: 2 public shares for 3 operators".into(),
        ),
        (
            resealed(&|l| l.distributed_validators[1].public_shares[0] = PublicKey::new([0xff; 48])),
            format!(
                "the public shares of validator 1 are unusable: the public share of operator 1, {}, is not \
                 a public key: not the encoding of a compressed point",
                PublicKey::new([0xff; 48])
            ),
        ),
        (
            resealed(&|l| {
                l.distributed_validators[1].builder_registration =
                    registration(&CLUSTER.keys[1], FEE_RECIPIENT, key(0));
            }),
            format!(
                "builder_registration.message.pubkey of validator 1 is {}, expected {}",
                key(0),
                key(1)
            ),
        ),
        (
            resealed(&|l| {
                l.distributed_validators[1].builder_registration =
                    registration(&CLUSTER.keys[1], WITHDRAWAL, key(1));
            }),
            format!(
                "builder_registration.message.fee_recipient of validator 1 is {WITHDRAWAL}, expected \
                 {FEE_RECIPIENT}"
            ),
        ),
        (
            resealed(&|l| l.distributed_validators[1].builder_registration.message.gas_limit = 1),
            format!("the builder registration of validator 1 is not signed by its key {}", key(1)),
        ),
        (
            resealed(&|l| {
                let credentials = withdrawal_credentials(WITHDRAWAL, false);
                l.distributed_validators[0].partial_deposit_data =
                    vec![deposit(&CLUSTER.keys[0], credentials, key(1))];
            }),
            format!("partial_deposit_data.pubkey of validator 0 is {}, expected {}", key(1), key(0)),
        ),
        (
            resealed(&|l| {
                let credentials = withdrawal_credentials(FEE_RECIPIENT, false);
                l.distributed_validators[0].partial_deposit_data =
                    vec![deposit(&CLUSTER.keys[0], credentials, key(0))];
            }),
            format!(
                "partial_deposit_data.withdrawal_credentials of validator 0 is 0x01{0}{1}, expected \
                 0x01{0}{2}",
                "00".repeat(11),
                "22".repeat(20),
                "11".repeat(20)
            ),
        ),
        (
            resealed(&|l| l.distributed_validators[0].partial_deposit_data[0].amount = 1),
            format!("the deposit of 1 Gwei of validator 0 is not signed by its key {}", key(0)),
        ),
        (
            unsealed(&|l| l.signature_aggregate = Signature::ZERO.into()),
            "signature_aggregate is not a signature of lock_hash by all 6 key shares".into(),
        ),
        (
            unsealed(&|l| l.signature_aggregate = HexBytes::default()),
            "signature_aggregate is not a signature of lock_hash by all 6 key shares".into(),
        ),
        (
            unsealed(&|l| l.node_signatures.swap(1, 2)),
            "the node signature of operator 1 is not one of lock_hash by its ENR key".into(),
        ),
        (
            unsealed(&|l| l.node_signatures[2] = HexBytes::from([1; 64])),
            "node_signatures of operator 2 is not a signature: a signature by a key has 65 bytes, this one has 64"
                .into(),
        ),
        (
            unsealed(&|l| l.cluster_definition.name = "x".repeat(257)),
            "name has a length of 257, the format allows 256".into(),
        ),
        (
            unsealed(&|l| l.cluster_definition.deposit_amounts = Some(vec![Gwei::ETH; 257])),
            "deposit_amounts has a length of 257, the format allows 256".into(),
        ),
        (
            unsealed(&|l| l.cluster_definition.timestamp = "9".repeat(33)),
            "timestamp has a length of 33, the format allows 32".into(),
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn wallet_signatures_that_are_not_the_wallets_are_refused_and_may_be_left() {
    let signed = CLUSTER.with_wallets();
    let address = |n: usize| address_of(&CLUSTER.wallets[n]).get().unwrap();
    let check = |change: &dyn Fn(&mut ClusterDefinition), expected: &str| {
        let mut lock = signed.clone();
        change(&mut lock.cluster_definition);
        let lock = CLUSTER.sealed(lock);
        assert_eq!(refused(&lock), expected);
        assert!(lock.verify(WalletSignatures::Ignore).is_ok(), "{expected}");
    };
    check(
        &|d| {
            d.operators[1].config_signature = HexBytes::default();
            d.operators[1].enr_signature = HexBytes::default();
        },
        "2 of 3 operators signed with a wallet: either all have to or none",
    );
    check(
        &|d| d.operators[1].enr_signature = HexBytes::default(),
        "enr_signature of operator 1 is not a signature: a signature by a key has 65 bytes, this one has 0",
    );
    check(
        &|d| {
            // What a wallet of several owners gives.
            d.version = FileVersion::V1_11;
            d.creator.config_signature = HexBytes::from([0; 130]);
        },
        "config_signature of the creator is not a signature: a signature by a key has 65 bytes, this one \
         has 130",
    );
    check(
        &|d| {
            let [a, b, _] = d.operators.as_mut_slice() else { unreachable!() };
            std::mem::swap(&mut a.config_signature, &mut b.config_signature);
        },
        &format!(
            "config_signature of operator 0 is not by {}: it recovers to {} (a wallet that is a contract \
             cannot be checked without the chain)",
            address(0),
            address(1)
        ),
    );
}

#[test]
fn wallet_signatures_on_a_chain_that_is_not_known_are_refused() {
    // The configuration's signatures are over its hash, so no wallet signed this; the chain comes first.
    let mut lock = CLUSTER.with_wallets();
    lock.cluster_definition.fork_version = "0x01020304".parse().unwrap();
    assert_eq!(
        refused(&CLUSTER.sealed(lock)),
        "wallet signatures cannot be checked: no chain id is known for genesis fork version 0x01020304"
    );
}

#[test]
fn a_signature_without_an_address_is_refused() {
    let mut lock = CLUSTER.with_wallets();
    lock.cluster_definition.creator.address = OptionalAddress::default();
    assert_eq!(
        refused(&CLUSTER.sealed(lock)),
        "config_signature of the creator is there, but no address that it is by"
    );
}

/// A lock of the project's own, so that neither the format nor a hash changes by accident. Its keys were
/// thrown away.
#[test]
fn the_projects_own_lock_verifies_and_is_written_as_it_was() {
    let text = include_str!("vectors/cluster-lock.json");
    let lock: ClusterLock = serde_json::from_str(text).unwrap();
    assert_eq!(lock.to_json().unwrap(), text);
    let verified = lock.verify(WalletSignatures::Verify).unwrap();
    assert_eq!(
        verified.lock_hash().to_string(),
        "0xecf62287fe4ffa484e1ceefbae3d8e4b67b5435c86ae93811966967d68dcf54b"
    );
    assert_eq!(verified.network().unwrap().name(), "hoodi");
    let fee_recipients: Vec<_> = verified.validators().iter().map(|v| v.fee_recipient()).collect();
    assert_eq!(fee_recipients, [0x22, 0x33].map(|byte| ExecutionAddress::new([byte; 20])));
}
