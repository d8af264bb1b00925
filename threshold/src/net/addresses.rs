//! Where a peer may be found. Pure.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// The most addresses that are kept of those a peer tells about itself: a host with some
/// interfaces, two IP versions and two transports. A peer may name foreign hosts to make us dial
/// them, so there must be few.
pub(super) const MAX_LEARNT_ADDRESSES: usize = 12;

/// The most addresses that are dialled in one attempt.
pub(super) const MAX_DIALLED_ADDRESSES: usize = 24;

/// After so many failed attempts the operator with the higher index dials over the relays too.
/// Until then only the lower one does, or the two would meet on two circuits.
const HIGHER_DIALS_RELAYS_AFTER: u32 = 2;

/// What is known of one peer's addresses. None of them ends with `/p2p/..`.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    /// From the configuration; never forgotten.
    configured: Vec<Multiaddr>,
    /// From the peer itself, the latest list.
    learnt: Vec<Multiaddr>,
    /// Over the configured relays: `{relay}/p2p/{relay}/p2p-circuit`.
    circuits: Vec<Multiaddr>,
}

impl AddressBook {
    /// A book of configured addresses and of circuits over the configured relays.
    pub(super) const fn new(configured: Vec<Multiaddr>, circuits: Vec<Multiaddr>) -> Self {
        Self { configured, learnt: Vec::new(), circuits }
    }

    /// Takes over what an authenticated peer says of itself, within bounds.
    ///
    /// `over_loopback`: it said so over a loopback connection; otherwise a loopback address would
    /// lead back to this host.
    pub(super) fn learn(&mut self, listed: &[Multiaddr], over_loopback: bool) {
        let mut learnt = Vec::new();
        for address in listed {
            let address = without_peer_id(address);
            if is_dialable(&address, over_loopback)
                && !self.configured.contains(&address)
                && !learnt.contains(&address)
            {
                learnt.push(address);
            }
            if learnt.len() == MAX_LEARNT_ADDRESSES {
                break;
            }
        }
        self.learnt = learnt;
    }

    /// Addresses without a relay in between.
    pub(super) fn direct(&self) -> Vec<Multiaddr> {
        self.configured.iter().chain(&self.learnt).cloned().collect()
    }

    /// What to dial after so many failed attempts. First the configured addresses and those over
    /// TCP, which the kernel serves cheaper than QUIC; then all there is.
    pub(super) fn targets(&self, failures: u32, we_are_lower: bool) -> Vec<Multiaddr> {
        let mut targets: Vec<Multiaddr> = if failures == 0 {
            let learnt = self.learnt.iter().filter(|address| is_tcp(address));
            self.configured.iter().chain(learnt).cloned().collect()
        } else {
            self.direct()
        };
        if targets.is_empty() {
            targets = self.direct();
        }
        if targets.is_empty() || failures > 0 {
            if we_are_lower || failures >= HIGHER_DIALS_RELAYS_AFTER {
                targets.extend(self.circuits.iter().cloned());
            }
        }
        targets.truncate(MAX_DIALLED_ADDRESSES);
        targets
    }

    /// Whether there is anything to dial, now or after some failed attempts.
    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_empty() && self.learnt.is_empty() && self.circuits.is_empty()
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

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
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

    const RELAYED: &str = "/ip4/192.0.2.9/tcp/3640/p2p/12D3KooWA768LzHMatxkjD1f9DrYW375GZJr6MHPCNEdDtHeTNRt/p2p-circuit";

    #[test]
    fn only_plain_addresses_are_learnt_and_not_more_than_the_bound() {
        let mut book = AddressBook::new(addresses(&["/ip4/10.0.0.1/tcp/3610"]), Vec::new());
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
        );
        assert_eq!(
            book.learnt,
            addresses(&["/ip4/10.0.0.2/udp/3610/quic-v1", "/dns/node.example/tcp/3610"])
        );

        book.learn(&addresses(&["/ip4/127.0.0.1/tcp/3610"]), true);
        assert_eq!(book.learnt, addresses(&["/ip4/127.0.0.1/tcp/3610"]));

        let many: Vec<Multiaddr> =
            (1..100).map(|port| format!("/ip4/10.0.0.2/tcp/{port}").parse().unwrap()).collect();
        book.learn(&many, false);
        assert_eq!(book.learnt.len(), MAX_LEARNT_ADDRESSES);
    }

    #[test]
    fn tcp_goes_first_then_everything_and_relays_by_role() {
        let mut book = AddressBook::new(Vec::new(), addresses(&[RELAYED]));
        assert_eq!(book.targets(0, true), addresses(&[RELAYED]), "nothing else is known");
        assert_eq!(book.targets(0, false), []);
        assert_eq!(book.targets(2, false), addresses(&[RELAYED]));

        let direct = addresses(&["/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.2/udp/1/quic-v1"]);
        book.learn(&direct, false);
        assert_eq!(book.targets(0, true), direct[..1]);
        assert_eq!(book.targets(1, true), [direct.clone(), addresses(&[RELAYED])].concat());
        assert_eq!(book.targets(1, false), direct);
    }
}
