//! Repeats what it has heard and said: to others, later, and under the name of another slot.

use std::collections::VecDeque;

use rand::RngExt as _;
use threshold_protocol::OperatorIndex;
use threshold_protocol::agreement::InstanceKey;
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World, now};

/// How many messages it remembers.
const MEMORY: usize = 400;

#[derive(Default)]
pub(crate) struct Replayer {
    heard: VecDeque<PeerMessage>,
}

impl Replayer {
    fn remember(&mut self, message: &PeerMessage) {
        self.heard.push_back(message.clone());
        if self.heard.len() > MEMORY {
            self.heard.pop_front();
        }
    }
}

impl Adversary for Replayer {
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        _: &mut World<'_>,
    ) -> Vec<Outgoing> {
        self.remember(message);
        vec![now(to, message.clone())]
    }

    fn hear(
        &mut self,
        _: OperatorIndex,
        message: &PeerMessage,
        _: &mut World<'_>,
    ) -> Vec<Outgoing> {
        self.remember(message);
        Vec::new()
    }

    fn act(&mut self, world: &mut World<'_>) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        for to in world.peers() {
            if self.heard.is_empty() {
                break;
            }
            let mut message = self.heard[world.rng.random_range(0..self.heard.len())].clone();
            if world.rng.random_range(0..3) == 0 {
                relabel(&mut message, world);
            }
            outgoing.push(now(to, message));
        }
        outgoing
    }
}

/// As if it had been said in the slot of the moment.
fn relabel(message: &mut PeerMessage, world: &World<'_>) {
    let [attestation, block] = world.instances();
    let key = match message {
        PeerMessage::Agreement(message) => &mut message.key,
        PeerMessage::Partials(partials) => &mut partials.key,
        _ => return,
    };
    *key = match key {
        InstanceKey::Attestation { .. } => attestation,
        InstanceKey::Block { .. } => block,
    };
    if let PeerMessage::Agreement(message) = message {
        // The values are of another slot, and no receiver would read them.
        message.values.clear();
    }
}
