//! Policy on what Gloas adds: who may have what co-signed, and when.

use eth_types::containers::{
    BUILDER_INDEX_SELF_BUILD, BuilderRequestAuth, ExecutionPayloadBid, ExecutionPayloadEnvelope,
    PayloadAttestationData, ProposerPreferences,
};
use eth_types::duty::{Duty, DutyKind, Message};
use eth_types::network::Network;
use eth_types::{ExecutionAddress, Fork, ForkInfo, ForkName, PublicKey, Root, Slot};
use serde_json::{Value, json};
use threshold_protocol::message::CosignRefusal;
use threshold_protocol::policy::{Policy, Validator, messages_per_operator};
use threshold_protocol::timing::UnixMillis;

use crate::support::hoodi;

const FEE_RECIPIENT: ExecutionAddress = ExecutionAddress::new([0xfe; 20]);
const OTHER: ExecutionAddress = ExecutionAddress::new([0xaa; 20]);
/// The slot of the clock, the first of an epoch of hoodi past its last dated fork.
const NOW: u64 = 64_000 * 32;

/// What the policy says to a message in the slot [`NOW`].
fn check(message: Message) -> Result<u64, CosignRefusal> {
    let network = hoodi();
    let validator = Validator { public_key: PublicKey::new([1; 48]), fee_recipient: FEE_RECIPIENT };
    let now = UnixMillis::new(network.slot_start(Slot::new(NOW)));
    let duty = duty(message, &network);
    let moment = Policy::default().check(&duty, &validator, &network, now)?;
    Ok(moment.slot.as_u64())
}

/// The message as a duty under the version that hoodi has for Gloas.
fn duty(message: Message, network: &Network) -> Duty {
    let version = network.fork_version(ForkName::Gloas).unwrap();
    let fork = Fork { previous_version: version, current_version: version, epoch: 0.into() };
    let genesis_validators_root = network.genesis_validators_root();
    Duty::new(message, Some(&ForkInfo { fork, genesis_validators_root }), network).unwrap()
}

fn vote(slot: u64) -> Message {
    Message::PayloadAttestation(PayloadAttestationData {
        beacon_block_root: Root::new([1; 32]),
        slot: Slot::new(slot),
        payload_present: true,
        blob_data_available: true,
    })
}

fn preferences(slot: u64, fee_recipient: ExecutionAddress, target_gas_limit: u64) -> Message {
    Message::ProposerPreferences(ProposerPreferences {
        dependent_root: Root::new([1; 32]),
        proposal_slot: Slot::new(slot),
        validator_index: 7,
        fee_recipient,
        target_gas_limit,
    })
}

fn auth(slot: u64) -> Message {
    let data = b"https://builder.example/".to_vec().try_into().unwrap();
    Message::BuilderRequestAuth(BuilderRequestAuth { data, slot: Slot::new(slot) })
}

fn envelope(slot: u64, fee_recipient: ExecutionAddress, builder_index: u64) -> Message {
    let root = Root::new([1; 32]);
    let envelope: ExecutionPayloadEnvelope = serde_json::from_value(json!({
        "payload": {
            "parent_hash": root, "fee_recipient": fee_recipient, "state_root": root,
            "receipts_root": root, "logs_bloom": "00".repeat(256), "prev_randao": root,
            "block_number": 1, "gas_limit": 60_000_000, "gas_used": 0, "timestamp": 1,
            "extra_data": "0x", "base_fee_per_gas": "7", "block_hash": root, "transactions": [],
            "withdrawals": [], "blob_gas_used": 0, "excess_blob_gas": 0,
            "block_access_list": "0x", "slot_number": slot,
        },
        "execution_requests": {
            "deposits": [], "withdrawals": [], "consolidations": [], "builder_deposits": [],
            "builder_exits": [],
        },
        "builder_index": builder_index, "beacon_block_root": root,
        "parent_beacon_block_root": root,
    }))
    .unwrap();
    Message::ExecutionPayloadEnvelope(Box::new(envelope))
}

fn bid() -> Message {
    let root = Value::from(Root::new([1; 32]).to_string());
    let bid: ExecutionPayloadBid = serde_json::from_value(json!({
        "parent_block_hash": root, "parent_block_root": root, "block_hash": root,
        "prev_randao": root, "fee_recipient": FEE_RECIPIENT, "gas_limit": 60_000_000,
        "builder_index": 3, "slot": NOW, "value": 1, "execution_payment": 0,
        "blob_kzg_commitments": [], "execution_requests_root": root,
    }))
    .unwrap();
    Message::ExecutionPayloadBid(Box::new(bid))
}

#[test]
fn payload_votes_and_payloads_are_signed_in_their_slot_and_the_one_after() {
    for slot in [NOW - 1, NOW] {
        assert_eq!(check(vote(slot)), Ok(slot));
        let own = envelope(slot, FEE_RECIPIENT, BUILDER_INDEX_SELF_BUILD);
        assert_eq!(check(own), Ok(slot));
    }
    for slot in [NOW - 64, NOW - 2, NOW + 1, u64::MAX / 64] {
        assert_eq!(check(vote(slot)), Err(CosignRefusal::OutOfWindow), "{slot}");
        let own = envelope(slot, FEE_RECIPIENT, BUILDER_INDEX_SELF_BUILD);
        assert_eq!(check(own), Err(CosignRefusal::OutOfWindow), "{slot}");
    }
}

#[test]
fn a_payload_of_another_builder_or_for_another_recipient_is_not_signed() {
    let builders = envelope(NOW, FEE_RECIPIENT, 3);
    assert_eq!(check(builders), Err(CosignRefusal::BuildersMessage));
    let others = envelope(NOW, OTHER, BUILDER_INDEX_SELF_BUILD);
    assert_eq!(check(others), Err(CosignRefusal::FeeRecipient));
}

#[test]
fn preferences_and_auths_are_signed_for_this_epoch_and_the_next() {
    for slot in [NOW, NOW + 1, NOW + 63] {
        assert_eq!(check(preferences(slot, FEE_RECIPIENT, 60_000_000)), Ok(slot));
        assert_eq!(check(auth(slot)), Ok(slot));
    }
    for slot in [NOW - 33, NOW + 64] {
        let late = check(preferences(slot, FEE_RECIPIENT, 60_000_000));
        assert_eq!(late, Err(CosignRefusal::OutOfWindow), "{slot}");
        assert_eq!(check(auth(slot)), Err(CosignRefusal::OutOfWindow), "{slot}");
    }
}

#[test]
fn preferences_name_the_clusters_recipient_and_a_gas_limit_within_bounds() {
    let others = preferences(NOW, OTHER, 60_000_000);
    assert_eq!(check(others), Err(CosignRefusal::FeeRecipient));
    for gas_limit in [0, 9_999_999, 1_000_000_001, u64::MAX] {
        let extreme = preferences(NOW, FEE_RECIPIENT, gas_limit);
        assert_eq!(check(extreme), Err(CosignRefusal::GasLimit), "{gas_limit}");
    }
}

#[test]
fn a_bid_is_not_co_signed() {
    assert_eq!(check(bid()), Err(CosignRefusal::WrongClass));
}

/// Only what has to differ for one client may.
#[test]
fn an_operator_gets_several_messages_of_a_moment_only_where_one_client_asks_for_several() {
    for kind in DutyKind::ALL {
        let several = matches!(kind, DutyKind::BuilderRequestAuth | DutyKind::ProposerPreferences);
        assert_eq!(messages_per_operator(kind) > 1, several, "{kind}");
    }
}
