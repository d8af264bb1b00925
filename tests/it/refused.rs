//! What clients send and no node signs: it is refused with the reason, and nothing is recorded.

use serde_json::{Value, json};
use tests::{Ask, http, records};

use crate::support::cluster;

/// A key that is in no cluster.
const STRANGER: &str = "0x989d34725a2bfc3f15105f3f5fc8741f436c25ee1ee4f948e425d6bcb8c56bce6e06c269635b7e985a7ffa639e2409bf";

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_the_reason_and_leave_no_record() {
    let mut cluster = cluster().validators(1).start().await;
    let chain = cluster.chain();
    let slot = chain.next_slot().await;
    let (node, key) = (cluster.http(0), cluster.key(0));
    let good = Ask::attestation(chain, slot, 1);
    let with = |path: &str, value: Value| {
        let mut body = good.body.clone();
        *body.pointer_mut(path).unwrap() = value;
        body.to_string()
    };
    let without = |field: &str| {
        let mut body = good.body.clone();
        body.as_object_mut().unwrap().remove(field).unwrap();
        body.to_string()
    };
    let text = good.text();
    let wrong_root = text.replace(&good.root().to_string(), &format!("0x{}", "ab".repeat(32)));
    let far = Ask::attestation(chain, slot.saturating_add(8000), 1);
    let past = Ask::block(chain, slot.saturating_sub(16), 1);
    let soon = Ask::block(chain, slot.saturating_add(4), 1);
    let next_epoch = chain.epoch_of(slot).saturating_add(1);
    let other_target = with("/attestation/target/epoch", json!(next_epoch));
    let backwards = with("/attestation/target/epoch", json!("1"));
    let far_randao = Ask::randao(chain, chain.epoch_of(slot).saturating_add(100));

    // What is sent, the status, and words that the reason has to contain.
    let refused: &[(&str, String, u16, &str)] = &[
        ("nothing", String::new(), 400, "empty"),
        ("cut off", text[..text.len() / 2].to_owned(), 400, "EOF"),
        ("no JSON", "sign, please".into(), 400, "not a signing request"),
        ("an array", format!("[{text}]"), 400, "JSON object"),
        ("no type", without("type"), 400, "type is missing"),
        ("an unknown type", with("/type", json!("CHEQUE")), 400, "CHEQUE"),
        ("no attestation", without("attestation"), 400, "attestation is missing"),
        ("no fork_info", without("fork_info"), 400, "fork_info is missing"),
        ("a slot in words", with("/attestation/slot", json!("ten")), 400, "attestation.slot"),
        ("a negative slot", with("/attestation/slot", json!(-1)), 400, "attestation.slot"),
        ("a short root", with("/attestation/target/root", json!("0xab")), 400, "target.root"),
        ("another signing root", wrong_root, 400, "signing root mismatch"),
        (
            "another chain",
            with("/fork_info/genesis_validators_root", json!(format!("0x{}", "cd".repeat(32)))),
            400,
            "genesis validators root",
        ),
        (
            "the version of a past fork",
            with("/fork_info/fork/current_version", json!("0x7e000001")),
            400,
            "0x7e000001",
        ),
        ("a target of another epoch", other_target, 400, "target epoch"),
        ("a source after the target", backwards, 412, "is after target epoch 1"),
        ("a far slot", far.text(), 400, "outside the window"),
        ("a past slot", past.text(), 400, "outside the window"),
        ("a slot to come", soon.text(), 400, "outside the window"),
        ("a reveal of the far future", far_randao.text(), 400, "outside the window"),
        ("a long body", " ".repeat(33 * 1024 * 1024), 413, "longer than"),
    ];
    for (what, body, status, words) in refused {
        let answer = http::sign(node, &key, body.clone()).await;
        let answer = answer.unwrap_or_else(|error| panic!("no answer to {what}: {error}"));
        assert_eq!(answer.status, *status, "{what}: {}", answer.body);
        let reason = answer.refusal(*status);
        assert!(reason.contains(words), "{what}: no {words:?} in {reason:?}");
    }

    let path = format!("/api/v1/eth2/sign/{STRANGER}");
    let answer = http::request(hyper::Method::POST, node, &path, text.clone()).await.unwrap();
    assert!(answer.refusal(404).contains(STRANGER), "{answer:?}");
    let path = "/api/v1/eth2/sign/0x1234";
    let answer = http::request(hyper::Method::POST, node, path, text).await.unwrap();
    assert!(answer.refusal(400).contains("identifier"), "{answer:?}");

    // The node has taken no harm, and what it signs is all it records.
    let slot = chain.next_slot().await;
    let ask = Ask::block(chain, slot, 1);
    let _ = cluster.ask(0, 0, &ask).await.signature(&key, &ask.root());
    cluster.stop();
    for node in 0..4 {
        let recorded = records::read(&cluster.data_dir(node));
        let roots: Vec<_> = recorded.iter().map(|record| record.root).collect();
        assert!(roots.iter().all(|root| *root == ask.root()), "node {node}: {recorded:?}");
    }
}
