//! Who is answered at all, and the figures.

use serde_json::json;
use tests::{Ask, Chain, Connection, wire};

use super::{KEY, PUBLIC_KEYS, sign_path, signer_on, staged_chain, started_on};

#[tokio::test(flavor = "multi_thread")]
async fn upcheck_says_ok_in_plain_text() {
    let signer = started_on(Chain::built_in("mainnet")).await;
    let mut connection = signer.connect().await;
    for accept in
        [&[][..], &["Accept: text/plain"], &["Accept: */*"], &["Accept: application/json"]]
    {
        let reply = connection.ask("GET", "/upcheck", accept, "").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "OK"), "{accept:?}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_hosts_of_the_list_are_answered_on_every_path() {
    let mut signer = signer_on(staged_chain());
    signer.option("--http-host-allowlist=127.0.0.1,Signer.example");
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    for (host, status) in [
        ("127.0.0.1", 200),
        ("127.0.0.1:9000", 200),
        ("signer.EXAMPLE:80", 200),
        ("localhost", 403),
        ("signer.example.evil", 403),
        ("", 403),
    ] {
        for path in ["/upcheck", "/healthcheck", PUBLIC_KEYS, "/reload", "/openapi.yaml"] {
            connection.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            let reply = connection.answer().await;
            assert_eq!(reply.status, status, "{host:?} {path}: {}", reply.body);
            if status == 403 {
                assert_eq!(reply.json(), json!({ "message": "Host not authorized." }));
                assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
            }
        }
    }
    // HTTP/1.1 wants a Host; 400 and not 403.
    connection.send("GET /upcheck HTTP/1.1\r\n\r\n").await;
    assert!(connection.answer().await.refusal(400).contains("Host"));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_the_loopback_names_are_answered_and_a_star_means_any() {
    let mut signer = started_on(staged_chain()).await;
    let ask = |host: &str| format!("GET /upcheck HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (host, status) in [("localhost:9000", 200), ("127.0.0.1", 200), ("evil.example", 403)] {
        let mut connection = signer.connect().await;
        connection.send(ask(host)).await;
        assert_eq!(connection.answer().await.status, status, "{host}");
    }
    signer.stop();
    signer.option("--http-host-allowlist=*");
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    connection.send(ask("evil.example")).await;
    assert_eq!(connection.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_there_before_the_first_request_and_count_what_happens() {
    let mut signer = signer_on(staged_chain());
    signer.option("--metrics-host-allowlist=127.0.0.1");
    signer.start_loaded().await;
    let mut metrics = Connection::open(signer.metrics()).await;
    let counters = [
        "signing_bls_missing_identifier_count_total",
        "http_bls_malformed_request_count_total",
        "eth2_slashingprotection_permitted_signings_total",
        "eth2_slashingprotection_prevented_signings_total",
        "signing_bls_signing_duration_count",
    ];
    let values = async |metrics: &mut Connection| {
        metrics.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n").await;
        let reply = metrics.answer().await;
        assert_eq!(reply.status, 200);
        counters.map(|name| figure(&reply.body, name))
    };
    assert_eq!(values(&mut metrics).await, [0.0; 5]);
    metrics.send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    let text = metrics.answer().await.body;
    assert!((figure(&text, "signing_signers_loaded_count") - 1.0).abs() < f64::EPSILON);

    let chain = signer.chain().clone();
    let mut connection = signer.connect().await;
    let first = Ask::block(&chain, 481.into(), 1);
    let second = Ask::block(&chain, 481.into(), 2);
    let stranger = sign_path().replace("0x98", "0x8a");
    for (path, body, status) in [
        (sign_path(), first.text(), 200),
        (sign_path(), second.text(), 412),
        (sign_path(), "{}".to_owned(), 400),
        (stranger, first.text(), 404),
    ] {
        assert_eq!(connection.ask("POST", &path, &[], &body).await.status, status, "{body}");
    }
    assert_eq!(values(&mut metrics).await, [1.0, 1.0, 1.0, 1.0, 4.0]);

    for (host, status) in [("127.0.0.1", 200), ("localhost", 403), ("", 403)] {
        metrics.send(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(metrics.answer().await.status, status, "{host:?}");
    }
    // Keys and figures are on listeners of their own.
    assert_eq!(connection.ask("GET", "/metrics", &[], "").await.status, 404);
    metrics
        .send(wire::request("GET", PUBLIC_KEYS, &[], "").replace("localhost", "127.0.0.1"))
        .await;
    assert_eq!(metrics.answer().await.status, 404);
    assert!(!text.contains(KEY), "a key in the figures");
}

/// The value of a figure without labels.
#[track_caller]
fn figure(text: &str, name: &str) -> f64 {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}
