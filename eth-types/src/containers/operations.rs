//! Deposits, exits and registrations with builders.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use tree_hash_derive::TreeHash;

use crate::keys::{PublicKey, Signature};
use crate::primitives::{Epoch, ExecutionAddress, ForkVersion, Root, quoted_u64};

/// A deposit without its signature, and the network it is for, which Web3Signer's request carries
/// beside it: hash tree root and SSZ form are those of consensus-specs `DepositMessage`, without the
/// fork version.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct DepositMessage {
    /// The validator.
    pub pubkey: PublicKey,
    /// Where withdrawals go: a type byte, and what that type says.
    pub withdrawal_credentials: Root,
    /// Gwei.
    #[serde(with = "quoted_u64")]
    pub amount: u64,
    /// The genesis fork version of the network, part of the domain. A message decoded from SSZ has
    /// [`ForkVersion::ZERO`] here.
    #[ssz(skip_serializing, skip_deserializing)]
    #[tree_hash(skip_hashing)]
    pub genesis_fork_version: ForkVersion,
}

/// A deposit with its signature, as the deposit contract takes it; its hash tree root is
/// `deposit_data_root`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct DepositData {
    /// The validator.
    pub pubkey: PublicKey,
    /// Where withdrawals go.
    pub withdrawal_credentials: Root,
    /// Gwei.
    #[serde(with = "quoted_u64")]
    pub amount: u64,
    /// By the validator, over the [`DepositMessage`].
    pub signature: Signature,
}

/// A validator leaves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct VoluntaryExit {
    /// The exit is not valid before this epoch.
    pub epoch: Epoch,
    /// The validator's index in the beacon state.
    #[serde(with = "quoted_u64")]
    pub validator_index: u64,
}

/// An exit that can be published.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct SignedVoluntaryExit {
    /// The exit.
    pub message: VoluntaryExit,
    /// By the validator.
    pub signature: Signature,
}

/// What a validator wants of builders (builder-specs `ValidatorRegistrationV1`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct ValidatorRegistration {
    /// Who is paid.
    pub fee_recipient: ExecutionAddress,
    /// The gas limit the validator votes for.
    #[serde(with = "quoted_u64")]
    pub gas_limit: u64,
    /// Unix seconds; a later registration replaces an earlier one.
    #[serde(with = "quoted_u64")]
    pub timestamp: u64,
    /// The validator.
    pub pubkey: PublicKey,
}
