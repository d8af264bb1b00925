//! `GET /api/v1/eth2/highWatermark`.

use api_spec::HighWatermarkAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::error::{ApiError, json};
use crate::router::App;

/// The slot and the epoch from which on nothing is signed; `{}` if none is set.
pub(crate) async fn high_watermark(State(app): State<App>) -> Result<Response, ApiError> {
    let mark = app.backend.high_watermark().await?;
    Ok(json(StatusCode::OK, &HighWatermarkAnswer { epoch: mark.epoch, slot: mark.slot }))
}
