//! SPLIT: endorsements which prove that no value can reach a quorum end the wait for T0 early.

use threshold_protocol::agreement::Body;

use super::scene::{Input, Scene, Shown};
use super::{Step, play};

#[test]
fn a_split_is_shown_and_round_1_begins_two_margins_later() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "2 and 0", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 4_030,
                desc: "2 and 1: A can still win",
                input: s.endorse(2, 'B'),
                expect: &[],
            },
            Step {
                at: 4_040,
                desc: "2 and 2: nothing can",
                input: s.endorse(3, 'B'),
                expect: &["SPLIT 0A 1A 2B 3B"],
            },
            Step {
                at: 4_040,
                desc: "2 x 250 ms",
                input: Input::NextTimeout,
                expect: &["wake at 4540"],
            },
            Step { at: 4_539, desc: "not before", input: Input::Time, expect: &[] },
            Step {
                at: 4_540,
                desc: "round 1 early",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1A 2B 3B"],
            },
            Step {
                at: 4_540,
                desc: "but it ends where it always does",
                input: Input::NextTimeout,
                expect: &["wake at 6000"],
            },
        ],
    );
}

#[test]
fn three_different_endorsements_of_four_are_a_split_already() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "B", input: s.endorse(1, 'B'), expect: &[] },
            Step {
                at: 4_030,
                desc: "C: the fourth cannot make three equal ones",
                input: s.endorse(2, 'C'),
                expect: &["SPLIT 0A 1B 2C"],
            },
        ],
    );
}

#[test]
fn a_late_split_does_not_delay_t0() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_600, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_610, desc: "B", input: s.endorse(1, 'B'), expect: &[] },
            Step { at: 4_620, desc: "C", input: s.endorse(2, 'C'), expect: &["SPLIT 0A 1B 2C"] },
            Step {
                at: 4_620,
                desc: "T0 comes before two margins have passed",
                input: Input::NextTimeout,
                expect: &["wake at 5000"],
            },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1B 2C"],
            },
        ],
    );
}

#[test]
fn a_peers_split_ends_the_wait_too_and_is_not_repeated() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_100,
                desc: "learnt from another",
                input: s.split(3, "1A 2B 3C"),
                expect: &[],
            },
            Step {
                at: 4_100,
                desc: "counted from when it was learnt",
                input: Input::NextTimeout,
                expect: &["wake at 4600"],
            },
            Step {
                at: 4_600,
                desc: "round 1",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1A 2B 3C"],
            },
        ],
    );
}

#[test]
fn after_a_split_a_certificate_does_not_sign_by_itself() {
    // Operator 2 lies: it endorsed A to some and B to others.
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_050, desc: "a split", input: s.split(3, "0A 1A 2B 3B"), expect: &[] },
            Step {
                at: 4_060,
                desc: "and yet a certificate, which proves the lie: COMMIT(0), no signature",
                input: s.lock(1, 'A', &[0, 1, 2]),
                expect: &["lie of 2: B, A", "LOCK A"],
            },
            Step {
                at: 4_070,
                desc: "a quorum of commits signs",
                input: s.lock(2, 'A', &[0, 1, 2]),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn forged_splits_change_nothing() {
    let s = Scene::attestation();
    let mut stolen = s.endorsements("1A 2B 3C");
    stolen[1].signature = stolen[2].signature;
    let prepares = Body::Split(
        [(1, 'A'), (2, 'B'), (3, 'C')]
            .map(|(from, letter)| {
                s.vote(from, threshold_protocol::agreement::VoteKind::Prepare, 1, letter)
            })
            .to_vec(),
    );
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_020,
                desc: "signatures of others",
                input: s.hears(3, Body::Split(stolen)),
                expect: &[],
            },
            Step {
                at: 4_030,
                desc: "votes of another kind",
                input: s.hears(3, prepares),
                expect: &[],
            },
            Step { at: 4_040, desc: "no votes", input: s.split(3, ""), expect: &[] },
            Step { at: 4_050, desc: "A can still win", input: s.split(3, "2A 3B"), expect: &[] },
            Step {
                at: 4_060,
                desc: "one operator's two endorsements prove its lie, and no split",
                input: s.split(3, "3B 3C"),
                expect: &["lie of 3: B, C"],
            },
            Step {
                at: 4_060,
                desc: "T0 stands",
                input: Input::NextTimeout,
                expect: &["wake at 5000"],
            },
            Step {
                at: 4_070,
                desc: "and C0 (of 0, 1 and 2) still signs by itself",
                input: s.endorse(1, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn enough_nodes_that_are_in_round_1_are_followed_before_t0() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_300,
                desc: "one may lie",
                input: s.round_change(1, 1, Shown::Endorsements("1B")),
                expect: &[],
            },
            Step {
                at: 4_310,
                desc: "f + 1 = 2 do not",
                input: s.round_change(3, 1, Shown::Endorsements("3C")),
                expect: &["SPLIT 0A 1B 3C", "ROUND-CHANGE 1 showing 0A 1B 3C"],
            },
        ],
    );
}
