//! Rounds 1.. of an attestation: T0 is 5,000 ms and rounds last a second. Operator 2 leads round 1,
//! operator 3 round 2, operator 0 round 3.

use threshold_protocol::agreement::View;

use super::scene::{Input, Scene, Shown};
use super::{Step, play};

/// What a node says.
type Said = &'static [&'static str];

/// What a node says at T0 that is asked for A alone.
const ROUND_1_ALONE: Said = &["ROUND-CHANGE 1 showing 0A"];

#[test]
fn a_round_goes_from_proposal_to_signature() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 5_000, desc: "T0", input: Input::Time, expect: ROUND_1_ALONE },
            Step {
                at: 5_050,
                desc: "the leader shows most endorsements for B: prepared",
                input: s.propose(2, 1, 'B', &[0, 2, 3], "0A 2B 3B"),
                expect: &["PREPARE 1 B"],
            },
            Step { at: 5_060, desc: "two prepare", input: s.prepare(2, 1, 'B'), expect: &[] },
            Step {
                at: 5_070,
                desc: "three: prepared, so commit",
                input: s.prepare(3, 1, 'B'),
                expect: &["COMMIT 1 B"],
            },
            Step { at: 5_080, desc: "two commit", input: s.commit(2, 1, 'B'), expect: &[] },
            Step {
                at: 5_090,
                desc: "three: decided and signed",
                input: s.commit(3, 1, 'B'),
                expect: &["settle B"],
            },
            Step { at: 6_000, desc: "no further round", input: Input::Time, expect: &[] },
        ],
    );
}

#[test]
fn the_leader_proposes_the_value_with_most_endorsements() {
    let s = Scene::attestation().for_operator(2);
    play(
        &s,
        vec![
            Step {
                at: 4_010,
                desc: "its own is B",
                input: s.asks('B'),
                expect: &["ENDORSE B own"],
            },
            Step { at: 4_020, desc: "A", input: s.endorse(0, 'A'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 2B"],
            },
            Step {
                at: 5_010,
                desc: "two ask for round 1",
                input: s.round_change(0, 1, Shown::Endorsements("0A")),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "three do, and A has two endorsements",
                input: s.round_change(1, 1, Shown::Endorsements("1A")),
                expect: &["PROPOSE 1 A showing 0A 1A 2B", "PREPARE 1 A"],
            },
            Step {
                at: 5_030,
                desc: "a fourth changes nothing: one proposal a round",
                input: s.round_change(3, 1, Shown::Endorsements("3B")),
                expect: &[],
            },
        ],
    );
}

#[test]
fn on_a_tie_the_leader_proposes_its_own() {
    let s = Scene::attestation().for_operator(2);
    for (own, other) in [('A', 'B'), ('B', 'A')] {
        let (endorsed, asked, proposed): (Said, Said, Said) = match own {
            'A' => (
                &["ENDORSE A own"],
                &["ROUND-CHANGE 1 showing 0B 2A"],
                &["PROPOSE 1 A showing 0B 2A 3C", "PREPARE 1 A"],
            ),
            _ => (
                &["ENDORSE B own"],
                &["ROUND-CHANGE 1 showing 0A 2B"],
                &["PROPOSE 1 B showing 0A 2B 3C", "PREPARE 1 B"],
            ),
        };
        play(
            &s,
            vec![
                Step { at: 4_010, desc: "own", input: s.asks(own), expect: endorsed },
                Step { at: 4_020, desc: "other", input: s.endorse(0, other), expect: &[] },
                Step { at: 5_000, desc: "T0", input: Input::Time, expect: asked },
                Step {
                    at: 5_010,
                    desc: "two ask",
                    input: s.round_change(0, 1, Shown::Endorsements("")),
                    expect: &[],
                },
                Step {
                    at: 5_020,
                    desc: "a third with a third value: one endorsement each",
                    input: s.round_change(3, 1, Shown::Endorsements("3C")),
                    expect: proposed,
                },
            ],
        );
    }
}

#[test]
fn the_leader_must_propose_what_a_certificate_binds() {
    let s = Scene::attestation().for_operator(2);
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "B", input: s.asks('B'), expect: &["ENDORSE B own"] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 2B"],
            },
            Step {
                at: 5_010,
                desc: "two ask",
                input: s.round_change(0, 1, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "C0 counts as a certificate prepared in round 0",
                input: s.round_change(1, 1, Shown::Certificate(0, 'A', &[0, 1, 3])),
                expect: &["PROPOSE 1 A certified in 0", "PREPARE 1 A"],
            },
        ],
    );
}

#[test]
fn of_two_certificates_the_higher_binds() {
    let s = Scene::attestation().for_operator(3);
    play(
        &s,
        vec![
            Step {
                at: 6_000,
                desc: "late, in the second round",
                input: s.asks('C'),
                expect: &["ENDORSE C own", "ROUND-CHANGE 2 showing 3C"],
            },
            Step {
                at: 6_010,
                desc: "prepared in round 1",
                input: s.round_change(0, 2, Shown::Certificate(1, 'B', &[0, 1, 2])),
                expect: &[],
            },
            Step {
                at: 6_020,
                desc: "prepared in round 0",
                input: s.round_change(1, 2, Shown::Certificate(0, 'A', &[0, 1, 2])),
                expect: &["PROPOSE 2 B certified in 1", "PREPARE 2 B"],
            },
        ],
    );
}

#[test]
fn what_was_prepared_goes_into_the_next_round_change() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 5_000, desc: "T0", input: Input::Time, expect: ROUND_1_ALONE },
            Step {
                at: 5_050,
                desc: "proposal",
                input: s.propose(2, 1, 'B', &[0, 2, 3], "0A 2B 3B"),
                expect: &["PREPARE 1 B"],
            },
            Step { at: 5_060, desc: "two", input: s.prepare(2, 1, 'B'), expect: &[] },
            Step {
                at: 5_070,
                desc: "three: a certificate of round 1",
                input: s.prepare(1, 1, 'B'),
                expect: &["COMMIT 1 B"],
            },
            Step {
                at: 6_000,
                desc: "the commits are lost; the certificate is not",
                input: Input::Time,
                expect: &["ROUND-CHANGE 2 prepared B in 1"],
            },
            Step {
                at: 6_050,
                desc: "and its node prepares nothing less: the leader has to show it",
                input: s.hears(3, {
                    let mut body = s.propose_body(3, 2, 'B', &[1, 2, 3], "");
                    body.round_changes[0] =
                        s.round_change_body(0, 2, Shown::Certificate(1, 'B', &[1, 2, 3])).vote;
                    body.certificate = Some(s.certificate(1, 'B', &[1, 2, 3]));
                    threshold_protocol::agreement::Body::Propose(body)
                }),
                expect: &["PREPARE 2 B"],
            },
        ],
    );
}

#[test]
fn a_value_that_pushes_aside_another_is_refused() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "A of f + 1 = 2", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1A"],
            },
            Step {
                at: 5_050,
                desc: "B is shown with one endorsement: refused",
                input: s.propose(2, 1, 'B', &[0, 2, 3], "2B"),
                expect: &[],
            },
            Step {
                at: 5_060,
                desc: "a second proposal of the round is not looked at",
                input: s.propose(2, 1, 'A', &[0, 2, 3], "0A 1A"),
                expect: &[],
            },
            Step {
                at: 6_000,
                desc: "the next leader may do better",
                input: Input::Time,
                expect: &["ROUND-CHANGE 2 showing 0A 1A 2B"],
            },
        ],
    );
}

#[test]
fn a_value_shown_with_enough_endorsements_is_taken_against_the_own_view() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "A of f + 1 = 2", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1A"],
            },
            Step {
                at: 5_050,
                desc: "B is shown with two",
                input: s.propose(2, 1, 'B', &[0, 2, 3], "2B 3B"),
                expect: &["PREPARE 1 B"],
            },
        ],
    );
}

#[test]
fn endorsements_are_counted_once_for_each_operator() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "A of f + 1 = 2", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A 1A"],
            },
            Step {
                at: 5_050,
                desc: "one endorsement shown twice is one",
                input: s.propose(2, 1, 'B', &[0, 2, 3], "2B 2B"),
                expect: &[],
            },
        ],
    );
}

#[test]
fn a_source_that_nobody_named_is_refused_until_it_is_named() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 5_000, desc: "T0", input: Input::Time, expect: ROUND_1_ALONE },
            Step {
                at: 5_050,
                desc: "one operator names a source above all that are known",
                input: s.propose(2, 1, 'X', &[0, 2, 3], "2X"),
                expect: &[],
            },
            Step {
                at: 5_100,
                desc: "w = 2 operators name it as their own: their clients are ahead",
                input: s.endorse(3, 'Y'),
                expect: &["PREPARE 1 X"],
            },
        ],
    );
}

#[test]
fn an_adopted_endorsement_names_no_source() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 5_000, desc: "T0", input: Input::Time, expect: ROUND_1_ALONE },
            Step {
                at: 5_050,
                desc: "a high source",
                input: s.propose(2, 1, 'X', &[0, 2, 3], "2X"),
                expect: &[],
            },
            Step { at: 5_100, desc: "adopted by 3", input: s.adopt(3, 'X'), expect: &[] },
        ],
    );
}

#[test]
fn the_own_clients_source_is_known() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step {
                at: 4_010,
                desc: "the own client names the higher source",
                input: s.asks('X'),
                expect: &["ENDORSE X own"],
            },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0X"],
            },
            Step {
                at: 5_050,
                desc: "another head with the same source",
                input: s.propose(2, 1, 'Y', &[0, 2, 3], "2Y"),
                expect: &["PREPARE 1 Y"],
            },
        ],
    );
}

#[test]
fn a_certified_value_is_taken_whatever_its_source() {
    let s = Scene::attestation();
    let mut body = s.propose_body(2, 1, 'X', &[0, 2, 3], "");
    let shown = Shown::Certificate(0, 'X', &[1, 2, 3]);
    body.round_changes[2] = s.round_change_body(3, 1, shown).vote;
    body.certificate = Some(s.certificate(0, 'X', &[1, 2, 3]));
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 5_000, desc: "T0", input: Input::Time, expect: ROUND_1_ALONE },
            Step {
                at: 5_050,
                desc: "a quorum endorsed it",
                input: s.hears(2, threshold_protocol::agreement::Body::Propose(body)),
                expect: &["PREPARE 1 X"],
            },
        ],
    );
}

#[test]
fn the_leader_does_not_propose_a_source_that_nobody_named() {
    let s = Scene::attestation().for_operator(2);
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "own", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "a high source", input: s.endorse(0, 'X'), expect: &[] },
            Step { at: 4_030, desc: "adopted", input: s.adopt(1, 'X'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0X 1X 2A"],
            },
            Step {
                at: 5_010,
                desc: "asker",
                input: s.round_change(0, 1, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "X has two endorsements, but only one operator names its source",
                input: s.round_change(1, 1, Shown::Endorsements("")),
                expect: &["PROPOSE 1 A showing 0X 1X 2A", "PREPARE 1 A"],
            },
        ],
    );
}

#[test]
fn peers_that_are_ahead_pull_to_the_second_highest_round_and_never_the_highest() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_100,
                desc: "a liar in round 4,000,000,000",
                input: s.round_change(3, 4_000_000_000, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 6_010,
                desc: "this clock is in round 2",
                input: Input::Time,
                expect: &["ROUND-CHANGE 2 showing 0A"],
            },
            Step {
                at: 6_020,
                desc: "one honest peer in round 3: that is where f + 1 = 2 are, or beyond",
                input: s.round_change(1, 3, Shown::Endorsements("")),
                expect: &["ROUND-CHANGE 3 showing 0A"],
            },
            Step {
                at: 6_030,
                desc: "another one in round 2 does not pull back",
                input: s.round_change(2, 2, Shown::Endorsements("")),
                expect: &[],
            },
        ],
    );
}

#[test]
fn a_proposal_pulls_a_node_into_its_round() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_800,
                desc: "a quorum asked for round 1, before T0 on this clock",
                input: s.propose(2, 1, 'A', &[1, 2, 3], "1A 2B"),
                expect: &["ROUND-CHANGE 1 showing 0A 1A 2B", "PREPARE 1 A"],
            },
        ],
    );
}

#[test]
fn messages_of_a_later_round_wait_for_it() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_900, desc: "ahead", input: s.prepare(2, 1, 'A'), expect: &[] },
            Step { at: 4_910, desc: "ahead", input: s.prepare(3, 1, 'A'), expect: &[] },
            Step { at: 4_920, desc: "and commits", input: s.commit(2, 1, 'A'), expect: &[] },
            Step { at: 4_930, desc: "two of them", input: s.commit(3, 1, 'A'), expect: &[] },
            Step {
                at: 4_940,
                desc: "the proposal at last: all follows at once, up to the signature",
                input: s.propose(2, 1, 'A', &[1, 2, 3], "1A 2B"),
                expect: &[
                    "ROUND-CHANGE 1 showing 0A 1A 2B",
                    "PREPARE 1 A",
                    "COMMIT 1 A",
                    "settle A",
                ],
            },
        ],
    );
}

#[test]
fn a_node_prepares_once_a_round() {
    let s = Scene::attestation().for_operator(1);
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 1A"],
            },
            Step {
                at: 5_010,
                desc: "a proposal",
                input: s.propose(2, 1, 'A', &[0, 1, 2], ""),
                expect: &["PREPARE 1 A"],
            },
            Step {
                at: 5_020,
                desc: "the leader lies: another one",
                input: s.propose(2, 1, 'B', &[0, 1, 2], ""),
                expect: &[],
            },
        ],
    );
}

#[test]
fn late_endorsements_widen_what_a_leader_knows() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step {
                at: 7_300,
                desc: "the own client is late: round 3, which this node leads",
                input: s.asks('B'),
                expect: &["ENDORSE B own", "ROUND-CHANGE 3 showing 0B"],
            },
            Step { at: 7_310, desc: "A", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 7_320,
                desc: "asker",
                input: s.round_change(1, 3, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 7_330,
                desc: "asker that shows an endorsement",
                input: s.round_change(3, 3, Shown::Endorsements("3A")),
                expect: &["PROPOSE 3 A showing 0B 1A 3A", "PREPARE 3 A"],
            },
        ],
    );
}

#[test]
fn a_silent_node_with_nothing_known_prepares_what_is_witnessed() {
    let s = Scene::attestation();
    let view = View { source_limit: None, silent: true, ..s.view.get() };
    let s = s.seeing(view);
    play(
        &s,
        vec![
            Step {
                at: 5_050,
                desc: "its first word of the duty is a proposal: one operator names the source",
                input: s.propose(2, 1, 'A', &[1, 2, 3], "2A"),
                expect: &["ROUND-CHANGE 1 showing 2A"],
            },
            Step {
                at: 5_060,
                desc: "a second one does",
                input: s.endorse(3, 'B'),
                expect: &["PREPARE 1 A"],
            },
        ],
    );
}
