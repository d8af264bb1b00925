//! Shows certificates, splits, round changes and decisions that nobody signed, too few signed, or the
//! same operator signed several times.

use threshold_protocol::OperatorIndex;
use threshold_protocol::agreement::{
    AgreementMessage, Body, InstanceKey, Prepared, Propose, RoundChange, Statement,
    UncheckedCertificate, UncheckedVote, VoteKind,
};
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World};
use eth_types::Root;

pub(crate) struct Forger;

impl Adversary for Forger {
    /// At the first word of anything it answers with all it can forge about it.
    fn hear(
        &mut self,
        _: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let PeerMessage::Agreement(AgreementMessage { key, body, values }) = message else {
            return Vec::new();
        };
        let (Body::Endorse(_) | Body::Candidate(_), Some(value)) = (body, values.first()) else {
            return Vec::new();
        };
        let twin = world.twin(value, key, 77);
        let values = vec![value.clone(), twin.clone()];
        forgeries(*key, twin.root(), world)
            .into_iter()
            .flat_map(|body| world.to_all(&World::agreement(*key, body, values.clone())))
            .collect()
    }
}

fn forgeries(key: InstanceKey, root: Root, world: &World<'_>) -> Vec<Body> {
    let about = |kind, round| Statement::about(key, kind, round, root);
    let own = |kind, round| world.sign(about(kind, round));
    // Everybody's vote, with the liar's signature.
    let all = |kind, round| -> Vec<UncheckedVote> {
        let operators = world.common.quorum.all();
        operators.map(|from| UncheckedVote { from, ..own(kind, round) }).collect()
    };
    let certificate = |round: u32| UncheckedCertificate {
        prepared: Prepared { round, root },
        votes: all(if round == 0 { VoteKind::Endorse } else { VoteKind::Prepare }, round),
    };
    let repeated = UncheckedCertificate {
        prepared: Prepared { round: 0, root },
        votes: vec![own(VoteKind::Endorse, 0); world.common.quorum.threshold()],
    };
    let change = |round: u32, certificate: Option<UncheckedCertificate>| {
        let prepared = certificate.as_ref().map(|certificate| certificate.prepared);
        let about = Statement::about(key, VoteKind::RoundChange, round, Root::ZERO);
        let vote = world.sign(Statement { prepared, ..about });
        RoundChange { vote, certificate, endorsements: all(VoteKind::Endorse, 0) }
    };
    let changes = |round: u32| -> Vec<UncheckedVote> {
        let vote = change(round, None).vote;
        world.common.quorum.all().map(|from| UncheckedVote { from, ..vote }).collect()
    };
    let mut forged = vec![
        Body::Commit(own(VoteKind::Commit, 0), Some(certificate(0))),
        Body::Commit(own(VoteKind::Commit, 0), Some(repeated.clone())),
        Body::Commit(own(VoteKind::Commit, 0), None),
        Body::Split(all(VoteKind::Endorse, 0)),
        Body::Split(repeated.votes),
        Body::Decided(all(VoteKind::Commit, 0)),
        Body::Decided(vec![own(VoteKind::Commit, 1); world.common.quorum.threshold()]),
        Body::RoundChange(change(1, Some(certificate(0)))),
        Body::RoundChange(change(2, Some(certificate(1)))),
        Body::RoundChange(change(u32::MAX, None)),
    ];
    for round in 1..=4 {
        forged.push(Body::Propose(Propose {
            vote: own(VoteKind::Propose, round),
            round_changes: changes(round),
            certificate: Some(certificate(0)),
            endorsements: all(VoteKind::Endorse, 0),
        }));
    }
    forged
}
