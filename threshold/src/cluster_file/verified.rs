//! A cluster lock of which everything was checked.

use eth_types::network::Network;
use eth_types::{ExecutionAddress, ForkVersion, PublicKey, Root};
use threshold_protocol::bls::{PublicShares, Threshold};

use super::definition::ValidatorAddresses;
use super::lock::{ClusterLock, DistributedValidator, SignedRegistration};
use super::verify::known_network;
use crate::enr::Enr;

/// A cluster: its operators, its threshold and its validators. Made by [`ClusterLock::verify`] only.
#[derive(Debug, Clone)]
pub struct VerifiedLock {
    name: String,
    lock_hash: Root,
    fork_version: ForkVersion,
    threshold: Threshold,
    operators: Vec<VerifiedOperator>,
    validators: Vec<VerifiedValidator>,
}

impl VerifiedLock {
    pub(super) fn new(
        lock: &ClusterLock,
        threshold: Threshold,
        operators: Vec<VerifiedOperator>,
        validators: Vec<VerifiedValidator>,
    ) -> Self {
        Self {
            name: lock.cluster_definition.name.clone(),
            lock_hash: lock.lock_hash,
            fork_version: lock.cluster_definition.fork_version,
            threshold,
            operators,
            validators,
        }
    }

    /// The cluster's name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What names the cluster everywhere.
    #[must_use]
    pub fn lock_hash(&self) -> Root {
        self.lock_hash
    }

    /// The genesis fork version of the cluster's network.
    #[must_use]
    pub fn fork_version(&self) -> ForkVersion {
        self.fork_version
    }

    /// The cluster's network, if it is one of those built in.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        known_network(self.fork_version)
    }

    /// n and t.
    #[must_use]
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// The operators; the share index of an operator is its place here, counted from 1.
    #[must_use]
    pub fn operators(&self) -> &[VerifiedOperator] {
        &self.operators
    }

    /// The validators, in the lock's order.
    #[must_use]
    pub fn validators(&self) -> &[VerifiedValidator] {
        &self.validators
    }
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedOperator {
    enr: Enr,
    address: Option<ExecutionAddress>,
}

impl VerifiedOperator {
    pub(super) fn new(enr: Enr) -> Self {
        Self { enr, address: None }
    }

    pub(super) fn set_address(&mut self, address: ExecutionAddress) {
        self.address = Some(address);
    }

    /// The node record; its public key is the operator's identity on the network.
    #[must_use]
    pub fn enr(&self) -> &Enr {
        &self.enr
    }

    /// The operator's identity, a compressed secp256k1 public key.
    #[must_use]
    pub fn public_key_bytes(&self) -> [u8; 33] {
        self.enr.public_key_bytes()
    }

    /// The wallet that signed for the operator, if one did and that was checked.
    #[must_use]
    pub fn address(&self) -> Option<ExecutionAddress> {
        self.address
    }
}

/// A validator of the cluster.
#[derive(Debug, Clone)]
pub struct VerifiedValidator {
    public_shares: Vec<PublicKey>,
    shares: PublicShares,
    addresses: ValidatorAddresses,
    registration: SignedRegistration,
}

impl VerifiedValidator {
    pub(super) fn new(
        validator: &DistributedValidator,
        addresses: &ValidatorAddresses,
        shares: PublicShares,
    ) -> Self {
        Self {
            public_shares: validator.public_shares.clone(),
            shares,
            addresses: *addresses,
            registration: validator.builder_registration,
        }
    }

    /// The validator's public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.shares.group_key()
    }

    /// The public keys of the operators' shares as the lock has them, operator 1 first.
    #[must_use]
    pub fn public_shares(&self) -> &[PublicKey] {
        &self.public_shares
    }

    /// Public key and shares, ready for combining signatures.
    #[must_use]
    pub fn shares(&self) -> &PublicShares {
        &self.shares
    }

    /// Who gets tips and MEV.
    #[must_use]
    pub fn fee_recipient(&self) -> ExecutionAddress {
        self.registration.message.fee_recipient
    }

    /// The gas limit that the validator votes for.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        self.registration.message.gas_limit
    }

    /// Who gets stake and rewards, if the definition says.
    #[must_use]
    pub fn withdrawal_address(&self) -> Option<ExecutionAddress> {
        self.addresses.withdrawal.get()
    }

    /// The registration for builders that was signed when the cluster was made.
    #[must_use]
    pub fn registration(&self) -> &SignedRegistration {
        &self.registration
    }
}
