//! The sockets that the options ask for.

use std::io;

use tokio::net::TcpListener;

use crate::config::{HttpArgs, MetricsArgs};

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
    /// Listens for signing requests. Warns if other machines can reach the address: whoever reaches it
    /// can have anything signed that the rules allow.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(&self) -> Result<TcpListener, ListenError> {
        let listener = bind(
            (&self.http_listen_host, "--http-listen-host"),
            (self.http_listen_port, "--http-listen-port"),
        )
        .await?;
        if let Ok(address) = listener.local_addr()
            && !address.ip().is_loopback()
        {
            tracing::warn!(
                %address,
                "signing requests are taken from other machines without authentication: let a \
                 firewall admit the validator client only"
            );
        }
        Ok(listener)
    }
}

impl MetricsArgs {
    /// Listens for requests for figures; `None` if they are turned off.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(&self) -> Result<Option<TcpListener>, ListenError> {
        if !self.metrics_enabled {
            return Ok(None);
        }
        bind((&self.metrics_host, "--metrics-host"), (self.metrics_port, "--metrics-port"))
            .await
            .map(Some)
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
