//! HTTP/2 clients that ask much at once and do not go on, over real sockets without TLS.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use signer::limits::{LimitSizes, RequestLimits};
use signer::server::ServerOptions;
use tokio::net::TcpStream;

use crate::edges::{listen, routes};
use crate::server::PATIENCE;
use crate::support::{EPOCH, Fake, KEY, randao};

/// Connects, with as much of each answer taken ahead as `window` says.
async fn connect(address: SocketAddr, window: u32) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

const WINDOW: u32 = 64 * 1024;

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .header(header::ACCEPT, "application/json")
        .body(body)
        .unwrap()
}

fn sign_request(body: Body) -> Request<Body> {
    request(Method::POST, &format!("/api/v1/eth2/sign/{KEY}"), body)
}

async fn sign(client: &mut SendRequest<Body>) -> (StatusCode, String) {
    let body = Body::from(randao(EPOCH).to_string());
    let answered = client.send_request(sign_request(body));
    let answer = tokio::time::timeout(PATIENCE, answered).await.unwrap().unwrap();
    let status = answer.status();
    (status, text(answer.into_body()).await)
}

async fn text(body: Incoming) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A body of which nothing comes after its first `bytes`.
fn stalled(bytes: usize) -> Body {
    let first = futures::stream::iter([Ok::<_, std::io::Error>(vec![b' '; bytes])]);
    Body::from_stream(first.chain(futures::stream::pending()))
}

#[tokio::test]
async fn bodies_that_do_not_come_make_room_for_those_that_do() {
    let sizes = LimitSizes { bodies: 100, ..LimitSizes::default() };
    let limits = RequestLimits::new(&sizes, None);
    let router = routes(Fake::signing(), |app| app.limits = limits);
    let address = listen(router, ServerOptions::default()).await;
    let mut attackers = Vec::new();
    let mut begun = FuturesUnordered::new();
    for _ in 0..2 {
        let mut attacker = connect(address, WINDOW).await;
        for length in 0..100 {
            begun.push(attacker.send_request(sign_request(stalled(length % 2))));
        }
        attackers.push(attacker);
    }
    // Twice as many as there are places: one has to make room.
    let gave_way = tokio::time::timeout(PATIENCE, begun.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(gave_way.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reason = text(gave_way.into_body()).await;
    assert!(reason.contains("overloaded (bodies)"), "{reason}");

    let mut client = connect(address, WINDOW).await;
    for _ in 0..3 {
        let (status, answer) = sign(&mut client).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

#[tokio::test]
async fn large_bodies_that_stop_make_room_for_a_large_body_that_comes() {
    let sizes = LimitSizes { large_body_bytes: 1 << 20, ..LimitSizes::default() };
    let limits = RequestLimits::new(&sizes, None);
    let router = routes(Fake::signing(), |app| app.limits = limits);
    let address = listen(router, ServerOptions::default()).await;
    let mut attacker = connect(address, WINDOW).await;
    let mut begun = FuturesUnordered::new();
    for _ in 0..3 {
        begun.push(attacker.send_request(sign_request(stalled(500_000))));
    }
    let gave_way = tokio::time::timeout(PATIENCE, begun.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(gave_way.status(), StatusCode::SERVICE_UNAVAILABLE);

    let mut client = connect(address, WINDOW).await;
    let large = format!("{}{}", randao(EPOCH), " ".repeat(500_000));
    let answered = client.send_request(sign_request(Body::from(large)));
    let answer = tokio::time::timeout(PATIENCE, answered).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn answers_that_a_client_does_not_read_do_not_keep_others_from_theirs() {
    const ASKED: usize = 200;
    let mut backend = Fake::signing();
    let key: eth_types::PublicKey = KEY.parse().unwrap();
    backend.keys = Ok(vec![key; 10_000]);
    let address = listen(routes(backend, |_| {}), ServerOptions::default()).await;
    let path = "/api/v1/eth2/publicKeys";
    let mut silent = connect(address, 0).await;
    let asked = (0..ASKED).map(|_| silent.send_request(request(Method::GET, path, Body::empty())));
    let unread = tokio::time::timeout(PATIENCE, join_all(asked)).await.unwrap();
    assert!(unread.iter().all(|answer| answer.as_ref().unwrap().status() == StatusCode::OK));

    let mut client = connect(address, WINDOW).await;
    let answered = client.send_request(request(Method::GET, path, Body::empty()));
    let answer = tokio::time::timeout(PATIENCE, answered).await.unwrap().unwrap();
    let listed: Vec<String> = serde_json::from_str(&text(answer.into_body()).await).unwrap();
    assert_eq!(listed.len(), 10_000);
    assert_eq!(sign(&mut client).await.0, StatusCode::OK);
}
