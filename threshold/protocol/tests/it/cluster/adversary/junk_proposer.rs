//! Endorses what nobody's client asked for, and as a leader proposes a value of its own, a different one
//! to each peer, with the ROUND-CHANGEs it was sent and no endorsements.

use std::collections::BTreeMap;

use eth_types::Epoch;
use eth_types::duty::Message;
use threshold_protocol::OperatorIndex;
use threshold_protocol::agreement::{
    AgreementMessage, Body, InstanceKey, Propose, RoundChange, Statement, UncheckedVote, Value,
    VoteKind,
};
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World, now};
use crate::support::duty;

#[derive(Default)]
pub(crate) struct JunkProposer {
    asked: BTreeMap<(InstanceKey, u32), Vec<UncheckedVote>>,
    seen: BTreeMap<InstanceKey, Value>,
}

impl Adversary for JunkProposer {
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let PeerMessage::Agreement(AgreementMessage { key, body, values }) = message else {
            return vec![now(to, message.clone())];
        };
        match (body, values.first()) {
            // Its own proposals are in `hear`.
            (Body::Propose(_), _) => Vec::new(),
            (Body::Endorse(vote), Some(value)) => {
                let junk = junk(value, key, world);
                let about = Statement { root: junk.root(), own: true, ..vote.statement };
                let body = Body::Endorse(world.sign(about));
                vec![now(to, World::agreement(*key, body, vec![junk]))]
            }
            _ => vec![now(to, message.clone())],
        }
    }

    fn hear(
        &mut self,
        _: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let PeerMessage::Agreement(AgreementMessage { key, body, values }) = message else {
            return Vec::new();
        };
        if let Some(value) = values.first() {
            self.seen.entry(*key).or_insert_with(|| value.clone());
        }
        let Body::RoundChange(RoundChange { vote, .. }) = body else { return Vec::new() };
        let round = vote.statement.round;
        let quorum = world.common.quorum;
        if key.leader(round, quorum) != world.me || vote.statement.prepared.is_some() {
            return Vec::new();
        }
        let asked = self.asked.entry((*key, round)).or_default();
        asked.push(*vote);
        if asked.len() + 1 < quorum.threshold() {
            return Vec::new();
        }
        let about = Statement::about(*key, VoteKind::RoundChange, round, eth_types::Root::ZERO);
        let mut round_changes = asked.clone();
        round_changes.push(world.sign(about));
        let Some(value) = self.seen.get(key) else { return Vec::new() };
        let proposal = |peer: OperatorIndex| {
            let other = world.twin(value, key, 100 + u64::from(peer.get()));
            let about = Statement::about(*key, VoteKind::Propose, round, other.root());
            let body = Body::Propose(Propose {
                vote: world.sign(about),
                round_changes: round_changes.clone(),
                certificate: None,
                endorsements: Vec::new(),
            });
            now(peer, World::agreement(*key, body, vec![other]))
        };
        world.peers().into_iter().map(proposal).collect()
    }
}

/// An attestation with a source as high as can be, or another block.
fn junk(value: &Value, key: &InstanceKey, world: &World<'_>) -> Value {
    let Message::Attestation(mut data) = value.duty().message().clone() else {
        return world.twin(value, key, 99);
    };
    data.source.epoch = Epoch::new(data.target.epoch.as_u64() - 1);
    let network = &world.common.network;
    Value::new(key, duty(Message::Attestation(data), network), network).unwrap()
}
