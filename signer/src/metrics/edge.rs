//! Figures of connections and of what is not taken on.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, PullingGauge, Registry};

use crate::tls::ServerTls;

/// Why a connection ended with an error, as labels.
const CONNECTION_ERRORS: [&str; 5] = [
    ConnectionError::PARSE,
    ConnectionError::TOO_LARGE,
    ConnectionError::TIMEOUT,
    ConnectionError::CLIENT_GONE,
    ConnectionError::OTHER,
];

/// The `reason` labels of connections that ended with an error.
pub(crate) struct ConnectionError;

impl ConnectionError {
    /// What came is not HTTP; the HTTP library answers 400.
    pub(crate) const PARSE: &str = "parse";
    /// A header that is longer than is read; the HTTP library answers 431 or 414.
    pub(crate) const TOO_LARGE: &str = "header_too_large";
    /// A header that did not end in its time.
    pub(crate) const TIMEOUT: &str = "timeout";
    /// The client ended the connection in the middle of something.
    pub(crate) const CLIENT_GONE: &str = "client_gone";
    /// Anything else, such as HTTP/2 that breaks its rules.
    pub(crate) const OTHER: &str = "other";
}

/// Figures of a listener's connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    open: IntGauge,
    accepted: IntCounter,
    handshakes_failed: IntCounterVec,
    errors: IntCounterVec,
}

impl ConnectionMetrics {
    /// Registers the figures, and with TLS when the certificate expires.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn register(
        registry: &Registry,
        tls: Option<&ServerTls>,
    ) -> Result<Self, prometheus::Error> {
        let open = IntGauge::new("synod_http_connections", "Connections of the HTTP interface")?;
        registry.register(Box::new(open.clone()))?;
        let accepted = IntCounter::new(
            "synod_http_connections_total",
            "Connections that the HTTP interface accepted",
        )?;
        registry.register(Box::new(accepted.clone()))?;
        let handshakes_failed = IntCounterVec::new(
            Opts::new(
                "synod_tls_handshake_failures_total",
                "TLS handshakes that failed, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(handshakes_failed.clone()))?;
        let errors = IntCounterVec::new(
            Opts::new(
                "synod_http_connection_errors_total",
                "Connections that ended with an error, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(errors.clone()))?;
        for reason in CONNECTION_ERRORS {
            errors.with_label_values(&[reason]);
        }
        if let Some(tls) = tls.cloned() {
            let expiry = PullingGauge::new(
                "synod_tls_certificate_expiry_timestamp_seconds",
                "When the TLS certificate expires, in unix seconds",
                Box::new(move || unix_seconds(tls.expiry().at())),
            )?;
            registry.register(Box::new(expiry))?;
        }
        Ok(Self { open, accepted, handshakes_failed, errors })
    }

    /// Counts a connection as open until the guard is dropped.
    pub(crate) fn connection(&self) -> ConnectionGuard {
        self.accepted.inc();
        self.open.inc();
        ConnectionGuard(self.open.clone())
    }

    pub(crate) fn handshake_failed(&self, reason: &str) {
        self.handshakes_failed.with_label_values(&[reason]).inc();
    }

    /// Counts a connection that ended with an error: one of [`ConnectionError`].
    pub(crate) fn connection_failed(&self, reason: &str) {
        self.errors.with_label_values(&[reason]).inc();
    }
}

/// An open connection.
pub(crate) struct ConnectionGuard(IntGauge);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Figures of what is not taken on.
#[derive(Debug, Clone)]
pub struct LimitMetrics {
    shed: IntCounterVec,
}

impl LimitMetrics {
    /// Registers the figures.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let shed = IntCounterVec::new(
            Opts::new(
                "synod_http_shed_total",
                "Requests refused for overload, by what was exhausted",
            ),
            &["class"],
        )?;
        registry.register(Box::new(shed.clone()))?;
        for class in ["bodies", "block", "proposal", "vote", "other"] {
            shed.with_label_values(&[class]);
        }
        Ok(Self { shed })
    }

    pub(crate) fn shed(&self, class: &str) {
        self.shed.with_label_values(&[class]).inc();
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
