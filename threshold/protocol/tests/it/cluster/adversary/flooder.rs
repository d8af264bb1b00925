//! Fills what can be filled: values, rounds, instances, collections, co-signed duties.

use rand::RngExt as _;
use threshold_protocol::KeyIndex;
use threshold_protocol::agreement::{Body, InstanceKey, Statement, Value, VoteKind};
use threshold_protocol::message::{CosignAnswer, CosignRequest, Partials, PeerMessage, Status};

use super::{Adversary, Outgoing, World};
use crate::cluster::clients::block_of;
use crate::cluster::simulation::VALIDATORS;
use crate::cluster::{duties, shares};
use crate::support::{LOCK_HASH, attestation, root_of};

pub(crate) struct Flooder;

impl Adversary for Flooder {
    fn act(&mut self, world: &mut World<'_>) -> Vec<Outgoing> {
        let mut messages = values(world);
        messages.extend(instances(world));
        messages.extend(partials(world));
        messages.extend(cosigns(world));
        let slot = world.slot().saturating_add(1);
        let status = Status::sign(world.me, true, slot, &LOCK_HASH, &world.identity);
        messages.push(PeerMessage::Status(status));
        messages.iter().flat_map(|message| world.to_all(message)).collect()
    }
}

/// A new value with every vote, in ever higher rounds.
fn values(world: &mut World<'_>) -> Vec<PeerMessage> {
    let network = world.common.network.clone();
    let [attestation_key, block_key] = world.instances();
    let slot = world.slot();
    let source = slot.epoch(network.slots_per_epoch()).saturating_sub(2);
    let mut messages = Vec::new();
    for (key, duty) in [
        (attestation_key, attestation(slot, 0, source, &network)),
        (block_key, block_of(world.me, slot, &network)),
    ] {
        let value = Value::new(&key, duty, &network).unwrap();
        for kind in [VoteKind::Candidate, VoteKind::Endorse, VoteKind::Prepare, VoteKind::Commit] {
            let number = world.rng.random_range(1_000..1_000_000);
            let round = match kind {
                VoteKind::Prepare | VoteKind::Commit => world.rng.random_range(1..u32::MAX),
                _ => 0,
            };
            let other = world.twin(&value, &key, number);
            let vote = world.sign(Statement::about(key, kind, round, other.root()));
            let body = match kind {
                VoteKind::Candidate => Body::Candidate(vote),
                VoteKind::Endorse => Body::Endorse(vote),
                VoteKind::Prepare => Body::Prepare(vote),
                _ => Body::Commit(vote, None),
            };
            messages.push(World::agreement(key, body, vec![other]));
        }
    }
    messages
}

/// Instances of blocks that no validator proposes, of committees that there are not, of slots to come.
fn instances(world: &mut World<'_>) -> Vec<PeerMessage> {
    let slot = world.slot();
    let mut keys = Vec::new();
    for _ in 0..8 {
        let validator = KeyIndex::new(world.rng.random_range(0..VALIDATORS));
        let ahead = world.rng.random_range(0..4);
        let slot = slot.saturating_add(ahead);
        keys.push(InstanceKey::Block { slot, validator });
        keys.push(InstanceKey::Attestation { slot, committee: None });
        let committee = Some(world.rng.random_range(0..64));
        keys.push(InstanceKey::Attestation { slot, committee });
    }
    keys.into_iter()
        .map(|key| {
            let about = Statement::about(key, VoteKind::RoundChange, 1, eth_types::Root::ZERO);
            let change = threshold_protocol::agreement::RoundChange {
                vote: world.sign(about),
                certificate: None,
                endorsements: Vec::new(),
            };
            World::agreement(key, Body::RoundChange(change), Vec::new())
        })
        .collect()
}

/// Partial signatures of roots that nobody settled.
fn partials(world: &mut World<'_>) -> Vec<PeerMessage> {
    let me = world.me;
    let random = (0..4).map(|_| world.rng.random_range(0..u64::MAX)).collect::<Vec<_>>();
    let [attestation, block] = world.instances();
    let mut messages = Vec::new();
    for number in random {
        let root = root_of("flood", number);
        for key in [attestation, block] {
            let partials = (0..VALIDATORS)
                .map(KeyIndex::new)
                .map(|validator| (validator, shares::partial(me, root, validator)))
                .collect();
            messages.push(PeerMessage::Partials(Partials { key, root, partials }));
        }
        let validator = KeyIndex::new(0);
        let outcome = Ok(shares::partial(me, root, validator));
        messages.push(PeerMessage::CosignAnswer(CosignAnswer { validator, root, outcome }));
    }
    messages
}

/// Co-signed duties of every validator and slot of the window.
fn cosigns(world: &mut World<'_>) -> Vec<PeerMessage> {
    let network = world.common.network.clone();
    let mut messages = Vec::new();
    for _ in 0..8 {
        let validator = KeyIndex::new(world.rng.random_range(0..VALIDATORS));
        let slot = world.slot().saturating_add(world.rng.random_range(0..64));
        let head = world.rng.random_range(0..u64::MAX);
        for duty in [
            duties::selection_proof(slot, &network),
            duties::sync_selection_proof(slot, world.rng.random_range(0..4), &network),
            duties::sync_message(world.slot(), head, &network),
        ] {
            let partial = shares::partial(world.me, duty.signing_root(), validator);
            messages.push(PeerMessage::CosignRequest(CosignRequest { validator, duty, partial }));
        }
    }
    messages
}
