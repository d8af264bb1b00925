//! One connection from its handshake to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, Version};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use super::activity::{Activity, Expired, Watched};
use super::arriving::Arriving;
use super::connections::Place;
use super::lingering::Lingering;
use super::{HANDSHAKE_TIMEOUT, HEADER_TIMEOUT, ServerOptions};
use crate::metrics::{ConnectionError, NewsThrottle};
use crate::tls::{self, ServerTls};

/// An HTTP/2 connection is asked for a sign of life this often: one whose client is gone without a word
/// ends before it is idle.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(40);
/// How long the answer to that may take.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection. A validator client with one connection asks for the
/// attestations of all its keys of a slot together, 313 of 10,000; those above wait at the client for a
/// round trip.
const HTTP2_STREAMS: u32 = 256;
/// What one HTTP/2 connection may send ahead of its being read.
const HTTP2_CONNECTION_WINDOW: u32 = 256 * 1024;
/// What one HTTP/2 request may send ahead of its being read.
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
/// Longest header of a request, and what is read ahead of a body. A request's header has a few hundred
/// bytes; with all connections in use this is half a gigabyte.
const HTTP1_BUFFER: usize = 32 * 1024;
/// Longest header of an HTTP/2 request.
const HTTP2_HEADER: u32 = 16 * 1024;
/// What a connection that is told to end gets to write its last answer.
const CLOSING_GRACE: Duration = Duration::from_secs(5);

/// Who asks; an extension of every request that came over a socket.
#[derive(Debug, Clone)]
pub struct ClientAddress {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// The common name of the certificate that the client has shown.
    pub name: Option<Arc<str>>,
}

/// What all connections of a listener have in common.
pub(super) struct Setup {
    pub(super) builder: Builder<TokioExecutor>,
    pub(super) app: Router,
    pub(super) handshakes: Semaphore,
    pub(super) options: ServerOptions,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) refusals_logged: NewsThrottle,
}

/// How connections speak HTTP.
pub(super) fn builder(idle_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // For hyper the time between two requests belongs to the second one's header. [`Activity`] tells
        // them apart; this is the backstop.
        .header_read_timeout(idle_timeout + HEADER_TIMEOUT * 2)
        .max_buf_size(HTTP1_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .max_header_list_size(HTTP2_HEADER)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}

/// Runs a connection to its end.
pub(super) async fn run(setup: Arc<Setup>, stream: TcpStream, address: SocketAddr, place: Place) {
    let _counted = setup.options.metrics.as_ref().map(|metrics| metrics.connection());
    // Answers are small and awaited: do not hold them back to fill a packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let stream = Lingering::new(stream, Arc::clone(&place.activity));
    let Some(tls) = setup.options.tls.clone() else {
        let client = ClientAddress { address, name: None };
        return serve(&setup, stream, client, &place).await;
    };
    // What counts as the end of a connection ends its handshake too.
    let mut draining = setup.draining.clone();
    let handshaken = tokio::select! {
        handshaken = handshake(&setup, &tls, stream, address) => handshaken,
        () = place.close.notified() => return,
        _ = draining.wait_for(|draining| *draining) => return,
    };
    let Some(stream) = handshaken else { return };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(|certificates| certificates.first());
    let name = certificate.and_then(tls::common_name).map(Arc::from);
    serve(&setup, Box::new(stream), ClientAddress { address, name }, &place).await;
}

async fn handshake(
    setup: &Setup,
    tls: &ServerTls,
    stream: Lingering<TcpStream, Arc<Activity>>,
    address: SocketAddr,
) -> Option<TlsStream<Lingering<TcpStream, Arc<Activity>>>> {
    // Silence holds no place among the handshakes; it counts as an idle connection.
    let waited =
        tokio::time::timeout(setup.options.idle_timeout, stream.get_ref().readable()).await;
    if !matches!(waited, Ok(Ok(()))) {
        return None;
    }
    let accepting = async {
        let _permit = setup.handshakes.acquire().await.ok();
        TlsAcceptor::from(tls.config()).accept(stream).await
    };
    let (reason, error) = match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tls::failure(&error),
        Err(_) => {
            ("timeout", format!("no end of the handshake in {} s", HANDSHAKE_TIMEOUT.as_secs()))
        }
    };
    if let Some(metrics) = &setup.options.metrics {
        metrics.handshake_failed(reason);
    }
    // An operator who sets up client certificates needs to see why they are refused, and not for each of
    // thousands of connections. The text names the certificate.
    let told = (address.ip(), &error);
    if reason == tls::CLIENT_CERTIFICATE && setup.refusals_logged.allows(told) {
        tracing::warn!(client = %address, "TLS client refused: {error}");
    } else {
        tracing::debug!(client = %address, reason, error, "TLS handshake failed");
    }
    None
}

/// Speaks HTTP until the client ends, the connection expires, has to make room, or the server stops.
async fn serve<S>(setup: &Setup, stream: S, client: ClientAddress, place: &Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = &place.activity;
    let peer = client.address;
    let io = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
    let service = Tracked { app: setup.app.clone(), activity: Arc::clone(activity), client };
    let connection = setup.builder.serve_connection(io, service);
    tokio::pin!(connection);

    let mut draining = setup.draining.clone();
    let told_to_end = async {
        tokio::select! {
            expired = activity.expired(setup.options.idle_timeout, HEADER_TIMEOUT) => Some(expired),
            () = place.close.notified() => Some(Expired::Idle),
            _ = draining.wait_for(|draining| *draining) => None,
        }
    };
    let mut slow_header = false;
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        reason = told_to_end => {
            tracing::trace!(?reason, "connection is told to end");
            activity.hurry();
            connection.as_mut().graceful_shutdown();
            match reason {
                // It is in the middle of nothing that would be worth finishing.
                Some(Expired::SlowHeader) => {
                    slow_header = true;
                    None
                }
                Some(Expired::Idle) => {
                    tokio::time::timeout(CLOSING_GRACE, connection.as_mut()).await.ok()
                }
                // The server bounds how long this may take.
                None => Some(connection.as_mut().await),
            }
        }
    };
    // The client went away, timed out, or does not speak HTTP: no request was read that could be answered
    // with a reason, or counted.
    let reason = match &ended {
        Some(Err(error)) => error_reason(error.as_ref()),
        _ if slow_header => ConnectionError::TIMEOUT,
        _ => return,
    };
    let error = ended.and_then(Result::err).map(tracing::field::display);
    tracing::debug!(client = %peer, reason, error, "connection ended");
    if let Some(metrics) = &setup.options.metrics {
        metrics.connection_failed(reason);
    }
}

/// The reason of the HTTP library's error as a label.
fn error_reason(error: &(dyn std::error::Error + Send + Sync + 'static)) -> &'static str {
    let Some(error) = error.downcast_ref::<hyper::Error>() else {
        // Reading the first bytes failed.
        return ConnectionError::CLIENT_GONE;
    };
    let source = std::error::Error::source(error);
    if error.is_parse_too_large() {
        ConnectionError::TOO_LARGE
    } else if error.is_parse() {
        ConnectionError::PARSE
    } else if error.is_timeout() {
        ConnectionError::TIMEOUT
    } else if error.is_incomplete_message()
        || error.is_body_write_aborted()
        || source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
    {
        ConnectionError::CLIENT_GONE
    } else {
        ConnectionError::OTHER
    }
}

/// The routes, with every request marked as running, and with who asks.
#[derive(Clone)]
struct Tracked {
    app: Router,
    activity: Arc<Activity>,
    client: ClientAddress,
}

impl Service<Request<Incoming>> for Tracked {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let running = self.activity.request(request.version() == Version::HTTP_2);
        request.extensions_mut().insert(self.client.clone());
        let request = request.map(|body| Arriving::watched(body, &self.activity));
        let answer = self.app.clone().oneshot(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(running);
            answer
        })
    }
}
