//! Nimbus's verifying extension: proofs of what is in a block's body.

use eth_types::fork::{Domain, compute_signing_root};
use eth_types::network::Network;
use eth_types::{ExecutionAddress, ForkName, Root};
use serde_json::{Value, json};
use signer::block_proof::BlockRule;

use crate::support::{Answered, Fake, Server, server_on};

/// Whom the blocks of these tests should pay.
const RECIPIENT: ExecutionAddress = ExecutionAddress::new([0xfe; 20]);

/// A rule that expects [`RECIPIENT`].
fn expecting(proof_required: bool) -> BlockRule {
    BlockRule { fee_recipient: Some(RECIPIENT), proof_required }
}

fn server(rule: BlockRule) -> Server {
    server_on("mainnet", Fake { block_rule: rule, ..Fake::signing() })
}

/// The leaf of an address.
fn leaf(address: ExecutionAddress) -> Root {
    let mut bytes = [0; 32];
    bytes[..20].copy_from_slice(address.as_bytes());
    Root::new(bytes)
}

/// A body that has `leaf` at a generalized index, by its root, and the siblings on the way.
fn body(leaf: Root, index: u64) -> (Root, Vec<Root>) {
    let mut node = leaf;
    let mut siblings = Vec::new();
    let mut at = index;
    while at > 1 {
        let sibling = Root::new([u8::try_from(siblings.len()).unwrap() + 1; 32]);
        // A hash of two nodes.
        let hash =
            |left: Root, right: Root| compute_signing_root(left, Domain::new(right.into_bytes()));
        node = if at & 1 == 1 { hash(sibling, node) } else { hash(node, sibling) };
        siblings.push(sibling);
        at >>= 1;
    }
    (node, siblings)
}

/// The request for a block of a fork of mainnet, with or without proofs.
fn block(fork: ForkName, body_root: Root, proofs: Value) -> Value {
    let network = Network::by_name("mainnet").unwrap();
    let version = network.fork_version(fork).unwrap().to_string();
    // A fork without a date is where the schedule ends.
    let epoch = network.fork_epoch(fork).map_or(1_000_000, |epoch| epoch.as_u64());
    json!({
        "type": "BLOCK_V2",
        "fork_info": {
            "fork": { "previous_version": version, "current_version": version, "epoch": "0" },
            "genesis_validators_root": network.genesis_validators_root(),
        },
        "beacon_block": {
            "version": fork.as_str(),
            "block_header": {
                "slot": (epoch * 32 + 1).to_string(),
                "proposer_index": "17",
                "parent_root": Root::new([1; 32]),
                "state_root": Root::new([2; 32]),
                "body_root": body_root,
            },
        },
        "proofs": proofs,
    })
}

/// The index of the fee recipient in bodies of a fork.
fn index_in(fork: ForkName) -> u64 {
    if fork < ForkName::Deneb { 401 } else { 801 }
}

async fn ask(rule: BlockRule, request: &Value) -> Answered {
    server(rule).sign(request.to_string()).await
}

async fn refused(rule: BlockRule, request: &Value) -> String {
    let answered = ask(rule, request).await;
    assert_eq!(answered.status.as_u16(), 400, "{}", answered.body);
    answered.error()
}

const WITH_PAYLOADS: [ForkName; 5] =
    [ForkName::Bellatrix, ForkName::Capella, ForkName::Deneb, ForkName::Electra, ForkName::Fulu];

#[tokio::test]
async fn a_right_proof_is_taken_in_every_fork_whether_it_is_demanded_or_not() {
    for fork in WITH_PAYLOADS {
        let index = index_in(fork);
        let (root, siblings) = body(leaf(RECIPIENT), index);
        for proof in [
            json!({ "index": index.to_string(), "proof": siblings }),
            json!({ "index": index, "proof": siblings, "value": RECIPIENT }),
            json!({ "proof": siblings, "index": index, "value": leaf(RECIPIENT), "more": 1 }),
        ] {
            for required in [false, true] {
                let answered = ask(expecting(required), &block(fork, root, json!([proof]))).await;
                assert_eq!(answered.status.as_u16(), 200, "{fork}: {}", answered.body);
            }
        }
    }
}

#[tokio::test]
async fn a_block_that_pays_another_is_refused_whether_a_proof_is_demanded_or_not() {
    let other = ExecutionAddress::new([0xaa; 20]);
    for fork in WITH_PAYLOADS {
        let index = index_in(fork);
        let (root, siblings) = body(leaf(other), index);
        let silent = json!([{ "index": index, "proof": siblings }]);
        let open = json!([{ "index": index, "proof": siblings, "value": other }]);
        for required in [false, true] {
            let error = refused(expecting(required), &block(fork, root, silent.clone())).await;
            assert!(error.contains("the block has another fee recipient"), "{error}");
            let error = refused(expecting(required), &block(fork, root, open.clone())).await;
            assert!(error.contains(&format!("the signer expects {RECIPIENT}")), "{error}");
        }
    }
}

#[tokio::test]
async fn a_branch_that_is_changed_too_short_or_too_long_is_refused() {
    let (root, siblings) = body(leaf(RECIPIENT), 801);
    let mut changed = siblings.clone();
    changed[3] = Root::ZERO;
    let short = &siblings[..siblings.len() - 1];
    let long: Vec<Root> = siblings.iter().copied().chain([Root::ZERO]).collect();
    for branch in [&changed, short, &long, &[]] {
        let proofs = json!([{ "index": 801, "proof": branch }]);
        let error = refused(expecting(false), &block(ForkName::Fulu, root, proofs)).await;
        assert!(error.starts_with("proofs[0]: "), "{error}");
    }
    // A right one does not make up for a wrong one after it.
    let proofs = json!([
        { "index": 801, "proof": siblings },
        { "index": 801, "proof": changed },
    ]);
    let error = refused(expecting(false), &block(ForkName::Fulu, root, proofs)).await;
    assert!(error.starts_with("proofs[1]: "), "{error}");
}

#[tokio::test]
async fn an_index_that_is_no_known_field_of_the_fork_is_refused() {
    for (fork, index) in [
        (ForkName::Capella, 801),
        (ForkName::Deneb, 401),
        (ForkName::Fulu, 0),
        (ForkName::Fulu, 1),
        (ForkName::Fulu, 802),
        (ForkName::Fulu, u64::MAX),
        (ForkName::Altair, 401),
        (ForkName::Gloas, 801),
        (ForkName::Gloas, 18),
    ] {
        let (root, siblings) = body(leaf(RECIPIENT), index.clamp(1, 1 << 16));
        let proofs = json!([{ "index": index.to_string(), "proof": siblings }]);
        let error = refused(expecting(false), &block(fork, root, proofs)).await;
        let text = format!("index {index} is no field that is checked in a block of {fork}");
        assert!(error.contains(&text), "{error}");
    }
}

#[tokio::test]
async fn graffiti_is_proved_by_the_value_of_the_request_and_proves_no_fee_recipient() {
    let graffiti = Root::new(*b"a proof of what stands in a box.");
    let (root, siblings) = body(graffiti, 18);
    let with = json!([{ "index": 18, "proof": siblings, "value": graffiti }]);
    let answered = ask(expecting(false), &block(ForkName::Fulu, root, with.clone())).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
    let error = refused(expecting(true), &block(ForkName::Fulu, root, with)).await;
    assert!(error.contains("does not prove the block's fee recipient"), "{error}");
    let without = json!([{ "index": 18, "proof": siblings }]);
    let error = refused(expecting(false), &block(ForkName::Fulu, root, without)).await;
    assert!(error.contains("no graffiti is known"), "{error}");
}

#[tokio::test]
async fn without_proofs_a_block_is_refused_only_where_they_are_demanded() {
    let root = Root::new([3; 32]);
    for proofs in [Value::Null, json!([])] {
        for fork in WITH_PAYLOADS {
            let request = block(fork, root, proofs.clone());
            assert_eq!(ask(expecting(false), &request).await.status.as_u16(), 200);
            let error = refused(expecting(true), &request).await;
            assert!(error.contains("--require-fee-recipient-proof demands it"), "{error}");
        }
        // Before the merge a block paid nobody; from Gloas on it cannot be proved.
        let request = block(ForkName::Altair, root, proofs.clone());
        assert_eq!(ask(expecting(true), &request).await.status.as_u16(), 200);
        let request = block(ForkName::Gloas, root, proofs.clone());
        assert_eq!(ask(expecting(false), &request).await.status.as_u16(), 200);
        let error = refused(expecting(true), &request).await;
        assert!(error.contains("a block of GLOAS holds no payload"), "{error}");
    }
}

#[tokio::test]
async fn a_signer_that_expects_nobody_refuses_a_proof_that_it_cannot_check() {
    let (root, siblings) = body(leaf(RECIPIENT), 801);
    let nobody = BlockRule::default();
    let silent = json!([{ "index": 801, "proof": siblings }]);
    let error = refused(nobody, &block(ForkName::Fulu, root, silent)).await;
    assert!(error.contains("no fee recipient is known"), "{error}");
    assert!(error.contains("--expected-fee-recipient"), "{error}");
    let open = json!([{ "index": 801, "proof": siblings, "value": RECIPIENT }]);
    let answered = ask(nobody, &block(ForkName::Fulu, root, open)).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
}

#[tokio::test]
async fn proofs_that_cannot_be_read_are_refused_with_their_place() {
    let root = Root::new([3; 32]);
    for (proofs, path) in [
        (json!({}), "proofs: "),
        (json!([7]), "proofs[0]: "),
        (json!([["801", []]]), "proofs[0]: "),
        (json!([{ "index": "801" }]), "proofs[0]: "),
        (json!([{ "index": "x", "proof": [] }]), "proofs[0].index: "),
        (json!([{ "index": 801, "proof": ["0x00"] }]), "proofs[0].proof[0]: "),
        (json!([{ "index": 801, "proof": [], "value": "0x00" }]), "proofs[0].value: "),
        (json!(vec![json!({ "index": 801, "proof": [] }); 17]), "proofs: "),
    ] {
        let error = refused(expecting(false), &block(ForkName::Fulu, root, proofs)).await;
        assert!(error.starts_with(path), "{error}");
    }
}

#[tokio::test]
async fn other_duties_have_no_proofs() {
    let mut request = crate::support::randao(crate::support::EPOCH);
    request["proofs"] = json!("nonsense");
    let server = server_on("hoodi", Fake { block_rule: expecting(true), ..Fake::signing() });
    let answered = server.sign(request.to_string()).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
}
