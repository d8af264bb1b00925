//! Who comes late: opened after T0, restarted, reconnected, or lagging behind a decision.

use threshold_protocol::agreement::{Body, VoteKind};

use super::scene::{Input, Scene, Shown};
use super::{Step, play};

#[test]
fn an_instance_opened_after_t0_opens_in_the_round_of_the_clock() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step {
                at: 8_250,
                desc: "round 4 began at 8,000 ms",
                input: s.asks('A'),
                expect: &["ENDORSE A own", "ROUND-CHANGE 4 showing 0A"],
            },
            Step {
                at: 8_250,
                desc: "and ends at 9,000",
                input: Input::NextTimeout,
                expect: &["wake at 9000"],
            },
        ],
    );
}

#[test]
fn what_arrived_goes_before_what_timed_out() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "1", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 5_100,
                desc: "the node was busy over T0; the endorsement comes first, then the round",
                input: s.endorse(2, 'A'),
                expect: &["LOCK A", "ROUND-CHANGE 1 prepared A in 0"],
            },
        ],
    );
}

#[test]
fn a_node_that_has_just_started_says_nothing_but_signs_on_a_decision() {
    let s = Scene { participates: false, ..Scene::attestation() };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "its client asks", input: s.asks('A'), expect: &[] },
            Step { at: 4_020, desc: "C0 would follow", input: s.endorse(1, 'A'), expect: &[] },
            Step { at: 4_030, desc: "but it may have said", input: s.endorse(2, 'A'), expect: &[] },
            Step {
                at: 4_040,
                desc: "something else",
                input: s.lock(1, 'A', &[0, 1, 2]),
                expect: &[],
            },
            Step { at: 4_050, desc: "no adoption", input: s.endorse(3, 'A'), expect: &[] },
            Step { at: 5_000, desc: "no round", input: Input::Time, expect: &[] },
            Step {
                at: 5_010,
                desc: "not pulled",
                input: s.round_change(1, 1, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "not prepared",
                input: s.propose(2, 1, 'A', &[1, 2, 3], ""),
                expect: &[],
            },
            Step { at: 5_030, desc: "nothing for newcomers", input: Input::Newcomer, expect: &[] },
            Step {
                at: 5_040,
                desc: "a decision is one, whoever shows it",
                input: s.decided(3, 1, 'A', &[1, 2, 3]),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn a_node_that_has_just_started_counts_commits_itself() {
    let s = Scene { participates: false, ..Scene::attestation() };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "one", input: s.lock(1, 'A', &[1, 2, 3]), expect: &[] },
            Step { at: 4_020, desc: "two", input: s.lock(2, 'A', &[1, 2, 3]), expect: &[] },
            Step {
                at: 4_030,
                desc: "three",
                input: s.lock(3, 'A', &[1, 2, 3]),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn a_laggard_is_shown_the_decision_but_not_for_ever() {
    let s = Scene::attestation();
    let mut steps = vec![
        Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
        Step {
            at: 4_020,
            desc: "1",
            input: s.lock(1, 'A', &[0, 1, 2]),
            expect: &["LOCK A", "settle A"],
        },
        Step { at: 4_030, desc: "2: decided", input: s.lock(2, 'A', &[0, 1, 2]), expect: &[] },
        Step { at: 4_040, desc: "only who asks is told", input: s.endorse(3, 'B'), expect: &[] },
        Step { at: 4_050, desc: "only who asks is told", input: s.prepare(3, 1, 'B'), expect: &[] },
    ];
    for round in 1..=8 {
        steps.push(Step {
            at: 5_000 + i64::from(round),
            desc: "asks for a round of what is decided",
            input: s.round_change(3, round, Shown::Endorsements("")),
            expect: &["to 3: DECIDED 0 A"],
        });
    }
    steps.extend([
        Step {
            at: 5_100,
            desc: "enough of it",
            input: s.round_change(3, 9, Shown::Endorsements("")),
            expect: &[],
        },
        Step {
            at: 5_110,
            desc: "another one still is",
            input: s.round_change(1, 1, Shown::Endorsements("")),
            expect: &["to 1: DECIDED 0 A"],
        },
    ]);
    play(&s, steps);
}

#[test]
fn the_certificate_alone_is_no_decision() {
    let s = Scene::attestation();
    let endorsements = Body::Decided(s.certificate(0, 'A', &[1, 2, 3]).votes);
    let prepares = Body::Decided(s.certificate(1, 'A', &[1, 2, 3]).votes);
    let mixed_rounds = Body::Decided(
        [(1, 1), (2, 1), (3, 2)].map(|(from, r)| s.vote(from, VoteKind::Commit, r, 'A')).to_vec(),
    );
    let mixed_values = Body::Decided(
        [(1, 'A'), (2, 'A'), (3, 'B')]
            .map(|(from, letter)| s.vote(from, VoteKind::Commit, 1, letter))
            .to_vec(),
    );
    let mut forged: Vec<_> = [1, 2, 3].map(|from| s.vote(from, VoteKind::Commit, 1, 'A')).to_vec();
    forged[2].signature = forged[1].signature;
    play(
        &s,
        vec![
            Step { at: 5_010, desc: "C0", input: s.hears(1, endorsements), expect: &[] },
            Step { at: 5_020, desc: "PREPAREs", input: s.hears(1, prepares), expect: &[] },
            Step { at: 5_030, desc: "two rounds", input: s.hears(1, mixed_rounds), expect: &[] },
            Step { at: 5_040, desc: "two values", input: s.hears(1, mixed_values), expect: &[] },
            Step { at: 5_050, desc: "too few", input: s.decided(1, 1, 'A', &[1, 2]), expect: &[] },
            Step {
                at: 5_060,
                desc: "one twice",
                input: s.decided(1, 1, 'A', &[1, 2, 2]),
                expect: &[],
            },
            Step { at: 5_070, desc: "none", input: s.decided(1, 1, 'A', &[]), expect: &[] },
            Step {
                at: 5_080,
                desc: "forged",
                input: s.hears(1, Body::Decided(forged)),
                expect: &[],
            },
            Step {
                at: 5_090,
                desc: "a quorum's COMMITs of one round",
                input: s.decided(1, 1, 'A', &[1, 2, 3]),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn a_newcomer_hears_what_this_node_said_last_of_each_kind() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 3_900, desc: "nothing yet", input: Input::Newcomer, expect: &[] },
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "said", input: Input::Newcomer, expect: &["ENDORSE A own"] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A"],
            },
            Step {
                at: 6_000,
                desc: "round 2",
                input: Input::Time,
                expect: &["ROUND-CHANGE 2 showing 0A"],
            },
            Step {
                at: 6_100,
                desc: "the last ROUND-CHANGE only",
                input: Input::Newcomer,
                expect: &["ENDORSE A own", "ROUND-CHANGE 2 showing 0A"],
            },
            Step {
                at: 6_200,
                desc: "decided",
                input: s.decided(1, 1, 'B', &[1, 2, 3]),
                expect: &["settle B"],
            },
            Step {
                at: 6_300,
                desc: "of a decided instance the decision is all that matters",
                input: Input::Newcomer,
                expect: &["DECIDED 1 B"],
            },
        ],
    );
}

#[test]
fn nothing_is_said_after_the_deadline() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 24_000,
                desc: "the slot after the next: the duty is lost",
                input: s.endorse(1, 'A'),
                expect: &[],
            },
            Step { at: 24_010, desc: "and stays so", input: s.endorse(2, 'A'), expect: &[] },
            Step { at: 24_010, desc: "no timer", input: Input::NextTimeout, expect: &[] },
        ],
    );
}
