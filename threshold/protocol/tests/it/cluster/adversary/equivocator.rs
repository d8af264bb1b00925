//! Says one thing to operators with even numbers and another to those with odd ones: candidates,
//! endorsements, proposals, PREPAREs and COMMITs.

use threshold_protocol::OperatorIndex;
use threshold_protocol::agreement::{AgreementMessage, Body, Statement, UncheckedVote};
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World, now};

pub(crate) struct Equivocator;

impl Adversary for Equivocator {
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let twin = match message {
            PeerMessage::Agreement(message) if to.get() % 2 == 1 => twin(message, world),
            _ => None,
        };
        vec![now(to, twin.unwrap_or_else(|| message.clone()))]
    }
}

/// The same message about another value, where it is about one.
fn twin(message: &AgreementMessage, world: &World<'_>) -> Option<PeerMessage> {
    let AgreementMessage { key, body, values } = message;
    let mut body = body.clone();
    let vote = match &mut body {
        Body::Candidate(vote) | Body::Endorse(vote) | Body::Prepare(vote) => vote,
        Body::Commit(vote, None) => vote,
        Body::Propose(propose) => &mut propose.vote,
        _ => return None,
    };
    let value = values.iter().find(|value| value.root() == vote.statement.root)?;
    let other = world.twin(value, key, u64::from(world.me.get()));
    let UncheckedVote { statement, .. } = *vote;
    *vote = world.sign(Statement { root: other.root(), ..statement });
    let mut values = values.clone();
    values.push(other);
    Some(World::agreement(*key, body, values))
}
