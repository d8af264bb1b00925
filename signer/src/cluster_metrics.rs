//! Figures of the cluster, for Prometheus: what was settled and how, who is connected, who misbehaved.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use threshold::{Cluster, Observer};
use threshold_protocol::agreement::InstanceKey;
use threshold_protocol::engine::Report;

/// The metrics of a node's part in its cluster.
#[derive(Debug, Clone)]
pub struct ClusterMetrics {
    settled: IntCounterVec,
    expired: IntCounterVec,
    refused_own: IntCounterVec,
    refused_peers: IntCounterVec,
    lies: IntCounterVec,
    bad_partials: IntCounterVec,
    peer_connected: IntGaugeVec,
    operators: IntGauge,
    threshold: IntGauge,
}

impl ClusterMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let peer_connected = IntGaugeVec::new(
            Opts::new("synod_peer_connected", "1 if the link to the operator is up"),
            &["operator"],
        )?;
        registry.register(Box::new(peer_connected.clone()))?;
        Ok(Self {
            settled: counters(
                "synod_settled_total",
                "Slashable duties on which the cluster settled, by type and round (0: leaderless)",
                &["duty", "round"],
            )?,
            expired: counters(
                "synod_expired_total",
                "Slashable duties whose deadline passed without agreement, by type",
                &["duty"],
            )?,
            refused_own: counters(
                "synod_refused_own_total",
                "Settled messages that this node did not sign, by type",
                &["duty"],
            )?,
            refused_peers: counters(
                "synod_refused_peers_total",
                "Co-signatures refused to peers, by operator and reason",
                &["operator", "reason"],
            )?,
            lies: counters(
                "synod_proven_lies_total",
                "Operators caught endorsing two messages for one duty",
                &["operator"],
            )?,
            bad_partials: counters(
                "synod_bad_partials_total",
                "Bad partial signatures, by the operator that sent them",
                &["operator"],
            )?,
            peer_connected,
            operators: gauge("synod_operators", "Operators of the cluster")?,
            threshold: gauge("synod_threshold", "Operators that a signature takes")?,
        })
    }

    /// Keeps the gauges of the links true for as long as the node runs.
    pub fn follow(&self, cluster: &Cluster) {
        let mut status = cluster.watch_status();
        let metrics = self.clone();
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        tokio::spawn(async move {
            loop {
                let now = *status.borrow_and_update();
                metrics.operators.set(whole(now.quorum.operators()));
                metrics.threshold.set(whole(now.quorum.threshold()));
                for operator in now.quorum.all().filter(|operator| *operator != now.me) {
                    let connected = i64::from(now.connected.contains(operator));
                    let label = operator.to_string();
                    metrics.peer_connected.with_label_values(&[label.as_str()]).set(connected);
                }
                if status.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

impl Observer for ClusterMetrics {
    fn report(&self, report: &Report) {
        match report {
            Report::Settled { key, round, .. } => {
                let round = round.to_string();
                self.settled.with_label_values(&[duty(key), round.as_str()]).inc();
            }
            // Logged; a figure would say no more.
            Report::ClockSetBack { .. } => {}
            Report::Expired { key, .. } => self.expired.with_label_values(&[duty(key)]).inc(),
            Report::RefusedOwn { key, .. } => {
                self.refused_own.with_label_values(&[duty(key)]).inc();
            }
            Report::RefusedPeer { operator, reason, .. } => {
                let (operator, reason) = (operator.to_string(), reason.to_string());
                self.refused_peers.with_label_values(&[operator.as_str(), reason.as_str()]).inc();
            }
            Report::Lie(lie) => {
                let operator = lie.operator.to_string();
                self.lies.with_label_values(&[operator.as_str()]).inc();
            }
            Report::BadPartial { operator, .. } => {
                let operator = operator.to_string();
                self.bad_partials.with_label_values(&[operator.as_str()]).inc();
            }
        }
    }
}

const fn duty(key: &InstanceKey) -> &'static str {
    match key {
        InstanceKey::Attestation { .. } => "attestation",
        InstanceKey::Block { .. } => "block",
    }
}
