//! What Gloas adds for a validator to sign, apart from the payload
//! (consensus-specs v1.7.0-beta, `gloas/beacon-chain.md` and `gloas/p2p-interface.md`; builder-specs
//! `gloas/validator.md`). These containers are plain ones: only what is in a block or a payload is
//! progressive.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::VariableList;
use tree_hash_derive::TreeHash;
use typenum::U4096;

use super::hashed;
use crate::primitives::{ExecutionAddress, Root, Slot, quoted_u64};

/// The vote of a member of the payload timeliness committee: what it saw of a slot's payload
/// (`PayloadAttestationData`). The message that is published holds the validator's index beside it,
/// which is not signed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct PayloadAttestationData {
    /// The block of the slot.
    pub beacon_block_root: Root,
    /// The slot.
    pub slot: Slot,
    /// Its payload was seen in time.
    pub payload_present: bool,
    /// The payload's blobs were available in time.
    pub blob_data_available: bool,
}

/// What a proposer wants of builders for one of its slots (`ProposerPreferences`); takes the place of
/// the [`ValidatorRegistration`](super::ValidatorRegistration).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct ProposerPreferences {
    /// The block that the proposers of the slot's epoch follow from.
    pub dependent_root: Root,
    /// The slot to be proposed in.
    pub proposal_slot: Slot,
    /// The proposer's index in the beacon state.
    #[serde(with = "quoted_u64")]
    pub validator_index: u64,
    /// Who is paid.
    pub fee_recipient: ExecutionAddress,
    /// The gas limit the validator votes for.
    #[serde(with = "quoted_u64")]
    pub target_gas_limit: u64,
}

/// Tells a builder that a request for a bid comes from the proposer (builder-specs
/// `BuilderRequestAuth`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Encode, Decode, TreeHash)]
pub struct BuilderRequestAuth {
    /// Whom the request is for: the builder's URL, or what it asks to be named by
    /// (`MAX_BUILDER_AUTH_DATA_SIZE` bytes at most). Hex in JSON.
    #[serde(deserialize_with = "hashed::bounded_bytes")]
    pub data: VariableList<u8, U4096>,
    /// The slot of the bid.
    pub slot: Slot,
}
