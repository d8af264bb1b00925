//! Requests from web pages: which of them are let in, and the headers that let the page read the answer.
//!
//! A browser adds `Origin` to every POST of a page's script. The server takes bodies of any content type, so
//! without a check any page that an operator looks at could ask a signer on the same machine for
//! signatures, though it could not read them. So a request with an `Origin` that is not allowed is
//! refused, as Web3Signer refuses it. Validator clients send none.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::error::{ApiError, Refusal};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// The origins whose pages may use the interface.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins {
    any: bool,
    origins: Arc<[HeaderValue]>,
}

/// An entry of the list is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--http-cors-origins {entry}: expected origins such as https://dashboard.example:3000, without a path, \
     or all or * for any; patterns are not understood"
)]
pub struct OriginError {
    /// The entry.
    pub entry: String,
}

impl AllowedOrigins {
    /// Allows exactly these origins; any if `*` or `all` is among them, none if `none` is the only one.
    ///
    /// # Errors
    /// An entry is not a scheme, a host and perhaps a port. Web3Signer takes regular expressions here; one
    /// that only lists origins (`https://a.example|https://b.example`) has to be written as a list.
    pub fn new<O: AsRef<str>>(entries: impl IntoIterator<Item = O>) -> Result<Self, OriginError> {
        let mut allowed = Vec::new();
        let mut any = false;
        for entry in entries {
            let entry = entry.as_ref().trim();
            match entry {
                "*" | "all" => any = true,
                "none" | "" => {}
                _ => allowed.push(origin(entry)?),
            }
        }
        Ok(Self { any, origins: allowed.into() })
    }

    /// What answers preflight requests and adds the headers; `None` if no page is let in.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let origins = if self.any {
            AllowOrigin::any()
        } else if self.origins.is_empty() {
            return None;
        } else {
            AllowOrigin::list(self.origins.iter().cloned())
        };
        Some(
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::OPTIONS])
                .allow_headers(AllowHeaders::mirror_request())
                .max_age(PREFLIGHT_AGE),
        )
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.any
            || self
                .origins
                .iter()
                .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

/// Middleware: refuses requests from web pages of other origins.
pub(crate) async fn check(
    State(allowed): State<AllowedOrigins>,
    request: Request,
    next: Next,
) -> Response {
    let refused =
        request.headers().get_all(header::ORIGIN).iter().find(|origin| !allowed.allows(origin));
    match refused {
        None => next.run(request).await,
        Some(origin) => {
            let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
            ApiError::from(Refusal::OriginNotAllowed { origin }).into_response()
        }
    }
}

/// `scheme://host[:port]`, as browsers send it.
fn origin(entry: &str) -> Result<HeaderValue, OriginError> {
    let bad = || OriginError { entry: entry.to_owned() };
    let (scheme, authority) = entry.split_once("://").ok_or_else(bad)?;
    let scheme_is_one = !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let authority: axum::http::uri::Authority = authority.parse().map_err(|_| bad())?;
    let plain =
        authority.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    if !scheme_is_one || !plain || authority.host().is_empty() {
        return Err(bad());
    }
    HeaderValue::from_str(&entry.to_ascii_lowercase()).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_and_patterns_are_refused() {
        let allowed = AllowedOrigins::new([
            "https://Dash.example",
            "http://localhost:3000",
            "http://[::1]:1",
        ]);
        let allowed = allowed.unwrap();
        let allows = |origin| allowed.allows(&HeaderValue::from_static(origin));
        assert!(allows("https://dash.example") && allows("http://localhost:3000"));
        for other in ["http://dash.example", "https://dash.example:1", "https://dash.example.evil"]
        {
            assert!(!allows(other), "{other}");
        }
        for entry in ["https://.*", "dash.example", "https://a|https://b", "https://a/path", "://a"]
        {
            assert_eq!(
                AllowedOrigins::new([entry]).unwrap_err(),
                OriginError { entry: entry.to_owned() }
            );
        }
    }

    #[test]
    fn all_and_none_are_understood() {
        let anything = HeaderValue::from_static("null");
        for any in ["*", "all"] {
            assert!(AllowedOrigins::new([any]).unwrap().allows(&anything), "{any}");
        }
        let none = AllowedOrigins::new(["none"]).unwrap();
        assert!(!none.allows(&anything) && none.layer().is_none());
    }
}
