//! A validator client's end of the wire.

use std::net::SocketAddr;

use eth_types::{PublicKey, Root, Signature};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use threshold_protocol::bls;

use crate::PATIENCE;

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The signature of a 200, if it verifies with the public key and nothing else.
    ///
    /// # Panics
    /// It is another answer, or the signature is not one over `root`.
    #[must_use]
    #[track_caller]
    pub fn signature(&self, key: &PublicKey, root: &Root) -> Signature {
        assert_eq!(self.status, StatusCode::OK, "no signature: {}", self.body);
        let signature: Signature = self.field("signature").parse().unwrap();
        assert!(bls::verify(key, root, &signature), "{signature} of {key} is not over {root}");
        signature
    }

    /// Whether it is a 200.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// The reason of a refusal with this status.
    ///
    /// # Panics
    /// It is another answer, or gives no reason.
    #[must_use]
    #[track_caller]
    pub fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "another answer: {}", self.body);
        let reason = self.field("error");
        assert!(!reason.trim().is_empty(), "no reason");
        reason
    }

    #[track_caller]
    fn field(&self, name: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }
}

/// Asks a node for a signature.
///
/// # Errors
/// There was no answer: the node is gone, or went away meanwhile.
///
/// # Panics
/// The answer takes longer than [`PATIENCE`].
pub async fn sign(node: SocketAddr, key: &PublicKey, body: String) -> Result<Answer, String> {
    request(Method::POST, node, &format!("/api/v1/eth2/sign/{key}"), body).await
}

/// Gets a path.
///
/// # Errors
/// There was no answer.
///
/// # Panics
/// The answer takes longer than [`PATIENCE`].
pub async fn get(node: SocketAddr, path: &str) -> Result<Answer, String> {
    request(Method::GET, node, path, String::new()).await
}

/// Sends a request on a connection of its own and reads the answer.
///
/// # Errors
/// There was no answer.
///
/// # Panics
/// The answer takes longer than [`PATIENCE`].
pub async fn request(
    method: Method,
    node: SocketAddr,
    path: &str,
    body: String,
) -> Result<Answer, String> {
    request_with(method, node, path, &[], body).await
}

/// As [`request`], with more headers.
///
/// # Errors
/// There was no answer.
///
/// # Panics
/// The answer takes longer than [`PATIENCE`].
pub async fn request_with(
    method: Method,
    node: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, String> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{node}{path}"))
        .header("content-type", "application/json")
        .header("accept", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(body)).unwrap();
    let exchange = async {
        let response = client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Box<dyn std::error::Error>>((status, body))
    };
    match tokio::time::timeout(PATIENCE, exchange).await.expect("an answer within the patience") {
        Ok((status, body)) => {
            Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
        }
        Err(error) => Err(error.to_string()),
    }
}
