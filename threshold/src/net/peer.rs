//! What the driver knows of one peer, and what is to be done next. Pure: time and randomness are arguments.
//!
//! Both sides dial whenever they have no connection; two that dial at the same moment end up with two
//! connections. Which of them carries the link is decided by one side only, the operator with the lower
//! index: it opens the stream, the other accepts on whatever connection it comes. The surplus connection
//! is idle and closes by itself.

use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::addresses::AddressBook;
use super::backoff::{Backoff, Penalty};

/// A connection that the peer opened when the link stood for at least so long means that the peer lost the
/// link (it restarted; it does not dial while it has a connection). Younger ones come from both
/// sides dialling at once.
const RELINK_AFTER: Duration = Duration::from_secs(1);

/// How often a direct way is tried while the link goes over a relay: relays limit time and bytes, and add
/// delay.
const UPGRADE_INTERVAL: Duration = Duration::from_secs(30);

/// How long a peer is left alone after it named another cluster or another version of the protocol: its
/// operator has to do something first.
const MISMATCH_WAIT: Duration = Duration::from_secs(10);

/// Something for the driver to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Open the stream on this connection.
    Open(ConnectionId),
    /// Dial these addresses.
    Dial(Vec<Multiaddr>),
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
}

/// The state of one peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// This node has the lower index.
    we_open: bool,
    pub(super) book: AddressBook,
    backoff: Backoff,
    penalty: Penalty,
    connections: Vec<Connection>,
    dialling: bool,
    opening: Option<ConnectionId>,
    /// The connection of the stream that the peer's task has.
    link: Option<Link>,
    /// A connection that is better than the link's.
    better: Option<ConnectionId>,
    next_upgrade: Instant,
    kept_away_until: Instant,
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
            backoff: Backoff::new(now),
            penalty: Penalty::new(),
            connections: Vec::new(),
            dialling: false,
            opening: None,
            link: None,
            better: None,
            next_upgrade: now,
            kept_away_until: now,
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
        if self.dialling {
            return None;
        }
        let targets = if self.connections.is_empty() {
            if now < self.backoff.due() {
                return None;
            }
            self.book.targets(self.backoff.failures(), self.we_open)
        } else if self.wants_upgrade() && now >= self.next_upgrade {
            self.next_upgrade = now + UPGRADE_INTERVAL;
            self.book.direct()
        } else {
            return None;
        };
        if targets.is_empty() {
            // The higher operator dials over relays only after some attempts; this one counts.
            self.backoff.failed(now, 0.5);
            return None;
        }
        self.dialling = true;
        Some(Action::Dial(targets))
    }

    /// When [`next_action`](Self::next_action) has to be asked again if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits_to_open =
            self.we_open && self.link.is_none() && self.opening.is_none() && !self.connections.is_empty();
        if waits_to_open {
            return Some(self.kept_away_until);
        }
        if self.dialling {
            None
        } else if self.connections.is_empty() {
            (!self.book.is_empty()).then(|| self.backoff.due())
        } else {
            self.wants_upgrade().then_some(self.next_upgrade)
        }
    }

    /// A connection is up; `ours`: it came of [`Action::Dial`].
    pub(super) fn connected(&mut self, connection: Connection, ours: bool, now: Instant) {
        self.connections.push(connection);
        if ours {
            self.dialling = false;
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
    pub(super) fn dial_failed(&mut self, now: Instant, random: f64) {
        self.dialling = false;
        if self.connections.is_empty() {
            self.backoff.failed(now, random);
        }
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
        if self.connections.is_empty() && !carried_link && self.backoff.due() <= now {
            self.backoff.failed(now, random);
        }
    }

    /// Opening the stream failed; the driver closes the connection.
    pub(super) fn open_failed(&mut self, id: ConnectionId, mismatch: bool, now: Instant, random: f64) {
        if self.opening == Some(id) {
            self.opening = None;
        }
        self.backoff.failed(now, random);
        if mismatch {
            self.keep_away(now + MISMATCH_WAIT);
        }
    }

    /// There is a stream on the connection; true if the peer's task is to carry it.
    pub(super) fn stream(&mut self, id: ConnectionId, now: Instant) -> bool {
        if self.opening == Some(id) {
            self.opening = None;
        }
        let Some(connection) = self.connections.iter().find(|connection| connection.id == id) else {
            return false;
        };
        if now < self.kept_away_until {
            return false;
        }
        self.link = Some(Link { connection: id, relayed: connection.relayed, since: now });
        self.next_upgrade = now + UPGRADE_INTERVAL;
        true
    }

    /// The link on this connection is up; tells whether it goes over a relay.
    pub(super) fn link_up(&mut self, id: ConnectionId, now: Instant) -> bool {
        self.backoff = Backoff::new(now);
        self.link.is_some_and(|link| link.connection == id && link.relayed)
    }

    /// The peer's task has given up the stream on this connection.
    pub(super) fn link_ended(
        &mut self,
        id: ConnectionId,
        verdict: Verdict,
        stood: Duration,
        now: Instant,
        random: f64,
    ) {
        if self.link.is_some_and(|link| link.connection == id) {
            self.link = None;
        }
        match verdict {
            Verdict::Broke => self.backoff.reset(now, random),
            Verdict::NeverUp => self.backoff.failed(now, random),
            Verdict::Mismatch => self.keep_away(now + MISMATCH_WAIT),
            Verdict::Breach => {
                let wait = self.penalty.breach(stood);
                self.keep_away(now + wait);
            }
        }
    }

    fn keep_away(&mut self, until: Instant) {
        self.kept_away_until = self.kept_away_until.max(until);
        self.backoff.hold_until(self.kept_away_until);
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

    fn wants_upgrade(&self) -> bool {
        self.connections.iter().all(|connection| connection.relayed)
            && !self.book.direct().is_empty()
    }
}
