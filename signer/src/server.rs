//! The HTTP server: accepts connections, speaks HTTP/1.1 and HTTP/2 (also without TLS), and stops
//! without cutting off what runs.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

/// How long a connection may be idle. Clients keep idle connections for up to 90 s (Go, reqwest) and
/// do not repeat a POST that runs into a closing one: the server must not be the first to close.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// An HTTP/2 connection is asked for a sign of life this often, so that a live one is never idle.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(40);
/// How long the answer to that may take.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection: a validator client with one connection asks for the
/// attestations of all its keys of a slot together.
const HTTP2_STREAMS: u32 = 1024;
/// Connections at once; more wait in the listener's backlog. Nimbus opens one per validator.
const MAX_CONNECTIONS: usize = 8192;
/// How long running requests get at shutdown: under the 10 s that container runtimes wait before they
/// kill, so that the database can still be closed.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(8);
/// Pause after a failed `accept`, most often because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` on `listener` until `shutdown` completes, then stops accepting, lets running requests
/// finish for at most [`SHUTDOWN_GRACE`] with `Connection: close` in their answers, closes idle
/// connections, and returns.
pub async fn serve(listener: TcpListener, app: Router, shutdown: impl Future<Output = ()>) {
    let builder = connection_builder();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();

    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let watcher = graceful.watcher();
                    connections.spawn(connection(builder.clone(), stream, app.clone(), watcher));
                }
                Err(error) => pause_after(error).await,
            },
        }
    }
    drop(listener);

    tracing::debug!(connections = graceful.count(), "closing connections");
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests still running after {} s are cut off",
            SHUTDOWN_GRACE.as_secs()
        );
    }
    connections.shutdown().await;
}

/// How connections speak HTTP.
fn connection_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // In HTTP/1.1 the time between two requests counts as time to read the second one's header.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}

async fn connection(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    app: Router,
    watcher: Watcher,
) {
    // Answers are small and awaited: do not hold them back to fill a packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    // Ends connections that say nothing, in whatever state they are.
    let mut stream = TimeoutStream::new(stream);
    stream.set_read_timeout(Some(IDLE_TIMEOUT));
    stream.set_write_timeout(Some(IDLE_TIMEOUT));
    let stream = Box::pin(stream);

    let service = TowerToHyperService::new(app);
    let serving = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(serving).await {
        // The client went away, timed out, or does not speak HTTP.
        tracing::debug!(error, "connection ended");
    }
}

/// An error of one connection-to-be concerns nobody else; any other is waited out.
async fn pause_after(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task failed");
    }
}
