//! The kinds of duty, their names on the wire, and what a cluster may do with each.

use std::fmt;

use crate::fork::{DomainType, ForkName};

/// What is asked for. `BLOCK` and `BLOCK_V2` are one kind, and so are the two types of aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DutyKind {
    /// `BLOCK` and `BLOCK_V2`.
    Block,
    /// `ATTESTATION`.
    Attestation,
    /// `AGGREGATION_SLOT`.
    AggregationSlot,
    /// `AGGREGATE_AND_PROOF` and `AGGREGATE_AND_PROOF_V2`.
    AggregateAndProof,
    /// `RANDAO_REVEAL`.
    RandaoReveal,
    /// `DEPOSIT`.
    Deposit,
    /// `VOLUNTARY_EXIT`.
    VoluntaryExit,
    /// `SYNC_COMMITTEE_MESSAGE`.
    SyncCommitteeMessage,
    /// `SYNC_COMMITTEE_SELECTION_PROOF`.
    SyncCommitteeSelectionProof,
    /// `SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF`.
    SyncCommitteeContributionAndProof,
    /// `VALIDATOR_REGISTRATION`.
    ValidatorRegistration,
    /// `EXECUTION_PAYLOAD_BID`.
    ExecutionPayloadBid,
    /// `EXECUTION_PAYLOAD_ENVELOPE`.
    ExecutionPayloadEnvelope,
    /// `PAYLOAD_ATTESTATION_MESSAGE`.
    PayloadAttestationMessage,
    /// `PROPOSER_PREFERENCES`.
    ProposerPreferences,
    /// `BUILDER_REQUEST_AUTH`.
    BuilderRequestAuth,
}

/// How a cluster treats a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DutyClass {
    /// Two different signatures are a slashable offence: the cluster settles on one message, and each
    /// node records it before it signs.
    Slashable,
    /// A second signature does no harm: peers sign what one operator's client asks for, within policy.
    CoSigned,
    /// Irrevocable, or spends the validator's money: a node signs only what its own client or operator
    /// asked for.
    Witnessed,
}

impl DutyKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Block,
        Self::Attestation,
        Self::AggregationSlot,
        Self::AggregateAndProof,
        Self::RandaoReveal,
        Self::Deposit,
        Self::VoluntaryExit,
        Self::SyncCommitteeMessage,
        Self::SyncCommitteeSelectionProof,
        Self::SyncCommitteeContributionAndProof,
        Self::ValidatorRegistration,
        Self::ExecutionPayloadBid,
        Self::ExecutionPayloadEnvelope,
        Self::PayloadAttestationMessage,
        Self::ProposerPreferences,
        Self::BuilderRequestAuth,
    ];

    /// The name of the type in Web3Signer's API; the newer one where there are two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "BLOCK_V2",
            Self::Attestation => "ATTESTATION",
            Self::AggregationSlot => "AGGREGATION_SLOT",
            Self::AggregateAndProof => "AGGREGATE_AND_PROOF_V2",
            Self::RandaoReveal => "RANDAO_REVEAL",
            Self::Deposit => "DEPOSIT",
            Self::VoluntaryExit => "VOLUNTARY_EXIT",
            Self::SyncCommitteeMessage => "SYNC_COMMITTEE_MESSAGE",
            Self::SyncCommitteeSelectionProof => "SYNC_COMMITTEE_SELECTION_PROOF",
            Self::SyncCommitteeContributionAndProof => "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",
            Self::ValidatorRegistration => "VALIDATOR_REGISTRATION",
            Self::ExecutionPayloadBid => "EXECUTION_PAYLOAD_BID",
            Self::ExecutionPayloadEnvelope => "EXECUTION_PAYLOAD_ENVELOPE",
            Self::PayloadAttestationMessage => "PAYLOAD_ATTESTATION_MESSAGE",
            Self::ProposerPreferences => "PROPOSER_PREFERENCES",
            Self::BuilderRequestAuth => "BUILDER_REQUEST_AUTH",
        }
    }

    /// How a cluster treats it.
    ///
    /// None of Gloas' duties is slashable: consensus-specs has no offence for them, and EIP-3076 no
    /// record. Each could all the same be signed twice with different content for one slot, so the
    /// class is a choice (docs/protocol.md has the whole reasoning):
    ///
    /// - A **payload attestation** is a vote like a sync committee message. Nodes of the network take
    ///   the first one of a validator and slot; settling on one would cost two hops before the deadline
    ///   and leave the clients that lost without a vote. Co-signed.
    /// - Of an **envelope** only the one that fits the bid in the block counts, and the cluster signs
    ///   one block. Co-signed, and only for payloads that the proposer built itself.
    /// - **Preferences** and **request auths** are signed for every client, within policy. Co-signed.
    /// - A **bid** is a promise to pay out of a builder's balance, and no duty of a validator. A peer
    ///   must not have one signed: witnessed, and a cluster refuses even that. A standalone node signs
    ///   it.
    #[must_use]
    pub const fn class(self) -> DutyClass {
        match self {
            Self::Block | Self::Attestation => DutyClass::Slashable,
            Self::AggregationSlot
            | Self::AggregateAndProof
            | Self::RandaoReveal
            | Self::SyncCommitteeMessage
            | Self::SyncCommitteeSelectionProof
            | Self::SyncCommitteeContributionAndProof
            | Self::ValidatorRegistration
            | Self::ExecutionPayloadEnvelope
            | Self::PayloadAttestationMessage
            | Self::ProposerPreferences
            | Self::BuilderRequestAuth => DutyClass::CoSigned,
            Self::Deposit | Self::VoluntaryExit | Self::ExecutionPayloadBid => DutyClass::Witnessed,
        }
    }

    /// The first four bytes of its signing domain.
    #[must_use]
    pub const fn domain_type(self) -> DomainType {
        match self {
            Self::Block => DomainType::BEACON_PROPOSER,
            Self::Attestation => DomainType::BEACON_ATTESTER,
            Self::AggregationSlot => DomainType::SELECTION_PROOF,
            Self::AggregateAndProof => DomainType::AGGREGATE_AND_PROOF,
            Self::RandaoReveal => DomainType::RANDAO,
            Self::Deposit => DomainType::DEPOSIT,
            Self::VoluntaryExit => DomainType::VOLUNTARY_EXIT,
            Self::SyncCommitteeMessage => DomainType::SYNC_COMMITTEE,
            Self::SyncCommitteeSelectionProof => DomainType::SYNC_COMMITTEE_SELECTION_PROOF,
            Self::SyncCommitteeContributionAndProof => DomainType::CONTRIBUTION_AND_PROOF,
            Self::ValidatorRegistration => DomainType::APPLICATION_BUILDER,
            Self::ExecutionPayloadBid | Self::ExecutionPayloadEnvelope => {
                DomainType::BEACON_BUILDER
            }
            Self::PayloadAttestationMessage => DomainType::PTC_ATTESTER,
            Self::ProposerPreferences => DomainType::PROPOSER_PREFERENCES,
            Self::BuilderRequestAuth => DomainType::BUILDER_REQUEST_AUTH,
        }
    }

    /// The one fork whose form of the container is known, for what changes with forks. Other kinds have
    /// not changed since they came, or follow their fork ([`AggregateAndProof`](Self::AggregateAndProof)),
    /// and are signed under versions of forks to come as well.
    #[must_use]
    pub const fn only_form(self) -> Option<ForkName> {
        match self {
            Self::ExecutionPayloadBid | Self::ExecutionPayloadEnvelope => Some(ForkName::Gloas),
            _ => None,
        }
    }

    /// The first fork that has it.
    #[must_use]
    pub const fn since(self) -> ForkName {
        match self {
            Self::SyncCommitteeMessage
            | Self::SyncCommitteeSelectionProof
            | Self::SyncCommitteeContributionAndProof => ForkName::Altair,
            // A proposer asks for bids, and tells what it wants, before the fork's first slot; the
            // version of preferences is that of the proposed slot all the same.
            Self::ExecutionPayloadBid
            | Self::ExecutionPayloadEnvelope
            | Self::PayloadAttestationMessage
            | Self::ProposerPreferences => ForkName::Gloas,
            _ => ForkName::Phase0,
        }
    }
}

impl fmt::Display for DutyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
