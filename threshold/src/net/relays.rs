//! Reservations at the configured relays, renewed for as long as the node runs.

use std::time::Instant;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::backoff::Backoff;

/// One configured relay.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) peer_id: PeerId,
    /// Its address, without `/p2p/..` at the end.
    address: Multiaddr,
    state: State,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Its name is being resolved.
    Resolving,
    /// The listener that asks for the reservation, or has it.
    Asking(ListenerId),
    Reserved(ListenerId),
}

impl Relay {
    /// A relay that was not asked yet.
    pub(super) const fn new(peer_id: PeerId, address: Multiaddr, now: Instant) -> Self {
        Self { peer_id, address, state: State::Idle, backoff: Backoff::new(now) }
    }

    /// The relay's own address if it is time to ask it; counts as asked from then on.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Multiaddr> {
        if self.state != State::Idle || now < self.backoff.due() {
            return None;
        }
        self.state = State::Resolving;
        Some(self.address.clone())
    }

    /// When [`next_request`](Self::next_request) has to be asked again if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.state == State::Idle).then(|| self.backoff.due())
    }

    /// The request is on its way.
    pub(super) const fn asked(&mut self, listener: ListenerId) {
        self.state = State::Asking(listener);
    }

    /// The request could not be made, or its listener closed.
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        if self.is_reserved() {
            self.backoff.reset(now, random);
        } else {
            self.backoff.failed(now, random);
        }
        self.state = State::Idle;
    }

    /// The relay granted or renewed the reservation.
    pub(super) const fn reserved(&mut self) {
        if let State::Asking(listener) = self.state {
            self.state = State::Reserved(listener);
        }
    }

    /// Whether the reservation stands.
    pub(super) const fn is_reserved(&self) -> bool {
        matches!(self.state, State::Reserved(_))
    }

    /// Whether the listener is this relay's.
    pub(super) fn listens_on(&self, listener: ListenerId) -> bool {
        matches!(self.state, State::Asking(id) | State::Reserved(id) if id == listener)
    }
}

/// The address to listen on, and to dial others at, over a relay.
pub(super) fn circuit(relay: PeerId, address: &Multiaddr) -> Multiaddr {
    address.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}
