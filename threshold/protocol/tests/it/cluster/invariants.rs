//! What must hold after every event, whatever the network, the clients and the liars do. Each invariant
//! is a function of what was observed; it looks at what is fresh, in the light of everything before.
//!
//! Quorums and conflicts are counted here anew: an oracle that asks the product is none.

use eth_types::duty::{Duty, Message};
use eth_types::{Epoch, Root};
use threshold_protocol::agreement::{InstanceKey, VoteKind};
use threshold_protocol::engine::Report;
use threshold_protocol::message::PeerMessage;

use super::facts::{Fact, Facts, What};
use super::shares;

/// A node takes part in slots that begin this much after its start, in milliseconds.
const WARM_UP: u64 = 1_000;

type Invariant = fn(&Facts, &Fact) -> Result<(), String>;

const INVARIANTS: [(&str, Invariant); 13] = [
    ("no two messages that a slasher would punish gather a threshold of partials", one_signature),
    ("no partial is released without its record", recorded_first),
    ("a partial that is sent was released", sent_after_release),
    ("one vote of a kind in a round, and one endorsement, in all lives", one_vote),
    ("nothing is said in slots that began before the start", silent_after_start),
    ("nothing is said before its slot begins", nothing_early),
    ("certificates of a round have one value", one_certificate),
    ("commits of a quorum, in any rounds, have one value", one_decision),
    ("an answer is the signature that was asked for", right_answer),
    ("a message that lost was outvoted by another one", outvoted_by_another),
    ("no honest operator is accused", no_false_accusation),
    ("no reveal of a later epoch is signed", nothing_of_the_future),
    ("memory is bounded, and timers lie ahead", bounded),
];

/// Checks all invariants on what is fresh.
pub(crate) fn check(facts: &mut Facts) {
    let fresh = std::mem::take(&mut facts.fresh);
    for fact in &fresh {
        for (name, invariant) in INVARIANTS {
            if let Err(reason) = invariant(facts, fact) {
                panic!("broken: {name}: {reason}, after {fact:?}");
            }
        }
    }
}

fn one_signature(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let What::Released { validator, root, .. } = &fact.what else { return Ok(()) };
    let threshold = facts.quorum.threshold();
    if facts.signers(*validator, *root) < threshold {
        return Ok(());
    }
    let duty = &facts.duties[root];
    let others = facts.released.keys().filter(|(other, _)| other == validator);
    for (_, other) in others {
        let conflict = are_slashable(duty, &facts.duties[other]);
        if conflict && facts.signers(*validator, *other) >= threshold {
            return Err(format!("{root} and {other} of validator {validator}"));
        }
    }
    Ok(())
}

/// The rules of the chain: consensus-specs `is_slashable_attestation_data`, and two blocks in a slot.
fn are_slashable(a: &Duty, b: &Duty) -> bool {
    if a.signing_root() == b.signing_root() {
        return false;
    }
    match (a.message(), b.message()) {
        (Message::Block(a), Message::Block(b)) => a.slot == b.slot,
        (Message::Attestation(a), Message::Attestation(b)) => {
            let surrounds = |a: (Epoch, Epoch), b: (Epoch, Epoch)| a.0 < b.0 && b.1 < a.1;
            let (a, b) = [a, b].map(|data| (data.source.epoch, data.target.epoch)).into();
            a.1 == b.1 || surrounds(a, b) || surrounds(b, a)
        }
        _ => false,
    }
}

fn recorded_first(_: &Facts, fact: &Fact) -> Result<(), String> {
    match &fact.what {
        What::Released { validator, root, recorded: false } => {
            Err(format!("{root} of validator {validator}"))
        }
        _ => Ok(()),
    }
}

fn sent_after_release(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let What::Said(message) = &fact.what else { return Ok(()) };
    let mut sent = Vec::new();
    match &**message {
        PeerMessage::Partials(partials) => {
            let named = partials.partials.iter();
            sent.extend(named.map(|(validator, partial)| (*validator, partials.root, *partial)));
        }
        PeerMessage::CosignRequest(request) => {
            sent.push((request.validator, request.duty.signing_root(), request.partial));
        }
        PeerMessage::CosignAnswer(answer) => {
            sent.extend(
                answer.outcome.ok().map(|partial| (answer.validator, answer.root, partial)),
            );
        }
        PeerMessage::Witness(witness) => {
            sent.push((witness.validator, witness.duty.signing_root(), witness.partial));
        }
        PeerMessage::Agreement(_) | PeerMessage::Status(_) => {}
    }
    for (validator, root, partial) in sent {
        let released = facts
            .released
            .get(&(validator, root))
            .is_some_and(|operators| operators.contains(&fact.by));
        if !released || partial != shares::partial(fact.by, root, validator) {
            return Err(format!("{root} of validator {validator}"));
        }
    }
    Ok(())
}

fn one_vote(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let Some(key) = instance(fact) else { return Ok(()) };
    let of_instance = |kind, round| (fact.by, key, kind, round);
    let votes = facts
        .votes
        .range(of_instance(VoteKind::Candidate, 0)..=of_instance(VoteKind::Propose, u32::MAX));
    for ((_, _, kind, round), roots) in votes {
        if roots.len() > 1 {
            return Err(format!("{kind:?} of round {round}: {roots:?}"));
        }
    }
    Ok(())
}

fn silent_after_start(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let Some(key) = instance(fact) else { return Ok(()) };
    let What::Said(message) = &fact.what else { return Ok(()) };
    // A decision is the others' word; the node's own partial signature is what it comes back for.
    let own_word =
        matches!(&**message, PeerMessage::Agreement(message) if message.body.author().is_some());
    let begins = facts.network.slot_start(key.slot());
    if own_word && begins < fact.started + WARM_UP {
        return Err(format!("{key} began at {begins}, the node at {}", fact.started));
    }
    Ok(())
}

fn nothing_early(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let Some(key) = instance(fact) else { return Ok(()) };
    let begins = facts.network.slot_start(key.slot());
    if fact.clock < begins {
        return Err(format!("{key} begins at {begins}"));
    }
    Ok(())
}

fn one_certificate(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let Some(key) = instance(fact) else { return Ok(()) };
    for ((_, round), roots) in facts.certified.range((key, 0)..=(key, u32::MAX)) {
        if roots.len() > 1 {
            return Err(format!("round {round} of {key}: {roots:?}"));
        }
    }
    Ok(())
}

fn one_decision(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let Some(key) = instance(fact) else { return Ok(()) };
    let last = Root::new([0xff; 32]);
    let mut decided: Vec<Root> = facts
        .commits
        .range((key, 0, Root::ZERO)..=(key, u32::MAX, last))
        .filter(|(_, operators)| operators.union(&facts.liars).count() >= facts.quorum.threshold())
        .map(|((_, _, root), _)| *root)
        .collect();
    decided.dedup();
    decided.sort_unstable();
    decided.dedup();
    if decided.len() > 1 {
        return Err(format!("{key}: {decided:?}"));
    }
    Ok(())
}

fn right_answer(_: &Facts, fact: &Fact) -> Result<(), String> {
    match &fact.what {
        What::Answered { validator, root, outcome: Ok(signature) }
            if *signature != shares::signature(*root, *validator) =>
        {
            Err(format!("{root} of validator {validator}"))
        }
        _ => Ok(()),
    }
}

fn outvoted_by_another(_: &Facts, fact: &Fact) -> Result<(), String> {
    use threshold_protocol::engine::SignFailure::Outvoted;
    match &fact.what {
        What::Answered { root, outcome: Err(Outvoted { asked, signed, .. }), .. }
            if asked == signed || asked != root =>
        {
            Err(format!("asked for {root}"))
        }
        _ => Ok(()),
    }
}

fn no_false_accusation(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let accused = match &fact.what {
        What::Reported(Report::Lie(lie)) => lie.operator,
        What::Reported(Report::BadPartial { operator, .. }) => *operator,
        _ => return Ok(()),
    };
    if facts.liars.contains(&accused) { Ok(()) } else { Err(format!("operator {accused}")) }
}

fn nothing_of_the_future(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let What::Released { root, .. } = &fact.what else { return Ok(()) };
    let duty = &facts.duties[root];
    let slots = facts.network.slots_per_epoch();
    // Clocks differ: what is the epoch after next here is the next one a moment later.
    let soon = facts.network.slot_at(fact.clock + 1_000).unwrap();
    let latest = soon.epoch(slots).saturating_add(1);
    match duty.message() {
        Message::RandaoReveal(epoch) if *epoch > latest => Err(format!("epoch {epoch}")),
        Message::AggregationSlot(slot) if slot.epoch(slots) > latest => Err(format!("slot {slot}")),
        _ => Ok(()),
    }
}

fn bounded(facts: &Facts, fact: &Fact) -> Result<(), String> {
    let What::Holds(load, wake) = &fact.what else { return Ok(()) };
    if wake.is_some_and(|wake| wake <= fact.clock) {
        return Err(format!("{wake:?} is due already"));
    }
    let operators = facts.quorum.operators();
    // Attestations of this slot, two before it and one to come; blocks of these slots that the own
    // client asks for, and four that each peer names.
    let instances = 4 * (2 + 4 * operators);
    // Each peer names two roots for each validator in each instance; the rest is co-signed.
    let collections = instances * operators * 2 * 4 + load.cosigns + load.witnesses;
    // Each operator has one message of each kind and moment co-signed.
    let moments = 3 * 32 * 2 + 4 * 32 * 4 + 2 * 32 * 3 + 3;
    let cosigns = moments * operators * facts.validators;
    let witnesses = 4 * operators * facts.validators;
    for (what, held, limit) in [
        ("instances", load.instances, instances),
        ("collections", load.collections, collections),
        ("co-signed duties", load.cosigns, cosigns),
        ("witnessed duties", load.witnesses, witnesses),
        ("values of one instance", load.values, 4 * operators + 4),
        ("rounds of one instance", load.rounds, 4 * operators + 4),
    ] {
        if held > limit {
            return Err(format!("{held} {what}, at most {limit}"));
        }
    }
    Ok(())
}

/// The instance that an agreement message or partial signatures are about.
fn instance(fact: &Fact) -> Option<InstanceKey> {
    let What::Said(message) = &fact.what else { return None };
    match &**message {
        PeerMessage::Agreement(message) => Some(message.key),
        PeerMessage::Partials(partials) => Some(partials.key),
        _ => None,
    }
}
