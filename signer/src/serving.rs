//! The listeners of a node and what is served on them: the signing interface and the figures, the same
//! for every backend. Bound first ([`Listeners`]), served when the backend is there ([`Serving`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eth_types::network::Network;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::config::{HttpArgs, MetricsArgs};
use crate::host::HostAllowList;
use crate::keymanager::KeyManagerApi;
use crate::limits::{LimitSizes, RequestLimits};
use crate::metrics::{ConnectionMetrics, LimitMetrics, Metrics};
use crate::open_files;
use crate::origin::AllowedOrigins;
use crate::router::{App, metrics_router, router};
use crate::server::{ServerOptions, serve};
use crate::tls::ServerTls;

/// Connections of the metrics listener at once: a Prometheus or two and a few people.
const METRICS_CONNECTIONS: usize = 64;

/// Sockets that are bound and not served yet. Binding them comes first at a start: a second start of
/// the same node fails there, with a message about it, and what follows is not begun in vain.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    metrics: Option<TcpListener>,
    tls: Option<ServerTls>,
    origins: AllowedOrigins,
}

impl Listeners {
    /// Reads the TLS files and binds what the options ask for.
    ///
    /// # Errors
    /// An option is no list of origins, the TLS options do not fit together ([`TlsArgsError`](crate::config::TlsArgsError)), their files
    /// cannot be used ([`TlsError`](crate::tls::TlsError)), or an address is in use or refused
    /// ([`ListenError`](crate::listener::ListenError)).
    pub async fn bind(http: &HttpArgs, metrics: &MetricsArgs) -> anyhow::Result<Self> {
        let tls = match http.tls.files()? {
            Some(files) => {
                Some(tokio::task::spawn_blocking(move || ServerTls::open(files)).await??)
            }
            None => None,
        };
        let origins = AllowedOrigins::new(&http.http_cors_origins)?;
        let listener = http.listen(tls.as_ref()).await?;
        Ok(Self { http: listener, metrics: metrics.listen(http).await?, tls, origins })
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
    /// The key manager API, if it is served.
    pub key_manager: Option<KeyManagerApi>,
}

/// The servers of a running node.
#[derive(Debug)]
pub struct Serving {
    /// Where the HTTP interface listens.
    pub http: SocketAddr,
    /// Where the metrics interface listens.
    pub metrics: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    /// They end when this is dropped.
    _tasks: JoinSet<()>,
}

impl Serving {
    /// Serves `backend`, and the figures of `registry`.
    ///
    /// # Errors
    /// The operating system does not tell the addresses, or a figure is registered already.
    pub fn start(
        listeners: Listeners,
        options: ServingOptions<'_>,
        backend: Arc<dyn Backend>,
        registry: Registry,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let http = listeners.http.local_addr()?;
        let metrics_address =
            listeners.metrics.as_ref().map(TcpListener::local_addr).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let tls = listeners.tls;
        let limits = LimitMetrics::register(&registry)?;
        let app = App {
            hosts: HostAllowList::new(&options.http.http_host_allowlist),
            origins: listeners.origins,
            limits: RequestLimits::new(&LimitSizes::default(), Some(limits)),
            tls: tls.clone(),
            access_log: options.http.access_logs_enabled,
            key_manager: options.key_manager,
            ..App::new(backend.clone(), options.network, Arc::clone(&metrics))
        };
        let connections = ConnectionMetrics::register(&registry, tls.as_ref())?;
        let server = server_options(options.http, tls.clone(), connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(reload_on_hangup(backend, tls.clone()));
        if let Some(tls) = tls {
            tasks.spawn(tls.watch());
        }
        let stopping = stop_signal(stopped.clone());
        let mut servers = JoinSet::new();
        servers.spawn(serve(listeners.http, router(app), server, stopping));
        if let Some(listener) = listeners.metrics {
            let hosts = HostAllowList::new(&options.metrics.metrics_host_allowlist);
            let app = metrics_router(registry, metrics, hosts);
            let options =
                ServerOptions { max_connections: METRICS_CONNECTIONS, ..Default::default() };
            servers.spawn(serve(listener, app, options, stop_signal(stopped)));
        }
        Ok(Self { http, metrics: metrics_address, stop, servers, _tasks: tasks })
    }

    /// Completes when a server has ended without having been told to, which only a fault in the program
    /// makes it do: end the program then, since a process that lives on and serves nothing is not restarted.
    pub async fn ended(&mut self) -> ServerEnded {
        match self.servers.join_next().await {
            Some(Err(source)) => ServerEnded { source: Some(source) },
            Some(Ok(())) | None => ServerEnded { source: None },
        }
    }

    /// Stops accepting, and returns when what runs is finished or its time is up.
    pub async fn stop(mut self) {
        // The servers hold the other end.
        let _ = self.stop.send(true);
        while let Some(ended) = self.servers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a server ended badly");
            }
        }
    }
}

/// A server ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("a listener is not served any more, through a fault of the program")]
pub struct ServerEnded {
    #[source]
    source: Option<tokio::task::JoinError>,
}

fn server_options(
    http: &HttpArgs,
    tls: Option<ServerTls>,
    connections: ConnectionMetrics,
) -> ServerOptions {
    let wanted = usize::try_from(http.http_max_connections).unwrap_or(usize::MAX);
    let possible = open_files::connections();
    if possible < wanted {
        tracing::warn!(
            "the limit of open files allows {possible} connections, not {wanted} \
             (--http-max-connections): raise it (ulimit -n, LimitNOFILE)"
        );
    }
    ServerOptions {
        tls,
        idle_timeout: Duration::from_secs(http.idle_connection_timeout_seconds),
        max_connections: wanted.min(possible),
        metrics: Some(connections),
    }
}

/// SIGHUP does what `POST /reload` does.
async fn reload_on_hangup(backend: Arc<dyn Backend>, tls: Option<ServerTls>) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return tracing::warn!(%error, "SIGHUP cannot be listened for"),
    };
    while hangups.recv().await.is_some() {
        match backend.reload() {
            Ok(()) => tracing::info!("SIGHUP: the keys are being read anew"),
            Err(refused) => tracing::info!("SIGHUP: {refused}"),
        }
        if let Some(tls) = &tls {
            tls.reload_and_log().await;
        }
    }
}

async fn stop_signal(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a reason to stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}
