//! Requests that no client should send, and connections that break off: the answer makes sense, and the
//! signer goes on.

use tests::{Ask, wire};

use super::{PUBLIC_KEYS, key, sign_path, staged_chain, started_on};

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_get_sensible_answers() {
    let signer = started_on(staged_chain()).await;
    let ask = Ask::randao(signer.chain(), 65.into());
    let text = ask.text();
    let sign = sign_path();
    let hex = sign.rsplit_once("0x").unwrap().1;

    // Method, path, body, status; all on one connection, so that each has to leave it usable.
    let mut connection = signer.connect().await;
    let escaped: String = hex.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (method, path, body, status) in [
        // Doubled slashes are one.
        ("POST", format!("/{sign}"), text.as_str(), 200),
        ("POST", sign.replace('/', "//"), &text, 200),
        ("GET", "//upcheck".into(), "", 200),
        // Queries mean nothing.
        ("POST", format!("{sign}?a=b&c=%20"), &text, 200),
        ("GET", "/upcheck?".into(), "", 200),
        // An escape is the character that it stands for.
        ("POST", format!("/api/v1/eth2/sign/0x{escaped}"), &text, 200),
        ("POST", format!("/api/v1/eth2/sign/%30%78{hex}"), &text, 200),
        // These are no keys.
        ("POST", "/api/v1/eth2/sign/%00".into(), &text, 400),
        ("POST", "/api/v1/eth2/sign/%ff%fe".into(), &text, 400),
        ("POST", "/api/v1/eth2/sign/..%2f..%2fetc%2fpasswd".into(), &text, 400),
        ("POST", format!("{sign}%0d%0aSet-Cookie:%20a=b"), &text, 400),
        ("POST", format!("/api/v1/eth2/sign/{}", "a".repeat(16 * 1024)), &text, 400),
        // These are no paths.
        ("POST", "/api/v1/eth2/sign/".into(), &text, 404),
        ("POST", "/api/v1/eth2/sign".into(), &text, 404),
        ("POST", format!("{sign}/"), &text, 404),
        ("POST", sign.replace("eth2", "eth1"), &text, 404),
        ("GET", "/".into(), "", 404),
        ("GET", "/UPCHECK".into(), "", 404),
        ("GET", "/upcheck/..%2f".into(), "", 404),
        ("GET", format!("/{}", "a".repeat(16 * 1024)), "", 404),
        ("GET", format!("/{}", "/".repeat(8 * 1024)), "", 404),
        // These are no methods for them.
        ("GET", sign.clone(), "", 405),
        ("PUT", sign.clone(), &text, 405),
        ("DELETE", "/upcheck".into(), "", 405),
        ("BREW", "/upcheck".into(), "", 405),
        ("POST", PUBLIC_KEYS.into(), "", 405),
        // A body where none belongs.
        ("GET", "/upcheck".into(), &text, 200),
    ] {
        let reply = connection.ask(method, &path, &[], body).await;
        let shown: String = path.chars().take(120).collect();
        assert_eq!(reply.status, status, "{method} {shown}: {}", reply.body);
        assert!(!reply.body.is_empty(), "{method} {shown}");
        assert!(reply.body.len() < 2048, "{method} {shown}: {}", reply.body);
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused_and_closed() {
    let signer = started_on(staged_chain()).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"GET /up check HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /upcheck HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n",
        b"POST /upcheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /upcheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /upcheck HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: magic\r\n\r\n",
    ] {
        let mut connection = signer.connect().await;
        connection.send(bytes).await;
        let answer = connection.until_closed().await;
        let shown = String::from_utf8_lossy(bytes);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{shown:?}: {answer:?}");
    }
    let mut connection = signer.connect().await;
    connection.send(wire::request("GET", &format!("/{}", "a".repeat(70_000)), &[], "")).await;
    let answer = String::from_utf8_lossy(&connection.until_closed().await).into_owned();
    let refused = ["HTTP/1.1 414", "HTTP/1.1 431"];
    assert!(refused.iter().any(|status| answer.starts_with(status)), "{answer:?}");

    // Two hosts, so that a proxy and the signer could see different ones.
    let mut connection = signer.connect().await;
    let reply = connection.ask("GET", "/upcheck", &["Host: evil.example"], "").await;
    assert_eq!(reply.status, 400);
    assert_eq!(connection.ask("GET", "/upcheck", &[], "").await.body, "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let signer = started_on(staged_chain()).await;
    let asks: Vec<Ask> = (65..85).map(|epoch| Ask::randao(signer.chain(), epoch.into())).collect();
    let mut connection = signer.connect().await;
    let mut all = String::new();
    for ask in &asks {
        all.push_str(&wire::request("POST", &sign_path(), &[], &ask.text()));
        all.push_str(&wire::request("GET", "/upcheck", &[], ""));
    }
    connection.send(all).await;
    for ask in &asks {
        let reply = connection.answer().await;
        let signature = reply.body.parse().unwrap();
        assert!(threshold_protocol::bls::verify(&key(), &ask.root(), &signature));
        assert_eq!(connection.answer().await.body, "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_http_head_and_bodies_in_chunks_are_understood() {
    let signer = started_on(staged_chain()).await;
    let ask = Ask::randao(signer.chain(), 65.into());
    let text = ask.text();

    // HTTP/1.0: closed after the answer unless asked otherwise. Host is checked there, too.
    let mut connection = signer.connect().await;
    connection.send("GET /upcheck HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    let answer = String::from_utf8(connection.until_closed().await).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nOK"), "{answer}");
    let mut connection = signer.connect().await;
    for _ in 0..2 {
        let request = format!(
            "POST {} HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n{text}",
            sign_path(),
            text.len()
        );
        connection.send(request).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    let mut connection = signer.connect().await;
    connection.send("GET /upcheck HTTP/1.0\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 403);

    // HEAD: as GET, without the body.
    let mut connection = signer.connect().await;
    for path in ["/upcheck", "/healthcheck", PUBLIC_KEYS, "/reload", "/openapi.yaml"] {
        let get = connection.ask("GET", path, &[], "").await;
        connection.send(wire::request("HEAD", path, &[], "")).await;
        let head = connection.answer_to("HEAD").await;
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
        assert_eq!(head.status, get.status, "{path}");
    }

    // A body in chunks, one that is announced first, one byte after the other.
    let head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\n", sign_path());
    let (first, second) = text.split_at(text.len() / 2);
    connection
        .send(format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:X};x=y\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        ))
        .await;
    assert_eq!(connection.answer().await.status, 200);
    connection
        .send(format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", text.len()))
        .await;
    assert_eq!(connection.answer().await.status, 100);
    connection.send(&text).await;
    assert_eq!(connection.answer().await.status, 200);
    for byte in wire::request("POST", &sign_path(), &[], &text).into_bytes() {
        connection.send([byte]).await;
    }
    assert_eq!(connection.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_off_leave_no_trace() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let block = Ask::block(chain, 520.into(), 1);
    let whole = wire::request("POST", &sign_path(), &[], &block.text());
    let head = whole.find("\r\n\r\n").unwrap() + 4;
    // In the request line, in the header, after it, in the body, before its last byte.
    for cut in [5, head / 2, head, head + 10, whole.len() - 1] {
        for _ in 0..20 {
            let mut connection = signer.connect().await;
            connection.send(&whole[..cut]).await;
        }
    }
    // None of them was a request: another block of the slot is signed.
    let mut connection = signer.connect().await;
    let other = Ask::block(chain, 520.into(), 2);
    let reply = connection.ask("POST", &sign_path(), &[], &other.text()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);

    // Whole requests whose client does not wait: whatever was signed is on record, once.
    for proposal in [1, 2] {
        let mut connection = signer.connect().await;
        let block = Ask::block(chain, 530.into(), proposal);
        connection.send(wire::request("POST", &sign_path(), &[], &block.text())).await;
    }
    let mut statuses = Vec::new();
    for proposal in [1, 2] {
        let block = Ask::block(chain, 530.into(), proposal);
        let reply = connection.ask("POST", &sign_path(), &[], &block.text()).await;
        statuses.push(reply.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(connection.ask("GET", "/healthcheck", &[], "").await.status, 200);
}
