//! Over real sockets: keep-alive, HTTP/2 without TLS, shutdown.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, Version};
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use signer::config::HttpArgs;
use signer::server::{SHUTDOWN_GRACE, ServerOptions, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::support::{EPOCH, Fake, KEY, Server, randao, server, signature_naming};

/// Long enough for anything here to happen on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a port of its own.
struct Running {
    server: Server,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(backend: Fake) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = server(backend);
        let served = tokio::spawn(serve(
            listener,
            server.router.clone(),
            ServerOptions::default(),
            stopped.map(|_| ()),
        ));
        Self { server, address, stop: Some(stop), served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn stopped(self) {
        tokio::time::timeout(PATIENCE, self.served).await.unwrap().unwrap();
    }
}

fn raw_sign_request() -> String {
    let body = randao(EPOCH).to_string();
    format!(
        "POST /api/v1/eth2/sign/{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads until `end` is in what came.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(end) {
        let count =
            tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(count, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

#[tokio::test]
async fn one_connection_carries_many_requests_also_pipelined() {
    let running = Running::start(Fake::signing()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let answer = read_until(&mut stream, "OK").await;
        assert!(!answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    let two = raw_sign_request().repeat(2);
    stream.write_all(two.as_bytes()).await.unwrap();
    let mut answers = String::new();
    while answers.matches("HTTP/1.1 200").count() < 2 {
        answers.push_str(&read_until(&mut stream, "0x").await);
    }
}

#[tokio::test]
async fn http_2_is_spoken_without_tls() {
    let running = Running::start(Fake::signing()).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    let url = format!("http://{}/api/v1/eth2/sign/{KEY}", running.address);
    let requests = (0..100).map(|_| {
        let body = Body::from(randao(EPOCH).to_string());
        client.request(Request::post(&url).body(body).unwrap())
    });
    for answer in futures::future::join_all(requests).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.version(), Version::HTTP_2);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), 2 + 2 * 96);
    }
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish_and_then_closes_its_connection() {
    let entered = Arc::new(Notify::new());
    let release = Arc::new(Notify::new());
    let backend = Fake::answering({
        let (entered, release) = (entered.clone(), release.clone());
        move |_, duty| {
            let (entered, release) = (entered.clone(), release.clone());
            Box::pin(async move {
                entered.notify_one();
                release.notified().await;
                Ok(signature_naming(duty.signing_root()))
            })
        }
    });
    let mut running = Running::start(backend).await;
    let mut idle = running.connect().await;
    idle.write_all(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut idle, "OK").await;
    let mut busy = running.connect().await;
    busy.write_all(raw_sign_request().as_bytes()).await.unwrap();
    entered.notified().await;

    running.stop();
    // The idle connection ends, and nobody is let in, while the request still runs.
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(TcpStream::connect(running.address).await.is_err());
    release.notify_one();
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    running.stopped().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_connections_that_say_nothing() {
    let mut running = Running::start(Fake::signing()).await;
    let mut silent = running.connect().await;
    let mut half = running.connect().await;
    half.write_all(b"GET /upcheck HT").await.unwrap();
    // A request after them is answered, so both were accepted.
    let mut last = running.connect().await;
    last.write_all(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut last, "OK").await;

    running.stop();
    running.stopped().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    assert_eq!(read_to_end(&mut half).await, "");
}

#[tokio::test]
async fn shutdown_cuts_off_a_request_that_does_not_end() {
    let entered = Arc::new(Notify::new());
    let backend = Fake::answering({
        let entered = entered.clone();
        move |_, _| {
            entered.notify_one();
            Box::pin(futures::future::pending())
        }
    });
    let mut running = Running::start(backend).await;
    let mut stream = running.connect().await;
    stream.write_all(raw_sign_request().as_bytes()).await.unwrap();
    entered.notified().await;

    // From here on nothing is left to happen but the passing of time.
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    running.stop();
    running.stopped().await;
    assert_eq!(before.elapsed().as_secs(), SHUTDOWN_GRACE.as_secs());
    tokio::time::resume();
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    /// Tells when it is dropped.
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let entered = Arc::new(Notify::new());
    let dropped = Arc::new(Notify::new());
    let backend = Fake::answering({
        let (entered, dropped) = (entered.clone(), dropped.clone());
        move |_, _| {
            let (entered, guard) = (entered.clone(), Dropped(dropped.clone()));
            Box::pin(async move {
                entered.notify_one();
                let _guard = guard;
                futures::future::pending().await
            })
        }
    });
    let running = Running::start(backend).await;
    let mut stream = running.connect().await;
    stream.write_all(raw_sign_request().as_bytes()).await.unwrap();
    entered.notified().await;
    drop(stream);
    tokio::time::timeout(PATIENCE, dropped.notified()).await.unwrap();

    let gone = r#"synod_sign_duration_seconds_count{duty="RANDAO_REVEAL",result="client_gone"}"#;
    while running.server.metric(gone).await.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.server.metric("synod_sign_in_flight").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn refusals_have_the_length_of_their_form_and_say_what_is_allowed() {
    let running = Running::start(Fake::signing()).await;
    for (accept, start) in [("application/json", "{\"error\":\""), ("text/plain", "method POST")] {
        let mut stream = running.connect().await;
        let request = format!(
            "POST /upcheck HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nContent-Length: \
             0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 405"), "{answer}");
        assert!(head.contains("\r\nallow: get,head"), "{answer}");
        assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{answer}");
        assert_eq!(head.matches("content-length").count(), 1, "{answer}");
        assert!(body.starts_with(start), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_answered_with_400_and_harms_nobody() {
    let running = Running::start(Fake::signing()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let mut next = running.connect().await;
    next.write_all(b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut next, "OK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_all_before_it_reads_gets_the_reason_of_a_refusal() {
    const LENGTH: usize = 40 << 20;
    let running = Running::start(Fake::signing()).await;
    let sign = format!("/api/v1/eth2/sign/{KEY}");
    let length = format!("Content-Length: {LENGTH}\r\n\r\n");
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{LENGTH:x}\r\n");
    let compressed = format!("Content-Encoding: gzip\r\n{length}");
    let cases = [
        (&*sign, "localhost", &length, "413", "longer than"),
        (&sign, "localhost", &chunked, "413", "longer than"),
        (&sign, "localhost", &compressed, "415", "gzip"),
        ("/nothing", "localhost", &length, "404", "/nothing"),
        ("/upcheck", "evil.example", &length, "403", "not authorized"),
    ];
    for (path, host, rest, status, words) in cases {
        let header = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{rest}");
        // A chance of a reset, not each time: how much of the body is in the socket differs.
        for _ in 0..5 {
            let (request, address) = (header.clone(), running.address);
            let answer = tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                stream.write_all(&vec![b' '; LENGTH])?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).map(|_| answer)
            });
            let answer = answer.await.unwrap().unwrap_or_else(|error| panic!("{header}: {error}"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.contains(words), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_option_that_changes_it() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let http = HttpArgs { http_listen_port: port, ..HttpArgs::default() };
    assert_eq!(
        http.listen(None).await.unwrap_err().to_string(),
        format!(
            "127.0.0.1:{port} is in use by another program: stop that, or choose another port with \
             --http-listen-port"
        )
    );
    let elsewhere = HttpArgs { http_listen_host: "192.0.2.1".to_owned(), ..http.clone() };
    let error = elsewhere.listen(None).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on 192.0.2.1:{port}")), "{error}");
    let free = HttpArgs { http_listen_port: 0, http_listen_host: "[::1]".to_owned(), ..http };
    if let Err(error) = free.listen(None).await {
        println!("skipped: no IPv6 here ({error})");
    }
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let running = Running::start(Fake::signing()).await;
    for (version, status) in [("1.1", "400"), ("1.0", "403")] {
        let mut stream = running.connect().await;
        let request = format!("GET /upcheck HTTP/{version}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
}
