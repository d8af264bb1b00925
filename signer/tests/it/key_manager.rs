//! The key manager API before keys that do as they are told: who is let in, and what is answered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use api_spec::{
    DeleteItem, DeleteStatus, ImportItem, ImportStatus, KeystoreItem, RemoteKeyItem, paths,
};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use eth_types::network::Network;
use prometheus::Registry;
use serde_json::{Value, json};
use signer::backend::NotReady;
use signer::keymanager::{Deletion, ImportKeystores, KeyManager, KeyManagerError, SubmittedKey};
use signer::metrics::Metrics;
use signer::router::{App, router};
use tower::ServiceExt;

use crate::openapi::{document, keys, resolve};
use crate::support::{Answered, Fake, KEY, Server, TOKEN, server, server_managing};

/// Keys of which every request is answered alike.
#[derive(Default)]
pub(crate) struct FakeKeys {
    /// Why every request is refused, if it is.
    refusal: Option<fn() -> KeyManagerError>,
    /// How many keystores came in.
    imported: Mutex<usize>,
}

impl FakeKeys {
    fn outcome<T>(&self, value: T) -> Result<T, KeyManagerError> {
        self.refusal.map_or(Ok(value), |refusal| Err(refusal()))
    }
}

impl KeyManager for FakeKeys {
    fn keystores(&self) -> Result<Vec<KeystoreItem>, KeyManagerError> {
        let validating_pubkey = KEY.parse().unwrap();
        let derivation_path = Some("m/12381/3600/0/0/0".to_owned());
        self.outcome(vec![KeystoreItem { validating_pubkey, derivation_path, readonly: false }])
    }

    fn import(&self, request: ImportKeystores) -> Result<Vec<ImportItem>, KeyManagerError> {
        *self.imported.lock().unwrap() += request.keystores.len();
        let item = ImportItem { status: ImportStatus::Imported, message: String::new() };
        self.outcome(request.keystores.iter().map(|_| item.clone()).collect())
    }

    fn delete(&self, keys: &[SubmittedKey]) -> Result<Deletion, KeyManagerError> {
        let item = DeleteItem { status: DeleteStatus::NotFound, message: String::new() };
        let items = keys.iter().map(|_| item.clone()).collect();
        self.outcome(Deletion { items, slashing_protection: "{}".to_owned() })
    }

    fn remote_keys(&self) -> Vec<RemoteKeyItem> {
        vec![RemoteKeyItem { pubkey: KEY.parse().unwrap(), url: String::new(), readonly: true }]
    }
}

#[tokio::test]
async fn what_a_fault_of_the_program_says_is_not_answered() {
    let (server, _) = managing(Some(|| panic!("unmistakable")));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let body = r#"{"keystores":[],"passwords":[],"pubkeys":[]}"#;
        let answered =
            server.send(request(&method, paths::KEYSTORES).body(Body::from(body)).unwrap()).await;
        assert_eq!(answered.status, StatusCode::INTERNAL_SERVER_ERROR);
        let message = message(&answered);
        assert!(message.starts_with("internal error, of which the log says more"), "{message}");
    }
}

fn managing(refusal: Option<fn() -> KeyManagerError>) -> (Server, Arc<FakeKeys>) {
    let fake = Arc::new(FakeKeys { refusal, ..FakeKeys::default() });
    (server_managing("hoodi", Fake::signing(), fake.clone()), fake)
}

fn request(method: &Method, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method.clone())
        .uri(path)
        .header(header::HOST, "localhost:9000")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

fn message(answered: &Answered) -> String {
    assert_eq!(answered.content_type.as_deref(), Some("application/json; charset=utf-8"));
    let body: Value = serde_json::from_str(&answered.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

fn one_keystore() -> String {
    json!({ "keystores": ["{}"], "passwords": ["a word"] }).to_string()
}

#[tokio::test]
async fn without_a_token_or_with_another_no_body_is_even_read() {
    let (server, fake) = managing(None);
    let silent =
        || Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    for method in [Method::POST, Method::DELETE] {
        for (value, status) in [("Basic abc", 401), ("Bearer api-token-0x0123456780", 403)] {
            let mut asked = request(&method, paths::KEYSTORES).body(silent()).unwrap();
            asked.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
            let answered = server.send(asked).await;
            assert_eq!(answered.status.as_u16(), status, "{}", answered.body);
            assert!(message(&answered).contains("token"));
        }
    }
    // Two headers are none: which of them counts is anybody's guess.
    let twice = request(&Method::POST, paths::KEYSTORES)
        .header(header::AUTHORIZATION, "Bearer other")
        .body(Body::from(one_keystore()));
    assert_eq!(server.send(twice.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(*fake.imported.lock().unwrap(), 0);
    assert_eq!(
        server.metric(r#"synod_http_refusals_total{reason="no_token"}"#).await.as_deref(),
        Some("3")
    );
    assert_eq!(
        server.metric(r#"synod_http_refusals_total{reason="wrong_token"}"#).await.as_deref(),
        Some("2")
    );
}

#[tokio::test]
async fn the_signing_interface_asks_for_no_token() {
    let answered = server(Fake::signing()).get(paths::PUBLIC_KEYS).await;
    assert_eq!(answered.status, StatusCode::OK);
}

#[tokio::test]
async fn lists_and_answers_have_the_shapes_of_the_specification() {
    let (server, _) = managing(None);
    let ask = async |method: Method, path: &str, body: Value| {
        let asked = request(&method, path).body(Body::from(body.to_string())).unwrap();
        let answered = server.send(asked).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
        answered.body
    };
    let keystores = ask(Method::GET, paths::KEYSTORES, Value::Null).await;
    let expected = format!(
        r#"{{"data":[{{"validating_pubkey":"{KEY}","derivation_path":"m/12381/3600/0/0/0","readonly":false}}]}}"#
    );
    assert_eq!(keystores, expected);
    let remote = ask(Method::GET, "//eth/v1/remotekeys", Value::Null).await;
    assert_eq!(remote, format!(r#"{{"data":[{{"pubkey":"{KEY}","url":"","readonly":true}}]}}"#));
    let deleted = ask(Method::DELETE, paths::KEYSTORES, json!({ "pubkeys": [KEY] })).await;
    assert_eq!(
        deleted,
        r#"{"data":[{"status":"not_found","message":""}],"slashing_protection":"{}"}"#
    );
    let body = json!({ "remote_keys": [{ "pubkey": KEY }, { "pubkey": "x" }] });
    let remote = ask(Method::POST, paths::REMOTEKEYS, body).await;
    assert!(remote.starts_with(
        r#"{"data":[{"status":"duplicate","message":""},{"status":"error","message":"not a public key"#
    ));
}

/// Every status that an import can be answered with, provoked.
#[tokio::test(start_paused = true)]
async fn every_answer_to_an_import_is_documented_and_in_the_specifications_form() {
    let post = |body: Body| request(&Method::POST, paths::KEYSTORES).body(body).unwrap();
    let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let mut answers = Vec::new();

    let (sound, _) = managing(None);
    answers.push(sound.send(post(one_keystore().into())).await);
    answers.push(sound.send(post(Body::empty())).await);
    answers.push(sound.send(post(Body::from_stream(silent))).await);
    let mut long = post(Body::empty());
    long.headers_mut().insert(header::CONTENT_LENGTH, "999999999".parse().unwrap());
    answers.push(sound.send(long).await);
    let mut packed = post(one_keystore().into());
    packed.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    answers.push(sound.send(packed).await);
    let mut elsewhere = post(one_keystore().into());
    elsewhere.headers_mut().insert(header::HOST, "elsewhere".parse().unwrap());
    answers.push(sound.send(elsewhere).await);
    let mut anonymous = post(one_keystore().into());
    anonymous.headers_mut().remove(header::AUTHORIZATION);
    answers.push(sound.send(anonymous).await);
    let refusals: [fn() -> KeyManagerError; 3] = [
        || KeyManagerError::SlashingData("another chain".to_owned()),
        || KeyManagerError::Failed("the disk is full".to_owned()),
        || NotReady { reason: "keys are being loaded".to_owned() }.into(),
    ];
    for refusal in refusals {
        answers.push(managing(Some(refusal)).0.send(post(one_keystore().into())).await);
    }
    answers.push(off().oneshot_answer(post(one_keystore().into())).await);

    let document = document();
    let responses = &document["paths"][paths::KEYSTORES]["post"]["responses"];
    let mut seen = BTreeSet::new();
    for answered in answers {
        if answered.status != StatusCode::OK {
            assert!(!message(&answered).is_empty());
        }
        let status = answered.status.as_u16().to_string();
        let documented = resolve(&document, &responses[status.as_str()]);
        assert!(keys(&documented["content"]).contains("application/json"), "{status}");
        seen.insert(status);
    }
    assert_eq!(seen, keys(responses));
}

/// A node without the key manager API.
struct Off(axum::Router);

fn off() -> Off {
    let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
    let network = Network::by_name("hoodi").unwrap();
    Off(router(App::new(Arc::new(Fake::signing()), network, metrics)))
}

impl Off {
    async fn oneshot_answer(self, request: Request<Body>) -> Answered {
        Answered::read(self.0.oneshot(request).await.unwrap()).await
    }
}
