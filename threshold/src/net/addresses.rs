//! Where a peer may be found, and which of these addresses to dial next. Pure: time and randomness
//! are arguments.
//!
//! Each address is a lane of its own. One that refuses is tried again soon; one that swallows
//! packets takes the whole timeout of a dial, and must not hold up the others for it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::backoff::Backoff;

/// The most addresses that are kept of those a peer tells about itself: a host with some
/// interfaces, two IP versions and two transports. A peer may name foreign hosts to make us dial
/// them, so there must be few.
pub(super) const MAX_LEARNT_ADDRESSES: usize = 12;

/// How much later than the configured TCP addresses the others are dialled. The first connection
/// ends the search, so these are preferences: a direct way over TCP, which the kernel serves
/// cheaper than QUIC, and relays last.
const LEARNT_TCP_WAIT: Duration = Duration::from_millis(50);
const QUIC_WAIT: Duration = Duration::from_millis(300);
const CIRCUIT_WAIT: Duration = Duration::from_millis(500);

/// The operator with the higher index leaves relays to the other one for so much longer, or they
/// would meet on two circuits.
const HIGHER_CIRCUIT_WAIT: Duration = Duration::from_millis(1500);

/// The addresses of one peer.
#[derive(Debug)]
pub(super) struct AddressBook {
    lanes: Vec<Lane>,
    we_are_lower: bool,
}

/// One address and its schedule.
#[derive(Debug)]
struct Lane {
    /// Without `/p2p/..` at the end.
    address: Multiaddr,
    source: Source,
    backoff: Backoff,
    dialling: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Never forgotten.
    Configured,
    /// From the peer itself, the latest list.
    Learnt,
}

impl AddressBook {
    /// A book of configured addresses and of circuits over the configured relays
    /// (`{relay}/p2p/{relay}/p2p-circuit`).
    pub(super) fn new(
        configured: Vec<Multiaddr>,
        circuits: Vec<Multiaddr>,
        we_are_lower: bool,
        now: Instant,
    ) -> Self {
        let mut book = Self { lanes: Vec::new(), we_are_lower };
        for address in configured.into_iter().chain(circuits) {
            book.add(address, Source::Configured, now);
        }
        book
    }

    /// Takes over what an authenticated peer says of itself, within bounds.
    ///
    /// `over_loopback`: it said so over a loopback connection; otherwise a loopback address would
    /// lead back to this host.
    pub(super) fn learn(&mut self, listed: &[Multiaddr], over_loopback: bool, now: Instant) {
        let mut learnt: Vec<Multiaddr> = Vec::new();
        let listed = listed.iter().map(without_peer_id);
        for address in listed.filter(|address| is_dialable(address, over_loopback)) {
            if learnt.len() < MAX_LEARNT_ADDRESSES && !learnt.contains(&address) {
                learnt.push(address);
            }
        }
        self.lanes
            .retain(|lane| lane.source == Source::Configured || learnt.contains(&lane.address));
        for address in learnt {
            self.add(address, Source::Learnt, now);
        }
    }

    /// How many addresses are known.
    pub(super) const fn len(&self) -> usize {
        self.lanes.len()
    }

    /// An address whose time has come; it counts as being dialled from now on.
    pub(super) fn next_due(&mut self, ways: Ways, now: Instant) -> Option<Multiaddr> {
        let mut due = self.lanes.iter_mut().filter(|lane| lane.is_open(ways));
        let lane = due.find(|lane| lane.backoff.due() <= now)?;
        lane.dialling = true;
        Some(lane.address.clone())
    }

    /// When the next address comes due.
    pub(super) fn deadline(&self, ways: Ways) -> Option<Instant> {
        let open = self.lanes.iter().filter(|lane| lane.is_open(ways));
        open.map(|lane| lane.backoff.due()).min()
    }

    /// A dial led to a connection.
    pub(super) fn reached(&mut self, address: &Multiaddr) {
        if let Some(lane) = self.lane(address) {
            lane.dialling = false;
        }
    }

    /// A dial failed. It is repeated no earlier than `at_least` from now.
    pub(super) fn failed(
        &mut self,
        address: &Multiaddr,
        at_least: Duration,
        now: Instant,
        random: f64,
    ) {
        if let Some(lane) = self.lane(address) {
            lane.dialling = false;
            lane.backoff.failed(now, random);
            lane.backoff.hold_until(now + at_least);
        }
    }

    /// Connections come and go without a link: all addresses wait longer.
    pub(super) fn all_failed(&mut self, now: Instant, random: f64) {
        for lane in &mut self.lanes {
            lane.backoff.failed(now, random);
        }
    }

    /// The search begins anew at `from`.
    pub(super) fn begin(&mut self, from: Instant, random: f64) {
        let we_are_lower = self.we_are_lower;
        for lane in &mut self.lanes {
            lane.backoff.reset(from, random);
            lane.backoff.hold_until(from + lane.head_start(we_are_lower));
        }
    }

    fn add(&mut self, address: Multiaddr, source: Source, now: Instant) {
        if self.lane(&address).is_some() {
            return;
        }
        let mut lane = Lane { address, source, backoff: Backoff::new(now), dialling: false };
        lane.backoff.hold_until(now + lane.head_start(self.we_are_lower));
        self.lanes.push(lane);
    }

    fn lane(&mut self, address: &Multiaddr) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.address == *address)
    }
}

/// Which addresses come into question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ways {
    All,
    /// None over a relay.
    Direct,
}

impl Lane {
    fn is_open(&self, ways: Ways) -> bool {
        !self.dialling && (ways == Ways::All || !is_circuit(&self.address))
    }

    fn head_start(&self, we_are_lower: bool) -> Duration {
        if is_circuit(&self.address) {
            if we_are_lower { CIRCUIT_WAIT } else { HIGHER_CIRCUIT_WAIT }
        } else if is_quic(&self.address) {
            QUIC_WAIT
        } else if self.source == Source::Learnt {
            LEARNT_TCP_WAIT
        } else {
            Duration::ZERO
        }
    }
}

/// The address without a `/p2p/..` at its end.
pub(super) fn without_peer_id(address: &Multiaddr) -> Multiaddr {
    let mut address = address.clone();
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}

/// Whether the address leads over a relay.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Whether the host of the address is a loopback IP.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::QuicV1)
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// A host, then TCP, or UDP and QUIC; nothing behind it, no relay.
fn is_dialable(address: &Multiaddr, loopback_allowed: bool) -> bool {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let transport_fits = match parts.as_slice() {
        [_, Protocol::Tcp(port)] | [_, Protocol::Udp(port), Protocol::QuicV1] => *port != 0,
        _ => false,
    };
    let host_fits = match parts.first() {
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => ip(address).is_some_and(|ip| {
            !ip.is_unspecified() && !ip.is_multicast() && (loopback_allowed || !ip.is_loopback())
        }),
        _ => false,
    };
    transport_fits && host_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn known(book: &AddressBook) -> Vec<Multiaddr> {
        book.lanes.iter().map(|lane| lane.address.clone()).collect()
    }

    const RELAYED: &str = "/ip4/192.0.2.9/tcp/3640/p2p/12D3KooWA768LzHMatxkjD1f9DrYW375GZJr6MHPCNEdDtHeTNRt/p2p-circuit";

    #[test]
    fn only_plain_addresses_are_learnt_and_not_more_than_the_bound() {
        let now = Instant::now();
        let configured = addresses(&["/ip4/10.0.0.1/tcp/3610"]);
        let mut book = AddressBook::new(configured.clone(), Vec::new(), true, now);
        book.learn(
            &addresses(&[
                "/ip4/10.0.0.1/tcp/3610",
                "/ip4/10.0.0.2/udp/3610/quic-v1",
                "/ip4/127.0.0.1/tcp/3610",
                "/ip4/0.0.0.0/tcp/3610",
                "/ip4/224.0.0.1/tcp/3610",
                "/ip4/10.0.0.3/tcp/0",
                "/ip4/10.0.0.3/tcp/80/ws",
                "/dns/node.example/tcp/3610",
                RELAYED,
                "/ip4/10.0.0.2/udp/3610/quic-v1/p2p/12D3KooWA768LzHMatxkjD1f9DrYW375GZJr6MHPCNEdDtHeTNRt",
            ]),
            false,
            now,
        );
        let learnt = addresses(&["/ip4/10.0.0.2/udp/3610/quic-v1", "/dns/node.example/tcp/3610"]);
        assert_eq!(known(&book), [configured.clone(), learnt].concat());

        let loopback = addresses(&["/ip4/127.0.0.1/tcp/3610"]);
        book.learn(&loopback, true, now);
        assert_eq!(known(&book), [configured, loopback].concat(), "the latest list counts");

        let many: Vec<Multiaddr> =
            (1..100).map(|port| format!("/ip4/10.0.0.2/tcp/{port}").parse().unwrap()).collect();
        book.learn(&many, false, now);
        assert_eq!(book.lanes.len(), 1 + MAX_LEARNT_ADDRESSES);
    }

    #[test]
    fn configured_tcp_goes_first_then_learnt_tcp_then_quic_and_relays_by_role() {
        let now = Instant::now();
        let late = now + Duration::from_secs(10);
        for (we_are_lower, circuit_after) in [(true, 500), (false, 1500)] {
            let configured = addresses(&["/ip4/10.0.0.2/udp/1/quic-v1", "/ip4/10.0.0.2/tcp/1"]);
            let mut book = AddressBook::new(configured, addresses(&[RELAYED]), we_are_lower, now);
            book.learn(&addresses(&["/ip4/10.0.0.3/tcp/1"]), false, now);
            let mut waits = Vec::new();
            while let Some(due) = book.deadline(Ways::All) {
                let address = book.next_due(Ways::All, due).unwrap();
                waits.push((address.to_string(), (due - now).as_millis()));
            }
            let expected = [
                ("/ip4/10.0.0.2/tcp/1", 0),
                ("/ip4/10.0.0.3/tcp/1", 50),
                ("/ip4/10.0.0.2/udp/1/quic-v1", 300),
                (RELAYED, circuit_after),
            ];
            assert_eq!(waits, expected.map(|(address, wait)| (address.to_owned(), wait)));
            assert_eq!(book.next_due(Ways::All, late), None, "all are being dialled");
        }
    }

    #[test]
    fn an_address_that_takes_long_does_not_hold_up_one_that_refuses() {
        let now = Instant::now();
        let configured = addresses(&["/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.3/tcp/1"]);
        let mut book = AddressBook::new(configured.clone(), Vec::new(), true, now);
        assert!(book.next_due(Ways::All, now).is_some() && book.next_due(Ways::All, now).is_some());
        for milliseconds in [200, 400, 800] {
            book.failed(&configured[1], Duration::ZERO, now, 0.5);
            let due = book.deadline(Ways::All).unwrap();
            assert_eq!((due - now).as_millis(), milliseconds);
            assert_eq!(book.next_due(Ways::All, due), Some(configured[1].clone()));
        }
        book.reached(&configured[0]);
        assert_eq!(book.next_due(Ways::All, now), Some(configured[0].clone()));
    }

    #[test]
    fn relays_are_left_out_where_a_direct_way_is_looked_for() {
        let now = Instant::now();
        let mut book = AddressBook::new(Vec::new(), addresses(&[RELAYED]), true, now);
        assert_eq!(book.deadline(Ways::Direct), None);
        assert_eq!(book.next_due(Ways::Direct, now + Duration::from_secs(10)), None);
        assert!(book.deadline(Ways::All).is_some());
    }
}
