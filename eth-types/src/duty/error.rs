//! Why something is not a duty of this network.

use super::DutyKind;
use crate::fork::ForkName;
use crate::network::Preset;
use crate::primitives::{Epoch, ForkVersion, Root, Slot};

/// Why something is not a duty of this network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DutyError {
    /// The request has no `fork_info`, and its domain needs one.
    #[error("{kind} needs fork_info, and the request has none")]
    MissingForkInfo {
        /// What was asked for.
        kind: DutyKind,
    },
    /// The message is one of another chain.
    #[error(
        "{kind} is for the chain with genesis validators root {found}, but network {network} has \
         {expected}"
    )]
    GenesisValidatorsRoot {
        /// What was asked for.
        kind: DutyKind,
        /// This network's name.
        network: String,
        /// This network's root.
        expected: Root,
        /// The message's.
        found: Root,
    },
    /// The fork version is not the one of the message's epoch.
    #[error(
        "{kind} of epoch {epoch} is for fork version {found}, but network {network} has {expected} \
         in that epoch"
    )]
    ForkVersion {
        /// What was asked for.
        kind: DutyKind,
        /// The message's epoch.
        epoch: Epoch,
        /// This network's name.
        network: String,
        /// This network's version.
        expected: ForkVersion,
        /// The message's.
        found: ForkVersion,
    },
    /// A deposit or a registration is for another network.
    #[error("{kind} is for genesis fork version {found}, but network {network} has {expected}")]
    GenesisForkVersion {
        /// What was asked for.
        kind: DutyKind,
        /// This network's name.
        network: String,
        /// This network's version.
        expected: ForkVersion,
        /// The message's.
        found: ForkVersion,
    },
    /// The kind of duty does not exist yet at that epoch.
    #[error("{kind} exists from {since} on, but epoch {epoch} is in {fork}")]
    BeforeItsFork {
        /// What was asked for.
        kind: DutyKind,
        /// The first fork that has it.
        since: ForkName,
        /// The message's epoch.
        epoch: Epoch,
        /// The fork of that epoch.
        fork: ForkName,
    },
    /// The kind's container changes with forks, and the version is of one that is not known.
    #[error(
        "{kind} is for fork version {found}, but its form is only known for {fork}, version {expected} \
         of network {network}"
    )]
    UnknownForm {
        /// What was asked for.
        kind: DutyKind,
        /// The fork whose form is known.
        fork: ForkName,
        /// This network's name.
        network: String,
        /// Its version of that fork.
        expected: ForkVersion,
        /// The message's.
        found: ForkVersion,
    },
    /// The containers have the sizes of another preset.
    #[error("{kind} does not have the sizes of preset {expected}")]
    Preset {
        /// What was asked for.
        kind: DutyKind,
        /// This network's preset.
        expected: Preset,
    },
    /// An aggregate has the form of another fork.
    #[error("the aggregate of slot {slot} does not have the form of {fork}, the fork of that slot")]
    AggregateForm {
        /// The fork of the slot.
        fork: ForkName,
        /// The aggregate's slot.
        slot: Slot,
    },
    /// An encoded duty is longer than any can be.
    #[error("an encoded duty has at most {max} bytes, found {found}")]
    TooLong {
        /// [`MAX_DUTY_BYTES`](super::MAX_DUTY_BYTES).
        max: usize,
        /// The bytes found.
        found: usize,
    },
    /// An encoded duty ends within its head.
    #[error("an encoded duty begins with {expected} bytes of head, found {found} bytes in all")]
    TooShort {
        /// The length of the head.
        expected: usize,
        /// The bytes found.
        found: usize,
    },
    /// The first byte of an encoded duty names no kind.
    #[error("{tag} is the tag of no kind of duty")]
    UnknownTag {
        /// The byte.
        tag: u8,
    },
    /// The message in an encoded duty is not SSZ of its kind.
    #[error("the message of an encoded {kind} is not SSZ: {reason}")]
    Ssz {
        /// The kind that the tag names.
        kind: DutyKind,
        /// What the decoder says.
        reason: String,
    },
}

/// A duty of which two signatures are slashable, where one was expected of which they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is slashable: it is signed only with a permit of the slashing database")]
pub struct SlashableDutyError {
    /// What it is.
    pub kind: DutyKind,
}
