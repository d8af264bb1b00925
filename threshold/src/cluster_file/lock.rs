//! `cluster-lock.json`: the finished cluster, with every validator's public shares.

use eth_types::containers::{DepositData, ValidatorRegistration};
use eth_types::{ExecutionAddress, PublicKey, Root, Signature};
use serde::{Deserialize, Serialize};

use super::definition::ClusterDefinition;
use super::hashes::{self, LimitError};
use super::json::{self, HexBytes};

/// The file as it stands; nothing of it is checked but its shape. The order of the fields is the
/// file's. [`ClusterLock::verify`](super::ClusterLock::verify) turns it into something to rely on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLock {
    /// What the operators agreed on.
    pub cluster_definition: ClusterDefinition,
    /// The validators, in the definition's order.
    pub distributed_validators: Vec<DistributedValidator>,
    /// Aggregate signature of the lock hash by every share of every validator.
    pub signature_aggregate: HexBytes,
    /// Hash of everything above.
    pub lock_hash: Root,
    /// Each operator's signature of the lock hash with the key of its node record.
    pub node_signatures: Vec<HexBytes>,
}

/// One validator of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributedValidator {
    /// The validator's public key.
    #[serde(rename = "distributed_public_key")]
    pub public_key: PublicKey,
    /// The public keys of the operators' shares, in the operators' order.
    pub public_shares: Vec<PublicKey>,
    /// A registration for builders, signed by the whole key.
    pub builder_registration: SignedRegistration,
    /// Deposits signed by the whole key, one for each amount.
    pub partial_deposit_data: Vec<DepositData>,
}

/// A validator registration with its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRegistration {
    /// What is registered.
    pub message: Registration,
    /// By the validator.
    pub signature: Signature,
}

/// A [`ValidatorRegistration`] in the lock's JSON, where numbers are not quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Who is paid.
    pub fee_recipient: ExecutionAddress,
    /// The gas limit the validator votes for.
    pub gas_limit: u64,
    /// Unix seconds.
    pub timestamp: u64,
    /// The validator.
    pub pubkey: PublicKey,
}

impl From<Registration> for ValidatorRegistration {
    fn from(registration: Registration) -> Self {
        let Registration { fee_recipient, gas_limit, timestamp, pubkey } = registration;
        Self { fee_recipient, gas_limit, timestamp, pubkey }
    }
}

impl From<ValidatorRegistration> for Registration {
    fn from(registration: ValidatorRegistration) -> Self {
        let ValidatorRegistration { fee_recipient, gas_limit, timestamp, pubkey } = registration;
        Self { fee_recipient, gas_limit, timestamp, pubkey }
    }
}

impl ClusterLock {
    /// A lock that nobody has signed yet, with its hash. Next come
    /// [`signature_aggregate`](Self::signature_aggregate) and [`node_signatures`](Self::node_signatures).
    ///
    /// # Errors
    /// A field is longer than the format allows.
    pub fn unsigned(
        cluster_definition: ClusterDefinition,
        distributed_validators: Vec<DistributedValidator>,
    ) -> Result<Self, LimitError> {
        let mut lock = Self {
            cluster_definition,
            distributed_validators,
            signature_aggregate: HexBytes::default(),
            lock_hash: Root::ZERO,
            node_signatures: Vec::new(),
        };
        lock.lock_hash = lock.computed_lock_hash()?;
        Ok(lock)
    }

    /// The lock hash that the content has.
    ///
    /// # Errors
    /// A field is longer than the format allows.
    pub fn computed_lock_hash(&self) -> Result<Root, LimitError> {
        hashes::lock_hash(self)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never; the serializer's error is passed on all the same.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        json::to_text(self)
    }
}
