//! The SSZ containers a validator signs, with the JSON shape that clients send them in.
//!
//! Most have one form, and read themselves with serde. Three depend on the preset or the fork and
//! are read in two steps: the `Raw` type with serde, then [`RawAggregateAndProof::resolve`],
//! [`RawContributionAndProof::resolve`] and [`RawBeaconBlock::header`] with the network. Unknown
//! fields are ignored everywhere, numbers may be quoted or bare, hex may have any case.

mod aggregate;
mod attestation;
mod bits;
mod block;
mod block_body;
mod gloas;
mod hashed;
mod operations;
mod payload;
mod progressive;
mod sync_committee;

pub(crate) use self::aggregate::AggregateForm;
pub use self::aggregate::{AggregateAndProof, RawAggregate, RawAggregateAndProof};
pub use self::attestation::{AttestationData, Checkpoint};
pub use self::bits::{HexBits, MAX_BITS_BYTES};
pub use self::block::{BeaconBlockHeader, RawBeaconBlock};
pub use self::block_body::RawBeaconBlockBody;
pub use self::gloas::{BuilderRequestAuth, PayloadAttestationData, ProposerPreferences};
pub use self::operations::{
    DepositData, DepositMessage, SignedVoluntaryExit, ValidatorRegistration, VoluntaryExit,
};
pub use self::payload::{
    BUILDER_INDEX_SELF_BUILD, ExecutionPayload, ExecutionPayloadBid, ExecutionPayloadEnvelope,
};
pub use self::sync_committee::{
    ContributionAndProof, RawContribution, RawContributionAndProof, SyncAggregatorSelectionData,
    SyncCommitteeMessage,
};

use crate::fork::ForkName;
use crate::network::Preset;
use crate::primitives::{Epoch, Slot};

/// Why an object of a request is not the container it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// A bitfield is not one of the preset and fork.
    #[error("{field} is not {expected}: {reason}")]
    Bits {
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// A field that the fork has is missing.
    #[error("{field} is missing: {fork} has it, and slot {slot} is in epoch {epoch} of {fork}")]
    MissingField {
        /// The field.
        field: &'static str,
        /// The fork of the slot.
        fork: ForkName,
        /// The object's slot.
        slot: Slot,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A field is there that the fork does not have.
    #[error("{field} is there, but slot {slot} is in epoch {epoch} of {fork}, which has none")]
    UnexpectedField {
        /// The field.
        field: &'static str,
        /// The fork of the slot.
        fork: ForkName,
        /// The object's slot.
        slot: Slot,
        /// Its epoch.
        epoch: Epoch,
    },
    /// A whole block of a fork whose blocks are signed by their header.
    #[error(
        "a whole block is taken up to ALTAIR, but slot {slot} is in epoch {epoch} of {fork}: send \
         its block_header"
    )]
    WholeBlock {
        /// The fork of the slot.
        fork: ForkName,
        /// The block's slot.
        slot: Slot,
        /// Its epoch.
        epoch: Epoch,
    },
}

/// Which variant of a preset-dependent container a preset has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// Presets mainnet and gnosis.
    Mainnet,
    /// Preset minimal.
    Minimal,
}

impl From<Preset> for Sizes {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::Mainnet | Preset::Gnosis => Self::Mainnet,
            Preset::Minimal => Self::Minimal,
        }
    }
}
