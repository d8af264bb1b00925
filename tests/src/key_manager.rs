//! An operator's tool at the key manager API.

use std::net::SocketAddr;
use std::path::Path;

use eth_types::PublicKey;
use hyper::Method;
use serde_json::{Value, json};

use crate::http::{self, Answer};

/// The path of keystores.
pub const KEYSTORES: &str = "/eth/v1/keystores";
/// The path of remote keys.
pub const REMOTE_KEYS: &str = "/eth/v1/remotekeys";

/// A tool with a token.
#[derive(Debug, Clone)]
pub struct KeyManager {
    node: SocketAddr,
    authorization: String,
}

impl KeyManager {
    /// Asks `node` with the token in `token_file`.
    ///
    /// # Panics
    /// The file cannot be read.
    #[must_use]
    pub fn new(node: SocketAddr, token_file: &Path) -> Self {
        Self::with_token(node, &std::fs::read_to_string(token_file).unwrap())
    }

    /// Asks `node` with this token.
    #[must_use]
    pub fn with_token(node: SocketAddr, token: &str) -> Self {
        Self { node, authorization: format!("Bearer {token}") }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let headers = [("authorization", self.authorization.as_str())];
        http::request_with(method, self.node, path, &headers, body).await.unwrap()
    }

    /// The list of a path.
    ///
    /// # Panics
    /// There is none.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        data(&self.send(Method::GET, path, String::new()).await)
    }

    /// Imports keystores, each with its password; the items' statuses and messages.
    ///
    /// # Panics
    /// The request is refused.
    pub async fn import(
        &self,
        keystores: &[(String, &str)],
        slashing_protection: Option<&Value>,
    ) -> Vec<(String, String)> {
        let body = import_body(keystores, slashing_protection);
        items(&self.send(Method::POST, KEYSTORES, body).await)
    }

    /// Deletes keys, as they are spelled; the items' statuses and messages, and the export.
    ///
    /// # Panics
    /// The request is refused.
    pub async fn delete(&self, keys: &[String]) -> (Vec<(String, String)>, Value) {
        let body = json!({ "pubkeys": keys }).to_string();
        let answer = self.send(Method::DELETE, KEYSTORES, body).await;
        let items = items(&answer);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let export = serde_json::from_str(body["slashing_protection"].as_str().unwrap()).unwrap();
        (items, export)
    }
}

/// The body of an import.
#[must_use]
pub fn import_body(keystores: &[(String, &str)], slashing_protection: Option<&Value>) -> String {
    let texts: Vec<_> = keystores.iter().map(|(text, _)| text).collect();
    let passwords: Vec<_> = keystores.iter().map(|(_, password)| password).collect();
    let mut body = json!({ "keystores": texts, "passwords": passwords });
    if let Some(history) = slashing_protection {
        body["slashing_protection"] = json!(history.to_string());
    }
    body.to_string()
}

/// The items of an answer: status and message.
///
/// # Panics
/// It has none.
#[must_use]
#[track_caller]
pub fn items(answer: &Answer) -> Vec<(String, String)> {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    data(answer).iter().map(|item| (text(item, "status"), text(item, "message"))).collect()
}

/// The message of a refusal with this status.
///
/// # Panics
/// It is another answer.
#[must_use]
#[track_caller]
pub fn message(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "another answer: {}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

/// The entry of a validator in an interchange.
#[must_use]
pub fn entry<'a>(interchange: &'a Value, validator: &PublicKey) -> Option<&'a Value> {
    let entries = interchange["data"].as_array()?;
    entries.iter().find(|entry| {
        entry["pubkey"].as_str().and_then(|key| key.parse().ok()).as_ref() == Some(validator)
    })
}

#[track_caller]
fn data(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status.as_u16(), 200, "no list: {}", answer.body);
    let mut body: Value = serde_json::from_str(&answer.body).unwrap();
    match body["data"].take() {
        Value::Array(items) => items,
        other => panic!("no list: {other}"),
    }
}
