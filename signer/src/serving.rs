//! The listeners of a node and what is served on them: the signing interface and the figures, the same
//! for every backend. Bound first ([`Listeners`]), served when the backend is there ([`Serving`]).

use std::net::SocketAddr;
use std::sync::Arc;

use eth_types::network::Network;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backend::Backend;
use crate::config::{HttpArgs, MetricsArgs};
use crate::host::HostAllowList;
use crate::metrics::Metrics;
use crate::router::{App, metrics_router, router};
use crate::server::serve;

/// Sockets that are bound and not served yet. Binding them comes first at a start: a second start of
/// the same node fails there, with a message about it, and what follows is not begun in vain.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the options ask for.
    ///
    /// # Errors
    /// An address is in use or refused, see [`ListenError`](crate::listener::ListenError).
    pub async fn bind(http: &HttpArgs, metrics: &MetricsArgs) -> anyhow::Result<Self> {
        Ok(Self { http: http.listen().await?, metrics: metrics.listen().await? })
    }
}

/// What is served, and with which options.
#[derive(Debug)]
pub struct ServingOptions<'a> {
    /// The chain whose duties are signed.
    pub network: Network,
    /// The HTTP interface.
    pub http: &'a HttpArgs,
    /// The metrics interface.
    pub metrics: &'a MetricsArgs,
}

/// The servers of a running node.
#[derive(Debug)]
pub struct Serving {
    /// Where the HTTP interface listens.
    pub http: SocketAddr,
    /// Where the metrics interface listens.
    pub metrics: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Serves `backend`, and the figures of `registry`.
    ///
    /// # Errors
    /// The operating system does not tell the addresses.
    pub fn start(
        listeners: Listeners,
        options: ServingOptions<'_>,
        backend: Arc<dyn Backend>,
        registry: Registry,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let http = listeners.http.local_addr()?;
        let metrics_address =
            listeners.metrics.as_ref().map(TcpListener::local_addr).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let app = App {
            backend,
            network: options.network,
            metrics: Arc::clone(&metrics),
            hosts: HostAllowList::new(&options.http.http_host_allowlist),
        };
        let mut servers =
            vec![tokio::spawn(serve(listeners.http, router(app), stop_signal(stopped.clone())))];
        if let Some(listener) = listeners.metrics {
            let hosts = HostAllowList::new(&options.metrics.metrics_host_allowlist);
            let app = metrics_router(registry, metrics, hosts);
            servers.push(tokio::spawn(serve(listener, app, stop_signal(stopped))));
        }
        Ok(Self { http, metrics: metrics_address, stop, servers })
    }

    /// Stops accepting, and returns when what runs is finished or its time is up.
    pub async fn stop(self) {
        // The servers hold the other end.
        let _ = self.stop.send(true);
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a server ended badly");
            }
        }
    }
}

async fn stop_signal(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a reason to stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}
