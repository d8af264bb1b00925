//! `GET /upcheck`, `GET /healthcheck`, `GET /openapi.yaml`.

use api_spec::{Check, HealthAnswer, Status};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::backend::{Health, KeySource, Peers};
use crate::error::{TEXT, json};
use crate::router::App;

/// The server runs and answers.
pub(crate) async fn upcheck() -> Response {
    ([(header::CONTENT_TYPE, TEXT)], "OK").into_response()
}

/// The interface as an OpenAPI document.
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], api_spec::OPENAPI_YAML).into_response()
}

/// Whether everything that signing needs is at hand: 200 and `UP`, or 503 and `DOWN`.
///
/// It is not a refusal and is not logged: Vero asks every second, and the backend logs when its
/// state changes.
pub(crate) async fn healthcheck(State(app): State<App>) -> Response {
    let answer = health_answer(app.backend.health());
    let status = match answer.outcome {
        Status::Up => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, &answer)
}

/// Web3Signer's checks under their names, and one for the cluster.
fn health_answer(health: Health) -> HealthAnswer {
    let keys = health.keys.iter().map(key_source_check).collect();
    let database = match health.slashing_database {
        Ok(()) => Check::single("slashing-protection-db-health-check", Status::Up),
        Err(cause) => {
            Check::single("slashing-protection-db-health-check", Status::Down).with("cause", cause)
        }
    };
    let mut checks = vec![
        Check::single("default-check", Status::Up),
        Check::group("keys-check", keys),
        database,
    ];
    checks.extend(health.peers.map(peers_check));
    HealthAnswer::new(checks)
}

fn key_source_check(source: &KeySource) -> Check {
    let check = Check::single(source.id, (source.complete && source.errors == 0).into())
        .with("keys-loaded", source.loaded)
        .with("error-count", source.errors);
    if source.complete { check } else { check.with("cause", "not all keys are loaded yet") }
}

fn peers_check(peers: Peers) -> Check {
    Check::single("peers-check", (peers.connected >= peers.quorum).into())
        .with("connected", peers.connected)
        .with("operators", peers.operators)
        .with("quorum", peers.quorum)
}
