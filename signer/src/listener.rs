//! The sockets that the options ask for.

use std::io;

use tokio::net::TcpListener;

use crate::config::{HttpArgs, MetricsArgs};
use crate::server::SHORT_IDLE_TIMEOUT;
use crate::tls::ServerTls;

/// Why nothing can listen where the options say.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program listens there.
    #[error(
        "{host}:{port} is in use by another program: stop that, or choose another port with \
         {port_option}"
    )]
    InUse {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The option for the port.
        port_option: &'static str,
    },
    /// Both listeners of the node are given one port.
    #[error(
        "--http-listen-port and --metrics-port both name port {port}: give one of them another, or turn \
         figures off with --metrics-enabled=false"
    )]
    SamePort {
        /// The port.
        port: u16,
    },
    /// The operating system refused.
    #[error("cannot listen on {host}:{port} ({host_option}, {port_option})")]
    Refused {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The option for the host.
        host_option: &'static str,
        /// The option for the port.
        port_option: &'static str,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl HttpArgs {
    /// Listens for signing requests. Warns if other machines can reach the address and are let in without
    /// showing who they are: whoever reaches it can have anything signed that the rules allow.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(&self, tls: Option<&ServerTls>) -> Result<TcpListener, ListenError> {
        let listener = bind(
            (&self.http_listen_host, "--http-listen-host"),
            (self.http_listen_port, "--http-listen-port"),
        )
        .await?;
        if let Ok(address) = listener.local_addr()
            && !address.ip().is_loopback()
            && let Some(warning) = exposure(tls.map(ServerTls::requires_client_certificates))
        {
            tracing::warn!(%address, "{warning}");
        }
        if self.idle_connection_timeout_seconds < SHORT_IDLE_TIMEOUT.as_secs() {
            tracing::warn!(
                "--idle-connection-timeout-seconds is {}: clients keep idle connections for up to 90 s and \
                 lose a request to one that is closed meanwhile; give {} or more, or leave it out",
                self.idle_connection_timeout_seconds,
                SHORT_IDLE_TIMEOUT.as_secs()
            );
        }
        Ok(listener)
    }
}

/// What is wrong with an address that other machines reach, given whether clients need a certificate there
/// (`None` without TLS).
fn exposure(client_certificates: Option<bool>) -> Option<&'static str> {
    match client_certificates {
        Some(true) => None,
        Some(false) => Some(
            "signing requests are taken from other machines without client authentication: whoever \
             reaches the port can have anything signed that the rules allow. Give \
             --tls-known-clients-file or --tls-client-ca-file without --tls-allow-any-client, or let a \
             firewall admit the validator client only",
        ),
        None => Some(
            "signing requests are taken from other machines without TLS and without client \
             authentication: whoever reaches the port can have anything signed that the rules allow. \
             Give --tls-certificate-file and --tls-key-file (or --tls-keystore-file and \
             --tls-keystore-password-file) with --tls-known-clients-file or --tls-client-ca-file, or \
             listen on the loopback (--http-listen-host 127.0.0.1), or let a firewall admit the \
             validator client only",
        ),
    }
}

impl MetricsArgs {
    /// Listens for requests for figures, beside the listener of `http`, which comes first; `None` if they
    /// are turned off.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(&self, http: &HttpArgs) -> Result<Option<TcpListener>, ListenError> {
        if !self.metrics_enabled {
            return Ok(None);
        }
        let port = self.metrics_port;
        match bind((&self.metrics_host, "--metrics-host"), (port, "--metrics-port")).await {
            Ok(listener) => Ok(Some(listener)),
            // The port is taken by this very program.
            Err(ListenError::InUse { .. }) if port == http.http_listen_port => {
                Err(ListenError::SamePort { port })
            }
            Err(error) => Err(error),
        }
    }
}

async fn bind(
    (host, host_option): (&str, &'static str),
    (port, port_option): (u16, &'static str),
) -> Result<TcpListener, ListenError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    TcpListener::bind((bare, port)).await.map_err(|source| {
        let host = host.to_owned();
        if source.kind() == io::ErrorKind::AddrInUse {
            ListenError::InUse { host, port, port_option }
        } else {
            ListenError::Refused { host, port, host_option, port_option, source }
        }
    })
}
