//! Validator clients: what each asks its node for in a slot, and when.

use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{Epoch, Slot};
use rand::RngExt as _;
use threshold_protocol::{KeyIndex, OperatorIndex};

use super::duties;
use super::simulation::{Cluster, Event, VALIDATORS};
use crate::support::{EPOCH, attestation, block};

/// When attestations are due: a third of the slot.
const ATTESTATIONS_DUE: u64 = 4_000;

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It asks when things are due.
    Prompt,
    /// It asks seconds late.
    Late,
    /// It asks again when it gets no signature.
    Insistent,
    /// There is none, or it is down.
    Silent,
}

/// A validator client and its view of the chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) mood: Mood,
    /// Which head it sees.
    pub(crate) head: u64,
    /// Which source it names.
    pub(crate) source: Epoch,
}

impl Default for Client {
    fn default() -> Self {
        let source = Epoch::new(EPOCH.as_u64() - 2);
        Self { mood: Mood::Prompt, head: 0, source }
    }
}

/// The validators that attest in a slot.
pub(crate) fn attesters(slot: Slot) -> Vec<KeyIndex> {
    let first = u32::try_from(slot.as_u64() % 32).unwrap();
    (first..VALIDATORS).step_by(32).map(KeyIndex::new).collect()
}

/// The validator that proposes in a slot.
pub(crate) fn proposer(slot: Slot) -> KeyIndex {
    KeyIndex::new(u32::try_from((slot.as_u64() * 7 + 3) % u64::from(VALIDATORS)).unwrap())
}

/// The block that a client makes: no two are alike.
pub(crate) fn block_of(operator: OperatorIndex, slot: Slot, network: &Network) -> Duty {
    block(slot, u64::from(proposer(slot).get()), u64::from(operator.get()), network)
}

impl Cluster {
    pub(super) fn begin_slot(&mut self, slot: Slot) {
        let next = slot.saturating_add(1);
        self.schedule(self.network().slot_start(next), Event::SlotBegins(next));
        if !self.clients_ask {
            return;
        }
        for operator in self.operators() {
            let client = self.clients[operator.as_usize()];
            let more = match client.mood {
                Mood::Silent => continue,
                Mood::Insistent => 3,
                Mood::Prompt | Mood::Late => 0,
            };
            let start = self.network().slot_start(slot);
            for (due, validator, duty) in self.plan(operator, slot, &client) {
                let lateness = match client.mood {
                    Mood::Late => self.rng.random_range(0..6_000),
                    _ => self.rng.random_range(0..200),
                };
                let at = start + due + lateness;
                self.schedule(at, Event::Ask { operator, validator, duty, more });
            }
        }
    }

    /// What a client asks for in a slot: milliseconds after its start, validator, duty.
    fn plan(
        &self,
        operator: OperatorIndex,
        slot: Slot,
        client: &Client,
    ) -> Vec<(u64, KeyIndex, Duty)> {
        let network = self.network();
        let epoch = slot.epoch(network.slots_per_epoch());
        let number = u64::from(operator.get());
        let proposer = proposer(slot);
        let (attesters, next_attesters) = (attesters(slot), attesters(slot.saturating_add(2)));
        // Nothing is above the source but the target.
        let source = client.source.min(epoch.saturating_sub(1));
        let vote = attestation(slot, client.head, source, network);
        let mut plan = vec![
            (0, proposer, duties::randao(epoch, network)),
            (300, proposer, block_of(operator, slot, network)),
            (ATTESTATIONS_DUE, KeyIndex::new(1), duties::sync_message(slot, client.head, network)),
            (8_000, KeyIndex::new(1), duties::sync_selection_proof(slot, 0, network)),
            (8_000, attesters[0], duties::aggregate(slot, number, network)),
        ];
        plan.extend(attesters.into_iter().map(|v| (ATTESTATIONS_DUE, v, vote.clone())));
        let lot = duties::selection_proof(slot.saturating_add(2), network);
        plan.extend(next_attesters.into_iter().map(|v| (6_000, v, lot.clone())));
        let stamp = (network.slot_start(slot) + 6_000) / 1_000 - number;
        plan.push((6_500, proposer, duties::registration(proposer, stamp, network)));
        plan
    }
}
