//! What a connection is doing, so that the ones that do nothing can be told from the busy ones.
//!
//! [`Watched`] sits below HTTP and sees bytes, [`Activity::request`] above it and sees requests. Between
//! them they know whether a connection is idle, in the middle of a request's header, or busy.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// How an HTTP/2 connection begins; no HTTP/1.1 method does.
const HTTP2_PREFACE: &[u8] = b"PRI ";
/// A connection on which bodies are on their way, and none got there for so long, counts as idle.
const STALLED: Duration = Duration::from_secs(1);
/// Stands for "no".
const NOT: u64 = u64::MAX;

/// What one connection is doing. Times are milliseconds since its beginning.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// When the last request ended, or the connection began.
    quiet_since: AtomicU64,
    /// When the first byte of the next request came, or [`NOT`].
    header_since: AtomicU64,
    requests_running: AtomicU32,
    /// Running requests whose bodies are on their way.
    bodies_coming: AtomicU32,
    /// When the last of those began, or another one was there.
    body_progress: AtomicU64,
    /// A request was read in full at least once.
    proven: AtomicBool,
    http2: AtomicBool,
    /// The body of the last request was not read to its end.
    body_left: AtomicBool,
    /// The connection has to end soon.
    hurried: AtomicBool,
}

/// Why a connection is closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// It did nothing for too long.
    Idle,
    /// The header of a request took too long.
    SlowHeader,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            quiet_since: AtomicU64::new(0),
            header_since: AtomicU64::new(NOT),
            requests_running: AtomicU32::new(0),
            bodies_coming: AtomicU32::new(0),
            body_progress: AtomicU64::new(0),
            proven: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            body_left: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
        })
    }

    /// A request is being answered until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>, http2: bool) -> RequestGuard {
        self.http2.store(http2, Relaxed);
        self.proven.store(true, Relaxed);
        self.header_since.store(NOT, Relaxed);
        self.body_left.store(false, Relaxed);
        self.requests_running.fetch_add(1, Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// The body of a running request is on its way until the guard is dropped.
    pub(super) fn body(self: &Arc<Self>) -> BodyGuard {
        self.body_progress.store(self.now(), Relaxed);
        self.bodies_coming.fetch_add(1, Relaxed);
        BodyGuard { activity: Arc::clone(self), arrived: false }
    }

    /// The connection is told to end and does not wait for its client.
    pub(super) fn hurry(&self) {
        self.hurried.store(true, Relaxed);
    }

    /// Whether the client may still be sending a body that nobody reads, and is given time for it. HTTP/2
    /// tells it to stop.
    pub(super) fn lingers(&self) -> bool {
        let [left, http2, hurried] =
            [&self.body_left, &self.http2, &self.hurried].map(|flag| flag.load(Relaxed));
        left && !http2 && !hurried
    }

    /// How willingly the connection is given up for a new one: first those that never sent a request or
    /// stopped in the middle of one, the longest first; then by how long they have been quiet. `None` while
    /// requests run.
    pub(super) fn idleness(&self) -> Option<(bool, Duration)> {
        let running = self.requests_running.load(Relaxed);
        // What has happened since the clock was read is no time at all.
        let since = |time: &AtomicU64| {
            self.begun.elapsed().saturating_sub(Duration::from_millis(time.load(Relaxed)))
        };
        if running == 0 {
            return Some((!self.proven.load(Relaxed), since(&self.quiet_since)));
        }
        let stalled = since(&self.body_progress);
        let all_coming = self.bodies_coming.load(Relaxed) >= running;
        (all_coming && stalled >= STALLED).then_some((true, stalled))
    }

    /// Completes when the connection has been idle for `idle`, or in one header for `header`; within twice
    /// `header` after that.
    pub(super) async fn expired(&self, idle: Duration, header: Duration) -> Expired {
        loop {
            let now = Instant::now();
            let busy = self.requests_running.load(Relaxed) > 0;
            let since = self.header_since.load(Relaxed);
            let header_ends =
                (since != NOT).then(|| self.begun + Duration::from_millis(since) + header);
            let idle_ends = self.begun + self.quiet_since() + idle;
            if !busy && header_ends.is_some_and(|end| end <= now) {
                return Expired::SlowHeader;
            }
            if !busy && idle_ends <= now {
                return Expired::Idle;
            }
            // A header may begin at any time, so this looks again at least that often.
            let mut wake = now + header;
            if !busy {
                wake = header_ends.map_or(wake, |end| wake.min(end)).min(idle_ends);
            }
            sleep_until(wake).await;
        }
    }

    fn bytes_came(&self, bytes: &[u8]) {
        if self.requests_running.load(Relaxed) > 0 || self.http2.load(Relaxed) {
            // Of HTTP/2 even an idle connection has frames: pings and settings.
            return;
        }
        if !self.proven.load(Relaxed) && bytes.starts_with(HTTP2_PREFACE) {
            self.http2.store(true, Relaxed);
            return;
        }
        let _ = self.header_since.compare_exchange(NOT, self.now(), Relaxed, Relaxed);
    }

    fn quiet_since(&self) -> Duration {
        Duration::from_millis(self.quiet_since.load(Relaxed))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(NOT - 1)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.now(), Relaxed);
        self.0.requests_running.fetch_sub(1, Relaxed);
    }
}

/// A body that is on its way.
#[derive(Debug)]
pub(super) struct BodyGuard {
    activity: Arc<Activity>,
    arrived: bool,
}

impl BodyGuard {
    /// The body was read to its end, or broke off.
    pub(super) fn arrived(mut self) {
        self.arrived = true;
    }
}

impl Drop for BodyGuard {
    fn drop(&mut self) {
        let activity = &self.activity;
        if !self.arrived {
            activity.body_left.store(true, Relaxed);
        }
        activity.body_progress.store(activity.now(), Relaxed);
        activity.bodies_coming.fetch_sub(1, Relaxed);
    }
}

/// A stream whose bytes are told to an [`Activity`].
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match buf.filled().get(before..) {
            Some([]) | None => {}
            Some(came) => self.activity.bytes_came(came),
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(120);
    const HEADER: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_idle_after_that_time() {
        let activity = Activity::new();
        let begun = Instant::now();
        assert_eq!(activity.expired(IDLE, HEADER).await, Expired::Idle);
        assert_eq!(begun.elapsed().as_secs(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_end_is_slow_from_its_first_byte_on() {
        let activity = Activity::new();
        tokio::time::advance(Duration::from_secs(50)).await;
        activity.bytes_came(b"GET /upch");
        tokio::time::advance(Duration::from_secs(5)).await;
        activity.bytes_came(b"e");
        let begun = Instant::now();
        assert_eq!(activity.expired(IDLE, HEADER).await, Expired::SlowHeader);
        assert_eq!(begun.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_request_is_neither_and_the_time_counts_from_its_end() {
        let activity = Activity::new();
        activity.bytes_came(b"GET ");
        let request = activity.request(false);
        tokio::select! {
            expired = activity.expired(IDLE, HEADER) => panic!("{expired:?}"),
            () = tokio::time::sleep(IDLE * 10) => {}
        }
        assert_eq!(activity.idleness(), None);
        drop(request);
        let begun = Instant::now();
        assert_eq!(activity.expired(IDLE, HEADER).await, Expired::Idle);
        assert_eq!(begun.elapsed().as_secs(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_of_an_idle_http2_connection_are_no_header() {
        for begin in [true, false] {
            let activity = Activity::new();
            if begin {
                activity.bytes_came(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            } else {
                drop(activity.request(true));
            }
            activity.bytes_came(&[0; 17]);
            assert_eq!(activity.expired(IDLE, HEADER).await, Expired::Idle);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_never_asked_are_given_up_first_and_then_the_quietest() {
        let (silent, quiet, recent) = (Activity::new(), Activity::new(), Activity::new());
        drop(quiet.request(false));
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(recent.request(false));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(silent.idleness() > quiet.idleness());
        assert!(quiet.idleness() > recent.idleness());
        assert!(recent.idleness() > Activity::new().idleness().filter(|(unproven, _)| !unproven));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stopped_in_mid_body_is_given_up_before_idle_ones() {
        let (stalled, idle) = (Activity::new(), Activity::new());
        drop(idle.request(false));
        tokio::time::advance(Duration::from_secs(60)).await;
        let request = stalled.request(false);
        let body = stalled.body();
        assert_eq!(stalled.idleness(), None);
        tokio::time::advance(STALLED).await;
        assert!(stalled.idleness() > idle.idleness());
        // The rest comes, and the request is answered.
        drop(body);
        tokio::time::advance(STALLED * 10).await;
        assert_eq!(stalled.idleness(), None);
        drop(request);
        assert!(idle.idleness() > stalled.idleness());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_ends_while_its_connection_is_looked_at_was_quiet_for_no_time() {
        let activity = Activity::new();
        activity.quiet_since.store(1000, Relaxed);
        assert_eq!(activity.idleness(), Some((true, Duration::ZERO)));
    }
}
