//! Counters of the network, for `/metrics` and logs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use threshold_protocol::OperatorIndex;

use super::queue::Dropped;

/// The network's counters at one moment, from [`NetHandle::snapshot`](super::NetHandle::snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetSnapshot {
    /// Connections refused because the other side's key is not in the lock.
    pub strangers_refused: u64,
    /// Relays that hold a reservation for this node.
    pub relays_reserved: u64,
    /// One entry for each other operator, by index.
    pub peers: Vec<PeerSnapshot>,
}

/// One peer's counters since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSnapshot {
    /// Whose counters these are.
    pub operator: OperatorIndex,
    /// A link is up.
    pub connected: bool,
    /// The link goes over a relay.
    pub relayed: bool,
    /// Round trip of the last ping, if one came back.
    pub round_trip: Option<Duration>,
    /// Frames written to the peer.
    pub frames_sent: u64,
    /// Their bytes, without headers.
    pub bytes_sent: u64,
    /// Frames read from the peer.
    pub frames_received: u64,
    /// Their bytes, without headers.
    pub bytes_received: u64,
    /// Time that the node spent on them.
    pub work: Duration,
    /// Frames dropped because the queue was full or the link broke before they left.
    pub frames_dropped: u64,
    /// Their bytes.
    pub bytes_dropped: u64,
    /// Frames not taken because the peer was not connected.
    pub frames_not_connected: u64,
    /// Frames that wait right now.
    pub frames_queued: usize,
    /// Bytes that wait right now.
    pub bytes_queued: usize,
    /// Addresses at which the peer is looked for; with none it has to dial this node.
    pub addresses: u64,
    /// Links that came up.
    pub links: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Times the peer broke the protocol, named another cluster, or came and went without end.
    pub breaches: u64,
}

/// The network-wide counters.
#[derive(Debug, Default)]
pub(super) struct NetStats {
    pub(super) strangers_refused: AtomicU64,
    pub(super) relays_reserved: AtomicU64,
}

/// One peer's counters.
#[derive(Debug, Default)]
pub(super) struct PeerStats {
    pub(super) connected: AtomicBool,
    pub(super) relayed: AtomicBool,
    /// In microseconds; 0 while there is none.
    round_trip: AtomicU64,
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
    work_micros: AtomicU64,
    frames_dropped: AtomicU64,
    bytes_dropped: AtomicU64,
    pub(super) frames_not_connected: AtomicU64,
    pub(super) addresses: AtomicU64,
    pub(super) links: AtomicU64,
    pub(super) dials_failed: AtomicU64,
    pub(super) breaches: AtomicU64,
}

impl PeerStats {
    pub(super) fn sent(&self, bytes: usize) {
        self.frames_sent.fetch_add(1, Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.frames_received.fetch_add(1, Relaxed);
        self.bytes_received.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn worked(&self, micros: u64) {
        self.work_micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn dropped(&self, dropped: Dropped) {
        self.frames_dropped.fetch_add(dropped.frames, Relaxed);
        self.bytes_dropped.fetch_add(dropped.bytes, Relaxed);
    }

    pub(super) fn ping(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).max(1);
        self.round_trip.store(micros, Relaxed);
    }

    /// The counters with what waits in the queue (frames, bytes).
    pub(super) fn snapshot(&self, operator: OperatorIndex, queued: (usize, usize)) -> PeerSnapshot {
        let micros = self.round_trip.load(Relaxed);
        let connected = self.connected.load(Relaxed);
        PeerSnapshot {
            operator,
            connected,
            relayed: connected && self.relayed.load(Relaxed),
            round_trip: (micros > 0).then(|| Duration::from_micros(micros)),
            frames_sent: self.frames_sent.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            frames_received: self.frames_received.load(Relaxed),
            bytes_received: self.bytes_received.load(Relaxed),
            work: Duration::from_micros(self.work_micros.load(Relaxed)),
            frames_dropped: self.frames_dropped.load(Relaxed),
            bytes_dropped: self.bytes_dropped.load(Relaxed),
            frames_not_connected: self.frames_not_connected.load(Relaxed),
            frames_queued: queued.0,
            bytes_queued: queued.1,
            addresses: self.addresses.load(Relaxed),
            links: self.links.load(Relaxed),
            dials_failed: self.dials_failed.load(Relaxed),
            breaches: self.breaches.load(Relaxed),
        }
    }
}
