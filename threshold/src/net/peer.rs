//! What the driver knows of one peer, and what is to be done next. Pure: time and randomness are
//! arguments.
//!
//! Both sides dial whenever they have no connection; two that dial at the same moment end up with
//! two connections. Which of them carries the link is decided by one side only, the operator with
//! the lower index: it opens the stream, the other accepts on whatever connection it comes. The
//! surplus connection is idle and closes by itself.

use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::addresses::{AddressBook, Ways};
use super::backoff::Penalty;

/// A connection that the peer opened when the link stood for at least so long means that the peer
/// lost the link (it restarted; it does not dial while it has a connection). Younger ones come from
/// both sides dialling at once.
const RELINK_AFTER: Duration = Duration::from_secs(1);

/// How often a direct way is tried while the link goes over a relay: relays limit time and bytes,
/// and add delay.
const UPGRADE_INTERVAL: Duration = Duration::from_secs(30);

/// The first such try comes sooner, once hole punching had its chance and the peer has told its
/// addresses.
const FIRST_UPGRADE: Duration = Duration::from_secs(3);

/// A link that broke before it stood so long is a short one. A node that crashes and is started
/// again lives longer.
const SHORT_LINK: Duration = Duration::from_secs(1);

/// So many short links in a row, and the peer is left alone for [`FLAPPING_WAIT`]. On every link the
/// node sends what it holds of the running duties, so a peer that comes and goes without end would
/// make it work without end.
const MAX_SHORT_LINKS: u32 = 8;

/// Long enough to be no work, short enough not to cost an honest peer behind a bad line a duty.
const FLAPPING_WAIT: Duration = Duration::from_secs(5);

/// How long a peer is left alone after it named another cluster or another version of the protocol:
/// its operator has to do something first.
const MISMATCH_WAIT: Duration = Duration::from_secs(10);

/// Something for the driver to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Open the stream on this connection.
    Open(ConnectionId),
    /// Dial this address.
    Dial(Multiaddr),
}

/// One established connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) relayed: bool,
    /// The peer dialled.
    pub(super) inbound: bool,
}

/// Why a link is over, as far as it matters for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was up and broke, or the node ended it.
    Broke,
    /// It never came up.
    NeverUp,
    /// The peer is of another cluster or version.
    Mismatch,
    /// The peer broke the protocol.
    Breach,
    /// It broke like those before it, soon after it was up.
    Flapping,
}

/// The state of one peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// This node has the lower index.
    we_open: bool,
    pub(super) book: AddressBook,
    penalty: Penalty,
    connections: Vec<Connection>,
    opening: Option<ConnectionId>,
    /// The connection of the stream that the peer's task has.
    link: Option<Link>,
    /// A connection that is better than the link's.
    better: Option<ConnectionId>,
    kept_away_until: Instant,
    short_links: u32,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    connection: ConnectionId,
    relayed: bool,
    since: Instant,
}

impl Peer {
    /// A peer that was never seen.
    pub(super) const fn new(we_open: bool, book: AddressBook, now: Instant) -> Self {
        Self {
            we_open,
            book,
            penalty: Penalty::new(),
            connections: Vec::new(),
            opening: None,
            link: None,
            better: None,
            kept_away_until: now,
            short_links: 0,
        }
    }

    /// Whether this node opens the stream (else the peer does).
    pub(super) const fn we_open(&self) -> bool {
        self.we_open
    }

    /// Until when the peer is left alone.
    pub(super) const fn kept_away_until(&self) -> Instant {
        self.kept_away_until
    }

    /// What is due now, if anything. An action counts as begun once it is returned.
    pub(super) fn next_action(&mut self, now: Instant) -> Option<Action> {
        if let Some(connection) = self.connection_to_open(now) {
            self.better = None;
            self.opening = Some(connection);
            return Some(Action::Open(connection));
        }
        if now < self.kept_away_until {
            return None;
        }
        self.book.next_due(self.wanted_ways()?, now).map(Action::Dial)
    }

    /// When [`next_action`](Self::next_action) has to be asked again if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits_to_open = self.we_open && self.link.is_none() && self.opening.is_none();
        if waits_to_open && !self.connections.is_empty() {
            return Some(self.kept_away_until);
        }
        let due = self.wanted_ways().and_then(|ways| self.book.deadline(ways))?;
        Some(due.max(self.kept_away_until))
    }

    /// A connection is up; `dialled`: the address, if it came of [`Action::Dial`].
    pub(super) fn connected(
        &mut self,
        connection: Connection,
        dialled: Option<&Multiaddr>,
        now: Instant,
    ) {
        self.connections.push(connection);
        if let Some(address) = dialled {
            self.book.reached(address);
        }
        let Some(link) = self.link.filter(|_| self.we_open) else { return };
        let upgrade = link.relayed && !connection.relayed;
        let came_back = connection.inbound
            && (link.relayed || !connection.relayed)
            && now.saturating_duration_since(link.since) >= RELINK_AFTER;
        if upgrade || came_back {
            self.better = Some(connection.id);
        }
    }

    /// A dial of [`Action::Dial`] failed.
    pub(super) fn dial_failed(&mut self, address: &Multiaddr, now: Instant, random: f64) {
        // While a relay carries the link, a direct way is nothing urgent.
        let at_least = if self.connections.is_empty() { Duration::ZERO } else { UPGRADE_INTERVAL };
        self.book.failed(address, at_least, now, random);
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, id: ConnectionId, now: Instant, random: f64) {
        self.connections.retain(|connection| connection.id != id);
        if self.opening == Some(id) {
            self.opening = None;
        }
        if self.better == Some(id) {
            self.better = None;
        }
        let carried_link = self.link.is_some_and(|link| link.connection == id);
        // The end of a link is counted by `link_ended`.
        if self.connections.is_empty() && !carried_link {
            self.book.all_failed(now, random);
        }
    }

    /// Opening the stream failed; the driver closes the connection.
    pub(super) fn open_failed(
        &mut self,
        id: ConnectionId,
        mismatch: bool,
        now: Instant,
        random: f64,
    ) {
        if self.opening == Some(id) {
            self.opening = None;
        }
        self.book.all_failed(now, random);
        if mismatch {
            self.keep_away(now + MISMATCH_WAIT);
        }
    }

    /// There is a stream on the connection; true if the peer's task is to carry it.
    pub(super) fn stream(&mut self, id: ConnectionId, now: Instant) -> bool {
        if self.opening == Some(id) {
            self.opening = None;
        }
        let Some(connection) = self.connections.iter().find(|connection| connection.id == id)
        else {
            return false;
        };
        if now < self.kept_away_until {
            return false;
        }
        self.link = Some(Link { connection: id, relayed: connection.relayed, since: now });
        true
    }

    /// The link on this connection is up; tells whether it goes over a relay.
    pub(super) fn link_up(&mut self, id: ConnectionId, now: Instant) -> bool {
        self.book.begin(now + FIRST_UPGRADE, 0.0);
        self.link.is_some_and(|link| link.connection == id && link.relayed)
    }

    /// The peer's task has given up the stream on this connection; `stood` is how long it was up.
    /// Returns the final verdict, which is harsher if the peer comes and goes.
    pub(super) fn link_ended(
        &mut self,
        id: ConnectionId,
        verdict: Verdict,
        stood: Duration,
        now: Instant,
        random: f64,
    ) -> Verdict {
        // Relays cut circuits at limits of their own; that is not the peer's doing.
        let relayed = self.link.is_some_and(|link| link.connection == id && link.relayed);
        let verdict = if relayed { verdict } else { self.count_short_links(verdict, stood) };
        if self.link.is_some_and(|link| link.connection == id) {
            self.link = None;
        }
        match verdict {
            Verdict::Broke => self.book.begin(now, random),
            Verdict::NeverUp => self.book.all_failed(now, random),
            Verdict::Mismatch => self.keep_away(now + MISMATCH_WAIT),
            Verdict::Flapping => self.keep_away(now + FLAPPING_WAIT),
            Verdict::Breach => {
                let wait = self.penalty.breach(stood);
                self.keep_away(now + wait);
            }
        }
        verdict
    }

    fn count_short_links(&mut self, verdict: Verdict, stood: Duration) -> Verdict {
        if verdict != Verdict::Broke {
            return verdict;
        }
        if stood >= SHORT_LINK {
            self.short_links = 0;
            return verdict;
        }
        self.short_links += 1;
        if self.short_links < MAX_SHORT_LINKS {
            return verdict;
        }
        self.short_links = 0;
        Verdict::Flapping
    }

    fn keep_away(&mut self, until: Instant) {
        self.kept_away_until = self.kept_away_until.max(until);
    }

    fn connection_to_open(&self, now: Instant) -> Option<ConnectionId> {
        if !self.we_open || self.opening.is_some() || now < self.kept_away_until {
            return None;
        }
        if self.link.is_some() {
            return self.better;
        }
        // A direct one if there is one, and of these the youngest.
        self.connections.iter().max_by_key(|connection| !connection.relayed).map(|c| c.id)
    }

    /// What to look for: anything without a connection, a direct way while all go over relays.
    fn wanted_ways(&self) -> Option<Ways> {
        if self.connections.is_empty() {
            return Some(Ways::All);
        }
        self.connections.iter().all(|connection| connection.relayed).then_some(Ways::Direct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: &str = "/ip4/10.0.0.2/tcp/1";

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn peer(we_open: bool, now: Instant) -> Peer {
        let circuit = "/ip4/192.0.2.9/tcp/1/p2p/12D3KooWA768LzHMatxkjD1f9DrYW375GZJr6MHPCNEdDtHeTNRt/p2p-circuit";
        let book = AddressBook::new(vec![address(DIRECT)], vec![address(circuit)], we_open, now);
        Peer::new(we_open, book, now)
    }

    fn connection(id: usize, relayed: bool, inbound: bool) -> Connection {
        Connection { id: ConnectionId::new_unchecked(id), relayed, inbound }
    }

    fn id(id: usize) -> ConnectionId {
        ConnectionId::new_unchecked(id)
    }

    /// A peer whose link is up on connection 1, which this node dialled.
    fn linked(we_open: bool, relayed: bool, now: Instant) -> Peer {
        let mut peer = peer(we_open, now);
        assert!(matches!(peer.next_action(now), Some(Action::Dial(_))));
        peer.connected(connection(1, relayed, false), Some(&address(DIRECT)), now);
        assert_eq!(peer.next_action(now), we_open.then_some(Action::Open(id(1))));
        assert!(peer.stream(id(1), now));
        assert_eq!(peer.link_up(id(1), now), relayed);
        assert_eq!(peer.next_action(now), None);
        peer
    }

    #[test]
    fn both_dial_at_once_and_only_the_lower_operator_opens() {
        let now = Instant::now();
        linked(true, false, now);
        linked(false, false, now);
    }

    #[test]
    fn a_dial_that_failed_is_repeated_when_the_wait_is_over() {
        let now = Instant::now();
        let mut peer = peer(true, now);
        assert_eq!(peer.next_action(now), Some(Action::Dial(address(DIRECT))));
        assert_eq!(peer.next_action(now), None, "one dial of an address at a time");
        peer.dial_failed(&address(DIRECT), now, 0.5);
        assert_eq!(peer.next_action(now), None);
        let due = peer.deadline().unwrap();
        assert_eq!(due, now + SECOND / 5);
        assert_eq!(peer.next_action(due), Some(Action::Dial(address(DIRECT))));
    }

    #[test]
    fn connections_that_close_before_a_link_are_no_hot_loop() {
        let mut now = Instant::now();
        let book = AddressBook::new(vec![address(DIRECT)], Vec::new(), false, now);
        let mut peer = Peer::new(false, book, now);
        let mut waits = Vec::new();
        for round in 0..6 {
            assert!(matches!(peer.next_action(now), Some(Action::Dial(_))));
            peer.connected(connection(round, false, false), Some(&address(DIRECT)), now);
            peer.closed(id(round), now, 0.5);
            let due = peer.deadline().unwrap();
            waits.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3000, 3000]);
    }

    #[test]
    fn a_broken_link_is_built_again_at_once() {
        let now = Instant::now();
        let mut peer = linked(true, false, now);
        let later = now + 60 * SECOND;
        peer.closed(id(1), later, 0.5);
        peer.link_ended(id(1), Verdict::Broke, 60 * SECOND, later, 0.5);
        let due = peer.deadline().unwrap();
        assert!(due - later < SECOND / 10);
        assert!(matches!(peer.next_action(due), Some(Action::Dial(_))));
    }

    #[test]
    fn a_spare_connection_carries_the_next_link() {
        let now = Instant::now();
        let mut peer = linked(true, false, now);
        peer.connected(connection(2, false, true), None, now);
        assert_eq!(peer.next_action(now), None, "both dialled at once: nothing to move");
        peer.closed(id(1), now, 0.5);
        peer.link_ended(id(1), Verdict::Broke, SECOND, now, 0.5);
        assert_eq!(peer.next_action(now), Some(Action::Open(id(2))));
    }

    #[test]
    fn a_peer_that_dials_again_lost_the_link_and_gets_a_new_one() {
        let now = Instant::now();
        let mut peer = linked(true, false, now);
        let later = now + 2 * SECOND;
        peer.connected(connection(2, true, true), None, later);
        assert_eq!(peer.next_action(later), None, "not from a direct way to a relay");
        peer.connected(connection(3, false, true), None, later);
        assert_eq!(peer.next_action(later), Some(Action::Open(id(3))));
        assert!(peer.stream(id(3), later));
        // The old link's end does not touch the new one.
        peer.link_ended(id(1), Verdict::Broke, 2 * SECOND, later, 0.5);
        peer.closed(id(1), later, 0.5);
        assert_eq!(peer.next_action(later), None);
    }

    #[test]
    fn a_relayed_link_moves_to_a_direct_connection_and_asks_for_one() {
        let now = Instant::now();
        let mut peer = linked(true, true, now);
        let due = peer.deadline().unwrap();
        assert_eq!(due, now + FIRST_UPGRADE);
        assert_eq!(peer.next_action(due), Some(Action::Dial(address(DIRECT))));
        peer.dial_failed(&address(DIRECT), due, 0.5);
        let due = peer.deadline().unwrap();
        assert_eq!(due, now + FIRST_UPGRADE + UPGRADE_INTERVAL, "it is not urgent");
        assert_eq!(peer.next_action(due), Some(Action::Dial(address(DIRECT))));
        peer.connected(connection(2, false, false), Some(&address(DIRECT)), due);
        assert_eq!(peer.next_action(due), Some(Action::Open(id(2))));
        assert_eq!(peer.deadline(), None);
    }

    #[test]
    fn a_breach_keeps_the_peer_away_for_a_while() {
        let now = Instant::now();
        let mut peer = linked(true, false, now);
        peer.connected(connection(2, false, true), None, now);
        assert_eq!(peer.link_ended(id(1), Verdict::Breach, SECOND, now, 0.5), Verdict::Breach);
        assert_eq!(peer.next_action(now), None);
        assert!(!peer.stream(id(2), now), "nor does it get a link by opening one");
        let due = peer.deadline().unwrap();
        assert_eq!(due, now + SECOND);
        assert_eq!(peer.next_action(due), Some(Action::Open(id(2))));
    }

    #[test]
    fn a_peer_that_comes_and_goes_without_end_is_kept_away() {
        let now = Instant::now();
        let mut peer = linked(false, false, now);
        let verdicts: Vec<Verdict> = (0..MAX_SHORT_LINKS)
            .map(|_| peer.link_ended(id(1), Verdict::Broke, SECOND / 2, now, 0.5))
            .collect();
        assert_eq!(peer.kept_away_until(), now + FLAPPING_WAIT);
        assert_eq!(verdicts.last(), Some(&Verdict::Flapping));
        assert!(verdicts.iter().rev().skip(1).all(|verdict| *verdict == Verdict::Broke));

        for _ in 0..3 * MAX_SHORT_LINKS {
            let verdict = peer.link_ended(id(1), Verdict::Broke, SHORT_LINK, now, 0.5);
            assert_eq!(verdict, Verdict::Broke, "a link that stood begins the count anew");
        }
    }

    #[test]
    fn a_link_over_a_relay_may_break_often() {
        let now = Instant::now();
        let mut peer = peer(false, now);
        for round in 1..3 * MAX_SHORT_LINKS as usize {
            peer.connected(connection(round, true, true), None, now);
            assert!(peer.stream(id(round), now));
            let verdict = peer.link_ended(id(round), Verdict::Broke, SECOND / 2, now, 0.5);
            assert_eq!(verdict, Verdict::Broke, "relays cut links too");
        }
    }

    #[test]
    fn another_cluster_is_left_alone_for_ten_seconds() {
        let now = Instant::now();
        let mut peer = linked(true, false, now);
        peer.closed(id(1), now, 0.5);
        peer.link_ended(id(1), Verdict::Mismatch, Duration::ZERO, now, 0.5);
        assert_eq!(peer.deadline(), Some(now + MISMATCH_WAIT));
        assert_eq!(peer.next_action(now + MISMATCH_WAIT / 2), None);
    }
}
