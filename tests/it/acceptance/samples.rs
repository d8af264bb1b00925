//! Requests of every type and fork beyond those that the cluster's tests need.

use eth_types::containers::{
    BeaconBlockHeader, DepositMessage, RawAggregateAndProof, RawBeaconBlock,
};
use eth_types::duty::Message;
use eth_types::{Epoch, ForkVersion, Root, Slot};
use serde_json::{Value, json};
use tests::{Ask, Chain};

use super::key;

/// The forks of [`super::staged_chain`], each with an epoch in it.
pub(super) const FORKS: [(&str, u64); 7] = [
    ("PHASE0", 5),
    ("ALTAIR", 15),
    ("BELLATRIX", 25),
    ("CAPELLA", 35),
    ("DENEB", 45),
    ("ELECTRA", 55),
    ("FULU", 65),
];

/// The first slot of an epoch.
pub(super) fn slot_of(chain: &Chain, epoch: u64) -> Slot {
    Epoch::new(epoch).start_slot(chain.network().slots_per_epoch())
}

/// One request of every type: a `BLOCK` of phase 0, the rest of one epoch of Fulu.
pub(super) fn every_type(chain: &Chain) -> Vec<Ask> {
    let epoch = Epoch::new(65);
    let slot = slot_of(chain, 65);
    vec![
        // The earlier block first, or slashing protection would be right to refuse it.
        legacy_block(chain, slot_of(chain, 5)),
        block_of(chain, "FULU", slot),
        Ask::attestation(chain, slot, 1),
        Ask::aggregation_slot(chain, slot),
        Ask::aggregate(chain, slot, 1),
        aggregate_of(chain, "FULU", slot, Form::Bare),
        Ask::randao(chain, epoch),
        deposit(chain, chain.network().genesis_fork_version()),
        Ask::exit(chain, epoch),
        Ask::sync_message(chain, slot, 1),
        Ask::sync_selection(chain, slot),
        Ask::contribution(chain, slot, 1),
        Ask::registration(chain, &key(), 60_000_000),
    ]
}

/// A `BLOCK_V2`: whole up to Altair, with its header from Bellatrix on.
pub(super) fn block_of(chain: &Chain, version: &str, slot: Slot) -> Ask {
    let (field, object, header) = match version {
        "PHASE0" | "ALTAIR" => {
            let block = whole_block(slot, version == "ALTAIR");
            let raw: RawBeaconBlock = serde_json::from_value(block.clone()).unwrap();
            ("block", block, raw.header(chain.network()).unwrap())
        }
        _ => {
            let header = BeaconBlockHeader {
                slot,
                proposer_index: 7,
                parent_root: Root::new([4; 32]),
                state_root: Root::new([5; 32]),
                body_root: Root::new([6; 32]),
            };
            ("block_header", json!(header), header)
        }
    };
    let object = json!({ "beacon_block": { "version": version, field: object } });
    Ask::new(chain, "BLOCK_V2", object, Message::Block(header))
}

/// A `BLOCK`, which has no version.
pub(super) fn legacy_block(chain: &Chain, slot: Slot) -> Ask {
    let block = whole_block(slot, false);
    let raw: RawBeaconBlock = serde_json::from_value(block.clone()).unwrap();
    let header = raw.header(chain.network()).unwrap();
    Ask::new(chain, "BLOCK", json!({ "block": block }), Message::Block(header))
}

fn whole_block(slot: Slot, with_sync_aggregate: bool) -> Value {
    let mut body = json!({
        "randao_reveal": format!("0x{}", "aa".repeat(96)),
        "eth1_data": {
            "deposit_root": Root::new([1; 32]),
            "deposit_count": "9",
            "block_hash": Root::new([2; 32]),
        },
        "graffiti": Root::new([3; 32]),
        "proposer_slashings": [],
        "attester_slashings": [],
        "attestations": [],
        "deposits": [],
        "voluntary_exits": [],
    });
    if with_sync_aggregate {
        body["sync_aggregate"] = json!({
            "sync_committee_bits": format!("0x{}", "ff".repeat(4)),
            "sync_committee_signature": format!("0xc0{}", "00".repeat(95)),
        });
    }
    json!({
        "slot": slot,
        "proposer_index": "7",
        "parent_root": Root::new([4; 32]),
        "state_root": Root::new([5; 32]),
        "body": body,
    })
}

/// How an aggregate is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is, in an `AGGREGATE_AND_PROOF`.
    Bare,
    /// As it is, in an `AGGREGATE_AND_PROOF_V2` (Vero up to 1.3).
    BareV2,
    /// With its version, in an `AGGREGATE_AND_PROOF`.
    Wrapped,
    /// With its version, in an `AGGREGATE_AND_PROOF_V2`.
    WrappedV2,
}

/// All of them.
pub(super) const FORMS: [Form; 4] = [Form::Bare, Form::BareV2, Form::Wrapped, Form::WrappedV2];

/// An aggregate of a fork.
pub(super) fn aggregate_of(chain: &Chain, version: &str, slot: Slot, form: Form) -> Ask {
    let since_electra = matches!(version, "ELECTRA" | "FULU");
    let vote = Ask::attestation(chain, slot, 1);
    let mut object = json!({
        "aggregator_index": "7",
        "aggregate": {
            "aggregation_bits": "0x1f",
            "data": vote.body["attestation"],
            "signature": format!("0xc0{}", "00".repeat(95)),
        },
        "selection_proof": format!("0xc0{}", "00".repeat(95)),
    });
    if since_electra {
        object["aggregate"]["committee_bits"] = json!("0x01");
    }
    let raw: RawAggregateAndProof = serde_json::from_value(object.clone()).unwrap();
    let message = Message::AggregateAndProof(raw.resolve(chain.network()).unwrap());
    let (name, object) = match form {
        Form::Bare => ("AGGREGATE_AND_PROOF", object),
        Form::BareV2 => ("AGGREGATE_AND_PROOF_V2", object),
        Form::Wrapped => ("AGGREGATE_AND_PROOF", json!({ "version": version, "data": object })),
        Form::WrappedV2 => {
            ("AGGREGATE_AND_PROOF_V2", json!({ "version": version, "data": object }))
        }
    };
    Ask::new(chain, name, json!({ "aggregate_and_proof": object }), message)
}

/// A deposit under a genesis fork version, which has to be the chain's.
pub(super) fn deposit(chain: &Chain, genesis_fork_version: ForkVersion) -> Ask {
    let message = DepositMessage {
        pubkey: key(),
        withdrawal_credentials: Root::new([8; 32]),
        amount: 32_000_000_000,
        genesis_fork_version,
    };
    Ask::new(chain, "DEPOSIT", json!({ "deposit": message }), Message::Deposit(message))
}
