//! Requests in the shapes of seven clients on five networks and all their forks: a signer of each
//! network signs every one, with the signature that is known to be right.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use eth_types::{Root, Signature};
use serde::Deserialize;
use serde_json::value::RawValue;
use tests::{Chain, Connection};
use threshold_protocol::bls;

use super::{KEY, key, sign_path, started_on};

/// One line of a vector file.
#[derive(Deserialize)]
struct Vector {
    name: String,
    network: String,
    accept: Option<String>,
    body: Box<RawValue>,
    pubkey: String,
    signing_root: Root,
    signature: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_every_client_gets_the_right_signature() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/sign-requests");
    if !folder.is_dir() {
        println!("skipped: no vectors in {}", folder.display());
        return;
    }
    let mut networks: BTreeMap<String, Vec<Vector>> = BTreeMap::new();
    for file in ["mainnet-preset.jsonl", "gnosis-preset.jsonl"] {
        for line in fs::read_to_string(folder.join(file)).unwrap().lines() {
            let vector: Vector = serde_json::from_str(line).unwrap();
            networks.entry(vector.network.clone()).or_default().push(vector);
        }
    }
    let mut checked = 0;
    for (network, vectors) in &networks {
        let signer = started_on(Chain::built_in(network)).await;
        let mut connection = signer.connect().await;
        let mut verified = HashSet::new();
        for vector in vectors {
            check(&mut connection, vector).await;
            // Clients share most messages; each is verified once.
            if verified.insert(vector.signing_root) {
                let signature: Signature = vector.signature.parse().unwrap();
                assert!(bls::verify(&key(), &vector.signing_root, &signature), "{}", vector.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 1000 && networks.len() == 5, "only {checked} vectors");
}

async fn check(connection: &mut Connection, vector: &Vector) {
    assert_eq!(vector.pubkey, KEY, "{}", vector.name);
    let accept = vector.accept.as_ref().map(|accept| format!("Accept: {accept}"));
    let headers: Vec<&str> = accept.iter().map(String::as_str).collect();
    let reply = connection.ask("POST", &sign_path(), &headers, vector.body.get()).await;
    assert_eq!(reply.status, 200, "{}: {}", vector.name, reply.body);
    let (content_type, body) = match vector.accept.as_deref() {
        Some("application/json" | "*/*") => (
            "application/json; charset=utf-8",
            format!("{{\"signature\":\"{}\"}}", vector.signature),
        ),
        _ => ("text/plain; charset=utf-8", vector.signature.clone()),
    };
    assert_eq!(reply.body, body, "{}", vector.name);
    assert_eq!(reply.header("content-type"), Some(content_type), "{}", vector.name);
}
