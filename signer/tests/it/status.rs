//! `GET /upcheck`, `/healthcheck`, `/api/v1/eth2/publicKeys`, and the host allow-list.

use axum::body::Body;
use axum::http::{Request, StatusCode, Version, header};
use signer::backend::{KeySource, NotReady, Peers};

use crate::support::{Answered, Fake, KEY, Server, server};

#[tokio::test]
async fn upcheck_is_ok_as_text() {
    let answered = server(Fake::signing()).get("/upcheck").await;
    assert_eq!(
        answered,
        Answered {
            status: StatusCode::OK,
            content_type: Some("text/plain; charset=utf-8".to_owned()),
            body: "OK".to_owned(),
        }
    );
}

#[tokio::test]
async fn public_keys_are_a_json_array_of_lower_case_hex() {
    let answered = server(Fake::signing()).get("/api/v1/eth2/publicKeys").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.content_type.as_deref(), Some("application/json; charset=utf-8"));
    assert_eq!(answered.body, format!(r#"["{KEY}"]"#));
}

#[tokio::test]
async fn public_keys_are_503_while_they_are_not_known() {
    let starting = NotReady { reason: "2 of 3 keystores are open".to_owned() };
    let server = server(Fake { keys: Err(starting), ..Fake::signing() });
    let answered = server.get("/api/v1/eth2/publicKeys").await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answered.body, "not ready: 2 of 3 keystores are open");
}

#[tokio::test]
async fn healthcheck_is_up_in_web3signers_shape() {
    let answered = server(Fake::signing()).get("/healthcheck").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.content_type.as_deref(), Some("application/json; charset=utf-8"));
    insta::assert_snapshot!(pretty(&answered), @r#"
    {
      "status": "UP",
      "checks": [
        {
          "id": "default-check",
          "status": "UP"
        },
        {
          "id": "keys-check",
          "status": "UP",
          "checks": [
            {
              "id": "cluster-keystores-loading",
              "status": "UP",
              "data": {
                "error-count": 0,
                "keys-loaded": 1
              }
            }
          ]
        },
        {
          "id": "slashing-protection-db-health-check",
          "status": "UP"
        },
        {
          "id": "peers-check",
          "status": "UP",
          "data": {
            "connected": 4,
            "operators": 4,
            "quorum": 3
          }
        }
      ],
      "outcome": "UP"
    }
    "#);
}

#[tokio::test]
async fn healthcheck_is_down_with_503_if_anything_is() {
    let up = Fake::signing().health;
    let mut no_quorum = up.clone();
    no_quorum.peers = Some(Peers { connected: 2, operators: 4, quorum: 3 });
    let mut broken_database = up.clone();
    broken_database.slashing_database = Err("disk full".to_owned());
    let mut missing_key = up.clone();
    missing_key.keys =
        vec![KeySource { id: "cluster-keystores-loading", loaded: 1, errors: 1, complete: true }];
    for (health, text) in [
        (no_quorum, r#""connected":2"#),
        (broken_database, r#""cause":"disk full""#),
        (missing_key, r#""error-count":1"#),
    ] {
        let answered = server(Fake { health, ..Fake::signing() }).get("/healthcheck").await;
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
        assert!(answered.body.contains(r#""outcome":"DOWN""#), "{}", answered.body);
        assert!(answered.body.contains(text), "{}", answered.body);
    }
}

#[tokio::test]
async fn a_standalone_signer_has_no_check_of_peers() {
    let mut backend = Fake::signing();
    backend.health.peers = None;
    let answered = server(backend).get("/healthcheck").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert!(!answered.body.contains("peers-check"), "{}", answered.body);
}

#[tokio::test]
async fn other_hosts_are_refused_on_every_path_as_web3signer_does() {
    let server = server(Fake::signing());
    for path in ["/upcheck", "/healthcheck", "/api/v1/eth2/publicKeys", "/nowhere"] {
        let answered = ask_as(&server, path, Some("evil.example:9000")).await;
        assert_eq!(
            answered,
            Answered {
                status: StatusCode::FORBIDDEN,
                content_type: Some("application/json; charset=utf-8".to_owned()),
                body: r#"{"message":"Host not authorized."}"#.to_owned(),
            }
        );
    }
    assert_eq!(ask_as(&server, "/upcheck", Some("")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask_as(&server, "/upcheck", None).await.status, StatusCode::BAD_REQUEST);
    let refused = r#"synod_http_refusals_total{reason="host_not_authorized"}"#;
    assert_eq!(server.metric(refused).await.as_deref(), Some("5"));
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9000"] {
        assert_eq!(ask_as(&server, "/upcheck", Some(host)).await.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_host_in_the_target_counts_beside_the_header() {
    let server = server(Fake::signing());
    // HTTP/2 has no Host header; its authority is the target's.
    for (target, status) in [
        ("http://localhost:9000/upcheck", StatusCode::OK),
        ("http://evil.example/upcheck", StatusCode::FORBIDDEN),
    ] {
        let request = Request::get(target).version(Version::HTTP_2).body(Body::empty()).unwrap();
        assert_eq!(server.send(request).await.status, status, "{target}");
    }
    let both = Request::get("http://evil.example/upcheck").header(header::HOST, "localhost");
    let answered = server.send(both.body(Body::empty()).unwrap()).await;
    assert_eq!(answered.status, StatusCode::FORBIDDEN);
    let twice = Request::get("/upcheck")
        .header(header::HOST, "localhost")
        .header(header::HOST, "localhost");
    let answered = server.send(twice.body(Body::empty()).unwrap()).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
}

async fn ask_as(server: &Server, path: &str, host: Option<&str>) -> Answered {
    let mut request = Request::get(path);
    if let Some(host) = host {
        request = request.header(header::HOST, host);
    }
    server.send(request.body(Body::empty()).unwrap()).await
}

fn pretty(answered: &Answered) -> String {
    let value: api_spec::HealthAnswer = serde_json::from_str(&answered.body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}
