//! Figures for Prometheus: Web3Signer's names where it has them, and by duty and reason beyond.
//!
//! The registry is passed in, and holds what the other crates register too; nothing is global.

mod edge;
mod summary;
mod throttle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_spec::DutyType;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use eth_types::PublicKey;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use slashing_db::{Answered, SlashingDb};

pub(crate) use self::edge::ConnectionError;
pub use self::edge::{ConnectionMetrics, LimitMetrics};
use self::summary::Summary;
pub(crate) use self::throttle::{NewsThrottle, Throttle};
use crate::error::{ApiError, Refusal};

/// Upper bounds of the latency buckets in seconds, from 100 us to the time after which every client
/// has given up.
const LATENCY_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 12.0,
];

/// What is recorded, as labels.
const BLOCK: &str = "block";
const ATTESTATION: &str = "attestation";

/// A flood of requests is told of this often in the log.
const OVERLOAD_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The `result` label of a request that was answered with a signature.
pub const RESULT_SIGNED: &str = "signed";
/// The `result` label of a request whose client did not wait for the answer.
pub const RESULT_CLIENT_GONE: &str = "client_gone";

/// The figures of the HTTP side.
#[derive(Debug)]
pub struct Metrics {
    /// Web3Signer's name and, for its dashboard's sake, its type; from the whole body to the answer.
    signing_duration: Summary,
    missing_identifiers: IntCounter,
    signers_loaded: IntGauge,
    malformed_requests: IntCounter,
    permitted_signings: IntCounter,
    prevented_signings: IntCounter,
    block_recording: Summary,
    attestation_recording: Summary,
    record_duration: HistogramVec,
    sign_duration: HistogramVec,
    sign_in_flight: IntGauge,
    refusals: IntCounterVec,
    overload_logged: Throttle,
}

impl Metrics {
    /// Registers the figures; all of them are there from the start, at zero.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };

        let signing_duration = Summary::new(
            "signing_bls_signing_duration",
            "Seconds from a whole signing request to its answer, with quantiles of the last ten minutes",
            None,
        )?;
        registry.register(Box::new(signing_duration.clone()))?;

        let sign_duration = HistogramVec::new(
            HistogramOpts::new(
                "synod_sign_duration_seconds",
                "Seconds from a whole signing request to its answer, by duty and result",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
            &["duty", "result"],
        )?;
        registry.register(Box::new(sign_duration.clone()))?;
        for duty in DutyType::ALL {
            sign_duration.with_label_values(&[duty.as_str(), RESULT_SIGNED]);
        }

        let recording = |operation| -> Result<Summary, prometheus::Error> {
            let summary = Summary::new(
                "eth2_slashingprotection_database_duration",
                "Seconds that the slashing database took for a request, with quantiles of the last ten minutes",
                Some(("signingOperation", operation)),
            )?;
            registry.register(Box::new(summary.clone()))?;
            Ok(summary)
        };
        let record_duration = HistogramVec::new(
            HistogramOpts::new(
                "synod_slashing_db_record_duration_seconds",
                "Seconds from a batch's call to its answer by the slashing database, by what is in it",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
            &["operation"],
        )?;
        registry.register(Box::new(record_duration.clone()))?;
        for operation in [BLOCK, ATTESTATION] {
            record_duration.with_label_values(&[operation]);
        }

        let refusals = IntCounterVec::new(
            Opts::new("synod_http_refusals_total", "Requests not answered with 200, by reason"),
            &["reason"],
        )?;
        registry.register(Box::new(refusals.clone()))?;

        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let release = IntGaugeVec::new(
            Opts::new("process_release", "The version of this program"),
            &["version"],
        )?;
        registry.register(Box::new(release.clone()))?;
        release.with_label_values(&[concat!("synod/", env!("CARGO_PKG_VERSION"))]).set(1);
        let build = IntGaugeVec::new(
            Opts::new("synod_build_info", "What this program was built as"),
            &["version", "os", "arch", "profile"],
        )?;
        registry.register(Box::new(build.clone()))?;
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), os, arch, profile]).set(1);

        Ok(Self {
            signing_duration,
            missing_identifiers: counter(
                "signing_bls_missing_identifier_count_total",
                "Signing requests for a key that is not here",
            )?,
            signers_loaded: gauge("signing_signers_loaded_count", "Keys that can sign")?,
            malformed_requests: counter(
                "http_bls_malformed_request_count_total",
                "Signing requests that could not be read",
            )?,
            permitted_signings: counter(
                "eth2_slashingprotection_permitted_signings_total",
                "Signatures that were given",
            )?,
            prevented_signings: counter(
                "eth2_slashingprotection_prevented_signings_total",
                "Signatures that slashing protection refused",
            )?,
            block_recording: recording(BLOCK)?,
            attestation_recording: recording(ATTESTATION)?,
            record_duration,
            sign_duration,
            sign_in_flight: gauge("synod_sign_in_flight", "Signing requests being worked on")?,
            refusals,
            overload_logged: Throttle::new(OVERLOAD_LOG_INTERVAL),
        })
    }

    /// Sets the number of keys that can sign.
    pub fn set_signers_loaded(&self, keys: usize) {
        self.signers_loaded.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Measures how long the slashing database takes.
    pub fn follow(self: &Arc<Self>, db: &SlashingDb) {
        let metrics = Arc::clone(self);
        db.observe(move |answered| metrics.recorded(&answered));
    }

    fn recorded(&self, answered: &Answered) {
        let seconds = answered.took.as_secs_f64();
        for (count, operation, summary) in [
            (answered.blocks, BLOCK, &self.block_recording),
            (answered.attestations, ATTESTATION, &self.attestation_recording),
        ] {
            if count > 0 {
                summary.observe(answered.took);
                self.record_duration.with_label_values(&[operation]).observe(seconds);
            }
        }
    }

    /// Counts a signing request as being worked on, from now until [`SignAttempt::end`].
    pub(crate) fn sign_started(self: &Arc<Self>) -> SignAttempt {
        self.sign_in_flight.inc();
        SignAttempt {
            metrics: Arc::clone(self),
            started: Instant::now(),
            duty: None,
            validator: None,
            ended: false,
        }
    }

    fn sign_ended(&self, duty: Option<DutyType>, result: &'static str, elapsed: Duration) {
        self.sign_in_flight.dec();
        let seconds = elapsed.as_secs_f64();
        let duty = duty.map_or("unknown", DutyType::as_str);
        self.sign_duration.with_label_values(&[duty, result]).observe(seconds);
        self.signing_duration.observe(elapsed);
        match result {
            RESULT_SIGNED => self.permitted_signings.inc(),
            "malformed" | "other_network" | "signing_root_mismatch" => {
                self.malformed_requests.inc();
            }
            "unknown_key" => self.missing_identifiers.inc(),
            "slashing" => self.prevented_signings.inc(),
            _ => {}
        }
    }

    /// Whether one more refusal for overload is worth a line that people read.
    pub(crate) fn overload_is_news(&self) -> bool {
        self.overload_logged.allows()
    }

    /// Counts an answer other than 200.
    pub(crate) fn count_refusal(&self, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
    }
}

/// A signing request that is being worked on.
///
/// Dropped without an end, it is one whose client went away, most often because it lost patience. No
/// answer goes out then and many clients log nothing of it, so it is logged and counted here.
pub(crate) struct SignAttempt {
    metrics: Arc<Metrics>,
    started: Instant,
    /// The type of the request, once it is known.
    pub(crate) duty: Option<DutyType>,
    /// The validator, once it is known.
    pub(crate) validator: Option<PublicKey>,
    ended: bool,
}

impl SignAttempt {
    /// Records the outcome: [`RESULT_SIGNED`] or the reason of a refusal.
    pub(crate) fn end(mut self, result: &'static str) {
        self.ended = true;
        self.metrics.sign_ended(self.duty, result, self.started.elapsed());
    }
}

impl Drop for SignAttempt {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let elapsed = self.started.elapsed();
        self.metrics.sign_ended(self.duty, RESULT_CLIENT_GONE, elapsed);
        tracing::warn!(
            reason = RESULT_CLIENT_GONE,
            duty = self.duty.map(tracing::field::display),
            validator = self.validator.map(tracing::field::display),
            "the client went away after {} ms without waiting for the answer",
            elapsed.as_millis()
        );
    }
}

/// `GET /metrics` over `registry`, without what surrounds every listener's routes
/// ([`crate::router::metrics_router`] adds that).
pub(crate) fn routes(registry: Registry) -> Router {
    Router::new().route(api_spec::paths::METRICS, get(expose)).with_state(registry)
}

async fn expose(State(registry): State<Registry>) -> Result<Response, ApiError> {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder
        .encode(&registry.gather(), &mut text)
        .map_err(|error| Refusal::Internal(format!("metrics: {error}")))?;
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response())
}
