//! Figures of the links to the other operators, read from the network when they are asked for.

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use threshold::net::{NetHandle, NetSnapshot, PeerSnapshot};

/// One figure of every link.
struct PeerFigure {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    /// `None` leaves the link out.
    value: fn(&PeerSnapshot) -> Option<f64>,
}

const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&PeerSnapshot) -> Option<f64>,
) -> PeerFigure {
    PeerFigure { name, help, kind: MetricType::COUNTER, value }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    value: fn(&PeerSnapshot) -> Option<f64>,
) -> PeerFigure {
    PeerFigure { name, help, kind: MetricType::GAUGE, value }
}

/// All but whether a link is up, which [`crate::cluster_metrics`] tells.
const PEER_FIGURES: [PeerFigure; 15] = [
    gauge("synod_peer_relayed", "1 if the link goes over a relay", |peer| {
        Some(f64::from(u8::from(peer.relayed)))
    }),
    gauge("synod_peer_round_trip_seconds", "Round trip of the last ping", |peer| {
        peer.round_trip.map(|time| time.as_secs_f64())
    }),
    gauge("synod_peer_queued_frames", "Frames that wait to be sent", |peer| {
        Some(peer.frames_queued as f64)
    }),
    gauge("synod_peer_queued_bytes", "Bytes that wait to be sent", |peer| {
        Some(peer.bytes_queued as f64)
    }),
    gauge("synod_peer_addresses", "Addresses at which the operator is looked for", |peer| {
        Some(peer.addresses as f64)
    }),
    counter("synod_peer_frames_sent_total", "Frames sent to the operator", |peer| {
        Some(peer.frames_sent as f64)
    }),
    counter("synod_peer_bytes_sent_total", "Bytes sent to the operator", |peer| {
        Some(peer.bytes_sent as f64)
    }),
    counter("synod_peer_frames_received_total", "Frames received from the operator", |peer| {
        Some(peer.frames_received as f64)
    }),
    counter("synod_peer_bytes_received_total", "Bytes received from the operator", |peer| {
        Some(peer.bytes_received as f64)
    }),
    counter(
        "synod_peer_frames_dropped_total",
        "Frames dropped because the queue was full or the link broke",
        |peer| Some(peer.frames_dropped as f64),
    ),
    counter(
        "synod_peer_frames_not_connected_total",
        "Frames not taken because the operator was not connected",
        |peer| Some(peer.frames_not_connected as f64),
    ),
    counter("synod_peer_links_total", "Links to the operator that came up", |peer| {
        Some(peer.links as f64)
    }),
    counter("synod_peer_dials_failed_total", "Dials to the operator that failed", |peer| {
        Some(peer.dials_failed as f64)
    }),
    counter("synod_peer_breaches_total", "Times the operator broke the protocol", |peer| {
        Some(peer.breaches as f64)
    }),
    counter(
        "synod_peer_work_seconds_total",
        "Time that this node spent on what the operator sent",
        |peer| Some(peer.work.as_secs_f64()),
    ),
];
const STRANGERS: (&str, &str) = (
    "synod_p2p_strangers_refused_total",
    "Connections refused because the other side is no operator of the lock",
);
const RELAYS: (&str, &str) =
    ("synod_p2p_relays_reserved", "Relays that hold a reservation for this node");

/// Reads a node's counters at each scrape.
struct NetMetrics {
    net: NetHandle,
    descs: Vec<Desc>,
}

/// Registers the figures of a node's links.
///
/// # Errors
/// A name is registered already.
pub(crate) fn register(registry: &Registry, net: NetHandle) -> Result<(), prometheus::Error> {
    let desc = |name: &str, help: &str, labels: &[&str]| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())
    };
    let mut descs = PEER_FIGURES
        .iter()
        .map(|figure| desc(figure.name, figure.help, &["operator"]))
        .collect::<Result<Vec<_>, _>>()?;
    for (name, help) in [STRANGERS, RELAYS] {
        descs.push(desc(name, help, &[])?);
    }
    registry.register(Box::new(NetMetrics { net, descs }))
}

impl Collector for NetMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&self.net.snapshot())
    }
}

fn families(snapshot: &NetSnapshot) -> Vec<MetricFamily> {
    let of_peers = PEER_FIGURES.iter().map(|figure| {
        let metrics = snapshot.peers.iter().filter_map(|peer| {
            let value = (figure.value)(peer)?;
            Some(metric(figure.kind, value, Some(peer.operator.to_string())))
        });
        family((figure.name, figure.help), figure.kind, metrics.collect())
    });
    let strangers = metric(MetricType::COUNTER, snapshot.strangers_refused as f64, None);
    let relays = metric(MetricType::GAUGE, snapshot.relays_reserved as f64, None);
    of_peers
        .chain([
            family(STRANGERS, MetricType::COUNTER, vec![strangers]),
            family(RELAYS, MetricType::GAUGE, vec![relays]),
        ])
        // The encoder refuses a family without values.
        .filter(|family| !family.get_metric().is_empty())
        .collect()
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn metric(kind: MetricType, value: f64, operator: Option<String>) -> Metric {
    let mut metric = Metric::default();
    if let Some(operator) = operator {
        let mut label = LabelPair::default();
        label.set_name("operator".to_owned());
        label.set_value(operator);
        metric.set_label(vec![label]);
    }
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::TextEncoder;
    use threshold_protocol::OperatorIndex;

    use super::*;

    #[test]
    fn every_link_has_its_figures_and_no_round_trip_before_the_first_ping() {
        let peer = |index, round_trip| PeerSnapshot {
            operator: OperatorIndex::new(index),
            connected: true,
            relayed: false,
            round_trip,
            frames_sent: 7,
            bytes_sent: 700,
            frames_received: 6,
            bytes_received: 600,
            frames_dropped: 5,
            bytes_dropped: 500,
            frames_not_connected: 4,
            frames_queued: 3,
            bytes_queued: 300,
            addresses: 2,
            links: 1,
            dials_failed: 8,
            breaches: 9,
            work: Duration::from_millis(1500),
        };
        let snapshot = NetSnapshot {
            strangers_refused: 11,
            relays_reserved: 12,
            peers: vec![peer(1, Some(Duration::from_millis(25))), peer(2, None)],
        };
        let text = TextEncoder::new().encode_to_string(&families(&snapshot)).unwrap();
        for line in [
            r#"synod_peer_round_trip_seconds{operator="1"} 0.025"#,
            r#"synod_peer_work_seconds_total{operator="1"} 1.5"#,
            r#"synod_peer_breaches_total{operator="2"} 9"#,
            r#"synod_peer_queued_bytes{operator="1"} 300"#,
            "synod_p2p_strangers_refused_total 11",
            "synod_p2p_relays_reserved 12",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
        assert!(!text.contains(r#"round_trip_seconds{operator="2"}"#), "{text}");
        assert!(families(&NetSnapshot { peers: Vec::new(), ..snapshot }).len() == 2);
    }
}
