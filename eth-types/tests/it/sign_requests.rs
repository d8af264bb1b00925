//! Every request of seven clients, for five networks and all their forks: the signing root of the duty
//! is the right one.

use eth_types::containers::{
    AttestationData, BeaconBlockHeader, DepositMessage, RawAggregateAndProof, RawBeaconBlock,
    RawContributionAndProof, SyncAggregatorSelectionData, SyncCommitteeMessage,
    ValidatorRegistration, VoluntaryExit,
};
use eth_types::{Duty, Epoch, ForkInfo, Message, Network, Root, Slot};
use serde::Deserialize;
use serde_json::Value;

use crate::vectors;

#[derive(Deserialize)]
struct Vector {
    name: String,
    network: String,
    body: Value,
    signing_root: Root,
}

#[test]
fn mainnet_preset_requests_have_the_right_signing_roots() {
    check_file("sign-requests/mainnet-preset.jsonl", 1135);
}

#[test]
fn gnosis_preset_requests_have_the_right_signing_roots() {
    check_file("sign-requests/gnosis-preset.jsonl", 784);
}

fn check_file(path: &str, expected: usize) {
    let Some(text) = vectors::read(path) else { return };
    let mut wrong = Vec::new();
    let mut right = 0;
    for line in text.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        match check(&vector) {
            Ok(()) => right += 1,
            Err(reason) => wrong.push(format!("{}: {reason}", vector.name)),
        }
    }
    assert!(wrong.is_empty(), "{} wrong, such as {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert_eq!(right, expected);
}

fn check(vector: &Vector) -> Result<(), String> {
    let network = Network::by_name(&vector.network).unwrap();
    let message = message(&vector.body, &network)?;
    let fork_info: Option<ForkInfo> =
        serde_json::from_value(vector.body["fork_info"].clone()).map_err(|e| e.to_string())?;
    let duty =
        Duty::new(message, fork_info.as_ref(), &network).map_err(|error| error.to_string())?;
    if duty.signing_root() != vector.signing_root {
        return Err(format!("expected {}, found {}", vector.signing_root, duty.signing_root()));
    }
    let bytes = duty.encode();
    let decoded = Duty::decode(&bytes, &network).map_err(|error| error.to_string())?;
    if decoded != duty || decoded.encode() != bytes {
        return Err("another duty after encoding and decoding".to_owned());
    }
    Ok(())
}

/// The envelope of a request, as far as the vectors need it.
fn message(body: &Value, network: &Network) -> Result<Message, String> {
    fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
        T::deserialize(value).map_err(|error| error.to_string())
    }
    Ok(match body["type"].as_str().unwrap() {
        "BLOCK" => whole_block(&body["block"], network)?,
        "BLOCK_V2" => match &body["beacon_block"] {
            block if block["block"].is_object() => whole_block(&block["block"], network)?,
            block => Message::Block(read::<BeaconBlockHeader>(&block["block_header"])?),
        },
        "ATTESTATION" => Message::Attestation(read::<AttestationData>(&body["attestation"])?),
        "AGGREGATION_SLOT" => {
            Message::AggregationSlot(read::<Slot>(&body["aggregation_slot"]["slot"])?)
        }
        "AGGREGATE_AND_PROOF" | "AGGREGATE_AND_PROOF_V2" => {
            let object = &body["aggregate_and_proof"];
            let object = if object["data"].is_object() { &object["data"] } else { object };
            let raw = read::<RawAggregateAndProof>(object)?;
            Message::AggregateAndProof(raw.resolve(network).map_err(|error| error.to_string())?)
        }
        "RANDAO_REVEAL" => Message::RandaoReveal(read::<Epoch>(&body["randao_reveal"]["epoch"])?),
        "DEPOSIT" => Message::Deposit(read::<DepositMessage>(&body["deposit"])?),
        "VOLUNTARY_EXIT" => Message::VoluntaryExit(read::<VoluntaryExit>(&body["voluntary_exit"])?),
        "SYNC_COMMITTEE_MESSAGE" => Message::SyncCommitteeMessage(read::<SyncCommitteeMessage>(
            &body["sync_committee_message"],
        )?),
        "SYNC_COMMITTEE_SELECTION_PROOF" => {
            Message::SyncCommitteeSelectionProof(read::<SyncAggregatorSelectionData>(
                &body["sync_aggregator_selection_data"],
            )?)
        }
        "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF" => {
            let raw = read::<RawContributionAndProof>(&body["contribution_and_proof"])?;
            Message::SyncCommitteeContributionAndProof(
                raw.resolve(network).map_err(|error| error.to_string())?,
            )
        }
        "VALIDATOR_REGISTRATION" => Message::ValidatorRegistration(read::<ValidatorRegistration>(
            &body["validator_registration"],
        )?),
        other => return Err(format!("unknown type {other}")),
    })
}

fn whole_block(value: &Value, network: &Network) -> Result<Message, String> {
    let raw = RawBeaconBlock::deserialize(value).map_err(|error| error.to_string())?;
    Ok(Message::Block(raw.header(network).map_err(|error| error.to_string())?))
}
