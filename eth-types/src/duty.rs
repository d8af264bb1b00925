//! One thing a validator is asked to sign.
//!
//! A [`Duty`] can only be made by [`Duty::new`] (from a request) and [`Duty::decode`] (from a peer), and
//! both check that it belongs to the network: the genesis validators root, the fork version of the
//! message's epoch, and the containers' form. Its signing root is always computed here, never taken
//! from outside.

mod codec;
mod domain;
mod error;
mod kind;

use tree_hash::TreeHash as _;

pub use self::codec::MAX_DUTY_BYTES;
pub use self::error::{DutyError, SlashableDutyError};
pub use self::kind::{DutyClass, DutyKind};
use crate::containers::{
    AggregateAndProof, AggregateForm, AttestationData, BeaconBlockHeader, BuilderRequestAuth,
    ContributionAndProof, DepositMessage, ExecutionPayloadBid, ExecutionPayloadEnvelope,
    PayloadAttestationData, ProposerPreferences, Sizes, SyncAggregatorSelectionData,
    SyncCommitteeMessage, ValidatorRegistration, VoluntaryExit,
};
use crate::fork::{ForkInfo, ForkName, compute_domain, compute_signing_root};
use crate::network::Network;
use crate::primitives::{Epoch, ForkVersion, Root, Slot};

/// What a duty says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A block, by its header.
    Block(BeaconBlockHeader),
    /// A vote.
    Attestation(AttestationData),
    /// The lot that decides who aggregates attestations: the slot.
    AggregationSlot(Slot),
    /// An aggregate of votes.
    AggregateAndProof(AggregateAndProof),
    /// The validator's share of an epoch's randomness.
    RandaoReveal(Epoch),
    /// A deposit.
    Deposit(DepositMessage),
    /// The validator leaves.
    VoluntaryExit(VoluntaryExit),
    /// A sync committee member's vote.
    SyncCommitteeMessage(SyncCommitteeMessage),
    /// The lot that decides who aggregates a subcommittee's votes.
    SyncCommitteeSelectionProof(SyncAggregatorSelectionData),
    /// An aggregate of a subcommittee's votes.
    SyncCommitteeContributionAndProof(ContributionAndProof),
    /// What the validator wants of builders.
    ValidatorRegistration(ValidatorRegistration),
    /// A builder's offer for a slot's payload.
    ExecutionPayloadBid(Box<ExecutionPayloadBid>),
    /// The payload of a slot.
    ExecutionPayloadEnvelope(Box<ExecutionPayloadEnvelope>),
    /// Whether a slot's payload came in time.
    PayloadAttestation(PayloadAttestationData),
    /// What a proposer wants of builders.
    ProposerPreferences(ProposerPreferences),
    /// A request for a bid is the proposer's.
    BuilderRequestAuth(BuilderRequestAuth),
}

impl Message {
    /// The kind of duty.
    #[must_use]
    pub const fn kind(&self) -> DutyKind {
        match self {
            Self::Block(_) => DutyKind::Block,
            Self::Attestation(_) => DutyKind::Attestation,
            Self::AggregationSlot(_) => DutyKind::AggregationSlot,
            Self::AggregateAndProof(_) => DutyKind::AggregateAndProof,
            Self::RandaoReveal(_) => DutyKind::RandaoReveal,
            Self::Deposit(_) => DutyKind::Deposit,
            Self::VoluntaryExit(_) => DutyKind::VoluntaryExit,
            Self::SyncCommitteeMessage(_) => DutyKind::SyncCommitteeMessage,
            Self::SyncCommitteeSelectionProof(_) => DutyKind::SyncCommitteeSelectionProof,
            Self::SyncCommitteeContributionAndProof(_) => {
                DutyKind::SyncCommitteeContributionAndProof
            }
            Self::ValidatorRegistration(_) => DutyKind::ValidatorRegistration,
            Self::ExecutionPayloadBid(_) => DutyKind::ExecutionPayloadBid,
            Self::ExecutionPayloadEnvelope(_) => DutyKind::ExecutionPayloadEnvelope,
            Self::PayloadAttestation(_) => DutyKind::PayloadAttestationMessage,
            Self::ProposerPreferences(_) => DutyKind::ProposerPreferences,
            Self::BuilderRequestAuth(_) => DutyKind::BuilderRequestAuth,
        }
    }

    /// The slot the message belongs to, where it has one.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Block(header) => Some(header.slot),
            Self::Attestation(data) => Some(data.slot),
            Self::AggregationSlot(slot) => Some(*slot),
            Self::AggregateAndProof(aggregate) => Some(aggregate.slot()),
            Self::SyncCommitteeMessage(message) => Some(message.slot),
            Self::SyncCommitteeSelectionProof(data) => Some(data.slot),
            Self::SyncCommitteeContributionAndProof(contribution) => Some(contribution.slot()),
            Self::ExecutionPayloadBid(bid) => Some(bid.slot),
            Self::ExecutionPayloadEnvelope(envelope) => Some(envelope.slot()),
            Self::PayloadAttestation(data) => Some(data.slot),
            Self::ProposerPreferences(preferences) => Some(preferences.proposal_slot),
            Self::BuilderRequestAuth(auth) => Some(auth.slot),
            Self::RandaoReveal(_)
            | Self::Deposit(_)
            | Self::VoluntaryExit(_)
            | Self::ValidatorRegistration(_) => None,
        }
    }

    /// The epoch that decides the fork version: the target's for an attestation, the slot's for what
    /// has a slot, the message's own for RANDAO reveals and exits, none for what is signed under the
    /// genesis version on every fork: deposits, registrations and builder request auths.
    #[must_use]
    pub fn epoch(&self, network: &Network) -> Option<Epoch> {
        match self {
            Self::Attestation(data) => Some(data.target.epoch),
            Self::RandaoReveal(epoch) => Some(*epoch),
            Self::VoluntaryExit(exit) => Some(exit.epoch),
            Self::BuilderRequestAuth(_) => None,
            _ => self.slot().map(|slot| slot.epoch(network.slots_per_epoch())),
        }
    }

    /// The hash tree root of the object that is signed.
    #[must_use]
    pub fn object_root(&self) -> Root {
        Root::from(match self {
            Self::Block(header) => header.tree_hash_root(),
            Self::Attestation(data) => data.tree_hash_root(),
            Self::AggregationSlot(slot) => slot.tree_hash_root(),
            Self::AggregateAndProof(aggregate) => aggregate.tree_hash_root(),
            Self::RandaoReveal(epoch) => epoch.tree_hash_root(),
            Self::Deposit(deposit) => deposit.tree_hash_root(),
            Self::VoluntaryExit(exit) => exit.tree_hash_root(),
            // The block root itself is the object: the slot is not signed.
            Self::SyncCommitteeMessage(message) => return message.beacon_block_root,
            Self::SyncCommitteeSelectionProof(data) => data.tree_hash_root(),
            Self::SyncCommitteeContributionAndProof(contribution) => contribution.tree_hash_root(),
            Self::ValidatorRegistration(registration) => registration.tree_hash_root(),
            Self::ExecutionPayloadBid(bid) => bid.tree_hash_root(),
            Self::ExecutionPayloadEnvelope(envelope) => envelope.tree_hash_root(),
            Self::PayloadAttestation(data) => data.tree_hash_root(),
            Self::ProposerPreferences(preferences) => preferences.tree_hash_root(),
            Self::BuilderRequestAuth(auth) => auth.tree_hash_root(),
        })
    }

    /// The sizes that the message's containers have, where they differ between presets.
    fn sizes(&self) -> Option<Sizes> {
        match self {
            Self::AggregateAndProof(aggregate) => aggregate.sizes(),
            Self::SyncCommitteeContributionAndProof(contribution) => Some(contribution.sizes()),
            _ => None,
        }
    }
}

/// A message that belongs to a network, with the signing root that a signature over it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    message: Message,
    fork_version: ForkVersion,
    genesis_validators_root: Root,
    signing_root: Root,
}

impl Duty {
    /// Makes a duty of what a client asks for. `fork_info` is the request's; deposits,
    /// registrations and builder request auths need none and ignore it.
    ///
    /// The fork version is `epoch < fork.epoch ? previous : current`, and has to be the network's for
    /// that epoch; past the last fork that the network's schedule knows, the request's is taken.
    /// Exits are signed with Capella's version on a network that has Deneb (EIP-7044), unless the
    /// request's current version is of a fork before Capella.
    ///
    /// # Errors
    /// The message is not one of this network; the error names both sides.
    pub fn new(
        message: Message,
        fork_info: Option<&ForkInfo>,
        network: &Network,
    ) -> Result<Self, DutyError> {
        let (fork_version, genesis_validators_root) =
            domain::from_request(&message, fork_info, network)?;
        Self::checked(message, fork_version, genesis_validators_root, network)
    }

    /// Checks the version and the containers' form, then computes the signing root.
    fn checked(
        message: Message,
        fork_version: ForkVersion,
        genesis_validators_root: Root,
        network: &Network,
    ) -> Result<Self, DutyError> {
        let fork = domain::check_version(&message, fork_version, network)?;
        let message = fit_to_fork(message, fork, network)?;
        let domain =
            compute_domain(message.kind().domain_type(), fork_version, genesis_validators_root);
        let signing_root = compute_signing_root(message.object_root(), domain);
        Ok(Self { message, fork_version, genesis_validators_root, signing_root })
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The kind of duty.
    #[must_use]
    pub fn kind(&self) -> DutyKind {
        self.message.kind()
    }

    /// The class of duty.
    #[must_use]
    pub fn class(&self) -> DutyClass {
        self.kind().class()
    }

    /// The fork version in the signing domain.
    #[must_use]
    pub fn fork_version(&self) -> ForkVersion {
        self.fork_version
    }

    /// The fork that the duty belongs to, by its version; [`ForkName::Phase0`] for what is signed under the
    /// genesis version. A version that the network does not name counts as one of its latest fork.
    #[must_use]
    pub fn fork(&self, network: &Network) -> ForkName {
        network.fork_of_version(self.fork_version)
    }

    /// The genesis validators root in the signing domain: the network's, or zero for deposits,
    /// registrations and builder request auths.
    #[must_use]
    pub fn genesis_validators_root(&self) -> Root {
        self.genesis_validators_root
    }

    /// What a signature for this duty is over.
    #[must_use]
    pub fn signing_root(&self) -> Root {
        self.signing_root
    }

    /// The slot the duty belongs to, where it has one.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.message.slot()
    }

    /// The epoch the duty belongs to, where it has one; see [`Message::epoch`].
    #[must_use]
    pub fn epoch(&self, network: &Network) -> Option<Epoch> {
        self.message.epoch(network)
    }
}

/// Checks that containers have the network's sizes and the fork's form. An aggregate of Electra's form
/// becomes one of Gloas' where the version says that the chain is there: their bytes are the same.
fn fit_to_fork(message: Message, fork: ForkName, network: &Network) -> Result<Message, DutyError> {
    let sizes = message.sizes();
    if sizes.is_some_and(|sizes| sizes != Sizes::from(network.preset())) {
        return Err(DutyError::Preset { kind: message.kind(), expected: network.preset() });
    }
    let Message::AggregateAndProof(aggregate) = message else { return Ok(message) };
    let form = AggregateForm::from(fork);
    let aggregate = aggregate.rehashed(form);
    if aggregate.form() != form {
        return Err(DutyError::AggregateForm { fork, slot: aggregate.slot() });
    }
    Ok(Message::AggregateAndProof(aggregate))
}

/// A duty of which a second, different signature would do no harm. It needs no record in the slashing
/// database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonSlashableDuty(Duty);

impl NonSlashableDuty {
    /// The duty.
    #[must_use]
    pub fn duty(&self) -> &Duty {
        &self.0
    }

    /// The duty, by value.
    #[must_use]
    pub fn into_duty(self) -> Duty {
        self.0
    }
}

impl TryFrom<Duty> for NonSlashableDuty {
    type Error = SlashableDutyError;

    fn try_from(duty: Duty) -> Result<Self, Self::Error> {
        match duty.class() {
            DutyClass::Slashable => Err(SlashableDutyError { kind: duty.kind() }),
            DutyClass::CoSigned | DutyClass::Witnessed => Ok(Self(duty)),
        }
    }
}
