//! What the server refuses and how it says so: [`Refusal`], [`ApiError`], and the one table of
//! answers.

use std::sync::Arc;

use api_spec::{DutyType, ErrorAnswer, HostRefusedAnswer};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use eth_types::{DutyError, PublicKey, Root};

use crate::accept::AnswerForm;
use crate::backend::{NotReady, SignError};
use crate::block_proof::BlockProofError;
use crate::metrics::Metrics;

/// `Content-Type` of JSON answers.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// `Content-Type` of text answers.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Seconds after which an overloaded server is worth another try.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Longest reason that is answered or logged, in characters. Reasons quote the request, and a request
/// may hold a string of many megabytes.
const REASON_LIMIT: usize = 1024;

/// Why a request was not answered with 200.
///
/// | refusal | status | `reason` label |
/// | --- | --- | --- |
/// | [`Malformed`](Self::Malformed) | 400 | `malformed` |
/// | [`OtherNetwork`](Self::OtherNetwork) | 400 | `other_network` |
/// | [`SigningRootMismatch`](Self::SigningRootMismatch) | 400 | `signing_root_mismatch` |
/// | [`BlockProof`](Self::BlockProof) | 400 | `block_proof` |
/// | [`HostMissing`](Self::HostMissing) | 400 | `host_missing` |
/// | [`HostNotAuthorized`](Self::HostNotAuthorized) | 403 | `host_not_authorized` |
/// | [`OriginNotAllowed`](Self::OriginNotAllowed) | 403 | `origin_not_allowed` |
/// | [`NotFound`](Self::NotFound) | 404 | `not_found` |
/// | [`MethodNotAllowed`](Self::MethodNotAllowed) | 405 | `method_not_allowed` |
/// | [`BodyTimeout`](Self::BodyTimeout) | 408 | `body_timeout` |
/// | [`BodyTooLarge`](Self::BodyTooLarge) | 413 | `body_too_large` |
/// | [`ContentEncoding`](Self::ContentEncoding) | 415 | `content_encoding` |
/// | [`Stuck`](Self::Stuck) | 500 | `stuck` |
/// | [`Internal`](Self::Internal) | 500 | `internal` |
/// | [`NotReady`](Self::NotReady) | 503 | `unavailable` |
/// | [`Overloaded`](Self::Overloaded) | 503 | `overloaded` |
/// | [`SignError::Policy`] | 400 | `policy` |
/// | [`SignError::UnknownKey`] | 404 | `unknown_key` |
/// | [`SignError::Slashing`] | 412 | `slashing` |
/// | [`SignError::Outvoted`] | 412 | `outvoted` |
/// | [`SignError::NotEnoughOperators`] | 500 | `not_enough_operators` |
/// | [`SignError::Timeout`] | 500 | `timeout` |
/// | [`SignError::Internal`] | 500 | `internal` |
/// | [`SignError::Unavailable`] | 503 | `unavailable` |
///
/// What a client should ask again at once is 500: Nimbus retries on it within its time limit, and
/// gives up on 503.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be read; the text names the field and what is wrong with it.
    #[error("{0}")]
    Malformed(String),
    /// The request can be read, and is not one of this network: another chain, or another fork than
    /// the network has at that time.
    #[error(transparent)]
    OtherNetwork(#[from] DutyError),
    /// The client means another message than the one it sent.
    #[error("signing root mismatch: the request says {sent}, its object has {computed}")]
    SigningRootMismatch {
        /// The root in the request.
        sent: Root,
        /// The root of the object in the request.
        computed: Root,
    },
    /// A block does not prove its fee recipient, or proves another one.
    #[error(transparent)]
    BlockProof(#[from] BlockProofError),
    /// An HTTP/1.1 request without a `Host` header.
    #[error("the request has no Host header")]
    HostMissing,
    /// The `Host` header names a host that is not in the allow-list.
    #[error("host {host:?} is not in the allow-list (--http-host-allowlist)")]
    HostNotAuthorized {
        /// The host, without its port.
        host: String,
    },
    /// No such path.
    #[error("no such path: {0}")]
    NotFound(String),
    /// The path exists, the method on it does not.
    #[error("method {method} is not allowed on {path}")]
    MethodNotAllowed {
        /// The method of the request.
        method: String,
        /// The path of the request.
        path: String,
    },
    /// The client stopped sending in mid-body.
    #[error("the body did not arrive within {seconds} s")]
    BodyTimeout {
        /// The time limit.
        seconds: u64,
    },
    /// The body is longer than any request.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body is compressed.
    #[error("Content-Encoding {encoding:?} is not supported; send the body as it is")]
    ContentEncoding {
        /// The header's value.
        encoding: String,
    },
    /// The backend gave no answer at all, which its own deadlines should prevent.
    #[error("no answer within {seconds} s")]
    Stuck {
        /// The time limit.
        seconds: u64,
    },
    /// A web page of an origin that is not allowed asks.
    #[error(
        "origin {origin:?} is not allowed: web pages may use the interface only if their origin is in \
         --http-cors-origins"
    )]
    OriginNotAllowed {
        /// The origin.
        origin: String,
    },
    /// The server has more to do than it takes on.
    #[error("overloaded ({class}): {reason}; ask again later")]
    Overloaded {
        /// What kind of work there is too much of.
        class: &'static str,
        /// Why this request is not taken on.
        reason: &'static str,
    },
    /// Something in the server broke that should not have.
    #[error("internal error: {0}")]
    Internal(String),
    /// The backend cannot tell its keys yet.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The backend did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Refusal {
    /// The status of the answer and the `reason` label of metrics and logs.
    #[must_use]
    pub const fn status_and_reason(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::OtherNetwork(_) => (StatusCode::BAD_REQUEST, "other_network"),
            Self::SigningRootMismatch { .. } => (StatusCode::BAD_REQUEST, "signing_root_mismatch"),
            Self::BlockProof(_) => (StatusCode::BAD_REQUEST, "block_proof"),
            Self::HostMissing => (StatusCode::BAD_REQUEST, "host_missing"),
            Self::HostNotAuthorized { .. } => (StatusCode::FORBIDDEN, "host_not_authorized"),
            Self::OriginNotAllowed { .. } => (StatusCode::FORBIDDEN, "origin_not_allowed"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTimeout { .. } => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::ContentEncoding { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding")
            }
            Self::Stuck { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "stuck"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Sign(SignError::Policy(_)) => (StatusCode::BAD_REQUEST, "policy"),
            Self::Sign(SignError::UnknownKey { .. }) => (StatusCode::NOT_FOUND, "unknown_key"),
            Self::Sign(SignError::Slashing(_)) => (StatusCode::PRECONDITION_FAILED, "slashing"),
            Self::Sign(SignError::Outvoted { .. }) => (StatusCode::PRECONDITION_FAILED, "outvoted"),
            Self::Sign(SignError::NotEnoughOperators(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "not_enough_operators")
            }
            Self::Sign(SignError::Timeout(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "timeout"),
            Self::Sign(SignError::Internal(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::Sign(SignError::Unavailable(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        }
    }

    /// The text of the answer and of the log line: bounded, without control characters.
    #[must_use]
    pub fn text(&self) -> String {
        let whole = self.to_string();
        let mut text: String = whole
            .chars()
            .take(REASON_LIMIT)
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        if whole.chars().nth(REASON_LIMIT).is_some() {
            text.push_str("...");
        }
        text
    }
}

/// A [`Refusal`] with what is known of the request it answers.
///
/// As a response it is JSON. [`report`], which wraps all routes, turns it into the form that the client
/// asks for, logs it and counts it.
#[derive(Debug, Clone)]
pub struct ApiError {
    refusal: Arc<Refusal>,
    validator: Option<PublicKey>,
    duty: Option<DutyType>,
}

impl ApiError {
    /// Names the validator that the request is for.
    #[must_use]
    pub fn with_validator(mut self, validator: PublicKey) -> Self {
        self.validator = Some(validator);
        self
    }

    /// Names the duty that the request is for.
    #[must_use]
    pub fn with_duty(mut self, duty: DutyType) -> Self {
        self.duty = Some(duty);
        self
    }

    /// Why the request was refused.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    fn render(&self, form: AnswerForm) -> Response {
        let (status, _) = self.refusal.status_and_reason();
        if let Refusal::HostNotAuthorized { .. } = *self.refusal {
            let message = "Host not authorized.".to_owned();
            return json(status, &HostRefusedAnswer { message });
        }
        let error = self.refusal.text();
        let mut response = match form {
            AnswerForm::Json => json(status, &ErrorAnswer { error }),
            AnswerForm::Text => (status, [(header::CONTENT_TYPE, TEXT)], error).into_response(),
        };
        if let Refusal::Overloaded { .. } = *self.refusal {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }

    fn log(&self, metrics: &Metrics) {
        let (status, reason) = self.refusal.status_and_reason();
        let duty = self.duty.map(tracing::field::display);
        let validator = self.validator.map(tracing::field::display);
        let text = self.refusal.text();
        // A lost vote is an everyday event in a cluster; everything else should not go unseen. A flood
        // should, though, or the log would be one too.
        if let Refusal::Overloaded { .. } | Refusal::BodyTimeout { .. } = *self.refusal
            && !metrics.overload_is_news()
        {
            tracing::debug!(status = status.as_u16(), reason, duty, validator, "{text}");
        } else if let Refusal::Sign(SignError::Outvoted { .. }) = *self.refusal {
            tracing::info!(status = status.as_u16(), reason, duty, validator, "{text}");
        } else {
            tracing::warn!(status = status.as_u16(), reason, duty, validator, "{text}");
        }
    }
}

impl<E: Into<Refusal>> From<E> for ApiError {
    fn from(refusal: E) -> Self {
        Self { refusal: Arc::new(refusal.into()), validator: None, duty: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.render(AnswerForm::Json);
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware around all routes: gives each [`ApiError`] the form that the client asks for, logs it
/// once and counts it.
pub async fn report(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let form = AnswerForm::from_headers(request.headers());
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    error.log(&metrics);
    let (_, reason) = error.refusal.status_and_reason();
    metrics.count_refusal(reason);
    let mut rendered = error.render(form);
    // What the router added and what web pages need stays. Nothing else does: lengths and types are the
    // new body's.
    for (name, value) in response.headers() {
        if is_kept(name) {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

fn is_kept(name: &HeaderName) -> bool {
    *name == header::ALLOW || *name == header::VARY || name.as_str().starts_with("access-control-")
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, JSON)], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_and_loses_its_control_characters() {
        let text = Refusal::Malformed(format!("a\n\u{1b}[31m{}", "x".repeat(5000))).text();
        assert_eq!(text.chars().count(), REASON_LIMIT + 3);
        assert!(text.ends_with("x..."));
        assert!(!text.chars().any(char::is_control));
    }
}
