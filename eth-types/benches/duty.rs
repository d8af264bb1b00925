//! What it costs to make a duty of a request, and to send one between nodes.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use eth_types::containers::{AttestationData, BeaconBlockHeader, Checkpoint, RawAggregateAndProof};
use eth_types::{Duty, Epoch, Fork, ForkInfo, Message, Network, Root, Slot};

/// An epoch in mainnet's Fulu.
const EPOCH: u64 = 420_000;

fn duties(c: &mut Criterion) {
    let network = Network::by_name("mainnet").expect("mainnet is built in");
    let version = network.fork_version_at(Epoch::new(EPOCH)).expect("an epoch has a version");
    let fork = Fork { previous_version: version, current_version: version, epoch: Epoch::new(0) };
    let fork_info = ForkInfo { fork, genesis_validators_root: network.genesis_validators_root() };
    let data = AttestationData {
        slot: Slot::new(EPOCH * 32),
        index: 0,
        beacon_block_root: Root::new([1; 32]),
        source: Checkpoint { epoch: Epoch::new(EPOCH - 1), root: Root::new([2; 32]) },
        target: Checkpoint { epoch: Epoch::new(EPOCH), root: Root::new([3; 32]) },
    };
    let header = BeaconBlockHeader {
        slot: Slot::new(EPOCH * 32),
        proposer_index: 4,
        parent_root: Root::new([5; 32]),
        state_root: Root::new([6; 32]),
        body_root: Root::new([7; 32]),
    };
    let raw = aggregate(&data);
    let aggregate = raw.resolve(&network).expect("the bits have mainnet's size");

    for message in [
        Message::Attestation(data),
        Message::Block(header),
        Message::RandaoReveal(Epoch::new(EPOCH)),
        Message::AggregateAndProof(aggregate),
    ] {
        let kind = message.kind();
        c.bench_function(&format!("new {kind}"), |b| {
            b.iter(|| Duty::new(black_box(message.clone()), Some(&fork_info), &network));
        });
        let bytes = Duty::new(message, Some(&fork_info), &network)
            .expect("the message is one of mainnet")
            .encode();
        c.bench_function(&format!("decode {kind}"), |b| {
            b.iter(|| Duty::decode(black_box(&bytes), &network));
        });
    }
    let json = serde_json::to_string(&data).expect("attestation data is JSON");
    c.bench_function("read attestation data from JSON", |b| {
        b.iter(|| serde_json::from_str::<AttestationData>(black_box(&json)));
    });
}

/// One with bits for a committee of 500 in each of 64.
fn aggregate(data: &AttestationData) -> RawAggregateAndProof {
    let hex = |byte: &str, len: usize| format!("0x{}", byte.repeat(len));
    serde_json::from_value(serde_json::json!({
        "aggregator_index": "1",
        "aggregate": {
            "aggregation_bits": hex("01", 4001),
            "data": data,
            "signature": hex("02", 96),
            "committee_bits": hex("ff", 8),
        },
        "selection_proof": hex("03", 96),
    }))
    .expect("the aggregate is JSON")
}

criterion_group!(benches, duties);
criterion_main!(benches);
