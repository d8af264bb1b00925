//! What is signed, in which form, and what is not.

use eth_types::duty::Message;
use eth_types::fork::{DomainType, compute_domain, signing_root_of};
use eth_types::{ForkVersion, Root};
use serde_json::{Value, json};
use tests::{Ask, Chain, Connection, Reply};
use threshold_protocol::bls;

use super::samples::{
    FORKS, FORMS, Form, aggregate_of, block_of, deposit, every_type, legacy_block, slot_of,
};
use super::{key, sign_path, signer_on, staged_chain, started_on};
use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_signed_in_the_form_that_is_asked_for() {
    let signer = started_on(staged_chain()).await;
    let mut connection = signer.connect().await;
    for ask in every_type(signer.chain()) {
        let signature = signed(&mut connection, &ask).await;
        for (accept, is_json) in [
            (&["Accept: application/json"][..], true),
            (&["Accept: */*"], true),
            (&["Accept: text/html, application/json;q=0.1"], true),
            (&["Accept: text/plain"], false),
            (&["Accept: application/octet-stream"], false),
            (&["Accept:"], false),
            (&[], false),
        ] {
            let reply = connection.ask("POST", &sign_path(), accept, &ask.text()).await;
            let (content_type, body) = if is_json {
                ("application/json; charset=utf-8", format!("{{\"signature\":\"{signature}\"}}"))
            } else {
                ("text/plain; charset=utf-8", signature.clone())
            };
            assert_eq!(reply.status, 200, "{} {accept:?}: {}", ask.name, reply.body);
            assert_eq!(reply.body, body, "{} {accept:?}", ask.name);
            assert_eq!(reply.header("content-type"), Some(content_type));
        }
        // What the client says of the body's form does not matter.
        for content_type in ["Content-Type: text/plain", "Content-Type: nonsense"] {
            let reply = connection.ask("POST", &sign_path(), &[content_type], &ask.text()).await;
            assert_eq!(reply.body, signature, "{} {content_type}", ask.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signing_root_may_be_left_out_or_spelt_two_ways_and_has_to_be_right() {
    let signer = started_on(staged_chain()).await;
    let mut connection = signer.connect().await;
    for ask in every_type(signer.chain()) {
        let right = ask.root().to_string();
        let bare_upper = right.trim_start_matches("0x").to_uppercase();
        let wrong = format!("0x{}", "ab".repeat(32));
        let cases: [(Option<&str>, Value, u16); 8] = [
            (None, Value::Null, 200),
            (Some("signingRoot"), json!(right), 200),
            (Some("signing_root"), json!(right), 200),
            (Some("signingRoot"), json!(bare_upper), 200),
            (Some("signing_root"), Value::Null, 200),
            (Some("signingRoot"), json!(wrong), 400),
            (Some("signing_root"), json!(wrong), 400),
            (Some("signing_root"), json!("0x12"), 400),
        ];
        for (field, value, status) in cases {
            let mut body = ask.body.clone();
            if let Some(field) = field {
                body[field] = value.clone();
            }
            let reply = connection.ask("POST", &sign_path(), &[], &body.to_string()).await;
            assert_eq!(reply.status, status, "{} {field:?} {value}: {}", ask.name, reply.body);
            if value == json!(wrong) {
                let reason = reply.refusal(400);
                assert!(reason.contains(&right) && reason.contains(&wrong), "{reason}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_aggregates_of_every_fork_are_signed() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let mut connection = signer.connect().await;
    for (version, epoch) in FORKS {
        let slot = slot_of(chain, epoch);
        let _ = signed(&mut connection, &block_of(chain, version, slot)).await;
        for form in FORMS {
            let _ = signed(&mut connection, &aggregate_of(chain, version, slot, form)).await;
        }
        // With committee bits before Electra, without from then on.
        let mut other = aggregate_of(chain, version, slot, Form::Bare).body;
        let aggregate = other["aggregate_and_proof"]["aggregate"].as_object_mut().unwrap();
        if aggregate.remove("committee_bits").is_none() {
            aggregate.insert("committee_bits".into(), json!("0x01"));
        }
        let reply = connection.ask("POST", &sign_path(), &[], &other.to_string()).await;
        assert!(reply.refusal(400).contains("committee_bits"), "{version}");
        // The version in small letters.
        let mut lower = block_of(chain, version, slot);
        lower.body["beacon_block"]["version"] = json!(version.to_lowercase());
        let _ = signed(&mut connection, &lower).await;
    }
    // The same block under the deprecated type: nothing contradicts.
    let slot = slot_of(chain, 5);
    assert_eq!(legacy_block(chain, slot).root(), block_of(chain, "PHASE0", slot).root());
    let _ = signed(&mut connection, &legacy_block(chain, slot)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_request_without_a_block_is_refused() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let mut connection = signer.connect().await;
    for (version, epoch) in FORKS {
        let whole = block_of(chain, version, slot_of(chain, epoch));
        let mut changed: Vec<(&str, Value)> = Vec::new();
        let mut change = |what, change: &dyn Fn(&mut Value)| {
            let mut body = whole.body.clone();
            change(&mut body);
            changed.push((what, body));
        };
        change("no block", &|body| body["beacon_block"] = json!({ "version": version }));
        change("an empty beacon_block", &|body| body["beacon_block"] = json!({}));
        change("null", &|body| body["beacon_block"] = Value::Null);
        change("no version", &|body| {
            let block = body["beacon_block"].as_object_mut().unwrap();
            block.remove("version");
            // An empty block is no header either.
            block.insert("block".into(), json!({}));
        });
        change("another fork's form", &|body| {
            let block = body["beacon_block"].as_object_mut().unwrap();
            let whole = block.remove("block");
            match (whole, block.remove("block_header")) {
                (Some(whole), _) => block.insert("block_header".into(), whole),
                (_, header) => block.insert("block".into(), header.unwrap_or_default()),
            };
        });
        for (what, body) in changed {
            let reply = connection.ask("POST", &sign_path(), &[], &body.to_string()).await;
            assert_eq!(reply.status, 400, "{version}, {what}: {}", reply.body);
            let _ = reply.refusal(400);
        }
    }
    // None of that left a record: another block of the slot is signed. A header has one form in all forks,
    // so that a fork that nobody here has heard of needs no new release.
    let mut coming = Ask::block(chain, slot_of(chain, 65), 9);
    coming.body["beacon_block"]["version"] = json!("PARIS");
    let _ = signed(&mut connection, &coming).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_read_are_refused_and_unknown_fields_are_not() {
    let signer = started_on(staged_chain()).await;
    let mut connection = signer.connect().await;
    let ask = Ask::block(signer.chain(), 521.into(), 1);
    let stranger = tests::standalone::secret(77).public_key();
    let path = format!("/api/v1/eth2/sign/{stranger}");
    let reason = connection.ask("POST", &path, &[], &ask.text()).await.refusal(404);
    assert!(reason.contains(&stranger.to_string()), "{reason}");

    for body in ["", " \n", "null", "{}", "[]", "invalid", r#"{"type":"BLOCK_V2""#, "{\"type\":7}"]
    {
        let _ = connection.ask("POST", &sign_path(), &[], body).await.refusal(400);
    }
    for sample in every_type(signer.chain()) {
        // Without its object, with another's, without type, without a fork.
        let object = sample.body.as_object().unwrap();
        for field in object.keys() {
            let mut body = object.clone();
            body.remove(field);
            let needless = field == "fork_info"
                && ["DEPOSIT", "VALIDATOR_REGISTRATION"].contains(&sample.name);
            let status = if needless { 200 } else { 400 };
            let text = Value::Object(body).to_string();
            let reply = connection.ask("POST", &sign_path(), &[], &text).await;
            assert_eq!(reply.status, status, "{} without {field}: {}", sample.name, reply.body);
        }
        // With more than is known, at every level.
        let mut body = sample.body.clone();
        add_unknown(&mut body);
        let _ =
            signature(connection.ask("POST", &sign_path(), &[], &body.to_string()).await, &sample);
    }
}

/// Adds fields that nobody knows to every object.
fn add_unknown(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_unknown);
            fields.insert("unknown".into(), json!({ "deep": [1, null, "2"] }));
        }
        Value::Array(items) => items.iter_mut().for_each(add_unknown),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_from_a_file_decides_domains_and_another_chain_is_refused() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let mut connection = signer.connect().await;
    // Registrations and exits are signed under versions that only the file has.
    for ask in [Ask::registration(chain, &key(), 60_000_000), Ask::exit(chain, 45.into())] {
        let _ = signed(&mut connection, &ask).await;
    }
    let foreign = Chain::with_forks_at(41, [10, 20, 30, 40, 50, 60]);
    for ask in every_type(&foreign) {
        let reason = connection.ask("POST", &sign_path(), &[], &ask.text()).await.refusal(400);
        // A registration names no chain; its signing root gives it away.
        let registration = ask.name == "VALIDATOR_REGISTRATION";
        let words = if registration { "signing root mismatch" } else { "synod-test-40" };
        assert!(reason.contains(words), "{}: {reason}", ask.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_file_without_a_clock_is_enough() {
    // A standalone signer looks at no clock, so it needs no genesis time.
    let mut signer = signer_on(staged_chain());
    let options = signer.options();
    let time = options.iter().position(|option| option == "--genesis-time").unwrap();
    let mut command = program().command();
    command.args(&options[..time]).args(&options[time + 2..]);
    signer.start_command(command).await;
    signer.loaded().await;
    let mut connection = signer.connect().await;
    let _ = signed(&mut connection, &Ask::randao(signer.chain(), 65.into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_are_signed_under_the_genesis_version_of_the_network_alone() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let mut connection = signer.connect().await;
    let ask = deposit(chain, chain.network().genesis_fork_version());
    let _ = signed(&mut connection, &ask).await;
    // The root, from the specification's formula.
    let Message::Deposit(message) = ask.duty.message() else { panic!("{:?}", ask.duty) };
    let version = ForkVersion::new([0x7e, 40, 0, 0]);
    let domain = compute_domain(DomainType::new([3, 0, 0, 0]), version, Root::ZERO);
    assert_eq!(signing_root_of(message, domain), ask.root());

    let mut other = ask.body.clone();
    other["deposit"]["genesis_fork_version"] = json!("0x00000000");
    let reply = connection.ask("POST", &sign_path(), &[], &other.to_string()).await;
    assert!(reply.refusal(400).contains("0x00000000"));
}

/// Asks as most clients do; the signature, which has to be right.
async fn signed(connection: &mut Connection, ask: &Ask) -> String {
    signature(connection.ask("POST", &sign_path(), &[], &ask.text()).await, ask)
}

#[track_caller]
fn signature(reply: Reply, ask: &Ask) -> String {
    assert_eq!(reply.status, 200, "{} {}: {}", ask.name, ask.body, reply.body);
    let signature = reply.body.parse().unwrap();
    let right = bls::verify(&key(), &ask.root(), &signature);
    assert!(right, "{}: {signature} is not over {}", ask.name, ask.root());
    reply.body
}
