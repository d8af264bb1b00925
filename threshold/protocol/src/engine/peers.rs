//! Who is connected, whose validator client is silent, and what the node knows that bears on what it
//! vouches for.

use std::collections::BTreeSet;
use std::time::Duration;

use eth_types::network::Network;
use eth_types::{Epoch, Slot};

use super::{Engine, Output};
use crate::agreement::{Context, InstanceKey, View};
use crate::cluster::{KeyIndex, OperatorIndex, OperatorSet, PerOperator};
use crate::message::{PeerMessage, Status};
use crate::timing::{UnixMillis, current_epoch, current_slot};

/// Epochs without a request after which a validator client counts as silent.
const SILENT_EPOCHS: u64 = 2;

/// What is known of peers and of the own validator client.
#[derive(Debug, Default)]
pub(super) struct Peers {
    connected: OperatorSet,
    /// The latest announcement of each: its slot, and whether it is silent.
    statuses: PerOperator<(Slot, bool)>,
    /// When the own client last asked for anything.
    last_request: Option<UnixMillis>,
    /// What was announced last, and in which epoch.
    announced: Option<(bool, Epoch)>,
    /// The highest source that the own client named.
    own_source: Option<Epoch>,
    /// The highest source in each operator's *own* endorsements.
    endorsed_sources: PerOperator<Epoch>,
    /// Epochs for which the own client asked for a validator's RANDAO reveal.
    randao: BTreeSet<(Epoch, KeyIndex)>,
    /// Operators that were caught lying.
    liars: OperatorSet,
}

impl Peers {
    pub(super) const fn connected(&self) -> OperatorSet {
        self.connected
    }

    pub(super) fn connect(&mut self, peer: OperatorIndex) {
        self.connected.insert(peer);
    }

    pub(super) fn disconnect(&mut self, peer: OperatorIndex) {
        self.connected.remove(peer);
    }

    pub(super) fn note_own_request(&mut self, now: UnixMillis) {
        self.last_request = Some(now);
    }

    pub(super) fn note_own_source(&mut self, source: Epoch) {
        self.own_source = self.own_source.max(Some(source));
    }

    pub(super) fn note_endorsed_source(&mut self, operator: OperatorIndex, source: Epoch) {
        let highest = self.endorsed_sources.entry(operator).or_default();
        *highest = source.max(*highest);
    }

    pub(super) fn note_randao(&mut self, epoch: Epoch, validator: KeyIndex) {
        self.randao.insert((epoch, validator));
    }

    pub(super) fn note_lie(&mut self, operator: OperatorIndex) {
        self.liars.insert(operator);
    }

    pub(super) const fn liars(&self) -> OperatorSet {
        self.liars
    }

    /// A client that never asked is silent: a node without one must not wait for it.
    pub(super) fn is_silent(&self, now: UnixMillis, network: &Network) -> bool {
        self.last_request.is_none_or(|last| now >= last + silence(network))
    }

    pub(super) fn prune(&mut self, current: Epoch) {
        let oldest = current.saturating_sub(1);
        self.randao = self.randao.split_off(&(oldest, KeyIndex::new(0)));
    }
}

fn silence(network: &Network) -> Duration {
    let slots = network.slots_per_epoch().get().saturating_mul(SILENT_EPOCHS);
    network.slot_duration().saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX))
}

impl Engine {
    /// *w* of the moment: connected operators, and this one, that announce a client which is not
    /// silent. An operator that is gone vouches for nothing, so it is not waited for.
    pub(super) fn witnesses_needed(&self) -> usize {
        let oldest = self.oldest_status();
        let active = self
            .peers
            .statuses
            .iter()
            .filter(|(peer, (slot, silent))| {
                !silent && *slot >= oldest && self.peers.connected.contains(**peer)
            })
            .count();
        self.config.quorum.witnesses(active + usize::from(!self.is_silent()))
    }

    fn oldest_status(&self) -> Slot {
        let epochs = self.config.network.slots_per_epoch().get().saturating_mul(SILENT_EPOCHS);
        current_slot(&self.config.network, self.now).saturating_sub(epochs)
    }

    /// What the node knows that bears on an instance.
    pub(super) fn view(&self, key: &InstanceKey) -> View {
        let witnesses = self.witnesses_needed();
        let mut named: Vec<Epoch> = self.peers.endorsed_sources.values().copied().collect();
        named.sort_unstable_by(|a, b| b.cmp(a));
        let witnessed = named.get(witnesses.saturating_sub(1)).copied();
        let duty_evidence = match key {
            InstanceKey::Attestation { .. } => false,
            InstanceKey::Block { slot, validator } => {
                let epoch = slot.epoch(self.config.network.slots_per_epoch());
                self.peers.randao.contains(&(epoch, *validator))
            }
        };
        View {
            silent: self.is_silent(),
            witnesses,
            source_limit: self.peers.own_source.max(witnessed),
            duty_evidence,
        }
    }

    pub(super) fn context(&self, view: View) -> Context<'_> {
        Context {
            now: self.now,
            me: self.config.me,
            quorum: self.config.quorum,
            lock_hash: self.config.lock_hash,
            auth: &*self.config.auth,
            view,
        }
    }

    pub(super) fn on_status(&mut self, from: OperatorIndex, status: Status) {
        let sound = status.from == from
            && status.slot <= current_slot(&self.config.network, self.now).saturating_add(1)
            && status.verify(&self.config.lock_hash, &*self.config.auth);
        let newer = self.peers.statuses.get(&from).is_none_or(|(slot, _)| *slot <= status.slot);
        if sound && newer {
            self.peers.statuses.insert(from, (status.slot, status.silent));
        }
    }

    /// Announces to all whether the own client is silent, when that changes and once an epoch.
    pub(super) fn announce_status(&mut self) {
        let status = (self.is_silent(), current_epoch(&self.config.network, self.now));
        if self.peers.announced != Some(status) {
            self.peers.announced = Some(status);
            let message = self.status_message();
            self.out.push(Output::Broadcast(message));
        }
    }

    pub(super) fn send_status_to(&mut self, peer: OperatorIndex) {
        let message = self.status_message();
        self.out.push(Output::Send(peer, message));
    }

    fn status_message(&self) -> PeerMessage {
        let slot = current_slot(&self.config.network, self.now);
        PeerMessage::Status(Status::sign(
            self.config.me,
            self.is_silent(),
            slot,
            &self.config.lock_hash,
            &*self.config.auth,
        ))
    }

    /// When the announcement changes next: the client falls silent, or an epoch begins.
    pub(super) fn next_status_time(&self) -> Option<UnixMillis> {
        let network = &self.config.network;
        let falls_silent = self
            .peers
            .last_request
            .map(|last| last + silence(network))
            .filter(|time| *time > self.now);
        let next_epoch = current_epoch(network, self.now).saturating_add(1);
        let begins = network.slot_start(next_epoch.start_slot(network.slots_per_epoch()));
        [falls_silent, Some(UnixMillis::new(begins))].into_iter().flatten().min()
    }
}
