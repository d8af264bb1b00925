//! Duties of all kinds, as validator clients ask for them.

use eth_types::containers::{
    RawAggregateAndProof, SyncAggregatorSelectionData, SyncCommitteeMessage, ValidatorRegistration,
    VoluntaryExit,
};
use eth_types::duty::{Duty, Message};
use eth_types::network::Network;
use eth_types::{Epoch, ExecutionAddress, PublicKey, Slot};
use serde_json::json;
use threshold_protocol::KeyIndex;
use threshold_protocol::policy::Validator;

use crate::support::{duty, root_of};

/// Where the cluster's fees go.
pub(crate) const FEE_RECIPIENT: ExecutionAddress = ExecutionAddress::new([0xfe; 20]);

/// The validators of a cluster.
pub(crate) fn validators(count: u32) -> Vec<Validator> {
    (0..count)
        .map(|index| Validator {
            public_key: public_key(KeyIndex::new(index)),
            fee_recipient: FEE_RECIPIENT,
        })
        .collect()
}

/// A validator's public key; no point of the curve, which nobody here looks at.
pub(crate) fn public_key(validator: KeyIndex) -> PublicKey {
    let mut bytes = [0xab; 48];
    bytes[..4].copy_from_slice(&validator.get().to_le_bytes());
    PublicKey::new(bytes)
}

pub(crate) fn randao(epoch: Epoch, network: &Network) -> Duty {
    duty(Message::RandaoReveal(epoch), network)
}

pub(crate) fn selection_proof(slot: Slot, network: &Network) -> Duty {
    duty(Message::AggregationSlot(slot), network)
}

pub(crate) fn sync_selection_proof(slot: Slot, subcommittee_index: u64, network: &Network) -> Duty {
    let data = SyncAggregatorSelectionData { slot, subcommittee_index };
    duty(Message::SyncCommitteeSelectionProof(data), network)
}

pub(crate) fn sync_message(slot: Slot, head: u64, network: &Network) -> Duty {
    let beacon_block_root = root_of("head", head);
    duty(Message::SyncCommitteeMessage(SyncCommitteeMessage { slot, beacon_block_root }), network)
}

/// An aggregate: `number` makes the difference, for no two clients aggregate alike.
pub(crate) fn aggregate(slot: Slot, number: u64, network: &Network) -> Duty {
    let epoch = slot.epoch(network.slots_per_epoch()).as_u64();
    let root = root_of("head", 0).to_string();
    let raw: RawAggregateAndProof = serde_json::from_value(json!({
        "aggregator_index": "7",
        "aggregate": {
            "aggregation_bits": format!("0x{:02x}01", number & 0xff),
            "committee_bits": "0x0100000000000000",
            "data": {
                "slot": slot.to_string(),
                "index": "0",
                "beacon_block_root": root,
                "source": { "epoch": (epoch - 2).to_string(), "root": root },
                "target": { "epoch": epoch.to_string(), "root": root },
            },
            "signature": format!("0x{}", "11".repeat(96)),
        },
        "selection_proof": format!("0x{}", "22".repeat(96)),
    }))
    .unwrap();
    duty(Message::AggregateAndProof(raw.resolve(network).unwrap()), network)
}

/// A registration with builders, at a time in unix seconds.
pub(crate) fn registration(validator: KeyIndex, timestamp: u64, network: &Network) -> Duty {
    registration_to(FEE_RECIPIENT, validator, timestamp, network)
}

/// A registration that pays whom it likes.
pub(crate) fn registration_to(
    fee_recipient: ExecutionAddress,
    validator: KeyIndex,
    timestamp: u64,
    network: &Network,
) -> Duty {
    let registration = ValidatorRegistration {
        fee_recipient,
        gas_limit: 60_000_000,
        timestamp,
        pubkey: public_key(validator),
    };
    duty(Message::ValidatorRegistration(registration), network)
}

pub(crate) fn exit(epoch: Epoch, validator_index: u64, network: &Network) -> Duty {
    duty(Message::VoluntaryExit(VoluntaryExit { epoch, validator_index }), network)
}
