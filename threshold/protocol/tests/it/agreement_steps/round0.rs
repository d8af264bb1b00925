//! Round 0 of an attestation: own and adopted endorsements, the certificate C0, LOCK before signing,
//! COMMIT(0) after T0 - D (4,750 ms), nothing of it after the node's own ROUND-CHANGE (T0 is 5,000 ms).

use threshold_protocol::agreement::View;

use super::scene::{Input, Scene, Shown};
use super::{Step, play};

#[test]
fn clients_that_agree_settle_in_two_hops() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step {
                at: 4_010,
                desc: "the own client asks: endorsed at once, as own",
                input: s.asks('A'),
                expect: &["ENDORSE A own"],
            },
            Step {
                at: 4_030,
                desc: "two of three endorsements are none too many",
                input: s.endorse(1, 'A'),
                expect: &[],
            },
            Step {
                at: 4_040,
                desc: "the third makes C0: LOCK goes out, and only then the value is settled",
                input: s.endorse(2, 'A'),
                expect: &["LOCK A", "settle A"],
            },
            Step {
                at: 4_050,
                desc: "a fourth adds nothing",
                input: s.endorse(3, 'A'),
                expect: &[],
            },
            Step {
                at: 4_060,
                desc: "what was told twice is heard once",
                input: s.endorse(2, 'A'),
                expect: &[],
            },
            Step {
                at: 4_070,
                desc: "a peer's LOCK counts as its COMMIT(0)",
                input: s.lock(1, 'A', &[0, 1, 2]),
                expect: &[],
            },
            Step {
                at: 4_080,
                desc: "a quorum of them decides; it was settled already",
                input: s.lock(2, 'A', &[0, 1, 2]),
                expect: &[],
            },
            Step {
                at: 4_080,
                desc: "a decided instance waits for nothing",
                input: Input::NextTimeout,
                expect: &[],
            },
            Step { at: 5_000, desc: "no round begins at T0", input: Input::Time, expect: &[] },
        ],
    );
}

#[test]
fn a_silent_node_adopts_at_once_and_the_third_hop_settles() {
    let s = Scene::attestation().silent_with_one_witness();
    play(
        &s,
        vec![
            Step {
                at: 4_030,
                desc: "the only client of the cluster is enough to adopt",
                input: s.endorse(1, 'A'),
                expect: &["ENDORSE A"],
            },
            Step {
                at: 4_040,
                desc: "other silent nodes' adopted endorsements make the certificate",
                input: s.adopt(2, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn what_was_adopted_is_no_ground_to_adopt() {
    let s = Scene::attestation().silent_with_one_witness();
    play(
        &s,
        vec![Step {
            at: 4_030,
            desc: "an adopted endorsement vouches for nothing",
            input: s.adopt(1, 'A'),
            expect: &[],
        }],
    );
}

#[test]
fn a_node_that_may_still_be_asked_adopts_after_the_grace() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step {
                at: 4_010,
                desc: "one own endorsement, two are needed",
                input: s.endorse(1, 'A'),
                expect: &[],
            },
            Step {
                at: 4_030,
                desc: "the second starts the grace of 60 ms",
                input: s.endorse(2, 'A'),
                expect: &[],
            },
            Step {
                at: 4_030,
                desc: "and the node wants to be woken at its end",
                input: Input::NextTimeout,
                expect: &["wake at 4090"],
            },
            Step { at: 4_089, desc: "not before it ends", input: Input::Time, expect: &[] },
            Step {
                at: 4_090,
                desc: "adopted, which makes a quorum",
                input: Input::Time,
                expect: &["ENDORSE A", "LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn the_own_client_that_asks_within_the_grace_has_its_own_view() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A of one", input: s.endorse(1, 'A'), expect: &[] },
            Step { at: 4_030, desc: "A of two", input: s.endorse(2, 'A'), expect: &[] },
            Step {
                at: 4_050,
                desc: "the own client says B",
                input: s.asks('B'),
                expect: &["ENDORSE B own"],
            },
            Step {
                at: 4_090,
                desc: "nothing is adopted any more",
                input: Input::Time,
                expect: &[],
            },
        ],
    );
}

#[test]
fn the_own_client_that_asks_for_a_second_value_is_not_endorsed_twice() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "then B", input: s.asks('B'), expect: &[] },
            Step { at: 4_030, desc: "B of one peer", input: s.endorse(1, 'B'), expect: &[] },
            Step { at: 4_040, desc: "B of two peers", input: s.endorse(2, 'B'), expect: &[] },
        ],
    );
}

#[test]
fn a_node_with_fewer_witnesses_endorses_nothing_and_asks_for_a_round() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A of one", input: s.endorse(1, 'A'), expect: &[] },
            Step { at: 4_020, desc: "B of another", input: s.endorse(2, 'B'), expect: &[] },
            Step { at: 4_900, desc: "neither is adopted", input: Input::Time, expect: &[] },
            Step {
                at: 5_000,
                desc: "two operators were heard, so there is a duty to settle",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 1A 2B"],
            },
        ],
    );
}

#[test]
fn one_operator_alone_does_not_make_the_others_run_rounds() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "a lone endorsement", input: s.endorse(3, 'A'), expect: &[] },
            Step { at: 5_000, desc: "no round 1", input: Input::Time, expect: &[] },
            Step { at: 7_000, desc: "nor any other", input: Input::Time, expect: &[] },
            Step {
                at: 7_010,
                desc: "until a second one is heard: then in the clock's round",
                input: s.endorse(2, 'A'),
                expect: &["ROUND-CHANGE 3 showing 2A 3A"],
            },
        ],
    );
}

#[test]
fn fewer_witnesses_needed_is_a_reason_to_look_again() {
    let s = Scene::attestation();
    let view = View { witnesses: 1, silent: true, ..s.view.get() };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "one of two", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 4_100,
                desc: "the other clients fall silent, and the own one",
                input: Input::See(view),
                expect: &["ENDORSE A"],
            },
        ],
    );
}

#[test]
fn nothing_is_said_before_the_slot_begins() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: -300, desc: "the own client is early", input: s.asks('A'), expect: &[] },
            Step { at: -200, desc: "and so are others", input: s.endorse(1, 'A'), expect: &[] },
            Step { at: -150, desc: "a quorum of them", input: s.endorse(2, 'A'), expect: &[] },
            Step {
                at: -150,
                desc: "the node wants to be woken when the slot begins",
                input: Input::NextTimeout,
                expect: &["wake at 0"],
            },
            Step { at: -1, desc: "not yet", input: Input::Time, expect: &[] },
            Step {
                at: 0,
                desc: "all that waited is done in order",
                input: Input::Time,
                expect: &["ENDORSE A own", "LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn the_certificate_signs_by_itself_up_to_the_margin_before_t0() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_700, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_710, desc: "A of one", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 4_750,
                desc: "the last moment",
                input: s.endorse(2, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn after_the_margin_it_takes_a_quorum_of_commits() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_700, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_710, desc: "A of one", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 4_751,
                desc: "a millisecond late: COMMIT(0), and no signature",
                input: s.endorse(2, 'A'),
                expect: &["LOCK A"],
            },
            Step { at: 4_800, desc: "two commits", input: s.lock(1, 'A', &[0, 1, 2]), expect: &[] },
            Step {
                at: 4_810,
                desc: "three: signed",
                input: s.lock(3, 'A', &[1, 2, 3]),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn a_commit_of_round_0_without_its_certificate_counts_for_nothing() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_760, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_770, desc: "bare", input: s.commit(1, 0, 'A'), expect: &[] },
            Step { at: 4_780, desc: "bare", input: s.commit(2, 0, 'A'), expect: &[] },
            Step { at: 4_790, desc: "bare", input: s.commit(3, 0, 'A'), expect: &[] },
            Step {
                at: 4_800,
                desc: "one with it is the first that counts, and gives this node the certificate",
                input: s.lock(1, 'A', &[1, 2, 3]),
                expect: &["LOCK A"],
            },
        ],
    );
}

#[test]
fn a_certificate_in_a_lock_settles_a_node_that_heard_nothing_else() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step {
                at: 4_010,
                desc: "its own view is B",
                input: s.asks('B'),
                expect: &["ENDORSE B own"],
            },
            Step {
                at: 4_100,
                desc: "the others were quick",
                input: s.lock(1, 'A', &[1, 2, 3]),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn after_the_own_round_change_a_certificate_goes_into_the_next_one() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "A of one", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0: round 1, with all endorsements held",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1A"],
            },
            Step {
                at: 5_010,
                desc: "C0 now: neither LOCK nor COMMIT(0) nor signature",
                input: s.endorse(2, 'A'),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "nor on another's certificate",
                input: s.lock(1, 'A', &[0, 1, 2]),
                expect: &[],
            },
            Step {
                at: 6_000,
                desc: "round 1 ends: C0 is the certificate of the next ROUND-CHANGE",
                input: Input::Time,
                expect: &["ROUND-CHANGE 2 prepared A in 0"],
            },
        ],
    );
}

#[test]
fn a_quorum_of_commits_of_round_0_settles_even_a_node_in_a_later_round() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "B", input: s.asks('B'), expect: &["ENDORSE B own"] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0B"],
            },
            Step { at: 5_010, desc: "one", input: s.lock(1, 'A', &[1, 2, 3]), expect: &[] },
            Step { at: 5_020, desc: "two", input: s.lock(2, 'A', &[1, 2, 3]), expect: &[] },
            Step {
                at: 5_030,
                desc: "three",
                input: s.lock(3, 'A', &[1, 2, 3]),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn a_fast_signer_keeps_taking_part() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "A of one", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 4_030,
                desc: "signed",
                input: s.endorse(2, 'A'),
                expect: &["LOCK A", "settle A"],
            },
            Step {
                at: 4_900,
                desc: "a laggard's ROUND-CHANGE is no reason to show a decision: there is none",
                input: s.round_change(3, 1, Shown::Endorsements("3B")),
                expect: &[],
            },
            Step {
                at: 5_000,
                desc: "no quorum of commits came: round 1, with the certificate",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 prepared A in 0"],
            },
        ],
    );
}

#[test]
fn seven_operators_take_five() {
    let s = Scene::attestation().of(7, 5);
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "2", input: s.endorse(1, 'A'), expect: &[] },
            Step { at: 4_030, desc: "3", input: s.endorse(2, 'A'), expect: &[] },
            Step { at: 4_040, desc: "4", input: s.endorse(3, 'A'), expect: &[] },
            Step {
                at: 4_050,
                desc: "5",
                input: s.endorse(6, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn three_operators_take_two() {
    let s = Scene::attestation().of(3, 2);
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_050,
                desc: "2",
                input: s.endorse(2, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}
