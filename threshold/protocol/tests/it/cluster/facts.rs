//! What was observed of a cluster, indexed for the invariants.

use std::collections::{BTreeMap, BTreeSet};

use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{Root, Signature};
use threshold_protocol::agreement::{
    AgreementMessage, Body, InstanceKey, Statement, UncheckedCertificate, UncheckedVote, VoteKind,
};
use threshold_protocol::engine::{Load, Report, SignFailure};
use threshold_protocol::message::PeerMessage;
use threshold_protocol::{KeyIndex, OperatorIndex, Quorum};

use crate::support::{HashIdentity, LOCK_HASH};

/// Something that was observed of an operator's node.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) by: OperatorIndex,
    /// The node's clock.
    pub(crate) clock: u64,
    /// When its life began, on its clock.
    pub(crate) started: u64,
    pub(crate) what: What,
}

/// What was observed.
#[derive(Debug)]
pub(crate) enum What {
    /// An honest node sends a message to at least one peer.
    Said(Box<PeerMessage>),
    /// An honest node has a partial signature in hand, to use and to send. `recorded`: its slashing
    /// database holds the message (or need not).
    Released { validator: KeyIndex, root: Root, recorded: bool },
    /// An honest node answers its client.
    Answered { validator: KeyIndex, root: Root, outcome: Result<Signature, SignFailure> },
    /// An honest node reports.
    Reported(Report),
    /// What an honest node holds in memory, and when it wants to be woken.
    Holds(Load, Option<u64>),
}

/// All that was observed.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) quorum: Quorum,
    pub(crate) network: Network,
    pub(crate) validators: usize,
    /// Operators that lie, or did. They count as having signed and said everything.
    pub(crate) liars: BTreeSet<OperatorIndex>,
    /// Every duty that anybody named.
    pub(crate) duties: BTreeMap<Root, Duty>,
    /// What came since the invariants were last checked.
    pub(crate) fresh: Vec<Fact>,
    /// Honest operators with a partial signature.
    pub(crate) released: BTreeMap<(KeyIndex, Root), BTreeSet<OperatorIndex>>,
    /// What each honest operator ever voted for, by instance, kind and round.
    pub(crate) votes: BTreeMap<(OperatorIndex, InstanceKey, VoteKind, u32), BTreeSet<Root>>,
    /// What valid certificates name, by instance and round.
    pub(crate) certified: BTreeMap<(InstanceKey, u32), BTreeSet<Root>>,
    /// Honest operators' COMMITs.
    pub(crate) commits: BTreeMap<(InstanceKey, u32, Root), BTreeSet<OperatorIndex>>,
}

impl Facts {
    pub(crate) fn new(quorum: Quorum, network: Network, validators: usize) -> Self {
        Self {
            quorum,
            network,
            validators,
            liars: BTreeSet::new(),
            duties: BTreeMap::new(),
            fresh: Vec::new(),
            released: BTreeMap::new(),
            votes: BTreeMap::new(),
            certified: BTreeMap::new(),
            commits: BTreeMap::new(),
        }
    }

    /// Takes note of what an honest node does.
    pub(crate) fn add(&mut self, fact: Fact) {
        match &fact.what {
            What::Said(message) => self.note_message(fact.by, message),
            What::Released { validator, root, .. } => {
                self.released.entry((*validator, *root)).or_default().insert(fact.by);
            }
            What::Answered { .. } | What::Reported(_) | What::Holds(..) => {}
        }
        self.fresh.push(fact);
    }

    /// Takes note of the duties and the certificates in a message, whoever sends it.
    pub(crate) fn note_contents(&mut self, message: &PeerMessage) {
        match message {
            PeerMessage::Agreement(AgreementMessage { body, values, .. }) => {
                for value in values {
                    self.note_duty(value.duty());
                }
                if let Some(certificate) = certificates_of(body) {
                    self.note_certificate(certificate);
                }
            }
            PeerMessage::CosignRequest(request) => self.note_duty(&request.duty),
            PeerMessage::Witness(witness) => self.note_duty(&witness.duty),
            PeerMessage::Partials(_) | PeerMessage::CosignAnswer(_) | PeerMessage::Status(_) => {}
        }
    }

    pub(crate) fn note_duty(&mut self, duty: &Duty) {
        self.duties.entry(duty.signing_root()).or_insert_with(|| duty.clone());
    }

    /// Operators that can show a partial signature: the honest ones that released it, and all liars.
    pub(crate) fn signers(&self, validator: KeyIndex, root: Root) -> usize {
        let honest = self.released.get(&(validator, root));
        honest.into_iter().flatten().chain(&self.liars).collect::<BTreeSet<_>>().len()
    }

    fn note_message(&mut self, by: OperatorIndex, message: &PeerMessage) {
        self.note_contents(message);
        let PeerMessage::Agreement(AgreementMessage { body, .. }) = message else { return };
        for UncheckedVote { from, statement, .. } in votes_of(body) {
            if from != by {
                continue;
            }
            let Statement { key, kind, round, root, .. } = statement;
            self.votes.entry((by, key, kind, round)).or_default().insert(root);
            if kind == VoteKind::Commit {
                self.commits.entry((key, round, root)).or_default().insert(by);
            }
        }
    }

    /// A certificate counts if so many different operators did sign it.
    fn note_certificate(&mut self, certificate: &UncheckedCertificate) {
        let UncheckedCertificate { prepared, votes } = certificate;
        let Some(key) = votes.first().map(|vote| vote.statement.key) else { return };
        let kind = if prepared.round == 0 { VoteKind::Endorse } else { VoteKind::Prepare };
        let voters: BTreeSet<OperatorIndex> = votes
            .iter()
            .filter(|vote| {
                let said = &vote.statement;
                let fits = (said.key, said.kind, said.round, said.root)
                    == (key, kind, prepared.round, prepared.root);
                let auth = HashIdentity(vote.from);
                fits && vote.verify(self.quorum, &LOCK_HASH, &auth).is_some()
            })
            .map(|vote| vote.from)
            .collect();
        if voters.len() >= self.quorum.threshold() {
            self.certified.entry((key, prepared.round)).or_default().insert(prepared.root);
        }
    }
}

/// All votes in a message.
pub(crate) fn votes_of(body: &Body) -> Vec<UncheckedVote> {
    let mut votes = match body {
        Body::Candidate(vote)
        | Body::Endorse(vote)
        | Body::Prepare(vote)
        | Body::Commit(vote, _) => vec![*vote],
        Body::Split(votes) | Body::Decided(votes) => votes.clone(),
        Body::RoundChange(change) => [vec![change.vote], change.endorsements.clone()].concat(),
        Body::Propose(propose) => {
            [vec![propose.vote], propose.round_changes.clone(), propose.endorsements.clone()]
                .concat()
        }
    };
    votes.extend(certificates_of(body).into_iter().flat_map(|certificate| &certificate.votes));
    votes
}

fn certificates_of(body: &Body) -> Option<&UncheckedCertificate> {
    match body {
        Body::Commit(_, certificate) => certificate.as_ref(),
        Body::RoundChange(change) => change.certificate.as_ref(),
        Body::Propose(propose) => propose.certificate.as_ref(),
        _ => None,
    }
}
