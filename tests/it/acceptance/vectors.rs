//! Requests in the shapes of seven clients on five networks and all their forks, with the signatures that
//! are known to be right: a signer of each network gives every one of them, and a cluster that has shares of
//! the key gives those that are for any time.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use eth_types::{Root, Signature};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tests::{Chain, Connection, Reply};
use threshold::keystore::{KdfCost, Keystore, Password};
use threshold_protocol::bls::{self, SecretKey};

use super::{KEY, SECRET, key, sign_path, started_on};
use crate::support::{ALL, cluster};

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

impl Vector {
    fn body(&self) -> Value {
        serde_json::from_str(self.body.get()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_every_client_gets_the_right_signature() {
    let Some(networks) = vectors() else { return };
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

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_gives_the_right_signature_of_what_is_for_any_time_and_refuses_the_past() {
    let Some(mut networks) = vectors() else { return };
    let vectors = networks.remove("hoodi").unwrap();
    let of_type = |wanted: &'static str| {
        let vectors = vectors.iter().map(|vector| (vector, vector.body()));
        vectors.filter(move |(_, body)| body["type"] == wanted)
    };
    let fee_recipient = |body: &Value| body["validator_registration"]["fee_recipient"].clone();
    let fees_to = fee_recipient(&of_type("VALIDATOR_REGISTRATION").next().unwrap().1);

    let keystores = tempfile::tempdir().unwrap();
    let password = Password::new("word").unwrap();
    let secret: Root = SECRET.parse().unwrap();
    let secret = SecretKey::from_bytes(&secret.into_bytes()).unwrap();
    let cost = KdfCost::Pbkdf2 { rounds: 10 };
    let keystore = Keystore::encrypt(&secret, &password, cost, "").unwrap();
    fs::write(keystores.path().join("keystore-0.json"), keystore.to_json().unwrap()).unwrap();
    fs::write(keystores.path().join("keystore-0.txt"), "word").unwrap();
    let cluster = cluster()
        .chain(Chain::built_in("hoodi"))
        .splitting(keystores.path())
        .fee_recipient(serde_json::from_value(fees_to.clone()).unwrap())
        .start()
        .await;
    assert_eq!(cluster.files().keys, [key()]);
    let cluster = &cluster;

    // Exits and deposits: each operator's client asks in a shape of its own.
    for wanted in ["VOLUNTARY_EXIT", "DEPOSIT"] {
        let mut same: BTreeMap<Root, Vec<&Vector>> = BTreeMap::new();
        for (vector, _) in of_type(wanted) {
            same.entry(vector.signing_root).or_default().push(vector);
        }
        for shapes in same.values() {
            for first in 0..shapes.len() {
                let asks = ALL.map(|node| async move {
                    let vector = shapes[(first + node) % shapes.len()];
                    let mut connection = Connection::open(cluster.http(node)).await;
                    (vector, ask(&mut connection, vector).await)
                });
                for (vector, reply) in join_all(asks).await {
                    assert_right(&reply, vector);
                }
            }
        }
    }
    // The rest is one operator's to ask for. Registrations are signed with the cluster's fee recipient, and
    // what belongs to a slot or an epoch is past.
    let mut connection = Connection::open(cluster.http(0)).await;
    let (mut signed, mut refused) = (0, 0);
    for vector in &vectors {
        let body = vector.body();
        match body["type"].as_str().unwrap() {
            "VOLUNTARY_EXIT" | "DEPOSIT" => continue,
            "VALIDATOR_REGISTRATION" if fee_recipient(&body) == fees_to => {
                assert_right(&ask(&mut connection, vector).await, vector);
                signed += 1;
            }
            name => {
                let words =
                    if name == "VALIDATOR_REGISTRATION" { "fee recipient" } else { "window" };
                let reason = ask(&mut connection, vector).await.refusal(400);
                assert!(reason.contains(words), "{}: {reason}", vector.name);
                refused += 1;
            }
        }
    }
    assert!(signed > 5 && refused > 100, "{signed} signed, {refused} refused");
}

/// The vectors by network; none, and a line that says so, where the folder is not there.
fn vectors() -> Option<BTreeMap<String, Vec<Vector>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/sign-requests");
    if !folder.is_dir() {
        println!("skipped: no vectors in {}", folder.display());
        return None;
    }
    let mut networks: BTreeMap<String, Vec<Vector>> = BTreeMap::new();
    for file in ["mainnet-preset.jsonl", "gnosis-preset.jsonl"] {
        for line in fs::read_to_string(folder.join(file)).unwrap().lines() {
            let vector: Vector = serde_json::from_str(line).unwrap();
            networks.entry(vector.network.clone()).or_default().push(vector);
        }
    }
    Some(networks)
}

async fn check(connection: &mut Connection, vector: &Vector) {
    assert_eq!(vector.pubkey, KEY, "{}", vector.name);
    let reply = ask(connection, vector).await;
    assert_right(&reply, vector);
}

/// Asks as the vector's client does.
async fn ask(connection: &mut Connection, vector: &Vector) -> Reply {
    let accept = vector.accept.as_ref().map(|accept| format!("Accept: {accept}"));
    let headers: Vec<&str> = accept.iter().map(String::as_str).collect();
    connection.ask("POST", &sign_path(), &headers, vector.body.get()).await
}

#[track_caller]
fn assert_right(reply: &Reply, vector: &Vector) {
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
