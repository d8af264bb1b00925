//! The messages of an agreement instance, checked in form but not yet in signature.

use eth_types::Root;

use super::vote::{UncheckedCertificate, UncheckedVote};
use super::{InstanceKey, Value};
use crate::cluster::OperatorIndex;

/// A message of an instance. Each vote in it is for [`Self::key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementMessage {
    /// The instance.
    pub key: InstanceKey,
    /// What is said.
    pub body: Body,
    /// The values that the body names by root, as far as its sender holds them.
    pub values: Vec<Value>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// CANDIDATE: the block of the sender's own validator client.
    Candidate(UncheckedVote),
    /// ENDORSE.
    Endorse(UncheckedVote),
    /// SPLIT: endorsements which prove that no value can reach a quorum of them.
    Split(Vec<UncheckedVote>),
    /// LOCK or COMMIT of round 0 (with the certificate C0), or COMMIT of a later round (without).
    Commit(UncheckedVote, Option<UncheckedCertificate>),
    /// ROUND-CHANGE.
    RoundChange(RoundChange),
    /// PRE-PREPARE with its justification.
    Propose(Propose),
    /// PREPARE.
    Prepare(UncheckedVote),
    /// DECIDED: COMMITs of one round by a quorum.
    Decided(Vec<UncheckedVote>),
}

impl Body {
    /// The operator whose message this is, where it has one author. It must be the peer that it came
    /// from: nobody speaks for another.
    #[must_use]
    pub const fn author(&self) -> Option<OperatorIndex> {
        match self {
            Self::Candidate(vote)
            | Self::Endorse(vote)
            | Self::Commit(vote, _)
            | Self::Prepare(vote) => Some(vote.from),
            Self::RoundChange(change) => Some(change.vote.from),
            Self::Propose(propose) => Some(propose.vote.from),
            Self::Split(_) | Self::Decided(_) => None,
        }
    }

    /// The kind of message in a word, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Candidate(_) => "CANDIDATE",
            Self::Endorse(_) => "ENDORSE",
            Self::Split(_) => "SPLIT",
            Self::Commit(_, Some(_)) => "LOCK",
            Self::Commit(_, None) => "COMMIT",
            Self::RoundChange(_) => "ROUND-CHANGE",
            Self::Propose(_) => "PROPOSE",
            Self::Prepare(_) => "PREPARE",
            Self::Decided(_) => "DECIDED",
        }
    }
}

/// A ROUND-CHANGE: the highest certificate its sender holds or, without one, all endorsements it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundChange {
    /// The vote, whose statement names the certificate's round and value.
    pub vote: UncheckedVote,
    /// The certificate.
    pub certificate: Option<UncheckedCertificate>,
    /// The endorsements.
    pub endorsements: Vec<UncheckedVote>,
}

/// A PROPOSE: q ROUND-CHANGEs, the certificate that binds the value, or the endorsements that made
/// the leader choose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Propose {
    /// The leader's vote for the value.
    pub vote: UncheckedVote,
    /// ROUND-CHANGE votes of a quorum.
    pub round_changes: Vec<UncheckedVote>,
    /// The highest certificate that one of them names; none if none names one.
    pub certificate: Option<UncheckedCertificate>,
    /// The endorsements shown.
    pub endorsements: Vec<UncheckedVote>,
}

/// Evidence that an operator lied: it endorsed two values in one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lie {
    /// The liar.
    pub operator: OperatorIndex,
    /// The instance.
    pub key: InstanceKey,
    /// The value endorsed first.
    pub first: Root,
    /// The other value.
    pub second: Root,
}
