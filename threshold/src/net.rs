//! The network of one node: authenticated links to the other operators of the lock, and nothing
//! else.
//!
//! [`start`] binds the node's addresses and returns a [`NetHandle`] to send with and a receiver of
//! [`NetEvent`]s. Payloads are bytes; what they mean is the caller's.
//!
//! - **Who**: a connection is encrypted and authenticated with the secp256k1 keys of the ENRs
//!   (noise over TCP, TLS over QUIC). Whoever is not in the lock is refused once its key is known;
//!   configured relays are let in and get to see encrypted bytes only. The first words on a link
//!   are the lock hash, so that two clusters of the same operators do not mix.
//! - **Links**: one stream per peer, used in both directions, with length-prefixed frames (see
//!   `frame`). It is announced by [`NetEvent::Connected`] when frames flow both ways, and its end
//!   by [`NetEvent::Disconnected`]; frames of one peer come in the order they were sent (urgent
//!   ones overtake). A link that breaks is built again for as long as the node runs. What waited
//!   for it is lost: on `Connected` the node sends what it holds.
//! - **Isolation**: each peer has its own task, queue and bounds. A slow peer's queue drops its
//!   oldest duty first ([`FrameTag`]); a flooding peer is read more slowly
//!   ([`MAX_FRAMES_PER_SECOND`], [`MAX_WORK_PER_SECOND`]) and waits its turn.
//!
//! | file | what it does |
//! | --- | --- |
//! | `config` | checks what the network is started with |
//! | `transport` | the swarm and its sockets |
//! | `driver` | the task that owns the swarm |
//! | `peer`, `addresses`, `backoff`, `relays` | what to do next for a peer or a relay; no I/O |
//! | `streams` | the cluster's stream on a connection |
//! | `link` | the task of one peer: hello, read, write |
//! | `frame`, `queue`, `outbox`, `rate` | bytes on a link, frames that wait, how fast |
//! | `stats` | counters |

mod addresses;
mod backoff;
mod config;
mod driver;
mod error;
mod frame;
mod link;
mod outbox;
mod peer;
mod queue;
mod rate;
mod relays;
mod resolve;
mod stats;
mod streams;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use threshold_protocol::OperatorIndex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::driver::Driver;
use self::outbox::Outbox;
use self::stats::{NetStats, PeerStats};

pub use self::config::{NetConfig, PeerInfo, peer_id};
pub use self::error::{DisconnectReason, NetError};
pub use self::frame::MAX_FRAME_BYTES;
pub use self::outbox::SendOutcome;
pub use self::queue::{FrameTag, MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES};
pub use self::rate::{
    MAX_BYTES_PER_SECOND, MAX_FRAMES_PER_SECOND, MAX_WORK_BURST, MAX_WORK_PER_SECOND,
};
pub use self::stats::{NetSnapshot, PeerSnapshot};
pub use libp2p::{Multiaddr, PeerId};

/// Events that wait for the node, from all peers together.
///
/// It bounds memory (this many frames of [`MAX_FRAME_BYTES`]) and how long a frame can be held up
/// by a flood from another peer: by this many frames, and one of each peer.
pub const EVENT_QUEUE: usize = 32;

/// What happened on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetEvent {
    /// A link is up in both directions; frames that are sent now are taken.
    Connected {
        /// To whom.
        peer: OperatorIndex,
    },
    /// The link is gone, and with it the frames that waited. Another one will be tried.
    Disconnected {
        /// To whom.
        peer: OperatorIndex,
        /// Why.
        reason: DisconnectReason,
    },
    /// A frame arrived. It comes from that operator's key, and is hostile until parsed.
    Frame {
        /// From whom.
        peer: OperatorIndex,
        /// What was given to `send`, 1 to [`MAX_FRAME_BYTES`] bytes.
        bytes: Bytes,
    },
}

/// Starts the network: binds the addresses, then dials in the background.
///
/// The network ends with [`NetHandle::shutdown`], or when the receiver is dropped. The receiver
/// has to be emptied swiftly: while it is full nothing is read from any peer.
///
/// # Errors
/// The configuration does not fit together, or an address cannot be bound.
pub async fn start(config: NetConfig) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
    let (keypair, roster) = config::check(&config)?;
    let mut swarm = transport::build(keypair, &roster)?;
    let listen = transport::listen(&mut swarm, &config).await?;

    let peers = roster.peers.keys().map(|index| (*index, Arc::new(PeerShared::new(*index))));
    let shared = Arc::new(Shared { stats: NetStats::default(), peers: peers.collect(), listen });
    let (events, received) = mpsc::channel(EVENT_QUEUE);
    let shutdown = CancellationToken::new();
    let ended = CancellationToken::new();
    let driver =
        Driver::new(swarm, roster, config.lock_hash, Arc::clone(&shared), events, shutdown.clone());
    let ends = ended.clone().drop_guard();
    tokio::spawn(async move {
        driver.run().await;
        drop(ends);
    });
    Ok((NetHandle { shared, shutdown, ended }, received))
}

/// The node's end of the network. Clones speak to the same one.
#[derive(Debug, Clone)]
pub struct NetHandle {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    ended: CancellationToken,
}

impl NetHandle {
    /// Gives a frame to a peer's queue. Never waits; a full queue drops its oldest duty.
    pub fn send(&self, to: OperatorIndex, tag: FrameTag, bytes: Bytes) -> SendOutcome {
        let Some(peer) = self.shared.peers.get(&to) else { return SendOutcome::Invalid };
        let (outcome, dropped) = peer.outbox.push(tag, bytes);
        peer.stats.dropped(dropped);
        if outcome == SendOutcome::NotConnected {
            peer.stats.frames_not_connected.fetch_add(1, Relaxed);
        }
        outcome
    }

    /// Gives a frame to every other operator's queue.
    pub fn broadcast(&self, tag: FrameTag, bytes: &Bytes) {
        for peer in self.shared.peers.keys() {
            // A peer that is not connected or too slow is counted; the others go on.
            let _ = self.send(*peer, tag, bytes.clone());
        }
    }

    /// Charges a peer for the time that its frames took. A peer that costs more than
    /// [`MAX_WORK_PER_SECOND`] is read more slowly from its next frame on.
    pub fn charge(&self, peer: OperatorIndex, work: Duration) {
        if let Some(peer) = self.shared.peers.get(&peer) {
            let micros = u64::try_from(work.as_micros()).unwrap_or(u64::MAX);
            peer.work_micros.fetch_add(micros, Relaxed);
            peer.stats.worked(micros);
        }
    }

    /// The addresses that are bound, with the ports that the system chose for port 0; TCP and QUIC
    /// listen on each.
    #[must_use]
    pub fn listen_addresses(&self) -> &[SocketAddr] {
        &self.shared.listen
    }

    /// The peers to which a link is up.
    #[must_use]
    pub fn connected(&self) -> Vec<OperatorIndex> {
        let peers = self.shared.peers.iter();
        let connected = peers.filter(|(_, peer)| peer.stats.connected.load(Relaxed));
        connected.map(|(index, _)| *index).collect()
    }

    /// All counters at this moment.
    #[must_use]
    pub fn snapshot(&self) -> NetSnapshot {
        let peers = self.shared.peers.values();
        NetSnapshot {
            strangers_refused: self.shared.stats.strangers_refused.load(Relaxed),
            relays_reserved: self.shared.stats.relays_reserved.load(Relaxed),
            peers: peers
                .map(|peer| peer.stats.snapshot(peer.operator, peer.outbox.waiting()))
                .collect(),
        }
    }

    /// Sends what waits (for half a second at most), closes all links and sockets, and returns
    /// when that is done.
    pub async fn shutdown(&self) {
        self.shutdown.cancel();
        self.ended.cancelled().await;
    }
}

/// What the handles and the tasks share.
#[derive(Debug)]
struct Shared {
    stats: NetStats,
    peers: BTreeMap<OperatorIndex, Arc<PeerShared>>,
    listen: Vec<SocketAddr>,
}

/// One peer's part of it.
struct PeerShared {
    operator: OperatorIndex,
    outbox: Outbox,
    /// Work that its frames have caused and the link has not yet accounted for, in microseconds.
    work_micros: AtomicU64,
    stats: PeerStats,
}

impl PeerShared {
    fn new(operator: OperatorIndex) -> Self {
        Self {
            operator,
            outbox: Outbox::default(),
            work_micros: AtomicU64::new(0),
            stats: PeerStats::default(),
        }
    }

    fn take_work(&self) -> Duration {
        Duration::from_micros(self.work_micros.swap(0, Relaxed))
    }
}

impl fmt::Debug for PeerShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the frames that wait: they are of no use in a log.
        f.debug_struct("PeerShared").field("operator", &self.operator).finish_non_exhaustive()
    }
}
