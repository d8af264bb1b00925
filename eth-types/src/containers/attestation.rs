//! What an attester votes for (consensus-specs `phase0/beacon-chain.md`).

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use tree_hash_derive::TreeHash;

use crate::primitives::{Epoch, Root, Slot, quoted_u64};

/// An epoch and the block at its beginning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct Checkpoint {
    /// The epoch.
    pub epoch: Epoch,
    /// The root of its first block.
    pub root: Root,
}

/// An attester's vote.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct AttestationData {
    /// The slot that the attester is assigned to.
    pub slot: Slot,
    /// The committee before Electra; 0 in Electra and Fulu; the payload's status in Gloas.
    #[serde(with = "quoted_u64")]
    pub index: u64,
    /// The head of the chain, as the attester sees it.
    pub beacon_block_root: Root,
    /// The last justified checkpoint.
    pub source: Checkpoint,
    /// The checkpoint of the slot's epoch.
    pub target: Checkpoint,
}
