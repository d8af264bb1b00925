//! `POST /reload` and `GET /reload`, in Web3Signer's shapes.

use api_spec::{ReloadAnswer, ReloadOutcome, ReloadProgress, ReloadStatusAnswer};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::backend::{ReloadRefused, ReloadState, ReloadStatus};
use crate::error::json;
use crate::router::App;

/// What Web3Signer answers to a reload that has begun.
const ACCEPTED: &str = "Reload operation accepted and is running in the background. Use GET /reload \
                        to check status.";
/// What Web3Signer answers while one runs.
const RUNNING: &str = "A reload operation is already in progress. Please try again later.";

/// What a node answers whose keys are fixed, and whose certificates are not.
const CERTIFICATES: &str = "The TLS certificates are being read anew. The keys of this node are fixed \
                            while it runs.";

/// Starts reading the keys anew, and the TLS certificates.
pub(crate) async fn start(State(app): State<App>) -> Response {
    if let Some(tls) = app.tls.clone() {
        // It logs how that went.
        tokio::spawn(async move { tls.reload_and_log().await });
    }
    let (status, outcome, message) = match app.backend.reload() {
        Ok(()) => (StatusCode::ACCEPTED, ReloadOutcome::Accepted, ACCEPTED.to_owned()),
        Err(ReloadRefused::Running) => {
            app.metrics.count_refusal("reload_running");
            (StatusCode::CONFLICT, ReloadOutcome::Error, RUNNING.to_owned())
        }
        Err(ReloadRefused::Unsupported) if app.tls.is_some() => {
            (StatusCode::ACCEPTED, ReloadOutcome::Accepted, CERTIFICATES.to_owned())
        }
        Err(refused @ ReloadRefused::Unsupported) => {
            app.metrics.count_refusal("reload_unsupported");
            (StatusCode::NOT_IMPLEMENTED, ReloadOutcome::Error, refused.to_string())
        }
    };
    tracing::info!(status = status.as_u16(), "reload asked for over HTTP: {message}");
    json(status, &ReloadAnswer { status: outcome, message })
}

/// How the last reload went, or goes.
pub(crate) async fn status(State(app): State<App>) -> Response {
    json(StatusCode::OK, &status_answer(app.backend.reload_status()))
}

fn status_answer(status: ReloadStatus) -> ReloadStatusAnswer {
    ReloadStatusAnswer {
        status: match status.state {
            ReloadState::Idle => ReloadProgress::Idle,
            ReloadState::Running => ReloadProgress::Running,
            ReloadState::Completed => ReloadProgress::Completed,
            ReloadState::CompletedWithErrors => ReloadProgress::CompletedWithErrors,
            ReloadState::Failed => ReloadProgress::Failed,
        },
        last_operation_time: status
            .last_operation
            .and_then(|time| OffsetDateTime::from(time).format(&Rfc3339).ok()),
        last_error: status.last_error,
    }
}
