//! `POST /api/v1/eth2/sign/{identifier}`: forms of the path and of the answer, and what each outcome
//! of the backend becomes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use eth_types::{Epoch, Root, Slot};
use signer::backend::SignError;

use crate::support::{EPOCH, Fake, KEY, hoodi_fork_info, randao, server, sign_request};

#[tokio::test]
async fn the_key_is_found_in_any_case_and_without_its_prefix() {
    let server = server(Fake::signing());
    let bare = KEY.strip_prefix("0x").unwrap();
    for identifier in [KEY, bare, &KEY.to_uppercase(), &bare.to_uppercase()] {
        let request = sign_request(identifier).body(randao(EPOCH).to_string().into()).unwrap();
        let answered = server.send(request).await;
        assert_eq!(answered.status, StatusCode::OK, "{identifier}: {}", answered.body);
    }
}

#[tokio::test]
async fn doubled_slashes_in_the_path_are_collapsed() {
    let server = server(Fake::signing());
    let path = format!("//api/v1//eth2/sign/{KEY}?query=//kept");
    let request = Request::post(path).header(header::HOST, "localhost");
    let answered = server.send(request.body(randao(EPOCH).to_string().into()).unwrap()).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
}

#[tokio::test]
async fn the_content_type_of_a_request_is_not_looked_at() {
    let server = server(Fake::signing());
    for content_type in ["text/plain", "application/octet-stream", "", "a/b/c;=;"] {
        let request = Request::post(format!("/api/v1/eth2/sign/{KEY}"))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, content_type);
        let answered = server.send(request.body(randao(EPOCH).to_string().into()).unwrap()).await;
        assert_eq!(answered.status, StatusCode::OK, "{content_type}: {}", answered.body);
    }
}

#[tokio::test]
async fn the_answer_is_json_or_text_as_asked_for_and_so_is_a_refusal() {
    let signing = server(Fake::signing());
    let refusing = server(Fake::refusing(|| SignError::Slashing("double vote".to_owned())));
    for (accept, content_type, brace) in [
        (Some("application/json"), "application/json; charset=utf-8", true),
        (Some("*/*"), "application/json; charset=utf-8", true),
        (Some("text/plain"), "text/plain; charset=utf-8", false),
        (None, "text/plain; charset=utf-8", false),
    ] {
        for (server, status) in
            [(&signing, StatusCode::OK), (&refusing, StatusCode::PRECONDITION_FAILED)]
        {
            let mut request = sign_request(KEY);
            if let Some(accept) = accept {
                request = request.header(header::ACCEPT, accept);
            }
            let request = request.body(randao(EPOCH).to_string().into()).unwrap();
            let answered = server.send(request).await;
            assert_eq!(answered.status, status);
            assert_eq!(answered.content_type.as_deref(), Some(content_type), "{accept:?}");
            assert_eq!(answered.body.starts_with('{'), brace, "{}", answered.body);
            assert_eq!(answered.body.trim(), answered.body);
        }
    }
}

#[tokio::test]
async fn every_outcome_of_the_backend_has_its_status_and_gives_its_reason() {
    type Case = (fn() -> SignError, u16, &'static str, &'static str);
    let cases: [Case; 8] = [
        (
            || SignError::UnknownKey { validator: KEY.parse().unwrap() },
            404,
            "unknown_key",
            "unknown validator key 0x989d",
        ),
        (
            || SignError::Slashing("double vote".to_owned()),
            412,
            "slashing",
            "slashing protection: double vote; asked for epoch 60000, signing root 0x",
        ),
        (
            || SignError::Outvoted {
                slot: Slot::new(64),
                epoch: Epoch::new(2),
                asked: Root::new([0xaa; 32]),
                signed: Root::new([0xbb; 32]),
            },
            412,
            "outvoted",
            "(slot 64, epoch 2): asked for signing root 0xaaaa",
        ),
        (|| SignError::Policy("too late".to_owned()), 400, "policy", "refused by policy: too late"),
        (
            || SignError::NotEnoughOperators("2 of 3".to_owned()),
            500,
            "not_enough_operators",
            "not enough operators: 2 of 3",
        ),
        (|| SignError::Timeout("2.5 s".to_owned()), 500, "timeout", "deadline: 2.5 s"),
        (|| SignError::Internal("oops".to_owned()), 500, "internal", "internal error: oops"),
        (|| SignError::Unavailable("start".to_owned()), 503, "unavailable", "not ready: start"),
    ];
    for (error, status, reason, text) in cases {
        let server = server(Fake::refusing(error));
        let answered = server.sign(randao(EPOCH).to_string()).await;
        assert_eq!(answered.status.as_u16(), status, "{reason}");
        assert!(answered.error().contains(text), "{}", answered.body);
        let counter = format!(r#"synod_http_refusals_total{{reason="{reason}"}}"#);
        assert_eq!(server.metric(&counter).await.as_deref(), Some("1"), "{reason}");
        let timed = format!(
            r#"synod_sign_duration_seconds_count{{duty="RANDAO_REVEAL",result="{reason}"}}"#
        );
        assert_eq!(server.metric(&timed).await.as_deref(), Some("1"), "{reason}");
    }
}

#[tokio::test]
async fn web3signers_counters_are_there_from_the_start_and_count() {
    let server = server(Fake::signing());
    let names = [
        "eth2_slashingprotection_permitted_signings_total",
        "eth2_slashingprotection_prevented_signings_total",
        "http_bls_malformed_request_count_total",
        "signing_bls_missing_identifier_count_total",
        "signing_bls_signing_duration_count",
        "signing_signers_loaded_count",
    ];
    for name in names {
        assert_eq!(server.metric(name).await.as_deref(), Some("0"), "{name}");
    }
    server.sign(randao(EPOCH).to_string()).await;
    server.sign("nonsense").await;
    server.get("/api/v1/eth2/publicKeys").await;
    for (name, value) in [(names[0], "1"), (names[2], "1"), (names[4], "2"), (names[5], "1")] {
        assert_eq!(server.metric(name).await.as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_request_for_another_message_than_its_object_is_refused_with_both_roots() {
    let server = server(Fake::signing());
    let right = server.sign(randao(EPOCH).to_string()).await;
    assert_eq!(right.status, StatusCode::OK);
    let computed = server.backend.asked.lock().unwrap().pop().unwrap().signing_root();

    for spelling in ["signingRoot", "signing_root"] {
        let mut body = randao(EPOCH);
        body[spelling] = computed.to_string().into();
        assert_eq!(server.sign(body.to_string()).await.status, StatusCode::OK);
        let sent = Root::new([7; 32]);
        body[spelling] = sent.to_string().into();
        server.backend.asked.lock().unwrap().clear();
        let refused = server.sign(body.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            refused.error(),
            format!("signing root mismatch: the request says {sent}, its object has {computed}")
        );
        assert!(server.backend.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_identifier_that_is_no_public_key_is_refused() {
    let server = server(Fake::signing());
    for (identifier, text) in [
        ("0x1234", "expected 48 bytes of hex, found 4 hex digits"),
        ("key", "not hex: Invalid character 'k' at position 0"),
        (&"zz".repeat(48), "not hex"),
        ("%FF", "identifier"),
    ] {
        let request = sign_request(identifier).body(randao(EPOCH).to_string().into()).unwrap();
        let answered = server.send(request).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{identifier}");
        assert!(answered.body.contains(text), "{identifier}: {}", answered.body);
    }
    assert!(server.backend.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_refused_with_a_reason() {
    let server = server(Fake::signing());
    let ask = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "*/*")
            .body(Body::empty())
            .unwrap()
    };
    for path in ["/", "/api/v1/eth2/sign/", "/api/v1/eth2/publickeys", "/metrics", "/upcheck/"] {
        let answered = server.send(ask("GET", path)).await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answered.error(), format!("no such path: {path}"));
    }
    let sign = format!("/api/v1/eth2/sign/{KEY}");
    for (method, path) in [("GET", sign.as_str()), ("POST", "/upcheck"), ("DELETE", "/healthcheck")]
    {
        let answered = server.send(ask(method, path)).await;
        assert_eq!(answered.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answered.error(), format!("method {method} is not allowed on {path}"));
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refusal_is_logged_once_with_duty_validator_and_reason() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let refusing = server(Fake::refusing(|| SignError::Slashing("double\nvote".to_owned())));
    refusing.sign(randao(EPOCH).to_string()).await;
    refusing.sign(r#"{"type":"RANDAO_REVEAL"}"#).await;
    server(Fake::signing()).sign(randao(EPOCH).to_string()).await;
    drop(guard);

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, status, reason, message) in [
        (
            &lines[0],
            412,
            "slashing",
            "slashing protection: double\u{fffd}vote; asked for epoch 60000, signing root 0x",
        ),
        (&lines[1], 400, "malformed", "fork_info is missing: type RANDAO_REVEAL needs it"),
    ] {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["status"], status);
        assert_eq!(line["reason"], reason);
        assert_eq!(line["duty"], "RANDAO_REVEAL");
        assert_eq!(line["validator"], KEY);
        assert!(line["message"].as_str().unwrap().starts_with(message), "{line}");
    }
}

#[tokio::test]
async fn a_refusal_of_slashing_protection_names_the_duty_and_its_root() {
    let rule = "double block proposal at slot 1: 0xaa.. is recorded, 0xbb.. was asked for";
    let server = server(Fake::refusing(move || SignError::Slashing(rule.to_owned())));
    let version = hoodi_fork_info();
    let header = serde_json::json!({
        "slot": (EPOCH * 32 + 1).to_string(),
        "proposer_index": "17",
        "parent_root": Root::new([1; 32]),
        "state_root": Root::new([2; 32]),
        "body_root": Root::new([3; 32]),
    });
    let block = serde_json::json!({
        "type": "BLOCK_V2",
        "fork_info": version,
        "beacon_block": { "version": "FULU", "block_header": header },
    });
    let vote = serde_json::json!({
        "type": "ATTESTATION",
        "fork_info": version,
        "attestation": {
            "slot": (EPOCH * 32 + 1).to_string(),
            "index": "0",
            "beacon_block_root": Root::new([1; 32]),
            "source": { "epoch": (EPOCH - 1).to_string(), "root": Root::new([2; 32]) },
            "target": { "epoch": EPOCH.to_string(), "root": Root::new([3; 32]) },
        },
    });
    for body in [block, vote] {
        let answered = server.sign(body.to_string()).await;
        assert_eq!(answered.status, StatusCode::PRECONDITION_FAILED);
        let root = server.backend.asked.lock().unwrap().pop().unwrap().signing_root();
        let slot = EPOCH * 32 + 1;
        let asked = format!("asked for slot {slot}, epoch {EPOCH}, signing root {root}");
        assert_eq!(answered.error(), format!("slashing protection: {rule}; {asked}"));
    }
}
