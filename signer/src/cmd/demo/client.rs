//! A small HTTP client: asks a node for a signature as a validator client does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use eth_types::PublicKey;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// An answer, or what went wrong on the way to one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Result<(StatusCode, String), String>,
    pub(super) elapsed: Duration,
}

/// Sends a signing request and waits for the answer.
pub(super) async fn sign(node: SocketAddr, key: PublicKey, body: &str) -> Answer {
    let begun = Instant::now();
    let outcome = request(node, key, body).await.map_err(|error| format!("{error:#}"));
    Answer { outcome, elapsed: begun.elapsed() }
}

async fn request(
    node: SocketAddr,
    key: PublicKey,
    body: &str,
) -> anyhow::Result<(StatusCode, String)> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{node}/api/v1/eth2/sign/{key}"))
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(Full::from(body.to_owned()))?;
    let response = client.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
