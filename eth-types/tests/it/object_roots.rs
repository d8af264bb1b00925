//! Hash tree roots of the containers that depend on preset and fork, against another implementation.
//!
//! `data/object_roots.jsonl` was computed with `@lodestar/types` 1.48.0 and `@chainsafe/ssz` 1.9.0 from
//! the npm registry: aggregates with 0, few and the most bits in the forms of Deneb, Electra and
//! Gloas, contributions, and blocks of phase 0 and Altair with one of every operation; each for
//! presets mainnet and minimal. `data/gloas_roots.jsonl` was computed with `@lodestar/types` 1.50.0: what
//! Gloas adds, with lists of lengths at which the trees of progressive lists grow.

use eth_types::containers::{
    BuilderRequestAuth, ExecutionPayloadBid, ExecutionPayloadEnvelope, PayloadAttestationData,
    ProposerPreferences, RawAggregateAndProof, RawBeaconBlock, RawContributionAndProof,
};
use eth_types::{ForkName, Message, Preset, Root};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{chain, header};

#[derive(Deserialize)]
struct Vector {
    preset: String,
    fork: ForkName,
    kind: String,
    object: Value,
    root: Root,
}

#[test]
fn preset_dependent_containers_hash_as_in_another_implementation() {
    let lines = include_str!("data/object_roots.jsonl").lines();
    let mut count = 0;
    for vector in lines.map(|line| serde_json::from_str::<Vector>(line).unwrap()) {
        let network = chain(vector.preset.parse::<Preset>().unwrap(), vector.fork);
        let object = &vector.object;
        let message = match vector.kind.as_str() {
            "aggregate_and_proof" => {
                let raw = RawAggregateAndProof::deserialize(object).unwrap();
                let aggregate = raw.resolve(&network).unwrap();
                assert_eq!(aggregate.to_raw(), raw);
                Message::AggregateAndProof(aggregate)
            }
            "contribution_and_proof" => {
                let raw = RawContributionAndProof::deserialize(object).unwrap();
                let contribution = raw.resolve(&network).unwrap();
                assert_eq!(contribution.to_raw(), raw);
                Message::SyncCommitteeContributionAndProof(contribution)
            }
            _ => {
                let raw = RawBeaconBlock::deserialize(object).unwrap();
                Message::Block(raw.header(&network).unwrap())
            }
        };
        let bits = object["aggregate"]["aggregation_bits"].as_str().unwrap_or_default().len();
        let what = format!("{} {} {} {bits}", vector.preset, vector.fork, vector.kind);
        assert_eq!(message.object_root(), vector.root, "{what}");
        count += 1;
    }
    assert_eq!(count, 28);
}

#[test]
fn what_gloas_adds_hashes_as_in_another_implementation() {
    let lines = include_str!("data/gloas_roots.jsonl").lines();
    let mut count = 0;
    for vector in lines.map(|line| serde_json::from_str::<Vector>(line).unwrap()) {
        let object = &vector.object;
        let message = match vector.kind.as_str() {
            "payload_attestation_message" => {
                Message::PayloadAttestation(PayloadAttestationData::deserialize(object).unwrap())
            }
            "proposer_preferences" => {
                Message::ProposerPreferences(ProposerPreferences::deserialize(object).unwrap())
            }
            "builder_request_auth" => {
                Message::BuilderRequestAuth(BuilderRequestAuth::deserialize(object).unwrap())
            }
            "execution_payload_bid" => Message::ExecutionPayloadBid(Box::new(
                ExecutionPayloadBid::deserialize(object).unwrap(),
            )),
            "execution_payload_envelope" => Message::ExecutionPayloadEnvelope(Box::new(
                ExecutionPayloadEnvelope::deserialize(object).unwrap(),
            )),
            kind => panic!("{kind}"),
        };
        assert_eq!(message.object_root(), vector.root, "line {count}: {}", vector.kind);
        count += 1;
    }
    assert_eq!(count, 20);
}

/// The root that mainnet's genesis block is known by.
#[test]
fn mainnets_genesis_header_has_the_published_root() {
    let root = |text: &str| text.parse::<Root>().unwrap();
    let mut genesis = header(0);
    genesis.proposer_index = 0;
    genesis.parent_root = Root::ZERO;
    genesis.state_root = root("7e76880eb67bbdc86250aa578958e9d0675e64e714337855204fb5abaaf82c2b");
    genesis.body_root = root("ccb62460692be0ec813b56be97f68a82cf57abc102e27bf49ebf4190ff22eedd");
    assert_eq!(
        Message::Block(genesis).object_root(),
        root("4d611d5b93fdab69013a7f0a2f961caca0c853f87cfe9595fe50038163079360")
    );
}
