//! The access log: one line for every request, whatever it was answered.

use std::time::Instant;

use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use crate::server::ClientAddress;

/// Longest path or `User-Agent` that is logged, in bytes.
const TEXT_LIMIT: usize = 256;

/// Middleware: logs each request at level info, with target `access`.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let client = request.extensions().get::<ClientAddress>().cloned();
    let method = request.method().clone();
    let path = cut(request.uri().path());
    let version = request.version();
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok()).map(cut);

    let response = next.run(request).await;
    tracing::info!(
        target: "access",
        client = client.as_ref().map(|client| tracing::field::display(client.address)),
        name = client.as_ref().and_then(|client| client.name.as_deref()),
        %method,
        path,
        ?version,
        status = response.status().as_u16(),
        micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        agent,
    );
    response
}

/// The text's beginning. Paths and header values hold no control characters.
fn cut(text: &str) -> String {
    let end = (0..=TEXT_LIMIT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
