//! Networks and messages that several tests use.

use eth_types::containers::{
    AttestationData, BeaconBlockHeader, BuilderRequestAuth, Checkpoint, DepositMessage,
    ExecutionPayloadBid, ExecutionPayloadEnvelope, PayloadAttestationData, ProposerPreferences,
    RawAggregateAndProof, RawContributionAndProof, SyncAggregatorSelectionData,
    SyncCommitteeMessage, ValidatorRegistration, VoluntaryExit,
};
use eth_types::{
    Epoch, ExecutionAddress, Fork, ForkInfo, ForkName, Message, Network, Preset, PublicKey, Root,
    Slot,
};
use serde_json::json;

/// The genesis validators root of test chains.
pub(crate) const TEST_ROOT: Root = Root::new([7; 32]);
/// Their genesis, in unix seconds.
pub(crate) const TEST_GENESIS: u64 = 1_000;

/// A test chain on which all forks up to `last` begin at epoch 0 and no later one is scheduled.
pub(crate) fn chain(preset: Preset, last: ForkName) -> Network {
    Network::from_config_yaml(&config(preset, last), TEST_ROOT, TEST_GENESIS).unwrap()
}

/// The configuration of [`chain`].
pub(crate) fn config(preset: Preset, last: ForkName) -> String {
    let mut text = format!(
        "PRESET_BASE: '{preset}'\nCONFIG_NAME: test\nGENESIS_FORK_VERSION: 0x00000001\n\
         DEPOSIT_CHAIN_ID: 1337\nSECONDS_PER_SLOT: 6\n"
    );
    for (number, fork) in ForkName::ALL.into_iter().enumerate().skip(1) {
        let epoch = if fork <= last { 0 } else { u64::MAX };
        text += &format!("{fork}_FORK_VERSION: 0x{number:02x}000001\n{fork}_FORK_EPOCH: {epoch}\n");
    }
    text
}

/// The network's own `fork_info` for a message of `epoch`.
pub(crate) fn fork_info(network: &Network, epoch: Epoch) -> ForkInfo {
    let version = network.fork_version_at(epoch).unwrap();
    let fork = Fork { previous_version: version, current_version: version, epoch };
    ForkInfo { fork, genesis_validators_root: network.genesis_validators_root() }
}

pub(crate) fn attestation(slot: u64, target: u64) -> AttestationData {
    let source = target.saturating_sub(1);
    AttestationData {
        slot: Slot::new(slot),
        index: 1,
        beacon_block_root: Root::new([1; 32]),
        source: Checkpoint { epoch: Epoch::new(source), root: Root::new([2; 32]) },
        target: Checkpoint { epoch: Epoch::new(target), root: Root::new([3; 32]) },
    }
}

pub(crate) fn header(slot: u64) -> BeaconBlockHeader {
    BeaconBlockHeader {
        slot: Slot::new(slot),
        proposer_index: 4,
        parent_root: Root::new([5; 32]),
        state_root: Root::new([6; 32]),
        body_root: Root::new([7; 32]),
    }
}

/// An aggregate of the given bits, in JSON; without committee bits in the form of before Electra.
pub(crate) fn aggregate(slot: u64, bits: &[u8], committees: Option<&[u8]>) -> RawAggregateAndProof {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let mut value = json!({
        "aggregator_index": "8",
        "aggregate": {
            "aggregation_bits": hex(bits),
            "data": attestation(slot, 3),
            "signature": hex(&[9; 96]),
        },
        "selection_proof": hex(&[10; 96]),
    });
    if let Some(committees) = committees {
        value["aggregate"]["committee_bits"] = json!(hex(committees));
    }
    serde_json::from_value(value).unwrap()
}

/// A contribution with the given bit vector, in JSON.
pub(crate) fn contribution(slot: u64, bits: &[u8]) -> RawContributionAndProof {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    serde_json::from_value(json!({
        "aggregator_index": "8",
        "contribution": {
            "slot": slot.to_string(),
            "beacon_block_root": Root::new([1; 32]),
            "subcommittee_index": "2",
            "aggregation_bits": hex(bits),
            "signature": hex(&[9; 96]),
        },
        "selection_proof": hex(&[10; 96]),
    }))
    .unwrap()
}

/// A bid for the payload of a slot, in JSON.
fn bid(slot: u64) -> ExecutionPayloadBid {
    let root = Root::new([1; 32]);
    serde_json::from_value(json!({
        "parent_block_hash": root,
        "parent_block_root": root,
        "block_hash": root,
        "prev_randao": root,
        "fee_recipient": ExecutionAddress::new([15; 20]),
        "gas_limit": "60000000",
        "builder_index": "3",
        "slot": slot.to_string(),
        "value": "1",
        "execution_payment": "2",
        "blob_kzg_commitments": [PublicKey::new([17; 48])],
        "execution_requests_root": root,
    }))
    .unwrap()
}

/// A payload without transactions, in JSON.
fn envelope(slot: u64) -> ExecutionPayloadEnvelope {
    let root = Root::new([1; 32]);
    serde_json::from_value(json!({
        "payload": {
            "parent_hash": root,
            "fee_recipient": ExecutionAddress::new([15; 20]),
            "state_root": root,
            "receipts_root": root,
            "logs_bloom": format!("0x{}", hex::encode([5; 256])),
            "prev_randao": root,
            "block_number": "1",
            "gas_limit": "60000000",
            "gas_used": "0",
            "timestamp": "1700000000",
            "extra_data": "0x",
            "base_fee_per_gas": "7",
            "block_hash": root,
            "transactions": [],
            "withdrawals": [],
            "blob_gas_used": "0",
            "excess_blob_gas": "0",
            "block_access_list": "0x",
            "slot_number": slot.to_string(),
        },
        "execution_requests": {
            "deposits": [],
            "withdrawals": [],
            "consolidations": [],
            "builder_deposits": [],
            "builder_exits": [],
        },
        "builder_index": u64::MAX.to_string(),
        "beacon_block_root": root,
        "parent_beacon_block_root": root,
    }))
    .unwrap()
}

/// One message of every kind that Gloas adds, in epoch 0 to 4.
fn one_of_each_of_gloas() -> Vec<Message> {
    let slot = Slot::new(17);
    vec![
        Message::ExecutionPayloadBid(Box::new(bid(17))),
        Message::ExecutionPayloadEnvelope(Box::new(envelope(17))),
        Message::PayloadAttestation(PayloadAttestationData {
            beacon_block_root: Root::new([14; 32]),
            slot,
            payload_present: true,
            blob_data_available: false,
        }),
        Message::ProposerPreferences(ProposerPreferences {
            dependent_root: Root::new([14; 32]),
            proposal_slot: slot,
            validator_index: 8,
            fee_recipient: ExecutionAddress::new([15; 20]),
            target_gas_limit: 60_000_000,
        }),
        Message::BuilderRequestAuth(BuilderRequestAuth {
            data: b"https://builder.example/".to_vec().try_into().unwrap(),
            slot,
        }),
    ]
}

/// One message of every kind, for a network that is in Electra or later, in its epoch 0 to 4; what Gloas
/// adds only if the network is there.
pub(crate) fn one_of_each(network: &Network) -> Vec<Message> {
    let slot = Slot::new(17);
    let minimal = network.preset() == Preset::Minimal;
    let of_gloas = network.fork_at(Epoch::new(0)) == ForkName::Gloas;
    let of_gloas = if of_gloas { one_of_each_of_gloas() } else { Vec::new() };
    let contribution_bits: &[u8] = if minimal { &[0b101] } else { &[0b101; 16] };
    let committee_bits: &[u8] = if minimal { &[0b11] } else { &[0b11; 8] };
    let mut messages = vec![
        Message::Block(header(17)),
        Message::Attestation(attestation(17, 2)),
        Message::AggregationSlot(slot),
        Message::AggregateAndProof(
            aggregate(17, &[0b1011], Some(committee_bits)).resolve(network).unwrap(),
        ),
        Message::RandaoReveal(Epoch::new(3)),
        Message::Deposit(DepositMessage {
            pubkey: PublicKey::new([11; 48]),
            withdrawal_credentials: Root::new([12; 32]),
            amount: 32_000_000_000,
            genesis_fork_version: network.genesis_fork_version(),
        }),
        Message::VoluntaryExit(VoluntaryExit { epoch: Epoch::new(4), validator_index: 13 }),
        Message::SyncCommitteeMessage(SyncCommitteeMessage {
            slot,
            beacon_block_root: Root::new([14; 32]),
        }),
        Message::SyncCommitteeSelectionProof(SyncAggregatorSelectionData {
            slot,
            subcommittee_index: 3,
        }),
        Message::SyncCommitteeContributionAndProof(
            contribution(17, contribution_bits).resolve(network).unwrap(),
        ),
        Message::ValidatorRegistration(ValidatorRegistration {
            fee_recipient: ExecutionAddress::new([15; 20]),
            gas_limit: 45_000_000,
            timestamp: 1_700_000_000,
            pubkey: PublicKey::new([16; 48]),
        }),
    ];
    messages.extend(of_gloas);
    messages
}
