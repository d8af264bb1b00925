//! What nobody who means well sends: never a panic, never a 500, never a signature over something else.

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use futures::stream;
use prometheus::Registry;
use signer::metrics::ConnectionMetrics;
use signer::server::{ServerOptions, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{EPOCH, Fake, randao, server, sign_request};

/// Longest body that is taken.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

#[tokio::test]
async fn bodies_that_are_not_one_json_object_are_refused() {
    let server = server(Fake::signing());
    let valid = randao(EPOCH).to_string();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "the body is empty"),
        (b" \r\n\t ".to_vec(), "the body is empty"),
        (vec![0; 64], "expected value"),
        (b"null".to_vec(), "invalid type: null"),
        (b"7".to_vec(), "invalid type: integer `7`"),
        (b"\"RANDAO_REVEAL\"".to_vec(), "invalid type: string"),
        (b"[\"RANDAO_REVEAL\"]".to_vec(), "expected a JSON object"),
        (b" [[[[".to_vec(), "expected a JSON object"),
        (b"{".to_vec(), "EOF while parsing"),
        (valid.as_bytes()[..valid.len() - 1].to_vec(), "EOF while parsing"),
        (format!("{valid}{valid}").into_bytes(), "trailing characters"),
        (format!("\u{feff}{valid}").into_bytes(), "expected value"),
        (valid.replace("RANDAO", "\u{1}RANDAO").into_bytes(), "control character"),
        (valid.replace(':', "=").into_bytes(), "expected `:`"),
        (valid.replace("fork_info", "\\ud800").into_bytes(), "the body is not a signing request"),
        ([b"{\"type\":\"", [0xff, 0xfe].as_slice(), b"\"}"].concat(), "invalid unicode"),
        (b"{}".to_vec(), "type is missing"),
        (b"{\"type\":null}".to_vec(), "type is missing"),
        (b"{\"type\":7}".to_vec(), "expected a string"),
        (b"{\"type\":\"BLOCK_V3\"}".to_vec(), "type \"BLOCK_V3\" is not supported"),
        (b"{\"type\":\"RANDAO_REVEAL\\u0000\"}".to_vec(), "is not supported"),
    ];
    for (body, text) in cases {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answered = server.sign(body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{shown}");
        assert!(answered.error().contains(text), "{shown}: {}", answered.body);
    }
    assert!(server.backend.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn numbers_that_are_not_plain_64_bit_integers_are_refused() {
    let server = server(Fake::signing());
    let valid = randao(EPOCH).to_string();
    let field = format!(r#""epoch":"{EPOCH}""#);
    assert!(valid.contains(&field));
    for number in [
        "18446744073709551616",
        "\"18446744073709551616\"",
        "-1",
        "\"-1\"",
        "1.0",
        "1e3",
        "1e999",
        "\"1e3\"",
        "\"+1\"",
        "\" 1\"",
        "\"0x10\"",
        "\"1_000\"",
        "\"\u{ff11}\"",
        "\"\"",
        "\"1\\u0000\"",
        "true",
        "[1]",
        "{}",
    ] {
        let body = valid.replace(&field, &format!(r#""epoch":{number}"#));
        let answered = server.sign(body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{number}");
        assert!(answered.error().starts_with("randao_reveal.epoch: "), "{}", answered.body);
    }
    let digits = "9".repeat(1_000_000);
    let answered = server.sign(valid.replace(&field, &format!(r#""epoch":{digits}"#))).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert!(answered.body.len() < 2048, "{} bytes", answered.body.len());
}

#[tokio::test]
async fn a_field_given_twice_is_refused_wherever_it_counts() {
    let server = server(Fake::signing());
    let valid = randao(EPOCH).to_string();
    let cases = [
        valid.replacen('{', r#"{"type":"RANDAO_REVEAL","#, 1),
        valid.replacen('{', r#"{"randao_reveal":{"epoch":"1"},"#, 1),
        valid.replacen('{', r#"{"signingRoot":"0x00","signingRoot":"0x00","#, 1),
        valid.replacen('{', r#"{"proofs":null,"proofs":null,"#, 1),
        valid.replace(r#""randao_reveal":{"#, r#""randao_reveal":{"epoch":"1","#),
        valid.replace(r#""fork":{"#, r#""fork":{"epoch":"1","#),
    ];
    for body in cases {
        assert_ne!(body, valid);
        let answered = server.sign(body.clone()).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answered.error().contains("duplicate field"), "{}", answered.body);
    }
}

#[tokio::test]
async fn both_spellings_of_the_signing_root_may_be_there_if_they_agree() {
    let server = server(Fake::signing());
    let valid = randao(EPOCH).to_string();
    assert_eq!(server.sign(valid.clone()).await.status, StatusCode::OK);
    let root = server.backend.asked.lock().unwrap().pop().unwrap().signing_root().to_string();
    let with = |camel: &str, snake: &str| {
        let fields = format!(r#"{{"signingRoot":{camel},"signing_root":{snake},"#);
        valid.replacen('{', &fields, 1)
    };
    let right = format!("\"{root}\"");
    let upper = right.to_uppercase().replace("0X", "0x");
    let other = format!("\"0x{}\"", "00".repeat(32));
    for (camel, snake) in
        [(&right, &upper), (&right, &"null".to_owned()), (&"null".to_owned(), &right)]
    {
        let answered = server.sign(with(camel, snake)).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
    }
    for (camel, snake) in [(&right, &other), (&other, &right)] {
        let answered = server.sign(with(camel, snake)).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST);
        assert!(answered.error().contains("signing_root beside it"), "{}", answered.body);
    }
}

#[tokio::test]
async fn a_message_of_another_key_is_refused_with_the_reason() {
    let server = server(Fake::signing());
    for (name, text) in [
        ("BLS_TO_EXECUTION_CHANGE", "it takes the withdrawal key"),
        ("bls_to_execution_change", "it takes the withdrawal key"),
        ("INCLUSION_LIST", "not part of any fork up to GLOAS"),
        ("BLOB_SIDECAR", "covered by the signature of their block"),
    ] {
        let body = serde_json::json!({ "type": name, "BLS_TO_EXECUTION_CHANGE": {} });
        let answered = server.sign(body.to_string()).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST);
        assert!(answered.error().contains("is not signed: "), "{}", answered.body);
        assert!(answered.error().contains(text), "{}", answered.body);
    }
}

#[tokio::test]
async fn deep_nesting_neither_overflows_nor_counts() {
    let server = server(Fake::signing());
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    // In a field that nobody reads it is skipped.
    let mut body = randao(EPOCH).to_string();
    body.insert_str(1, &format!(r#""unknown":{deep},"#));
    assert_eq!(server.sign(body).await.status, StatusCode::OK);
    // In fields that are read it is refused.
    let valid = randao(EPOCH).to_string();
    for body in [
        valid.replace(&format!("\"{EPOCH}\""), &deep),
        valid.replace("\"RANDAO_REVEAL\"", &deep),
        valid.replace(&format!("{{\"epoch\":\"{EPOCH}\"}}"), &deep),
    ] {
        assert_ne!(body, valid);
        assert_eq!(server.sign(body).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn every_body_with_one_byte_changed_is_signed_or_refused_with_a_reason() {
    let server = server(Fake::signing());
    let valid = randao(EPOCH).to_string().into_bytes();
    for position in 0..valid.len() {
        for byte in [0, b'"', b'{', b'}', b'9', b'\\', 0xff] {
            let mut body = valid.clone();
            body[position] = byte;
            let answered = server.sign(body).await;
            match answered.status {
                StatusCode::OK => {}
                StatusCode::BAD_REQUEST => assert!(!answered.error().is_empty()),
                other => panic!("{other} at {position} with {byte}: {}", answered.body),
            }
        }
    }
}

#[tokio::test]
async fn a_long_string_is_not_repeated_in_the_reason() {
    let server = server(Fake::signing());
    let long = "A".repeat(4 * 1024 * 1024);
    for body in [
        format!(r#"{{"type":"{long}"}}"#),
        randao(EPOCH).to_string().replace(&EPOCH.to_string(), &long),
    ] {
        let answered = server.sign(body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST);
        assert!(answered.body.len() < 2048, "{} bytes", answered.body.len());
    }
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_taken_and_a_longer_one_is_not() {
    let server = server(Fake::signing());
    let mut body = randao(EPOCH).to_string();
    let padding = BODY_LIMIT - body.len() - r#""pad":"","#.len();
    body.insert_str(1, &format!(r#""pad":"{}","#, "x".repeat(padding)));
    assert_eq!(body.len(), BODY_LIMIT);
    assert_eq!(server.sign(body.clone()).await.status, StatusCode::OK);

    body.push(' ');
    let answered = server.sign(body).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answered.error(), format!("the body is longer than {BODY_LIMIT} bytes"));
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_is_cut_off_at_the_limit() {
    let server = server(Fake::signing());
    let chunk = Bytes::from(vec![b' '; 1024 * 1024]);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    let answered = server.sign(Body::from_stream(endless)).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_the_body() {
    let server = server(Fake::signing());
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let request = sign_request("00")
        .header(header::CONTENT_LENGTH, BODY_LIMIT + 1)
        .body(Body::from_stream(never))
        .unwrap();
    assert_eq!(server.send(request).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_compressed_body_is_refused() {
    let server = server(Fake::signing());
    for (encoding, status) in [
        ("gzip", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("identity", StatusCode::OK),
        ("Identity", StatusCode::OK),
    ] {
        let request = sign_request(crate::support::KEY)
            .header(header::CONTENT_ENCODING, encoding)
            .body(randao(EPOCH).to_string().into())
            .unwrap();
        assert_eq!(server.send(request).await.status, status, "{encoding}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let server = server(Fake::signing());
    let broken = stream::iter([
        Ok(Bytes::from_static(b"{\"type\":")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]);
    let answered = server.sign(Body::from_stream(broken)).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert!(answered.error().starts_with("the body broke off"), "{}", answered.body);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_sending_and_a_backend_that_never_answers_are_given_up() {
    let silent = stream::pending::<Result<Bytes, std::io::Error>>();
    let answered = server(Fake::signing()).sign(Body::from_stream(silent)).await;
    assert_eq!(answered.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answered.error(), "the body did not arrive within 12 s");

    let stuck = Fake::answering(|_, _| Box::pin(futures::future::pending()));
    let answered = server(stuck).sign(randao(EPOCH).to_string()).await;
    assert_eq!(answered.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answered.error(), "no answer within 12 s");
}

#[tokio::test]
async fn what_is_no_http_is_answered_by_the_library_and_counted() {
    let registry = Registry::new();
    let metrics = Some(ConnectionMetrics::register(&registry, None).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServerOptions { metrics, ..ServerOptions::default() };
    let router = server(Fake::signing()).router;
    let serving = tokio::spawn(serve(listener, router, options, std::future::pending()));

    let long = format!("GET /upcheck HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(64 * 1024));
    for (sent, status, reason) in [
        ("FOO BAR\r\n\r\n", "400", "parse"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n", "400", "parse"),
        (&long, "431", "header_too_large"),
        ("GET /upcheck HTTP/1.1\r\nHost:", "", "client_gone"),
    ] {
        let before = connection_errors(&registry, reason);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        // What the library did not read may reset the connection after its answer.
        let _ = stream.read_to_string(&mut answer).await;
        assert_eq!(answer.split(' ').nth(1).unwrap_or_default(), status, "{answer}");
        let counted = async {
            while connection_errors(&registry, reason) == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::server::PATIENCE, counted).await.expect(reason);
        assert_eq!(connection_errors(&registry, reason), before + 1, "{reason}");
    }
    serving.abort();
}

fn connection_errors(registry: &Registry, reason: &str) -> u64 {
    let families = registry.gather();
    let family =
        families.iter().find(|f| f.name() == "synod_http_connection_errors_total").unwrap();
    let labelled = |metric: &&prometheus::proto::Metric| {
        metric.get_label().iter().any(|label| label.value() == reason)
    };
    let value = family.get_metric().iter().find(labelled).unwrap().get_counter().get_value();
    // Counters are floats, and whole numbers.
    value.to_string().parse().unwrap()
}
