//! Reservations at the configured relays, renewed for as long as the node runs.

use std::time::Instant;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::backoff::Backoff;

/// The configured relays, by position in the configuration.
#[derive(Debug)]
pub(super) struct Relays {
    relays: Vec<Relay>,
}

/// A relay that is to be asked for a reservation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) position: usize,
    /// What to listen on: `{address}/p2p/{relay}/p2p-circuit`. It may begin with a name.
    pub(super) circuit: Multiaddr,
}

impl Relays {
    /// Relays that were not asked yet.
    pub(super) fn new(relays: Vec<(PeerId, Multiaddr)>, now: Instant) -> Self {
        let relays = relays.into_iter();
        Self { relays: relays.map(|(id, address)| Relay::new(id, address, now)).collect() }
    }

    /// A relay that it is time to ask; it counts as asked from then on.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Request> {
        let mut relays = self.relays.iter_mut().enumerate();
        let due = |relay: &Relay| relay.state == State::Idle && relay.backoff.due() <= now;
        let (position, relay) = relays.find(|(_, relay)| due(relay))?;
        relay.state = State::Resolving;
        Some(Request { position, circuit: relay.circuit.clone() })
    }

    /// When [`next_request`](Self::next_request) has to be asked again if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let idle = self.relays.iter().filter(|relay| relay.state == State::Idle);
        idle.map(|relay| relay.backoff.due()).min()
    }

    /// The request is on its way, or could not be made.
    pub(super) fn asked(
        &mut self,
        position: usize,
        listener: Result<ListenerId, String>,
        now: Instant,
        random: f64,
    ) {
        let Some(relay) = self.relays.get_mut(position) else { return };
        match listener {
            Ok(listener) => relay.state = State::Asking(listener),
            Err(error) => {
                tracing::warn!(relay = %relay.peer_id, error, "relay cannot be asked");
                relay.failed(now, random);
            }
        }
    }

    /// A listener closed; false if it was no relay's.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant, random: f64) -> bool {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.listens_on(listener)) else {
            return false;
        };
        relay.failed(now, random);
        true
    }

    /// The relay granted or renewed the reservation.
    pub(super) fn reserved(&mut self, relay: PeerId) {
        for relay in self.relays.iter_mut().filter(|known| known.peer_id == relay) {
            if let State::Asking(listener) = relay.state {
                relay.state = State::Reserved(listener);
            }
        }
    }

    /// How many reservations stand.
    pub(super) fn reservations(&self) -> usize {
        self.relays.iter().filter(|relay| matches!(relay.state, State::Reserved(_))).count()
    }
}

/// One configured relay.
#[derive(Debug)]
struct Relay {
    peer_id: PeerId,
    circuit: Multiaddr,
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
    fn new(peer_id: PeerId, address: Multiaddr, now: Instant) -> Self {
        let circuit = circuit(peer_id, &address);
        Self { peer_id, circuit, state: State::Idle, backoff: Backoff::new(now) }
    }

    fn failed(&mut self, now: Instant, random: f64) {
        if matches!(self.state, State::Reserved(_)) {
            self.backoff.reset(now, random);
        } else {
            self.backoff.failed(now, random);
        }
        self.state = State::Idle;
    }

    fn listens_on(&self, listener: ListenerId) -> bool {
        matches!(self.state, State::Asking(id) | State::Reserved(id) if id == listener)
    }
}

/// The address to listen on, and to dial others at, over a relay.
pub(super) fn circuit(relay: PeerId, address: &Multiaddr) -> Multiaddr {
    address.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn relays(count: usize, now: Instant) -> Relays {
        let relay = || (PeerId::random(), "/ip4/192.0.2.9/tcp/1".parse().unwrap());
        Relays::new((0..count).map(|_| relay()).collect(), now)
    }

    #[test]
    fn each_relay_is_asked_once_and_again_after_it_failed() {
        let now = Instant::now();
        let mut relays = relays(2, now);
        let positions: Vec<usize> = std::iter::from_fn(|| relays.next_request(now))
            .map(|request| request.position)
            .collect();
        assert_eq!(positions, [0, 1]);
        assert_eq!(relays.deadline(), None);

        relays.asked(1, Err("no name".to_owned()), now, 0.5);
        let due = relays.deadline().unwrap();
        assert!(due > now);
        assert_eq!(relays.next_request(now), None);
        assert_eq!(relays.next_request(due).map(|request| request.position), Some(1));
    }

    #[test]
    fn a_lost_reservation_is_asked_for_at_once_and_a_refused_one_later() {
        let now = Instant::now();
        let mut relays = relays(1, now);
        let id = relays.relays[0].peer_id;
        for (granted, at_most) in [(true, 100), (false, 250), (false, 500)] {
            let request = relays.next_request(relays.deadline().unwrap()).unwrap();
            assert_eq!(
                request.circuit.to_string(),
                format!("/ip4/192.0.2.9/tcp/1/p2p/{id}/p2p-circuit")
            );
            let listener = ListenerId::next();
            relays.asked(0, Ok(listener), now, 0.5);
            if granted {
                relays.reserved(id);
            }
            assert_eq!(relays.reservations(), usize::from(granted));
            assert!(!relays.closed(ListenerId::next(), now, 0.5), "another listener");
            assert!(relays.closed(listener, now, 0.5));
            assert_eq!(relays.reservations(), 0);
            assert!(relays.deadline().unwrap() - now < Duration::from_millis(at_most));
        }
    }
}
