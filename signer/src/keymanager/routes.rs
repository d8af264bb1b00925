//! The endpoints: token, body, call, answer.

use std::sync::Arc;

use api_spec::{
    DataAnswer, DeleteKeystoresAnswer, DeleteStatus, ImportStatus, RemoteKeyItem, paths,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{any, get};
use eth_types::PublicKey;
use serde::Serialize;

use super::body::{self, SecretBody};
use super::error::KeyManagerError;
use super::request::{self, SubmittedKey};
use super::{Deletion, KeyManager, KeyManagerApi, delete_item, import_item};
use crate::error::json;
use crate::metrics::Metrics;

/// The paths of [`router`].
pub(crate) const PATHS: [&str; 2] = [paths::KEYSTORES, paths::REMOTEKEYS];

/// Longest body of an import. A keystore takes a good kilobyte and the history of an active validator
/// over 250 epochs 60 KiB: a thousand validators with all of theirs, or tens of thousands without. Only
/// who has the token is let in, and one at a time.
const IMPORT_LIMIT: usize = 128 * 1024 * 1024;
/// Longest body of the other requests: some 80,000 public keys.
const KEYS_LIMIT: usize = 8 * 1024 * 1024;

const ENDED: &str = "internal error, of which the log says more: what was done of the request is not known, so look at \
                     the list of keys, and send the request again";
const NOT_FORWARDED: &str = "this signer holds keys and asks no other signer for signatures: point the validator client at \
                             that signer instead";
const OF_THE_LOCK: &str = "the cluster lock says which validators the cluster signs for; keys are not taken out of it one by \
                           one";

/// The endpoints, or, without any, an answer that says how to switch them on.
pub(crate) fn router(api: Option<KeyManagerApi>, metrics: Arc<Metrics>) -> Router {
    let Some(api) = api else {
        let off = move || {
            let metrics = Arc::clone(&metrics);
            async move { KeyManagerError::Off.answer(&metrics) }
        };
        return PATHS
            .into_iter()
            .fold(Router::new(), |router, path| router.route(path, any(off.clone())));
    };
    let state = Endpoints { api, metrics };
    Router::new()
        .route(
            paths::KEYSTORES,
            get(list_keystores).post(import_keystores).delete(delete_keystores),
        )
        .route(
            paths::REMOTEKEYS,
            get(list_remote_keys).post(import_remote_keys).delete(delete_remote_keys),
        )
        .route_layer(axum::middleware::from_fn_with_state(state.clone(), authorize))
        .with_state(state)
}

#[derive(Clone)]
struct Endpoints {
    api: KeyManagerApi,
    metrics: Arc<Metrics>,
}

impl Endpoints {
    fn answer(&self, outcome: Result<impl Serialize, KeyManagerError>) -> Response {
        match outcome {
            Ok(answer) => json(StatusCode::OK, &answer),
            Err(error) => error.answer(&self.metrics),
        }
    }

    /// Does what blocks. It is finished even if the client goes away.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn KeyManager) -> Result<T, KeyManagerError> + Send + 'static,
    ) -> Result<T, KeyManagerError> {
        let keys = Arc::clone(&self.api.keys);
        tokio::task::spawn_blocking(move || work(&*keys)).await.unwrap_or_else(|error| {
            // What a panic says may be of anything.
            tracing::error!(%error, "a request to the key manager API ended by an internal error");
            Err(KeyManagerError::Failed(ENDED.to_owned()))
        })
    }
}

/// Middleware: lets in who has the token.
async fn authorize(State(state): State<Endpoints>, request: Request, next: Next) -> Response {
    match check_token(&state.api, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.answer(&state.metrics),
    }
}

fn check_token(api: &KeyManagerApi, headers: &HeaderMap) -> Result<(), KeyManagerError> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(header), None) = (sent.next(), sent.next()) else {
        return Err(KeyManagerError::NoToken);
    };
    // RFC 9110 section 11.1: the scheme's case does not matter.
    let (scheme, token) = header.as_bytes().split_at_checked(SCHEME.len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(SCHEME) || token.trim_ascii().is_empty() {
        return Err(KeyManagerError::NoToken);
    }
    if api.token.is(token.trim_ascii()) { Ok(()) } else { Err(KeyManagerError::WrongToken) }
}

const SCHEME: &[u8] = b"Bearer ";

async fn list_keystores(State(state): State<Endpoints>) -> Response {
    let listed = state.blocking(|keys| keys.keystores()).await;
    state.answer(listed.map(|data| DataAnswer { data }))
}

async fn import_keystores(
    State(state): State<Endpoints>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let imported = async {
        // Never closed. Taken along into the work, which goes on if the client goes away.
        let alone = Arc::clone(&state.api.imports).acquire_owned().await.ok();
        let body = body::read(&headers, body, IMPORT_LIMIT).await?;
        let work = move |keys: &dyn KeyManager| {
            let _alone = alone;
            let request = request::import_keystores(&body)?;
            drop(body);
            let asked = request.keystores.len();
            let items = keys.import(request)?;
            let count = |status| items.iter().filter(|item| item.status == status).count();
            tracing::info!(
                asked,
                imported = count(ImportStatus::Imported),
                duplicates = count(ImportStatus::Duplicate),
                errors = count(ImportStatus::Error),
                "keystores sent over the key manager API"
            );
            Ok(items)
        };
        state.blocking(work).await
    };
    let imported = imported.await;
    state.answer(imported.map(|data| DataAnswer { data }))
}

async fn delete_keystores(
    State(state): State<Endpoints>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let deleted = async {
        let keys = read_keys(&headers, body, request::delete_keys).await?;
        state.blocking(move |manager| deletion(manager, &keys)).await
    };
    let deleted = deleted.await;
    state.answer(deleted.map(|Deletion { items, slashing_protection }| DeleteKeystoresAnswer {
        data: items,
        slashing_protection,
    }))
}

fn deletion(manager: &dyn KeyManager, keys: &[SubmittedKey]) -> Result<Deletion, KeyManagerError> {
    let deletion = manager.delete(keys)?;
    let count = |status| deletion.items.iter().filter(|item| item.status == status).count();
    tracing::info!(
        asked = keys.len(),
        deleted = count(DeleteStatus::Deleted),
        not_active = count(DeleteStatus::NotActive),
        not_found = count(DeleteStatus::NotFound),
        errors = count(DeleteStatus::Error),
        "keys deleted over the key manager API"
    );
    Ok(deletion)
}

async fn list_remote_keys(State(state): State<Endpoints>) -> Response {
    let data = state.api.keys.remote_keys();
    json(StatusCode::OK, &DataAnswer { data })
}

/// No key is taken: a signer that holds keys itself calls no other.
async fn import_remote_keys(
    State(state): State<Endpoints>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let keys = read_keys(&headers, body, request::import_remote_keys).await;
    state.answer(keys.map(|keys| {
        let known = state.api.keys.remote_keys();
        let item = |key: &SubmittedKey| match key {
            Ok(key) if knows(&known, key) => import_item(ImportStatus::Duplicate, ""),
            Ok(_) => import_item(ImportStatus::Error, NOT_FORWARDED),
            Err(reason) => import_item(ImportStatus::Error, reason),
        };
        DataAnswer { data: keys.iter().map(item).collect() }
    }))
}

async fn delete_remote_keys(
    State(state): State<Endpoints>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let keys = read_keys(&headers, body, request::delete_keys).await;
    state.answer(keys.map(|keys| {
        let known = state.api.keys.remote_keys();
        let item = |key: &SubmittedKey| match key {
            Ok(key) if knows(&known, key) => delete_item(DeleteStatus::Error, OF_THE_LOCK),
            Ok(_) => delete_item(DeleteStatus::NotFound, ""),
            Err(reason) => delete_item(DeleteStatus::Error, reason),
        };
        DataAnswer { data: keys.iter().map(item).collect() }
    }))
}

fn knows(known: &[RemoteKeyItem], key: &PublicKey) -> bool {
    known.binary_search_by_key(key, |item| item.pubkey).is_ok()
}

async fn read_keys(
    headers: &HeaderMap,
    body: Body,
    parse: fn(&[u8]) -> Result<Vec<SubmittedKey>, KeyManagerError>,
) -> Result<Vec<SubmittedKey>, KeyManagerError> {
    let body: SecretBody = body::read(headers, body, KEYS_LIMIT).await?;
    parse(&body)
}
