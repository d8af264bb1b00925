//! What has to be signed, and when: with nodes stopped, clients silent or of two minds, and liars.

use eth_types::duty::Message;
use eth_types::{Root, Slot};
use threshold_protocol::engine::{Report, SignFailure};
use threshold_protocol::{KeyIndex, OperatorIndex};

use super::adversary::Strategy;
use super::clients::Mood;
use super::duties;
use super::simulation::{Asked, Cluster, Setup};
use crate::support::{EPOCH, SLOT};

const SIZES: [(usize, usize); 3] = [(4, 3), (7, 5), (3, 2)];

#[test]
fn on_a_calm_day_everything_is_signed_in_round_0() {
    for (operators, threshold) in SIZES {
        let mut cluster = Cluster::new(&Setup::new("calm", operators, threshold, 1));
        for slot in slots(4) {
            cluster.run_to(slot, 11_900);
            assert_all_signed(&cluster, slot);
        }
        assert_eq!(cluster.sent.get("ROUND-CHANGE"), None, "({operators}, {threshold})");
    }
}

#[test]
fn with_as_many_nodes_stopped_as_may_be_everything_is_signed_and_no_round_is_needed() {
    for (operators, threshold) in SIZES {
        for first in 0..operators {
            let mut cluster = Cluster::new(&Setup::new("stopped", operators, threshold, 2));
            for stopped in (first..).take(operators - threshold) {
                let stopped = cluster.common.quorum.in_turn(stopped as u64);
                cluster.crash(stopped);
            }
            for slot in slots(operators as u64) {
                cluster.run_to(slot, 11_900);
                assert_all_signed(&cluster, slot);
            }
            assert_eq!(cluster.sent.get("ROUND-CHANGE"), None, "({operators}, {threshold})");
        }
    }
}

#[test]
fn with_as_many_silent_clients_as_may_be_everything_is_signed() {
    for (operators, threshold) in SIZES {
        for silent in 1..operators {
            let mut cluster = Cluster::new(&Setup::new("silent", operators, threshold, 3));
            for client in cluster.clients.iter_mut().take(silent) {
                client.mood = Mood::Silent;
            }
            for slot in slots(4) {
                cluster.run_to(slot, 11_900);
                assert_all_signed(&cluster, slot);
            }
        }
    }
}

#[test]
fn clients_split_two_and_two_get_a_signature_within_a_second_and_a_half_of_t0() {
    for seed in 0..8 {
        let mut cluster = Cluster::new(&Setup::new("split", 4, 3, seed));
        for (client, head) in cluster.clients.iter_mut().zip([0, 0, 1, 1]) {
            client.head = head;
        }
        for slot in slots(4) {
            cluster.run_to(slot, 11_900);
            assert_settled_by(&cluster, slot, 5_000 + 1_500);
            let (signed, outvoted) = votes_of(&cluster, slot);
            // Two attesters, four clients of two minds each.
            assert_eq!((signed, outvoted), (4, 4), "slot {slot}, seed {seed}");
        }
    }
}

#[test]
fn clients_of_four_minds_get_a_signature_within_a_second_and_a_half_of_t0() {
    let mut cluster = Cluster::new(&Setup::new("four-minds", 4, 3, 5));
    for (client, head) in cluster.clients.iter_mut().zip(0..) {
        client.head = head;
    }
    for slot in slots(4) {
        cluster.run_to(slot, 11_900);
        assert_settled_by(&cluster, slot, 5_000 + 1_500);
        assert_eq!(votes_of(&cluster, slot), (2, 6), "slot {slot}");
    }
}

#[test]
fn a_split_is_settled_with_a_node_down_even_if_it_leads() {
    for down in 0..4 {
        let mut cluster = Cluster::new(&Setup::new("split-down", 4, 3, 6));
        cluster.crash(OperatorIndex::new(down));
        for (client, head) in cluster.clients.iter_mut().zip([0, 1, 1, 0]) {
            client.head = head;
        }
        for slot in slots(4) {
            cluster.run_to(slot, 11_900);
            assert_settled_by(&cluster, slot, 5_000 + 1_500);
            let (signed, outvoted) = votes_of(&cluster, slot);
            assert_eq!(signed + outvoted, 6, "slot {slot}, {down} down");
            assert!(signed >= 2, "slot {slot}, {down} down: {signed} signed");
        }
    }
}

#[test]
fn liars_keep_nobody_from_signing() {
    for strategy in Strategy::ALL {
        for liar in 0..4 {
            let mut cluster = Cluster::new(&Setup::new("liar", 4, 3, 7));
            cluster.corrupt(OperatorIndex::new(liar), strategy);
            for slot in slots(5) {
                cluster.run_to(slot, 11_900);
                assert_honest_signed(&cluster, slot, &format!("{strategy:?} at {liar}"));
            }
        }
    }
}

#[test]
fn two_liars_of_seven_keep_nobody_from_signing() {
    for (number, strategy) in Strategy::ALL.into_iter().enumerate() {
        let second = Strategy::ALL[(number * 3 + 1) % Strategy::ALL.len()];
        let seed = number as u64;
        let mut cluster = Cluster::new(&Setup::new("two-liars", 7, 5, seed));
        cluster.corrupt(OperatorIndex::new(2), strategy);
        cluster.corrupt(OperatorIndex::new(5), second);
        for slot in slots(7) {
            cluster.run_to(slot, 11_900);
            assert_honest_signed(&cluster, slot, &format!("{strategy:?} and {second:?}"));
        }
    }
}

#[test]
fn liars_do_not_keep_honest_clients_of_two_minds_from_settling() {
    for strategy in Strategy::ALL {
        for liar in 0..4 {
            let mut cluster = Cluster::new(&Setup::new("liar-split", 4, 3, 8));
            cluster.corrupt(OperatorIndex::new(liar), strategy);
            for (client, head) in cluster.clients.iter_mut().zip([0, 1, 0, 1]) {
                client.head = head;
            }
            for slot in slots(4) {
                cluster.run_to(slot, 11_900);
                for asked in asked_of(&cluster, slot, is_vote) {
                    let settled = matches!(
                        asked.outcome,
                        Some((_, Ok(_) | Err(SignFailure::Outvoted { .. })))
                    );
                    let (by, outcome) = (asked.by, &asked.outcome);
                    assert!(settled, "{strategy:?} at {liar}, {by} in slot {slot}: {outcome:?}");
                }
            }
        }
    }
}

#[test]
fn a_node_that_was_killed_signs_the_next_slots_duties() {
    for (operators, threshold) in SIZES {
        // Killed at moments all over a slot.
        for moment in (0..12_000).step_by(731) {
            let mut cluster = Cluster::new(&Setup::new("killed", operators, threshold, moment));
            cluster.run_to(SLOT, moment);
            cluster.crash(OperatorIndex::new(1));
            cluster.run_for(300);
            cluster.start(OperatorIndex::new(1));
            let slot = cluster.next_slot().saturating_add(1);
            cluster.run_to(slot, 11_900);
            assert_all_signed(&cluster, slot);
        }
    }
}

#[test]
fn a_client_that_asks_late_is_answered_with_what_was_signed() {
    let mut cluster = Cluster::new(&Setup::new("late", 4, 3, 9));
    cluster.clients[3].mood = Mood::Late;
    for slot in slots(4) {
        cluster.run_to(slot.saturating_add(1), 3_000);
        assert_all_signed(&cluster, slot);
    }
}

#[test]
fn an_exit_that_could_not_be_kept_is_told_to_the_others_when_it_is_asked_for_again() {
    let mut cluster = Cluster::new(&Setup::new("kept-later", 4, 3, 10));
    cluster.run_to(SLOT, 0);
    let exit = duties::exit(EPOCH, 7, &cluster.common.network);
    let [unlucky, second, third] = [0, 1, 2].map(OperatorIndex::new);
    let ask = |cluster: &mut Cluster, operator| {
        cluster.ask(operator, KeyIndex::new(7), exit.clone(), 0).unwrap()
    };
    cluster.nodes[unlucky.as_usize()].broken_disk = true;
    let _ = ask(&mut cluster, unlucky);
    let _ = ask(&mut cluster, second);
    let alone = ask(&mut cluster, third);
    cluster.run_for(5_000);
    assert!(!cluster.asked[&alone].is_signed(), "two of four signed");

    cluster.nodes[unlucky.as_usize()].broken_disk = false;
    let again = [unlucky, second, third].map(|operator| ask(&mut cluster, operator));
    cluster.run_for(5_000);
    for id in again {
        let asked = &cluster.asked[&id];
        assert!(asked.is_signed(), "{}: {:?}", asked.by, asked.outcome);
    }
}

/// So many slots from the first on.
fn slots(count: u64) -> impl Iterator<Item = Slot> {
    (0..count).map(|number| SLOT.saturating_add(number))
}

fn is_vote(message: &Message) -> bool {
    matches!(message, Message::Attestation(_))
}

fn is_block(message: &Message) -> bool {
    matches!(message, Message::Block(_))
}

/// What honest clients asked for in a slot, and was not lost with a node.
fn asked_of(
    cluster: &Cluster,
    slot: Slot,
    kind: fn(&Message) -> bool,
) -> impl Iterator<Item = &Asked> {
    let start = cluster.network().slot_start(slot);
    let end = cluster.network().slot_start(slot.saturating_add(1));
    cluster.asked.values().filter(move |asked| {
        let of_slot = match asked.duty.message() {
            Message::Attestation(_) | Message::Block(_) => asked.duty.slot() == Some(slot),
            _ => (start..end).contains(&asked.at),
        };
        let honest = !cluster.facts.liars.contains(&asked.by) || !cluster.is_liar(asked.by);
        of_slot && honest && !asked.lost && kind(asked.duty.message())
    })
}

/// Every client of an operator that is honest now has what it asked for in a slot: votes and
/// what is co-signed; of the blocks one is signed, and the others lost to it.
pub(crate) fn assert_all_signed(cluster: &Cluster, slot: Slot) {
    assert_honest_signed(cluster, slot, "all honest");
    let signed: Vec<Root> = asked_of(cluster, slot, is_block)
        .filter(|asked| asked.is_signed())
        .map(|asked| asked.duty.signing_root())
        .collect();
    assert_eq!(signed.len(), 1, "one client's block is signed in slot {slot}");
}

/// As [`assert_all_signed`], but the block that is signed may be a liar's.
fn assert_honest_signed(cluster: &Cluster, slot: Slot, circumstances: &str) {
    let mut votes = 0;
    for asked in asked_of(cluster, slot, |message| !is_block(message)) {
        votes += usize::from(is_vote(asked.duty.message()));
        let (by, duty, outcome) = (asked.by, asked.duty.message(), &asked.outcome);
        assert!(asked.is_signed(), "{circumstances}: {by} in slot {slot}, {duty:?}: {outcome:?}");
    }
    assert!(votes > 0, "{circumstances}: somebody attests in slot {slot}");
    let mut winners = Vec::new();
    for asked in asked_of(cluster, slot, is_block) {
        match &asked.outcome {
            Some((_, Ok(_))) => winners.push(asked.duty.signing_root()),
            Some((_, Err(SignFailure::Outvoted { signed, .. }))) => winners.push(*signed),
            outcome => panic!("{circumstances}: {}'s block of slot {slot}: {outcome:?}", asked.by),
        }
    }
    winners.dedup();
    // A client that asks when its node has already signed another block is refused by the database.
    let late =
        cluster.refused.iter().any(|duty| is_block(duty.message()) && duty.slot() == Some(slot));
    let expected = usize::from(!(winners.is_empty() && late));
    assert_eq!(winners.len(), expected, "{circumstances}: blocks of slot {slot}: {winners:?}");
}

/// How many attestation requests of a slot were signed, and how many were outvoted; no other outcome.
fn votes_of(cluster: &Cluster, slot: Slot) -> (usize, usize) {
    let (mut signed, mut outvoted) = (0, 0);
    for asked in asked_of(cluster, slot, is_vote) {
        match &asked.outcome {
            Some((_, Ok(_))) => signed += 1,
            Some((_, Err(SignFailure::Outvoted { .. }))) => outvoted += 1,
            outcome => panic!("{} in slot {slot}: {outcome:?}", asked.by),
        }
    }
    (signed, outvoted)
}

/// Every node that is up settled the slot's attestation so many milliseconds after the slot's start.
fn assert_settled_by(cluster: &Cluster, slot: Slot, millis: u64) {
    let limit = cluster.network().slot_start(slot) + millis;
    for operator in cluster.operators().filter(|operator| cluster.is_up(*operator)) {
        let settled = cluster.reports.iter().find_map(|(by, at, report)| match report {
            Report::Settled { key, .. }
                if *by == operator
                    && matches!(key, threshold_protocol::agreement::InstanceKey::Attestation { slot: of, .. } if *of == slot) =>
            {
                Some(*at)
            }
            _ => None,
        });
        let at = settled.unwrap_or_else(|| panic!("{operator} did not settle slot {slot}"));
        assert!(at <= limit, "{operator} settled slot {slot} {} ms late", at - limit);
    }
}
