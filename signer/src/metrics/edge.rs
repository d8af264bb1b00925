//! Figures of connections and of what is not taken on.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, PullingGauge, Registry};

use crate::tls::ServerTls;

/// Figures of a listener's connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    open: IntGauge,
    accepted: IntCounter,
    handshakes_failed: IntCounterVec,
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
        if let Some(tls) = tls.cloned() {
            let expiry = PullingGauge::new(
                "synod_tls_certificate_expiry_timestamp_seconds",
                "When the TLS certificate expires, in unix seconds",
                Box::new(move || unix_seconds(tls.expiry().at())),
            )?;
            registry.register(Box::new(expiry))?;
        }
        Ok(Self { open, accepted, handshakes_failed })
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
