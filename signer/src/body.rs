//! Reads request bodies within bounds of length, time and memory.

use std::ops::Deref;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures::TryStreamExt;

use crate::error::Refusal;
use crate::limits::{BodyMemory, RequestLimits, SMALL_BODY};

/// Longest body. A whole execution payload as JSON, which the next fork's requests may hold, is several
/// megabytes; an Electra aggregate stays under 100 KiB.
pub(crate) const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// A client that stops sending in mid-body is given up after this time; the slowest client gives up
/// on the answer by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(12);

/// A whole body. Its memory is given back when it is dropped: parse it and let it go.
#[derive(Debug)]
pub(crate) struct WholeBody {
    bytes: Vec<u8>,
    memory: BodyMemory,
}

impl Deref for WholeBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the whole body within [`BODY_LIMIT`], [`BODY_TIMEOUT`] and the memory that `limits` leave.
///
/// # Errors
/// It is compressed, too long, too slow, broken off, or there is no memory for it.
pub(crate) async fn read(
    limits: &RequestLimits,
    headers: &HeaderMap,
    body: Body,
) -> Result<WholeBody, Refusal> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        return Err(Refusal::ContentEncoding { encoding });
    }
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_LIMIT) {
        return Err(Refusal::BodyTooLarge { limit: BODY_LIMIT });
    }
    // The declared length is not trusted for the allocation: memory grows with what arrives.
    let capacity = declared.unwrap_or(0).min(SMALL_BODY);
    let mut whole =
        WholeBody { memory: limits.reserve_body().await?, bytes: Vec::with_capacity(capacity) };
    let given_up = whole.memory.given_up();
    let collect = async {
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks
            .try_next()
            .await
            .map_err(|error| Refusal::Malformed(format!("the body broke off: {error}")))?
        {
            whole.append(limits, &chunk).await?;
        }
        whole.memory.finished();
        Ok(whole)
    };
    tokio::select! {
        biased;
        collected = tokio::time::timeout(BODY_TIMEOUT, collect) => match collected {
            Ok(collected) => collected,
            Err(_) => Err(Refusal::BodyTimeout { seconds: BODY_TIMEOUT.as_secs() }),
        },
        () = given_up => Err(limits.given_up()),
    }
}

impl WholeBody {
    /// Takes what came, with memory reserved for all that is allocated.
    async fn append(&mut self, limits: &RequestLimits, chunk: &[u8]) -> Result<(), Refusal> {
        let length = self.bytes.len() + chunk.len();
        if length > BODY_LIMIT {
            return Err(Refusal::BodyTooLarge { limit: BODY_LIMIT });
        }
        if length > self.bytes.capacity() {
            let capacity = length.max(2 * self.bytes.capacity()).min(BODY_LIMIT);
            limits.grow_body(&mut self.memory, capacity).await?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}
