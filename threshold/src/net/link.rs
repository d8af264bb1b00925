//! The task of one peer: carries its links, one after the other.
//!
//! A link is one stream on one connection, used in both directions: hello, then frames. The task
//! reads and writes at the same time and on its own, so that a slow peer makes nobody else wait.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use libp2p::swarm::{ConnectionId, Stream};
use threshold_protocol::OperatorIndex;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::DisconnectReason;
use super::frame::{
    FrameError, HEADER_BYTES, HEARTBEAT_INTERVAL, HelloError, MAX_FRAME_BYTES, encode_frame,
    exchange_hello, read_frame,
};
use super::peer::Verdict;
use super::rate::RateLimit;
use super::{NetEvent, PeerShared};

/// How long the peer may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long frames that wait may take to leave when the node shuts down.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// Small frames are gathered up to this size and written at once: one record of the encryption
/// (64 KiB with noise). What was gathered cannot be dropped any more, so it must not be much.
const BATCH_BYTES: usize = 48 << 10;

/// The read buffer of a link: some hundred small frames for one read of the stream.
const READ_BUFFER_BYTES: usize = 32 << 10;

/// A stream that the driver hands to the peer's task.
#[derive(Debug)]
pub(super) struct LinkStream {
    pub(super) connection: ConnectionId,
    pub(super) stream: Stream,
}

/// What the task tells the driver.
#[derive(Debug)]
pub(super) enum LinkReport {
    /// The hellos matched; frames flow.
    Up { connection: ConnectionId },
    /// The stream was given up. `stood` is how long frames flowed.
    Ended { connection: ConnectionId, end: LinkEnd, stood: Duration },
}

/// Why a link ended or never came up.
#[derive(Debug)]
pub(super) enum LinkEnd {
    /// The hellos did not match or did not come.
    NoHello(HelloError),
    /// No hello within [`HELLO_TIMEOUT`].
    HelloTimeout,
    /// A newer stream came before the hellos were exchanged.
    Superseded,
    /// It was up, and ended.
    Ended(DisconnectReason),
}

impl LinkEnd {
    /// What it means for the next link; written to the log as well.
    pub(super) fn judge(&self, operator: OperatorIndex) -> Verdict {
        match self {
            Self::Ended(reason) => {
                tracing::info!(%operator, %reason, "peer disconnected");
                if reason.is_breach() { Verdict::Breach } else { Verdict::Broke }
            }
            Self::NoHello(error @ HelloError::OtherCluster { .. }) => {
                tracing::warn!(%operator, %error, "peer refused");
                Verdict::Mismatch
            }
            Self::NoHello(error @ HelloError::NoHello) => {
                tracing::warn!(%operator, %error, "peer refused");
                Verdict::Breach
            }
            Self::NoHello(HelloError::Io(error)) => {
                tracing::debug!(%operator, %error, "link did not come up");
                Verdict::NeverUp
            }
            Self::HelloTimeout | Self::Superseded => Verdict::NeverUp,
        }
    }
}

/// What the task of one peer works with.
#[derive(Debug)]
pub(super) struct PeerTask {
    pub(super) shared: Arc<PeerShared>,
    pub(super) lock_hash: [u8; 32],
    pub(super) streams: mpsc::Receiver<LinkStream>,
    pub(super) reports: mpsc::Sender<(OperatorIndex, LinkReport)>,
    pub(super) events: mpsc::Sender<NetEvent>,
    pub(super) shutdown: CancellationToken,
}

impl PeerTask {
    /// Runs until the driver is gone or the node shuts down.
    pub(super) async fn run(mut self) {
        let mut next = None;
        loop {
            let LinkStream { connection, stream } = match next.take() {
                Some(link) => link,
                None => tokio::select! {
                    link = self.streams.recv() => match link {
                        Some(link) => link,
                        None => return,
                    },
                    () = self.shutdown.cancelled() => return,
                },
            };
            let (end, newer, stood) = self.carry(connection, stream).await;
            next = newer;
            let disconnected = match &end {
                LinkEnd::Ended(reason) => Some(NetEvent::Disconnected {
                    peer: self.shared.operator,
                    reason: reason.clone(),
                }),
                LinkEnd::NoHello(_) | LinkEnd::HelloTimeout | LinkEnd::Superseded => None,
            };
            // The driver first: it can look for another connection while the node is busy.
            self.report(LinkReport::Ended { connection, end, stood }).await;
            if let Some(event) = disconnected {
                // Fails only when the node has dropped the receiver; the driver ends on that.
                let _ = self.events.send(event).await;
            }
        }
    }

    /// One link from hello to end; also the stream that took over, and how long it was up.
    async fn carry(
        &mut self,
        connection: ConnectionId,
        mut stream: Stream,
    ) -> (LinkEnd, Option<LinkStream>, Duration) {
        let hello = timeout(HELLO_TIMEOUT, exchange_hello(&mut stream, self.lock_hash));
        tokio::select! {
            said = hello => match said {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    // Closed in good order, so that our hello reaches a peer of another cluster.
                    let _ = timeout(DRAIN_TIMEOUT, stream.close()).await;
                    return (LinkEnd::NoHello(error), None, Duration::ZERO);
                }
                Err(_) => return (LinkEnd::HelloTimeout, None, Duration::ZERO),
            },
            Some(newer) = self.streams.recv() => {
                return (LinkEnd::Superseded, Some(newer), Duration::ZERO);
            }
        }

        let up_since = Instant::now();
        self.shared.outbox.open();
        self.shared.stats.connected.store(true, Relaxed);
        self.shared.stats.links.fetch_add(1, Relaxed);
        self.report(LinkReport::Up { connection }).await;
        let (reason, newer) = self.exchange(stream).await;
        self.shared.stats.connected.store(false, Relaxed);
        self.shared.stats.dropped(self.shared.outbox.close());
        (LinkEnd::Ended(reason), newer, up_since.elapsed())
    }

    /// Reads and writes frames until one side ends it.
    async fn exchange(&mut self, stream: Stream) -> (DisconnectReason, Option<LinkStream>) {
        let (reader, writer) = stream.split();
        let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, reader);
        let Self { shared, streams, events, shutdown, .. } = self;
        let writing = write_all(writer, shared);
        tokio::pin!(writing);
        tokio::select! {
            reason = read_all(&mut reader, shared, events) => return (reason, None),
            reason = &mut writing => return (reason, None),
            newer = streams.recv() => return (DisconnectReason::Replaced, newer),
            () = shutdown.cancelled() => {}
        }
        shared.outbox.drain();
        // What was written is only on its way; that the peer ends its side shows that it came.
        let goodbye = async {
            writing.await;
            discard_all(&mut reader).await;
        };
        let _ = timeout(DRAIN_TIMEOUT, goodbye).await;
        (DisconnectReason::Shutdown, None)
    }

    async fn report(&self, report: LinkReport) {
        // Fails only when the driver has ended; the task ends next.
        let _ = self.reports.send((self.shared.operator, report)).await;
    }
}

/// Announces the link and passes frames on, no faster than the node takes them and the rate allows.
async fn read_all<R>(
    reader: &mut R,
    shared: &PeerShared,
    events: &mpsc::Sender<NetEvent>,
) -> DisconnectReason
where
    R: AsyncRead + Unpin,
{
    let peer = shared.operator;
    if events.send(NetEvent::Connected { peer }).await.is_err() {
        return DisconnectReason::Shutdown;
    }
    let mut rate = RateLimit::new(Instant::now());
    loop {
        let bytes = match read_frame(reader).await {
            Ok(bytes) => bytes,
            Err(error) => return reason_of(error),
        };
        shared.stats.received(bytes.len());
        let wait = rate.take(bytes.len(), shared.take_work(), Instant::now());
        // The channel serves waiting senders in turn, and each peer waits with one frame at most:
        // a flood from one delays a frame of another by the channel and one frame of each peer.
        if events.send(NetEvent::Frame { peer, bytes }).await.is_err() {
            return DisconnectReason::Shutdown;
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Reads until the peer ends its side.
async fn discard_all<R>(reader: &mut R)
where
    R: AsyncRead + Unpin,
{
    let mut scratch = [0; 4 << 10];
    while reader.read(&mut scratch).await.is_ok_and(|read| read > 0) {}
}

/// Writes what waits, and heartbeats when nothing does.
async fn write_all<W>(mut writer: W, shared: &PeerShared) -> DisconnectReason
where
    W: AsyncWrite + Unpin,
{
    let mut batch = BytesMut::with_capacity(BATCH_BYTES);
    loop {
        match timeout(HEARTBEAT_INTERVAL, shared.outbox.next()).await {
            Ok(Some(frame)) => {
                gather(&frame, &mut batch, shared);
                while batch.len() < BATCH_BYTES
                    && let Some(frame) = shared.outbox.try_next()
                {
                    gather(&frame, &mut batch, shared);
                }
            }
            Ok(None) => {
                let _ = writer.close().await;
                return DisconnectReason::Shutdown;
            }
            Err(_) => batch.put_bytes(0, HEADER_BYTES),
        }
        let written = match writer.write_all(&batch).await {
            Ok(()) => writer.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return reason_of(FrameError::Io(error));
        }
        batch.clear();
    }
}

fn gather(frame: &[u8], batch: &mut BytesMut, shared: &PeerShared) {
    encode_frame(frame, batch);
    shared.stats.sent(frame.len());
}

fn reason_of(error: FrameError) -> DisconnectReason {
    match error {
        FrameError::Closed => DisconnectReason::Closed,
        FrameError::Silent => DisconnectReason::Silent,
        FrameError::TooLong { length } => {
            DisconnectReason::FrameTooLong { length, max: MAX_FRAME_BYTES }
        }
        FrameError::Truncated => DisconnectReason::Broken(FrameError::Truncated.to_string()),
        FrameError::Io(error) => DisconnectReason::Broken(error.to_string()),
    }
}
