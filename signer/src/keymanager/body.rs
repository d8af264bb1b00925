//! Reads a request's body into memory that is erased.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures::TryStreamExt;
use zeroize::Zeroizing;

use super::error::KeyManagerError;

/// What is allocated at first: enough for a hundred keystores, and no more on a client's word.
const FIRST_CAPACITY: usize = 256 * 1024;
/// How long a body may take: the largest at 10 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

/// A whole body, erased when dropped.
pub(super) type SecretBody = Zeroizing<Vec<u8>>;

/// Reads the whole body, of at most `limit` bytes.
///
/// # Errors
/// It is compressed, too long, too slow or broken off.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<SecretBody, KeyManagerError> {
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(KeyManagerError::ContentEncoding);
    }
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(KeyManagerError::BodyTooLarge { limit });
    }
    let collect = async {
        let capacity = declared.unwrap_or(0).min(FIRST_CAPACITY);
        let mut whole = Zeroizing::new(Vec::with_capacity(capacity));
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks
            .try_next()
            .await
            .map_err(|_| KeyManagerError::Malformed("the body broke off".to_owned()))?
        {
            if whole.len().saturating_add(chunk.len()) > limit {
                return Err(KeyManagerError::BodyTooLarge { limit });
            }
            append(&mut whole, &chunk, limit);
        }
        Ok(whole)
    };
    match tokio::time::timeout(BODY_TIMEOUT, collect).await {
        Ok(collected) => collected,
        Err(_) => Err(KeyManagerError::BodyTimeout { seconds: BODY_TIMEOUT.as_secs() }),
    }
}

/// Appends, to at most `limit` bytes; where the memory has to grow, the old one is erased.
fn append(whole: &mut SecretBody, chunk: &[u8], limit: usize) {
    let length = whole.len().saturating_add(chunk.len());
    if length > whole.capacity() {
        let capacity = length.max(whole.capacity().saturating_mul(2).min(limit));
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(whole);
        *whole = larger;
    }
    whole.extend_from_slice(chunk);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_are_joined_and_a_body_above_the_limit_is_refused() {
        let chunks = |count: usize| {
            let chunk = || Ok::<_, std::io::Error>(vec![b'x'; 100_000]);
            Body::from_stream(futures::stream::iter((0..count).map(move |_| chunk())))
        };
        let headers = HeaderMap::new();
        let whole = read(&headers, chunks(7), 700_000).await.unwrap();
        assert_eq!(*whole, vec![b'x'; 700_000]);
        assert!(whole.capacity() <= 700_000, "{} bytes are allocated", whole.capacity());
        let refused = read(&headers, chunks(8), 700_000).await;
        assert!(matches!(refused, Err(KeyManagerError::BodyTooLarge { limit: 700_000 })));
    }

    #[tokio::test]
    async fn a_declared_length_above_the_limit_is_refused_before_anything_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, "11".parse().unwrap());
        let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let refused = read(&headers, Body::from_stream(silent), 10).await;
        assert!(matches!(refused, Err(KeyManagerError::BodyTooLarge { limit: 10 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_sending_is_given_up() {
        let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let refused = read(&HeaderMap::new(), Body::from_stream(silent), 10).await;
        assert!(matches!(refused, Err(KeyManagerError::BodyTimeout { seconds: 120 })));
    }
}
