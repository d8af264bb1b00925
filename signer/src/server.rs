//! The HTTP server: accepts connections, speaks HTTP/1.1 and HTTP/2 with and without TLS, and stops
//! without cutting off what runs.
//!
//! What a client can take from it is bounded: connections ([`ServerOptions::max_connections`], the idle
//! ones make room for new ones), handshakes at once, the time for a handshake, for a request's header, and
//! for doing nothing.

mod activity;
mod arriving;
mod connection;
mod connections;
pub(crate) mod lingering;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use self::connection::ClientAddress;
use self::connection::Setup;
use self::connections::Connections;
use crate::metrics::{ConnectionMetrics, NewsThrottle};
use crate::tls::ServerTls;

/// How long a connection may be idle unless an option says otherwise. Clients keep idle connections for up
/// to 90 s (Go, reqwest) and do not repeat a POST that runs into a closing one: the server must not be
/// the first to close.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Under this an operator is warned: clients' 90 s, and the time a request is on its way.
pub const SHORT_IDLE_TIMEOUT: Duration = Duration::from_secs(95);
/// How long a request's header may take from its first byte on. It fits in a packet or two.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take from the client's first byte on: two round trips.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshakes at once; others wait with what they have sent. Each holds tens of kilobytes.
const MAX_HANDSHAKES: usize = 1024;
/// A client that is refused for its certificate again and again is told of this often in the log.
const REFUSALS_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Connections at once unless an option says otherwise. Nimbus opens one for each validator: this is
/// enough for 10,000 of them.
pub const MAX_CONNECTIONS: usize = 16_384;
/// How long running requests get at shutdown: under the 10 s that container runtimes wait before they
/// kill, so that the database can still be closed.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(8);
/// Pause after a failed `accept`, most often because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a listener is served.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// HTTPS instead of HTTP.
    pub tls: Option<ServerTls>,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// Connections at once. Above, an idle one is closed for each new one.
    pub max_connections: usize,
    /// Where connections are counted, if they are.
    pub metrics: Option<ConnectionMetrics>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tls: None,
            idle_timeout: IDLE_TIMEOUT,
            max_connections: MAX_CONNECTIONS,
            metrics: None,
        }
    }
}

/// Serves `app` on `listener` until `shutdown` completes, then stops accepting, lets running requests
/// finish for at most [`SHUTDOWN_GRACE`] with `Connection: close` in their answers, closes idle
/// connections, and returns.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) {
    let (drain, draining) = watch::channel(false);
    let open = Arc::new(Connections::new(options.max_connections));
    let setup = Arc::new(Setup {
        builder: connection::builder(options.idle_timeout),
        app,
        handshakes: Semaphore::new(MAX_HANDSHAKES),
        options,
        draining,
        refusals_logged: NewsThrottle::new(REFUSALS_LOG_INTERVAL),
    });
    let mut tasks = JoinSet::new();

    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = tasks.join_next() => log_panic(ended),
            accepted = accept(&listener, &open) => match accepted {
                Ok((stream, address, place)) => {
                    tasks.spawn(connection::run(Arc::clone(&setup), stream, address, place));
                }
                Err(error) => pause_after(error).await,
            },
        }
    }
    drop(listener);

    tracing::debug!(connections = tasks.len(), "closing connections");
    // They hold the other end.
    let _ = drain.send(true);
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, all_ended).await.is_err() {
        tracing::warn!(
            connections = tasks.len(),
            "requests still running after {} s are cut off",
            SHUTDOWN_GRACE.as_secs()
        );
    }
    tasks.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    open: &Arc<Connections>,
) -> io::Result<(tokio::net::TcpStream, std::net::SocketAddr, connections::Place)> {
    open.wait_for_room().await;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, open.enter()))
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
