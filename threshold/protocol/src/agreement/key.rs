//! What an agreement is about: one instance per attested slot, one per proposed block.

use std::fmt;

use eth_types::duty::{Duty, Message};
use eth_types::fork::ForkName;
use eth_types::network::Network;
use eth_types::{Epoch, Root, Slot};

use crate::cluster::{KeyIndex, OperatorIndex, Quorum};

/// Names an agreement instance. It holds what is the same for every validator of the duty, so that a
/// slot needs one instance whatever the number of validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceKey {
    /// The attestation data of a slot.
    Attestation {
        /// The attested slot.
        slot: Slot,
        /// The committee, before Electra only. From Electra on the data's index says nothing about the
        /// committee (and in Gloas it says something else), so differing data compete in one instance.
        committee: Option<u64>,
    },
    /// The block of a slot.
    Block {
        /// The proposed slot.
        slot: Slot,
        /// The proposer, by its position in the lock.
        validator: KeyIndex,
    },
}

impl InstanceKey {
    /// The instance that settles a duty; none if the duty cannot be slashed.
    #[must_use]
    pub fn for_duty(duty: &Duty, validator: KeyIndex, network: &Network) -> Option<Self> {
        match duty.message() {
            Message::Block(header) => Some(Self::Block { slot: header.slot, validator }),
            Message::Attestation(data) => {
                let fork = network.fork_at(data.slot.epoch(network.slots_per_epoch()));
                let committee = (fork < ForkName::Electra).then_some(data.index);
                Some(Self::Attestation { slot: data.slot, committee })
            }
            _ => None,
        }
    }

    /// The slot of the duty.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Attestation { slot, .. } | Self::Block { slot, .. } => *slot,
        }
    }

    /// The leader of a round from 1 on: (slot + kind + round) mod n.
    #[must_use]
    pub const fn leader(&self, round: u32, quorum: Quorum) -> OperatorIndex {
        let kind = match self {
            Self::Block { .. } => 0,
            Self::Attestation { .. } => 1,
        };
        quorum.in_turn(self.slot().as_u64().wrapping_add(kind).wrapping_add(round as u64))
    }

    /// How many turns after the block's leader of round 0 (slot mod n) an operator comes.
    #[must_use]
    pub const fn turn_of(&self, operator: OperatorIndex, quorum: Quorum) -> usize {
        let first = quorum.in_turn(self.slot().as_u64()).as_usize();
        (operator.as_usize() + quorum.operators() - first) % quorum.operators()
    }

    /// The key as three numbers (kind, slot, rest), for signing and the wire.
    #[must_use]
    pub const fn to_parts(&self) -> (u8, u64, u64) {
        match *self {
            Self::Attestation { slot, committee: None } => (1, slot.as_u64(), 0),
            Self::Attestation { slot, committee: Some(index) } => (2, slot.as_u64(), index),
            Self::Block { slot, validator } => (3, slot.as_u64(), validator.get() as u64),
        }
    }

    /// The inverse of [`Self::to_parts`].
    #[must_use]
    pub fn from_parts(kind: u64, slot: u64, rest: u64) -> Option<Self> {
        let slot = Slot::new(slot);
        match (kind, rest) {
            (1, 0) => Some(Self::Attestation { slot, committee: None }),
            (2, committee) => Some(Self::Attestation { slot, committee: Some(committee) }),
            (3, validator) => {
                Some(Self::Block { slot, validator: KeyIndex::new(u32::try_from(validator).ok()?) })
            }
            _ => None,
        }
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attestation { slot, committee: None } => write!(f, "attestation of slot {slot}"),
            Self::Attestation { slot, committee: Some(index) } => {
                write!(f, "attestation of slot {slot}, committee {index}")
            }
            Self::Block { slot, validator } => {
                write!(f, "block of slot {slot}, validator {validator} of the lock")
            }
        }
    }
}

/// Why a duty is no value of an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// It belongs to another instance, or to none.
    #[error("a value for another duty than the {0}")]
    OtherDuty(InstanceKey),
    /// An attestation's target is not the epoch of its slot.
    #[error("target epoch {target} in a slot of epoch {expected}")]
    Target {
        /// The epoch of the slot.
        expected: Epoch,
        /// The target named.
        target: Epoch,
    },
    /// An attestation's source is not before its target.
    #[error("source epoch {source_epoch} is not before target epoch {target}")]
    Source {
        /// The source named.
        source_epoch: Epoch,
        /// The target named.
        target: Epoch,
    },
}

/// What an instance may settle on: attestation data or a block header, with the fork version and root
/// that it is signed under. Its root is the signing root, so equal roots are equal messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(Duty);

impl Value {
    /// Checks that the duty is a sound value of the instance (protocol.md, "What makes a value valid",
    /// as far as it needs no view of the chain; fork version and genesis validators root were checked
    /// when the duty was made).
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(key: &InstanceKey, duty: Duty, network: &Network) -> Result<Self, InvalidValue> {
        let validator = match key {
            InstanceKey::Block { validator, .. } => *validator,
            InstanceKey::Attestation { .. } => KeyIndex::new(0),
        };
        if InstanceKey::for_duty(&duty, validator, network).as_ref() != Some(key) {
            return Err(InvalidValue::OtherDuty(*key));
        }
        if let Message::Attestation(data) = duty.message() {
            let expected = data.slot.epoch(network.slots_per_epoch());
            let (source, target) = (data.source.epoch, data.target.epoch);
            if target != expected {
                return Err(InvalidValue::Target { expected, target });
            }
            // Both are 0 in the first epoch.
            if source >= target && target != Epoch::new(0) {
                return Err(InvalidValue::Source { source_epoch: source, target });
            }
        }
        Ok(Self(duty))
    }

    /// The signing root.
    #[must_use]
    pub fn root(&self) -> Root {
        self.0.signing_root()
    }

    /// The duty.
    #[must_use]
    pub const fn duty(&self) -> &Duty {
        &self.0
    }

    /// The source epoch of an attestation.
    #[must_use]
    pub fn source(&self) -> Option<Epoch> {
        match self.0.message() {
            Message::Attestation(data) => Some(data.source.epoch),
            _ => None,
        }
    }
}
