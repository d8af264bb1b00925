//! What is asked (`Candidate`, `Request`), what is kept (`SignedBlock`, `SignedAttestation`) and the
//! answer to a question that may be granted (`Safe`).

use eth_types::duty::{Duty, Message};
use eth_types::{Epoch, PublicKey, Root, Slot};

/// The largest slot or epoch that can be stored: an SQLite integer is a signed 64-bit number.
pub const MAX_NUMBER: u64 = i64::MAX as u64;

/// A slashable message that somebody wants to sign, reduced to what EIP-3076 looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Candidate {
    /// A block proposal.
    Block {
        /// The block's slot.
        slot: Slot,
        /// `compute_signing_root(block, domain)`.
        signing_root: Root,
    },
    /// An attestation.
    Attestation {
        /// The source checkpoint's epoch.
        source: Epoch,
        /// The target checkpoint's epoch.
        target: Epoch,
        /// `compute_signing_root(attestation_data, domain)`.
        signing_root: Root,
    },
}

impl Candidate {
    /// The candidate that a duty is; `None` for a duty that cannot be slashed.
    #[must_use]
    pub fn from_duty(duty: &Duty) -> Option<Self> {
        let signing_root = duty.signing_root();
        match duty.message() {
            Message::Block(header) => Some(Self::Block { slot: header.slot, signing_root }),
            Message::Attestation(data) => Some(Self::Attestation {
                source: data.source.epoch,
                target: data.target.epoch,
                signing_root,
            }),
            Message::AggregationSlot(_)
            | Message::AggregateAndProof(_)
            | Message::RandaoReveal(_)
            | Message::Deposit(_)
            | Message::VoluntaryExit(_)
            | Message::SyncCommitteeMessage(_)
            | Message::SyncCommitteeSelectionProof(_)
            | Message::SyncCommitteeContributionAndProof(_)
            | Message::ValidatorRegistration(_)
            | Message::ExecutionPayloadBid(_)
            | Message::ExecutionPayloadEnvelope(_)
            | Message::PayloadAttestation(_)
            | Message::ProposerPreferences(_)
            | Message::BuilderRequestAuth(_) => None,
        }
    }

    /// The signing root that a permit for this candidate covers.
    #[must_use]
    pub const fn signing_root(&self) -> Root {
        match self {
            Self::Block { signing_root, .. } | Self::Attestation { signing_root, .. } => {
                *signing_root
            }
        }
    }
}

/// One message to record for one validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The validator whose key is to sign.
    pub validator: PublicKey,
    /// The message.
    pub candidate: Candidate,
}

/// Why a candidate may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safe {
    /// Nothing recorded contradicts it.
    New,
    /// The very same message is recorded: signing it once more says nothing new.
    SameData,
}

/// A block on record. Without a root (an import may lack it) every block of the slot is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedBlock {
    /// The block's slot.
    pub slot: Slot,
    /// The signing root, if it is known.
    pub signing_root: Option<Root>,
}

/// An attestation on record. Without a root every attestation of the target epoch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedAttestation {
    /// The target epoch. First, so that the derived order is by target.
    pub target: Epoch,
    /// The source epoch.
    pub source: Epoch,
    /// The signing root, if it is known.
    pub signing_root: Option<Root>,
}

/// A source and a target epoch, as watermarks and refusals name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The source epoch.
    pub source: Epoch,
    /// The target epoch.
    pub target: Epoch,
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.source, self.target)
    }
}

impl SignedAttestation {
    /// The attestation's source and target.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span { source: self.source, target: self.target }
    }
}
