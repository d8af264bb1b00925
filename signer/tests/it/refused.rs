//! For each type of request, the forms that are taken beside the forms that are refused, with the
//! signing root of the former and the reasons of the latter in snapshots.

use std::fmt::Write as _;

use api_spec::DutyType;
use eth_types::ForkName;
use eth_types::network::Network;
use serde_json::{Map, Value, json};

use crate::support::{Fake, server_on};

/// A slot of mainnet in Fulu.
const SLOT: u64 = 13_200_000;
/// Its epoch.
const EPOCH: u64 = SLOT / 32;
/// A slot of mainnet in phase 0.
const PHASE0_SLOT: u64 = 281_282;

fn root(byte: u8) -> Value {
    format!("0x{}", hex(&[byte; 32])).into()
}

fn signature(byte: u8) -> Value {
    format!("0x{}", hex(&[byte; 96])).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The request of one type, in the form that most clients send.
fn request(duty_type: DutyType) -> Value {
    let mut body = json!({ "type": duty_type.as_str() });
    let network = Network::by_name("mainnet").unwrap();
    if duty_type.needs_fork_info() {
        let version = match duty_type {
            DutyType::Block => network.fork_version(ForkName::Phase0),
            _ if is_of_gloas(duty_type) => network.fork_version(ForkName::Gloas),
            _ => network.fork_version_at(EPOCH.into()),
        };
        let version = version.unwrap().to_string();
        body["fork_info"] = json!({
            "fork": { "previous_version": version, "current_version": version, "epoch": "0" },
            "genesis_validators_root": network.genesis_validators_root().to_string(),
        });
    }
    body[duty_type.object_field()] = object(duty_type);
    body
}

/// Whether the type is one that Gloas adds. Mainnet has no date for it, but a version.
fn is_of_gloas(duty_type: DutyType) -> bool {
    matches!(
        duty_type,
        DutyType::ExecutionPayloadBid
            | DutyType::ExecutionPayloadEnvelope
            | DutyType::PayloadAttestationMessage
            | DutyType::ProposerPreferences
            | DutyType::BuilderRequestAuth
    )
}

fn object(duty_type: DutyType) -> Value {
    match duty_type {
        DutyType::Block => whole_block(),
        DutyType::BlockV2 => json!({ "version": "FULU", "block_header": header() }),
        DutyType::Attestation => attestation_data(),
        DutyType::AggregationSlot => json!({ "slot": SLOT.to_string() }),
        DutyType::AggregateAndProof => aggregate_and_proof(),
        DutyType::AggregateAndProofV2 => {
            json!({ "version": "FULU", "data": aggregate_and_proof() })
        }
        DutyType::RandaoReveal => json!({ "epoch": EPOCH.to_string() }),
        DutyType::Deposit => json!({
            "pubkey": crate::support::KEY,
            "withdrawal_credentials": root(1),
            "amount": "32000000000",
            "genesis_fork_version": "0x00000000",
        }),
        DutyType::VoluntaryExit => {
            json!({ "epoch": EPOCH.to_string(), "validator_index": "17" })
        }
        DutyType::SyncCommitteeMessage => {
            json!({ "beacon_block_root": root(2), "slot": SLOT.to_string() })
        }
        DutyType::SyncCommitteeSelectionProof => {
            json!({ "slot": SLOT.to_string(), "subcommittee_index": "3" })
        }
        DutyType::SyncCommitteeContributionAndProof => json!({
            "aggregator_index": "17",
            "selection_proof": signature(3),
            "contribution": {
                "slot": SLOT.to_string(),
                "beacon_block_root": root(2),
                "subcommittee_index": "3",
                "aggregation_bits": format!("0x{}", hex(&[5; 16])),
                "signature": signature(4),
            },
        }),
        DutyType::ValidatorRegistration => json!({
            "fee_recipient": format!("0x{}", hex(&[6; 20])),
            "gas_limit": "45000000",
            "timestamp": "1760000000",
            "pubkey": crate::support::KEY,
        }),
        _ => json!({ "version": "GLOAS", "data": gloas_object(duty_type) }),
    }
}

fn gloas_object(duty_type: DutyType) -> Value {
    let address = format!("0x{}", hex(&[6; 20]));
    match duty_type {
        DutyType::ExecutionPayloadBid => json!({
            "parent_block_hash": root(1),
            "parent_block_root": root(2),
            "block_hash": root(3),
            "prev_randao": root(4),
            "fee_recipient": address,
            "gas_limit": "60000000",
            "builder_index": "17",
            "slot": SLOT.to_string(),
            "value": "1000000000",
            "execution_payment": "0",
            "blob_kzg_commitments": [format!("0x{}", hex(&[7; 48]))],
            "execution_requests_root": root(5),
        }),
        DutyType::ExecutionPayloadEnvelope => json!({
            "payload": {
                "parent_hash": root(1),
                "fee_recipient": address,
                "state_root": root(2),
                "receipts_root": root(3),
                "logs_bloom": format!("0x{}", hex(&[8; 256])),
                "prev_randao": root(4),
                "block_number": "25000000",
                "gas_limit": "60000000",
                "gas_used": "30000000",
                "timestamp": "1790000000",
                "extra_data": "0x73796e6f64",
                "base_fee_per_gas": "7000000000",
                "block_hash": root(5),
                "transactions": ["0x02f87001", "0x"],
                "withdrawals": [
                    { "index": "1", "validator_index": "2", "address": address, "amount": "3" },
                ],
                "blob_gas_used": "131072",
                "excess_blob_gas": "0",
                "block_access_list": "0xc0",
                "slot_number": SLOT.to_string(),
            },
            "execution_requests": {
                "deposits": [],
                "withdrawals": [],
                "consolidations": [],
                "builder_deposits": [],
                "builder_exits": [],
            },
            "builder_index": u64::MAX.to_string(),
            "beacon_block_root": root(6),
            "parent_beacon_block_root": root(7),
        }),
        DutyType::PayloadAttestationMessage => json!({
            "beacon_block_root": root(1),
            "slot": SLOT.to_string(),
            "payload_present": true,
            "blob_data_available": false,
        }),
        DutyType::ProposerPreferences => json!({
            "dependent_root": root(1),
            "proposal_slot": SLOT.to_string(),
            "validator_index": "17",
            "fee_recipient": address,
            "target_gas_limit": "60000000",
        }),
        DutyType::BuilderRequestAuth => json!({
            "data": format!("0x{}", hex(b"https://builder.example/")),
            "slot": SLOT.to_string(),
        }),
        other => panic!("{other} is not of Gloas"),
    }
}

fn header() -> Value {
    json!({
        "slot": SLOT.to_string(),
        "proposer_index": "17",
        "parent_root": root(1),
        "state_root": root(2),
        "body_root": root(3),
    })
}

fn whole_block() -> Value {
    json!({
        "slot": PHASE0_SLOT.to_string(),
        "proposer_index": "17",
        "parent_root": root(1),
        "state_root": root(2),
        "body": {
            "randao_reveal": signature(3),
            "eth1_data": {
                "deposit_root": root(4),
                "deposit_count": "100",
                "block_hash": root(5),
            },
            "graffiti": root(6),
            "proposer_slashings": [],
            "attester_slashings": [],
            "attestations": [],
            "deposits": [],
            "voluntary_exits": [],
        },
    })
}

fn attestation_data() -> Value {
    json!({
        "slot": SLOT.to_string(),
        "index": "0",
        "beacon_block_root": root(1),
        "source": { "epoch": (EPOCH - 1).to_string(), "root": root(2) },
        "target": { "epoch": EPOCH.to_string(), "root": root(3) },
    })
}

fn aggregate_and_proof() -> Value {
    json!({
        "aggregator_index": "17",
        "aggregate": {
            "aggregation_bits": "0x0107",
            "data": attestation_data(),
            "signature": signature(4),
            "committee_bits": "0x0100000000000000",
        },
        "selection_proof": signature(5),
    })
}

/// The same request in the forms that other clients send.
fn accepted_forms(duty_type: DutyType) -> Vec<(&'static str, String)> {
    let body = request(duty_type);
    let text = body.to_string();
    let field = duty_type.object_field();
    let with = |name: &str, value: Value| {
        let mut changed = body.clone();
        changed[name] = value;
        changed.to_string()
    };
    let mut lower = body.clone();
    lower["type"] = duty_type.as_str().to_lowercase().into();
    let mut forms = vec![
        ("as it is", text.clone()),
        ("object first, type last", reordered(&body, field)),
        ("type in lower case", lower.to_string()),
        ("bare integers", map_strings(&body, &|text| text.parse::<u64>().map(Value::from).ok())),
        (
            "hex in upper case",
            map_strings(&body, &|text| {
                text.strip_prefix("0x").map(|digits| format!("0x{}", digits.to_uppercase()).into())
            }),
        ),
        ("hex without 0x", map_strings(&body, &|text| text.strip_prefix("0x").map(Value::from))),
        ("signing root null", with("signingRoot", Value::Null)),
        ("unknown fields", with("unknown", json!({ "a": [1, { "b": null }] }))),
        ("white space", serde_json::to_string_pretty(&body).unwrap()),
    ];
    let other = if field == "attestation" { "randao_reveal" } else { "attestation" };
    forms.push(("the object of another type, of any form", with(other, json!("whatever"))));
    if !duty_type.needs_fork_info() {
        forms.push(("fork_info of zeros", with("fork_info", json!({
            "fork": { "previous_version": "0x00000000", "current_version": "0x00000000", "epoch": "0" },
            "genesis_validators_root": root(0),
        }))));
        forms.push(("fork_info null", with("fork_info", Value::Null)));
    }
    match duty_type {
        DutyType::BlockV2 => {
            for (name, version) in [("lower case", "fulu"), ("a fork to come", "HEZE")] {
                let value = json!({ "version": version, "block": null, "block_header": header() });
                forms.push((name, with(field, value)));
            }
        }
        DutyType::AggregateAndProof => {
            let value = json!({ "version": "fulu", "data": aggregate_and_proof() });
            forms.push(("wrapped", with(field, value)));
        }
        DutyType::AggregateAndProofV2 => {
            forms.push(("bare", with(field, aggregate_and_proof())));
            forms.push(("without version", with(field, json!({ "data": aggregate_and_proof() }))));
        }
        _ if is_of_gloas(duty_type) => forms.extend(other_gloas_forms(duty_type, &body)),
        _ => {}
    }
    forms
}

/// Bare, as Lighthouse sends it and Lodestar did, under the names that they have for it.
fn other_gloas_forms(duty_type: DutyType, body: &Value) -> Vec<(&'static str, String)> {
    let field = duty_type.object_field();
    let under = |name: &str, field: &str, object: Value| {
        let mut changed = body.clone();
        changed["type"] = name.into();
        changed.as_object_mut().unwrap().remove(duty_type.object_field());
        changed[field] = object;
        changed.to_string()
    };
    let bare = || gloas_object(duty_type);
    let name = duty_type.as_str();
    let mut forms = vec![
        ("bare", under(name, field, bare())),
        (
            "version in lower case",
            under(name, field, json!({ "version": "gloas", "data": bare() })),
        ),
        ("without version", under(name, field, json!({ "data": bare() }))),
    ];
    match duty_type {
        DutyType::PayloadAttestationMessage => forms.extend([
            ("as Lighthouse", under("PAYLOAD_ATTESTATION", "payload_attestation_data", bare())),
            ("as Lodestar once", under("PAYLOAD_ATTESTATION", "payload_attestation", bare())),
            ("a fork to come", under(name, field, json!({ "version": "HEZE", "data": bare() }))),
        ]),
        DutyType::BuilderRequestAuth => {
            forms.push(("as Lighthouse", under("REQUEST_AUTH", "request_auth", bare())));
        }
        _ => {}
    }
    forms
}

/// The body with `first` before everything else and `type` after.
fn reordered(body: &Value, first: &str) -> String {
    let mut parts: Vec<(&String, &Value)> = body.as_object().unwrap().iter().collect();
    parts.sort_by_key(|(name, _)| (*name != first, *name == "type"));
    let parts: Vec<String> =
        parts.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", parts.join(","))
}

/// The body with its strings replaced where `change` says so; `type` and versions stay.
fn map_strings(body: &Value, change: &dyn Fn(&str) -> Option<Value>) -> String {
    fn walk(value: &Value, change: &dyn Fn(&str) -> Option<Value>) -> Value {
        match value {
            Value::String(text) => change(text).unwrap_or_else(|| value.clone()),
            Value::Array(items) => items.iter().map(|item| walk(item, change)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), walk(value, change)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }
    walk(body, change).to_string()
}

/// Every field below the outermost object, as a JSON pointer.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(fields) = value.as_object() else { return };
    for (name, inner) in fields {
        let pointer = format!("{at}/{name}");
        found.push(pointer.clone());
        pointers(inner, &pointer, found);
    }
}

/// The request with each of its fields missing, of another type, or of the right type and wrong.
fn refused_forms(duty_type: DutyType) -> Vec<(String, String)> {
    let body = request(duty_type);
    let mut found = Vec::new();
    pointers(&body, "", &mut found);
    let mut forms = Vec::new();
    // The envelope is the same for all types.
    let envelope = ["/type", "/fork_info"];
    found.retain(|pointer| {
        duty_type == DutyType::Attestation || !envelope.iter().any(|at| pointer.starts_with(at))
    });
    for pointer in found {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut without = body.clone();
        without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        forms.push((format!("{pointer} missing"), without.to_string()));

        let value = body.pointer(&pointer).unwrap();
        let replacements: &[Value] = match value {
            Value::Object(_) => &[json!(null), json!([]), json!("x")],
            Value::Array(_) => &[json!(null), json!({}), json!([7])],
            Value::Bool(_) => &[json!(null), json!("true"), json!(1)],
            _ if value.as_str().unwrap().starts_with("0x") => {
                &[json!(7), json!("0x"), json!("0x0g")]
            }
            _ => &[json!(true), json!("x"), json!("-1")],
        };
        for replacement in replacements {
            let mut changed = body.clone();
            *changed.pointer_mut(&pointer).unwrap() = replacement.clone();
            forms.push((format!("{pointer} {replacement}"), changed.to_string()));
        }
    }
    forms
}

/// The table of one type: what is taken, with its signing root, and why the rest is not.
async fn table(duty_type: DutyType) -> String {
    let server = server_on("mainnet", Fake::signing());
    let mut table = String::new();
    let mut roots = Vec::new();
    for (name, body) in accepted_forms(duty_type) {
        let answered = server.sign(body).await;
        assert_eq!(answered.status.as_u16(), 200, "{duty_type}, {name}: {}", answered.body);
        roots.push(server.backend.asked.lock().unwrap().pop().unwrap().signing_root());
        writeln!(table, "taken: {name}").unwrap();
    }
    roots.dedup();
    assert_eq!(roots.len(), 1, "{duty_type}: forms of one request have {roots:?}");
    writeln!(table, "signing root {}", roots[0]).unwrap();
    for (name, body) in refused_forms(duty_type) {
        let answered = server.sign(body).await;
        let status = answered.status.as_u16();
        let outcome = if status == 200 { "taken".to_owned() } else { answered.error() };
        writeln!(table, "{name} => {status} {outcome}").unwrap();
    }
    table
}

#[tokio::test]
async fn every_type_has_its_accepted_and_refused_forms() {
    for &duty_type in DutyType::ALL {
        insta::assert_snapshot!(duty_type.as_str().to_lowercase(), table(duty_type).await);
    }
}

/// A payload as blocks of hundreds of millions of gas have it.
#[tokio::test]
async fn a_payload_of_many_megabytes_is_taken_and_every_byte_of_it_counts() {
    let server = server_on("mainnet", Fake::signing());
    let mut body = request(DutyType::ExecutionPayloadEnvelope);
    let transactions: Vec<String> =
        (0..200_u8).map(|byte| format!("{byte:02x}").repeat(40_000)).collect();
    body["execution_payload_envelope"]["data"]["payload"]["transactions"] = transactions.into();
    let text = body.to_string();
    assert!(text.len() > 16_000_000);
    let last = text.rfind("c7c7").unwrap();
    let changed = format!("{}d7{}", &text[..last], &text[last + 2..]);
    let mut roots = Vec::new();
    for text in [text, changed] {
        let answered = server.sign(text).await;
        assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
        roots.push(server.backend.asked.lock().unwrap().pop().unwrap().signing_root());
    }
    assert_ne!(roots[0], roots[1]);
}

#[tokio::test]
async fn what_does_not_fit_the_network_is_refused() {
    let server = server_on("mainnet", Fake::signing());
    let mut table = String::new();
    let mut case = async |name: &str, body: Value| {
        let answered = server.sign(body.to_string()).await;
        assert_eq!(answered.status.as_u16(), 400, "{name}: {}", answered.body);
        writeln!(table, "{name} => {}", answered.error()).unwrap();
    };

    let mut body = request(DutyType::RandaoReveal);
    body["fork_info"]["genesis_validators_root"] = root(9);
    case("another chain", body).await;
    let mut body = request(DutyType::RandaoReveal);
    body["fork_info"]["fork"]["current_version"] = "0x04000000".into();
    case("another fork's version", body).await;
    let mut body = request(DutyType::Deposit);
    body["deposit"]["genesis_fork_version"] = "0x10000910".into();
    case("a deposit on another network", body).await;
    let mut body = request(DutyType::AggregateAndProof);
    body["aggregate_and_proof"]["aggregate"]["committee_bits"] = Value::Null;
    case("an aggregate of Electra without committee_bits", body).await;
    let mut body = request(DutyType::AggregateAndProof);
    body["aggregate_and_proof"]["aggregate"]["aggregation_bits"] = "0x0000".into();
    case("a bit list without its end", body).await;
    let mut body = request(DutyType::AggregateAndProof);
    body["aggregate_and_proof"]["aggregate"]["aggregation_bits"] = hex(&[0xff; 20_000]).into();
    case("too many bits", body).await;
    let mut body = request(DutyType::SyncCommitteeContributionAndProof);
    body["contribution_and_proof"]["contribution"]["aggregation_bits"] = "0x01".into();
    case("a contribution of the minimal preset", body).await;
    let mut body = request(DutyType::Block);
    body["block"]["slot"] = SLOT.to_string().into();
    case("a whole block after Altair", body).await;
    let mut body = request(DutyType::BlockV2);
    body["beacon_block"]["block"] = whole_block();
    case("a whole block beside a header", body).await;
    let mut body = request(DutyType::BlockV2);
    body["beacon_block"] = json!({ "version": "FULU", "block": whole_block() });
    case("a whole block with a version that has headers", body).await;
    let mut body = request(DutyType::BlockV2);
    body["beacon_block"] = json!({ "version": "ALTAIR" });
    case("no block at all", body).await;
    let mut body = request(DutyType::SyncCommitteeMessage);
    body["sync_committee_message"]["slot"] = PHASE0_SLOT.to_string().into();
    body["fork_info"]["fork"]["current_version"] = "0x00000000".into();
    case("a sync committee before there were any", body).await;

    insta::assert_snapshot!("what_does_not_fit_the_network", table);
}
