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
}

/// How a cluster treats a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DutyClass {
    /// Two different signatures are a slashable offence: the cluster settles on one message, and each
    /// node records it before it signs.
    Slashable,
    /// A second signature does no harm: peers sign what one operator's client asks for, within policy.
    CoSigned,
    /// Irrevocable: a node signs only what its own client or operator asked for.
    Witnessed,
}

impl DutyKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
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
        }
    }

    /// How a cluster treats it.
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
            | Self::ValidatorRegistration => DutyClass::CoSigned,
            Self::Deposit | Self::VoluntaryExit => DutyClass::Witnessed,
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
        }
    }

    /// The first fork that has it.
    #[must_use]
    pub const fn since(self) -> ForkName {
        match self {
            Self::SyncCommitteeMessage
            | Self::SyncCommitteeSelectionProof
            | Self::SyncCommitteeContributionAndProof => ForkName::Altair,
            _ => ForkName::Phase0,
        }
    }
}

impl fmt::Display for DutyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
