//! What the key manager endpoints refuse as a whole, and how they say so.

use api_spec::KeyManagerErrorAnswer;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::backend::NotReady;
use crate::error::json;
use crate::metrics::Metrics;

/// Longest message, in characters. Messages may quote file names and public keys, and a request may hold
/// anything.
const MESSAGE_LIMIT: usize = 1024;

/// Why a request was not answered with 200. The body is the key manager API's, `{"message":"..."}`.
///
/// | refusal | status | `reason` label |
/// | --- | --- | --- |
/// | [`Malformed`](Self::Malformed) | 400 | `malformed` |
/// | [`SlashingData`](Self::SlashingData) | 400 | `slashing_data` |
/// | [`NoToken`](Self::NoToken) | 401 | `no_token` |
/// | [`WrongToken`](Self::WrongToken) | 403 | `wrong_token` |
/// | [`Off`](Self::Off) | 404 | `not_found` |
/// | [`BodyTimeout`](Self::BodyTimeout) | 408 | `body_timeout` |
/// | [`BodyTooLarge`](Self::BodyTooLarge) | 413 | `body_too_large` |
/// | [`ContentEncoding`](Self::ContentEncoding) | 415 | `content_encoding` |
/// | [`Failed`](Self::Failed) | 500 | `internal` |
/// | [`NotReady`](Self::NotReady) | 503 | `unavailable` |
///
/// No text quotes a request: it may hold a password where none is expected.
#[derive(Debug, thiserror::Error)]
pub enum KeyManagerError {
    /// The node was started without the endpoints.
    #[error("the key manager API is off; start the signer with --key-manager-api-enabled")]
    Off,
    /// No `Authorization: Bearer` header.
    #[error(
        "no bearer token: send `Authorization: Bearer TOKEN` with the token of the node's token file"
    )]
    NoToken,
    /// Another token than the node's.
    #[error("the bearer token is not that of the node's token file")]
    WrongToken,
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The slashing data as a whole cannot be taken, so nothing was imported.
    #[error("nothing is imported, since the slashing protection data cannot be: {0}")]
    SlashingData(String),
    /// The client stopped sending in mid-body.
    #[error("the body did not arrive within {seconds} s")]
    BodyTimeout {
        /// The time limit.
        seconds: u64,
    },
    /// The body is longer than any request.
    #[error("the body is longer than {limit} bytes; send the keys in parts")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body is compressed.
    #[error("compressed bodies are not supported; send the body as it is")]
    ContentEncoding,
    /// Keys are not known yet.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Something that should work did not; the text says what was done and what was not.
    #[error("{0}")]
    Failed(String),
}

impl KeyManagerError {
    /// The status of the answer and the `reason` label of metrics and logs.
    #[must_use]
    pub const fn status_and_reason(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::SlashingData(_) => (StatusCode::BAD_REQUEST, "slashing_data"),
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no_token"),
            Self::WrongToken => (StatusCode::FORBIDDEN, "wrong_token"),
            Self::Off => (StatusCode::NOT_FOUND, "not_found"),
            Self::BodyTimeout { .. } => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::ContentEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// Logs and counts it, and makes the answer.
    pub(super) fn answer(&self, metrics: &Metrics) -> Response {
        let (status, reason) = self.status_and_reason();
        let message = bounded(&self.to_string());
        tracing::warn!(status = status.as_u16(), reason, "key manager API: {message}");
        metrics.count_refusal(reason);
        let mut response = json(status, &KeyManagerErrorAnswer { message }).into_response();
        if let Self::NoToken = self {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A text of bounded length without control characters.
pub(super) fn bounded(text: &str) -> String {
    let mut bounded: String = text
        .chars()
        .take(MESSAGE_LIMIT)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(MESSAGE_LIMIT).is_some() {
        bounded.push_str("...");
    }
    bounded
}

/// The text of a JSON error without the pieces of input that such errors quote.
pub(super) fn without_quotes(text: &str) -> String {
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) => {
            let (before, after) = (text.get(..first), text.get(last + 1..));
            format!("{}\"..\"{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_errors_quote_is_left_out() {
        let error = serde_json::from_str::<Vec<u8>>(r#""hunter2 \"and\" more""#).unwrap_err();
        assert!(error.to_string().contains("hunter2"));
        let text = without_quotes(&error.to_string());
        assert_eq!(text, "invalid type: string \"..\", expected a sequence at line 1 column 22");
        assert_eq!(without_quotes("missing field `metadata`"), "missing field `metadata`");
    }

    #[test]
    fn long_messages_are_cut_and_lose_their_control_characters() {
        let text = bounded(&format!("a\n{}", "x".repeat(5000)));
        assert_eq!(text.chars().count(), MESSAGE_LIMIT + 3);
        assert!(!text.chars().any(char::is_control));
    }
}
