//! Why a cluster lock or definition is refused.

use std::fmt;

use eth_types::{ExecutionAddress, ForkVersion, PublicKey, Root};
use threshold_protocol::bls::{PublicSharesError, ThresholdError};

use super::hashes::LimitError;
use super::secp256k1::RecoverError;
use crate::enr::EnrError;

/// Who signed, or should have. Operators are counted from 0, as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// Who proposed the cluster.
    Creator,
    /// An operator.
    Operator(usize),
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creator => f.write_str("the creator"),
            Self::Operator(index) => write!(f, "operator {index}"),
        }
    }
}

/// Why a cluster lock or definition is refused: which field, what was expected and what is there.
/// Operators and validators are counted from 0, as in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// A hash is not that of the content.
    #[error(
        "{field} is stated as {stated}, but the content hashes to {computed}: the file was changed or \
         damaged, take it from a backup or from another operator"
    )]
    Hash {
        /// Which hash.
        field: &'static str,
        /// The file's.
        stated: Root,
        /// The content's.
        computed: Root,
    },
    /// A field is too long to be hashed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A list is not as long as another field says.
    #[error("{field} has {found} entries, expected {expected}")]
    Count {
        /// Which list.
        field: &'static str,
        /// How many were expected.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// There is no validator.
    #[error("the cluster has no validator")]
    NoValidators,
    /// The numbers of operators make no safe cluster.
    #[error("the cluster's threshold is unusable")]
    Threshold(#[from] ThresholdError),
    /// An operator's node record is none.
    #[error("the ENR of operator {operator} is unusable")]
    Enr {
        /// Whose.
        operator: usize,
        /// Why.
        #[source]
        source: EnrError,
    },
    /// Two operators have the same node key.
    #[error("operators {first} and {second} have the same ENR key")]
    DuplicateOperator {
        /// The one.
        first: usize,
        /// The other.
        second: usize,
    },
    /// Some operators signed and some did not.
    #[error("{signed} of {operators} operators signed with a wallet: either all have to or none")]
    MixedSignatures {
        /// How many did.
        signed: usize,
        /// Of how many.
        operators: usize,
    },
    /// Wallet signatures name a chain, and this network's is not known.
    #[error(
        "wallet signatures cannot be checked: no chain id is known for genesis fork version \
         {fork_version}"
    )]
    UnknownChain {
        /// The network's genesis fork version.
        fork_version: ForkVersion,
    },
    /// A signature without the address it is by.
    #[error("{field} of {by} is there, but no address that it is by")]
    NoAddress {
        /// Who signed.
        by: SignedBy,
        /// The signature's field.
        field: &'static str,
    },
    /// A signature is none.
    #[error("{field} of {by} is not a signature")]
    NotASignature {
        /// Who should have signed.
        by: SignedBy,
        /// The signature's field.
        field: &'static str,
        /// Why.
        #[source]
        source: RecoverError,
    },
    /// A wallet's signature is by another wallet, or over something else.
    #[error(
        "{field} of {by} is not by {expected}: it recovers to {found} (a wallet that is a contract \
         cannot be checked without the chain)"
    )]
    WalletSignature {
        /// Who should have signed.
        by: SignedBy,
        /// The signature's field.
        field: &'static str,
        /// The address in the file.
        expected: ExecutionAddress,
        /// The address that the signature gives.
        found: ExecutionAddress,
    },
    /// A public key is there twice.
    #[error("public key {key} is in validator {first} and again in validator {second}")]
    DuplicateKey {
        /// The key of a validator or a share.
        key: PublicKey,
        /// Where it is first.
        first: usize,
        /// Where it is again.
        second: usize,
    },
    /// Public shares do not belong to the validator's key.
    #[error("the public shares of validator {validator} are unusable")]
    PublicShares {
        /// Whose.
        validator: usize,
        /// Why.
        #[source]
        source: PublicSharesError,
    },
    /// A field of a validator says something else than another.
    #[error("{field} of validator {validator} is {found}, expected {expected}")]
    Field {
        /// Whose.
        validator: usize,
        /// Which field.
        field: &'static str,
        /// What the rest of the file says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A registration is not signed by the validator.
    #[error("the builder registration of validator {validator} is not signed by its key {key}")]
    RegistrationSignature {
        /// Whose.
        validator: usize,
        /// Its public key.
        key: PublicKey,
    },
    /// A deposit is not signed by the validator.
    #[error("the deposit of {gwei} Gwei of validator {validator} is not signed by its key {key}")]
    DepositSignature {
        /// Whose.
        validator: usize,
        /// Its public key.
        key: PublicKey,
        /// Which deposit.
        gwei: u64,
    },
    /// The lock hash is not signed by every share.
    #[error("signature_aggregate is not a signature of lock_hash by all {shares} key shares")]
    SignatureAggregate {
        /// How many shares there are.
        shares: usize,
    },
    /// The lock hash is not signed by an operator's node key.
    #[error("the node signature of operator {operator} is not one of lock_hash by its ENR key")]
    NodeSignature {
        /// Whose.
        operator: usize,
    },
}

pub(super) fn check_count(
    field: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), LockError> {
    if found == expected { Ok(()) } else { Err(LockError::Count { field, expected, found }) }
}
