//! `GET /api/v1/eth2/publicKeys`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use eth_types::PublicKey;

use crate::error::{ApiError, JSON, Refusal, chain};
use crate::router::App;

/// The keys that can sign, as a JSON array of lower-case hex with `0x`; 503 rather than a list that
/// lacks some of them.
pub(crate) async fn public_keys(State(app): State<App>) -> Result<Response, ApiError> {
    let keys = app.backend.public_keys()?;
    app.metrics.set_signers_loaded(keys.len());
    let listed = app.listed_keys.as_json(keys)?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, JSON)], listed).into_response())
}

/// The last answer, which all clients share until the keys change: with 10,000 keys it has a megabyte,
/// and a client may ask a hundred times and read none of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListedKeys(Arc<Mutex<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    keys: Vec<PublicKey>,
    /// Empty before the first answer.
    json: Bytes,
}

impl ListedKeys {
    fn as_json(&self, keys: Vec<PublicKey>) -> Result<Bytes, Refusal> {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.json.is_empty() || listed.keys != keys {
            let json =
                serde_json::to_vec(&keys).map_err(|error| Refusal::Internal(chain(&error)))?;
            *listed = Listed { keys, json: json.into() };
        }
        Ok(listed.json.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_their_memory_until_the_keys_change() {
        let key = |last: u8| {
            let mut bytes = [0xaa; 48];
            bytes[47] = last;
            PublicKey::try_from(bytes.as_slice()).unwrap()
        };
        let listed = ListedKeys::default();
        assert_eq!(listed.as_json(Vec::new()).unwrap(), "[]");
        let first = listed.as_json(vec![key(1)]).unwrap();
        let second = listed.as_json(vec![key(1)]).unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(first, format!("[\"{}\"]", key(1)));
        assert_eq!(listed.as_json(vec![key(2)]).unwrap(), format!("[\"{}\"]", key(2)));
    }
}
