//! What protects the server: origins of web pages, time limits, the bound of connections, and floods.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use eth_types::duty::DutyKind;
use eth_types::network::Network;
use futures::future::join_all;
use http_body_util::BodyExt;
use prometheus::Registry;
use signer::limits::{ClassSizes, LimitSizes, RequestLimits};
use signer::metrics::Metrics;
use signer::origin::AllowedOrigins;
use signer::router::{App, router};
use signer::server::{ServerOptions, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::server::PATIENCE;
use crate::support::{EPOCH, Fake, KEY, hoodi_fork_info, randao, signature_naming};

/// Routes before `backend`, with an `App` that `change` has changed.
pub(crate) fn routes(backend: Fake, change: impl FnOnce(&mut App)) -> Router {
    let metrics = Arc::new(Metrics::register(&Registry::new()).unwrap());
    let mut app = App::new(Arc::new(backend), Network::by_name("hoodi").unwrap(), metrics);
    change(&mut app);
    router(app)
}

pub(crate) async fn listen(router: Router, options: ServerOptions) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, options, std::future::pending()));
    address
}

fn sign_header(length: usize) -> String {
    format!(
        "POST /api/v1/eth2/sign/{KEY} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: \
         {length}\r\n"
    )
}

/// Sends a whole request on a connection of its own and reads the answer to its end.
async fn exchange(address: SocketAddr, head: &str, body: &str) -> String {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap_or_default()
}

async fn sign(address: SocketAddr, body: &serde_json::Value) -> String {
    let body = body.to_string();
    exchange(address, &sign_header(body.len()), &body).await
}

async fn upcheck(address: SocketAddr) -> String {
    exchange(address, "GET /upcheck HTTP/1.1\r\nHost: localhost\r\n", "").await
}

fn selection_proof() -> serde_json::Value {
    serde_json::json!({
        "type": "AGGREGATION_SLOT",
        "fork_info": hoodi_fork_info(),
        "aggregation_slot": { "slot": (EPOCH * 32).to_string() },
    })
}

/// Reads until the other side closes; whether it did so without an answer.
async fn closed_silently(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    rest.is_empty()
}

#[tokio::test]
async fn a_web_page_of_an_origin_that_is_not_allowed_gets_nothing_signed() {
    let backend = Fake::signing();
    let router = routes(backend, |_| {});
    let page = Request::post(format!("/api/v1/eth2/sign/{KEY}"))
        .header(header::HOST, "localhost:9000")
        .header(header::ORIGIN, "https://evil.example")
        .header(header::ACCEPT, "*/*")
        .body(Body::from(randao(EPOCH).to_string()))
        .unwrap();
    let answer = router.oneshot(page).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("--http-cors-origins"), "{body:?}");
}

#[tokio::test]
async fn an_allowed_origin_gets_its_headers_and_its_preflight() {
    let origin = "https://dashboard.example";
    let router = routes(Fake::signing(), |app| {
        app.origins = AllowedOrigins::new([origin]).unwrap();
    });
    let ask = async |method: Method, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type")
            .body(Body::empty())
            .unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let simple = ask(Method::GET, "/healthcheck").await;
    assert_eq!(simple.status(), StatusCode::OK);
    assert_eq!(simple.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], origin);
    // The page may read why it was refused, too.
    let refused = ask(Method::GET, "/nowhere").await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert_eq!(refused.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], origin);
    assert!(refused.headers().contains_key(header::VARY));
    let preflight = ask(Method::OPTIONS, &format!("/api/v1/eth2/sign/{KEY}")).await;
    assert_eq!(preflight.status(), StatusCode::OK);
    assert_eq!(
        preflight.headers()[header::ACCESS_CONTROL_ALLOW_METHODS],
        "GET,POST,DELETE,OPTIONS"
    );
    assert_eq!(preflight.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type");
}

#[tokio::test]
async fn without_an_origin_no_answer_has_headers_for_web_pages() {
    let router = routes(Fake::signing(), |_| {});
    let request = Request::get("/upcheck").header(header::HOST, "localhost").body(Body::empty());
    let answer = router.oneshot(request.unwrap()).await.unwrap();
    let for_pages = answer.headers().keys().filter(|name| name.as_str().starts_with("access-"));
    assert_eq!(for_pages.count(), 0);
}

#[tokio::test]
async fn a_connection_that_is_idle_is_closed() {
    let options =
        ServerOptions { idle_timeout: Duration::from_millis(300), ..ServerOptions::default() };
    let address = listen(routes(Fake::signing(), |_| {}), options).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(closed_silently(&mut idle).await);
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(!closed_silently(&mut kept).await);
}

/// It takes the ten seconds that a header may.
#[tokio::test]
async fn a_header_that_does_not_end_is_closed_long_before_an_idle_connection() {
    let options = ServerOptions { idle_timeout: PATIENCE * 10, ..ServerOptions::default() };
    let address = listen(routes(Fake::signing(), |_| {}), options).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /upcheck HTTP/1.1\r\nHost: loc").await.unwrap();
    assert!(closed_silently(&mut slow).await);
}

#[tokio::test]
async fn at_the_bound_the_idlest_connection_makes_room() {
    let options = ServerOptions { max_connections: 3, ..ServerOptions::default() };
    let address = listen(routes(Fake::signing(), |_| {}), options).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..2 {
        // Each has proven itself by a request, so the first is the idlest.
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        kept.push(stream);
    }
    assert!(upcheck(address).await.contains("200 OK"));
    assert!(closed_silently(&mut first).await);
}

#[tokio::test]
async fn what_exceeds_the_limits_is_shed_at_once_and_blocks_and_checks_get_through() {
    let class = |running, waiting| ClassSizes { running, waiting, patience: PATIENCE };
    let sizes = LimitSizes {
        blocks: class(1, 1),
        proposals: class(1, 1),
        votes: class(1, 1),
        others: class(2, 3),
        ..LimitSizes::default()
    };
    // Selection proofs are answered when the test lets them; RANDAO reveals at once.
    let gate = Arc::new(Semaphore::new(0));
    let backend = Fake::answering({
        let gate = gate.clone();
        move |_, duty| {
            let gate = gate.clone();
            Box::pin(async move {
                if duty.kind() != DutyKind::RandaoReveal {
                    let _passed = gate.acquire().await.unwrap();
                }
                Ok(signature_naming(duty.signing_root()))
            })
        }
    });
    let router = routes(backend, |app| app.limits = RequestLimits::new(&sizes, None));
    let address = listen(router, ServerOptions::default()).await;

    let flood = (0..20).map(|_| {
        let gate = gate.clone();
        async move {
            let answer = sign(address, &selection_proof()).await;
            // The first refusals come while nothing is answered; then the rest may go.
            if answer.starts_with("HTTP/1.1 503") {
                assert!(answer.contains("retry-after: 1"), "{answer}");
                assert!(answer.contains(r#"{"error":"overloaded (other)"#), "{answer}");
                assert!(sign(address, &randao(EPOCH)).await.starts_with("HTTP/1.1 200"));
                assert!(upcheck(address).await.starts_with("HTTP/1.1 200"));
                gate.add_permits(20);
                return false;
            }
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            true
        }
    });
    let signed = join_all(flood).await.into_iter().filter(|signed| *signed).count();
    assert!((5..20).contains(&signed), "{signed} of 20 were signed");
}

/// Thousands of connections that send slowly or too much, over real sockets, while one client goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_slow_and_giant_requests_does_not_keep_a_client_from_its_signatures() {
    const SLOW: usize = 5000;
    const GIANT: usize = 24;
    let sizes = LimitSizes { large_body_bytes: 16 << 20, ..LimitSizes::default() };
    let router = routes(Fake::signing(), |app| app.limits = RequestLimits::new(&sizes, None));
    let address = listen(router, ServerOptions::default()).await;

    let mut slow = Vec::with_capacity(SLOW);
    for number in 0..SLOW {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            println!("skipped in part: only {number} connections can be opened here");
            break;
        };
        let begun = match number % 3 {
            0 => String::new(),
            1 => "POST /api/v1/eth2/sign/0x".to_owned(),
            _ => format!("{}\r\n{{", sign_header(2000)),
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // Together far more than the memory for bodies; those that do not fit are refused.
    let giants: Vec<_> = (0..GIANT)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let header = format!("{}\r\n", sign_header(8 << 20));
                stream.write_all(header.as_bytes()).await.unwrap();
                let chunk = vec![b' '; 1 << 20];
                for _ in 0..8 {
                    if stream.write_all(&chunk).await.is_err() {
                        break;
                    }
                }
                let mut answer = [0; 12];
                // An answer, or a reset because the server did not read on.
                let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await;
                read.unwrap().map(|_| String::from_utf8_lossy(&answer).into_owned()).ok()
            })
        })
        .collect();
    for _ in 0..50 {
        let answer = sign(address, &randao(EPOCH)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(upcheck(address).await.starts_with("HTTP/1.1 200"));
    }
    let mut refused = 0;
    for giant in giants {
        match giant.await.unwrap().as_deref() {
            // White space is no request; it was read whole.
            Some("HTTP/1.1 400") => {}
            Some("HTTP/1.1 503") | None => refused += 1,
            Some(other) => panic!("{other}"),
        }
    }
    assert!(refused < GIANT, "no large body got through");
    assert!(sign(address, &randao(EPOCH)).await.starts_with("HTTP/1.1 200"));
    drop(slow);
}
