//! `GET /livez` and `GET /readyz`, for orchestrators such as Kubernetes.
//!
//! `/livez` fails only for what a restart mends. `/readyz` fails while no request could be signed. Neither
//! is a refusal: they are asked every few seconds and log nothing.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::backend::{Backend, Health};
use crate::error::TEXT;
use crate::router::App;

/// One thing that has to be so, and why it is not.
type Checked = (&'static str, Result<(), String>);

/// Whether the tasks behind the server run.
pub(crate) async fn livez(State(app): State<App>) -> Response {
    answer(&[("tasks", app.backend.alive())])
}

/// Whether requests can be signed now.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    answer(&readiness(app.backend.as_ref()))
}

fn readiness(backend: &dyn Backend) -> [Checked; 4] {
    let Health { keys, slashing_database, peers } = backend.health();
    let failed: usize = keys.iter().map(|source| source.errors).sum();
    let keys = match backend.public_keys() {
        Err(not_ready) => Err(not_ready.reason),
        Ok(listed) if listed.is_empty() && failed > 0 => {
            Err(format!("none is loaded, {failed} could not be"))
        }
        Ok(_) => Ok(()),
    };
    let peers = match peers {
        Some(peers) if peers.connected < peers.quorum => Err(format!(
            "{} of {} operators connected, {} needed",
            peers.connected, peers.operators, peers.quorum
        )),
        _ => Ok(()),
    };
    [
        ("tasks", backend.alive()),
        ("keys", keys),
        ("slashing-database", slashing_database),
        ("peers", peers),
    ]
}

/// `OK`, or a line for each check, as Kubernetes' own probes answer.
fn answer(checks: &[Checked]) -> Response {
    if checks.iter().all(|(_, met)| met.is_ok()) {
        return ([(header::CONTENT_TYPE, TEXT)], "OK").into_response();
    }
    let lines: String = checks
        .iter()
        .map(|(name, met)| match met {
            Ok(()) => format!("[+]{name} ok\n"),
            Err(reason) => format!("[-]{name} failed: {reason}\n"),
        })
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, TEXT)], lines).into_response()
}
