//! Which form of answer a request asks for, as Web3Signer reads `Accept`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

/// JSON or bare text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// `application/json`.
    Json,
    /// `text/plain`, without a newline at the end.
    Text,
}

impl AnswerForm {
    /// JSON if any entry of `Accept` is `application/json` or `*/*`, text otherwise, also without the
    /// header. Teku and Prysm send none and take text; weights (`q=`) do not matter.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let asks_for_json = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|entry| entry.split(';').next().unwrap_or(entry).trim())
            .any(|media| media.eq_ignore_ascii_case("application/json") || media == "*/*");
        if asks_for_json { Self::Json } else { Self::Text }
    }
}

impl<S: Sync> FromRequestParts<S> for AnswerForm {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn accept_is_read_as_web3signer_does() {
        let cases: &[(&[&str], AnswerForm)] = &[
            (&[], AnswerForm::Text),
            (&[""], AnswerForm::Text),
            (&["text/plain"], AnswerForm::Text),
            (&["application/*"], AnswerForm::Text),
            (&["application/octet-stream"], AnswerForm::Text),
            (&["application/json"], AnswerForm::Json),
            (&["Application/JSON"], AnswerForm::Json),
            (&["*/*"], AnswerForm::Json),
            (&["text/plain, application/json;q=0.1"], AnswerForm::Json),
            (&["text/plain", "application/json"], AnswerForm::Json),
            (&["application/jsonp"], AnswerForm::Text),
        ];
        for (accept, form) in cases {
            let mut headers = HeaderMap::new();
            for value in *accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(AnswerForm::from_headers(&headers), *form, "{accept:?}");
        }
    }
}
