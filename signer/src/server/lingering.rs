//! Lets a client that is still sending a refused request's body read why it was refused.
//!
//! A socket that is closed with bytes in it that nobody has read resets the connection, and the reset
//! overtakes the answer: the client sees "connection reset" instead of a 413. So the server ends its own
//! half and goes on reading for a while, as RFC 9112, section 9.6, recommends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;

/// A client that sends nothing for so long, and does not end either, has stopped.
const SILENCE: Duration = Duration::from_secs(2);
/// How long a client may go on sending.
const LONGEST: Duration = Duration::from_secs(10);
/// How much of what it sends is thrown away, in bytes: a body twice as long as the longest that any route
/// takes.
const MOST: usize = 256 * 1024 * 1024;
/// Bytes thrown away at once.
const CHUNK: usize = 16 * 1024;

/// Knows whether the client may still be sending what nobody will read.
pub(crate) trait Lingers {
    /// Asked when the stream ends, and while it waits for its client.
    fn lingers(&self) -> bool;
}

impl Lingers for Arc<Activity> {
    fn lingers(&self) -> bool {
        Activity::lingers(self)
    }
}

/// Of a stream that carries one request: its client ends it when it has the answer.
#[derive(Debug)]
pub(crate) struct UntilClientEnds;

impl Lingers for UntilClientEnds {
    fn lingers(&self) -> bool {
        true
    }
}

/// A stream whose end waits for what the client is still sending. It goes below TLS: what is thrown away
/// need not be decrypted.
#[derive(Debug)]
pub(crate) struct Lingering<S, L> {
    stream: S,
    lingers: L,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// The server's half is closed.
    Discarding {
        until: Pin<Box<Sleep>>,
        longest: Instant,
        left: usize,
    },
    Closed,
}

impl<S, L> Lingering<S, L> {
    pub(crate) const fn new(stream: S, lingers: L) -> Self {
        Self { stream, lingers, state: State::Open }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl State {
    fn discarding() -> Self {
        let now = Instant::now();
        Self::Discarding {
            until: Box::pin(sleep_until(now + SILENCE)),
            longest: now + LONGEST,
            left: MOST,
        }
    }
}

/// Throws away what comes. Ready when the client has ended, or broken off, or `left` have come.
fn poll_discard<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    left: &mut usize,
) -> (Poll<()>, bool) {
    let mut chunk = [std::mem::MaybeUninit::uninit(); CHUNK];
    let mut any = false;
    loop {
        let mut buffer = ReadBuf::uninit(&mut chunk);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return (Poll::Pending, any),
            Poll::Ready(Err(_)) => return (Poll::Ready(()), any),
            Poll::Ready(Ok(())) => {
                let came = buffer.filled().len();
                any = true;
                *left = left.saturating_sub(came);
                if came == 0 || *left == 0 {
                    return (Poll::Ready(()), any);
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, L: Lingers> Lingering<S, L> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Open => {
                    std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                    self.state =
                        if self.lingers.lingers() { State::discarding() } else { State::Closed };
                }
                State::Discarding { until, longest, left } => {
                    let (ended, any) = poll_discard(&mut self.stream, cx, left);
                    if any {
                        until.as_mut().reset((Instant::now() + SILENCE).min(*longest));
                    }
                    let over = ended.is_ready() || !self.lingers.lingers();
                    if !over && until.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.state = State::Closed;
                }
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + Unpin, L: Unpin> AsyncRead for Lingering<S, L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, L: Lingers + Unpin> AsyncWrite for Lingering<S, L> {
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
        self.poll_end(cx)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A stream whose last request's body was not read, and the client's end.
    fn refused() -> (Lingering<DuplexStream, Arc<Activity>>, DuplexStream, Arc<Activity>) {
        let (client, server) = duplex(CHUNK);
        let activity = Activity::new();
        drop(activity.body());
        (Lingering::new(server, Arc::clone(&activity)), client, activity)
    }

    /// How long the server's end takes.
    async fn ending(mut server: Lingering<DuplexStream, Arc<Activity>>) -> Duration {
        let begun = Instant::now();
        server.shutdown().await.unwrap();
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_to_its_end_closes_at_once() {
        let (server, _client, activity) = refused();
        let _request = activity.request(false);
        activity.body().arrived();
        assert_eq!(ending(server).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_body_is_taken_until_the_client_ends() {
        let (server, mut client, _) = refused();
        let ended = tokio::spawn(ending(server));
        for _ in 0..100 {
            client.write_all(&[0; CHUNK]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await.unwrap();
        drop(client);
        assert_eq!(ended.await.unwrap(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_the_longest_time_and_the_most_bytes_end_it() {
        let (server, _client, _) = refused();
        assert_eq!(ending(server).await, SILENCE);

        let (server, mut client, _) = refused();
        let drip = tokio::spawn(async move {
            while client.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(ending(server).await, LONGEST);
        drip.await.unwrap();

        let (server, mut client, _) = refused();
        let flood = tokio::spawn(async move {
            let mut sent = 0;
            while client.write_all(&[0; CHUNK]).await.is_ok() {
                sent += CHUNK;
            }
            sent
        });
        assert_eq!(ending(server).await, Duration::ZERO);
        assert!(flood.await.unwrap() < MOST + 4 * CHUNK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_to_make_room_does_not_linger() {
        let (mut server, _client, activity) = refused();
        tokio::select! {
            ended = server.shutdown() => panic!("{ended:?}"),
            () = tokio::time::sleep(SILENCE / 2) => {}
        }
        activity.hurry();
        assert_eq!(ending(server).await, Duration::ZERO);
    }
}
