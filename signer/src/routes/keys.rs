//! `GET /api/v1/eth2/publicKeys`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::error::{ApiError, json};
use crate::router::App;

/// The keys that can sign, as a JSON array of lower-case hex with `0x`; 503 rather than a list that
/// lacks some of them.
pub(crate) async fn public_keys(State(app): State<App>) -> Result<Response, ApiError> {
    let keys = app.backend.public_keys()?;
    app.metrics.set_signers_loaded(keys.len());
    Ok(json(StatusCode::OK, &keys))
}
