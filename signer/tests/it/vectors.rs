//! Requests in the shapes of seven clients, on five networks and all their forks, with the right
//! signing roots: every one goes in as a body and comes out as a duty with that root.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use eth_types::Root;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::{Fake, Server, server_on, signature_naming};

/// One line of a vector file.
#[derive(Deserialize)]
struct Vector {
    name: String,
    network: String,
    accept: Option<String>,
    body: Box<RawValue>,
    pubkey: String,
    signing_root: Root,
}

#[tokio::test]
async fn every_request_of_every_client_is_taken_with_the_right_signing_root() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/sign-requests");
    if !folder.is_dir() {
        println!("skipped: no vectors in {}", folder.display());
        return;
    }
    let mut servers = HashMap::new();
    let mut checked = 0;
    for file in ["mainnet-preset.jsonl", "gnosis-preset.jsonl"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        for line in text.lines() {
            let vector: Vector = serde_json::from_str(line).unwrap();
            let server = servers
                .entry(vector.network.clone())
                .or_insert_with(|| server_on(&vector.network, Fake::signing()));
            check(server, &vector).await;
            checked += 1;
        }
    }
    assert!(checked > 1000, "only {checked} vectors");
}

async fn check(server: &Server, vector: &Vector) {
    let mut request = Request::post(format!("/api/v1/eth2/sign/{}", vector.pubkey))
        .header(header::HOST, "localhost:9000")
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(accept) = &vector.accept {
        request = request.header(header::ACCEPT, accept);
    }
    let body = Body::from(vector.body.get().to_owned());
    let answered = server.send(request.body(body).unwrap()).await;

    assert_eq!(answered.status, StatusCode::OK, "{}: {}", vector.name, answered.body);
    let signature = signature_naming(vector.signing_root).to_string();
    let (content_type, body) = match vector.accept.as_deref() {
        Some("application/json" | "*/*") => {
            ("application/json; charset=utf-8", format!(r#"{{"signature":"{signature}"}}"#))
        }
        _ => ("text/plain; charset=utf-8", signature),
    };
    assert_eq!(answered.body, body, "{}", vector.name);
    assert_eq!(answered.content_type.as_deref(), Some(content_type), "{}", vector.name);
}
