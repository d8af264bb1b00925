//! Round 0 of a block: candidates, the leader's at once, else the earliest in turn after 300 ms, and only
//! with evidence of the duty. T0 is 2,500 ms, rounds last 500 ms.

use threshold_protocol::agreement::View;

use super::scene::{Input, Scene, Shown};
use super::{Step, play};

#[test]
fn the_leaders_candidate_is_endorsed_at_once_and_a_block_takes_three_hops() {
    let s = Scene::block();
    play(
        &s,
        vec![
            Step {
                at: 100,
                desc: "hop 1: the own client's block is told to all, not endorsed",
                input: s.asks('B'),
                expect: &["CANDIDATE B"],
            },
            Step { at: 120, desc: "another's candidate", input: s.candidate(2, 'C'), expect: &[] },
            Step {
                at: 150,
                desc: "hop 2: the leader's candidate",
                input: s.candidate(0, 'A'),
                expect: &["ENDORSE A"],
            },
            Step { at: 200, desc: "the leader's own", input: s.endorse(0, 'A'), expect: &[] },
            Step {
                at: 210,
                desc: "hop 3 is the partial signatures",
                input: s.adopt(2, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn the_leader_endorses_its_own_block_at_once() {
    let s = Scene::block().for_operator(0);
    play(
        &s,
        vec![Step {
            at: 100,
            desc: "it need not wait for anybody",
            input: s.asks('A'),
            expect: &["CANDIDATE A", "ENDORSE A own"],
        }],
    );
}

#[test]
fn without_the_leader_the_earliest_in_turn_is_endorsed_after_the_wait() {
    let s = Scene::block().for_operator(3);
    play(
        &s,
        vec![
            Step { at: 100, desc: "own", input: s.asks('D'), expect: &["CANDIDATE D"] },
            Step { at: 200, desc: "in turn after 1", input: s.candidate(2, 'C'), expect: &[] },
            Step { at: 300, desc: "in turn before 2", input: s.candidate(1, 'B'), expect: &[] },
            Step {
                at: 300,
                desc: "300 ms after the first candidate, which was the own one",
                input: Input::NextTimeout,
                expect: &["wake at 400"],
            },
            Step { at: 399, desc: "not before", input: Input::Time, expect: &[] },
            Step { at: 400, desc: "1 comes before 2", input: Input::Time, expect: &["ENDORSE B"] },
            Step {
                at: 410,
                desc: "the leader comes too late: a node endorses once",
                input: s.candidate(0, 'A'),
                expect: &[],
            },
        ],
    );
}

#[test]
fn the_wait_of_a_candidate_that_came_early_begins_with_the_slot() {
    let s = Scene::block();
    play(
        &s,
        vec![
            Step { at: -200, desc: "a fast clock", input: s.candidate(2, 'C'), expect: &[] },
            Step { at: -100, desc: "the own client too", input: s.asks('B'), expect: &[] },
            Step { at: 0, desc: "the slot", input: Input::Time, expect: &["CANDIDATE B"] },
            Step {
                at: 0,
                desc: "300 ms from here",
                input: Input::NextTimeout,
                expect: &["wake at 300"],
            },
            Step {
                at: 300,
                desc: "the own one is the earlier in turn",
                input: Input::Time,
                expect: &["ENDORSE B own"],
            },
        ],
    );
}

#[test]
fn without_evidence_of_the_duty_nothing_is_endorsed() {
    let s = Scene::block();
    play(
        &s,
        vec![
            Step { at: 100, desc: "the leader's", input: s.candidate(0, 'A'), expect: &[] },
            Step { at: 110, desc: "another's", input: s.candidate(2, 'C'), expect: &[] },
            Step { at: 500, desc: "the wait is over", input: Input::Time, expect: &[] },
            Step {
                at: 600,
                desc: "the own client asks for the epoch's RANDAO reveal: evidence",
                input: Input::See(View { duty_evidence: true, ..s.view.get() }),
                expect: &["ENDORSE A"],
            },
        ],
    );
}

#[test]
fn a_silent_node_takes_enough_candidates_as_evidence() {
    let s = Scene::block();
    let view = View { silent: true, witnesses: 2, ..s.view.get() };
    let s = s.seeing(view);
    play(
        &s,
        vec![
            Step { at: 100, desc: "the leader alone", input: s.candidate(0, 'A'), expect: &[] },
            Step { at: 450, desc: "even after the wait", input: Input::Time, expect: &[] },
            Step {
                at: 460,
                desc: "the same one again is one",
                input: s.candidate(0, 'A'),
                expect: &[],
            },
            Step {
                at: 470,
                desc: "two of them",
                input: s.candidate(2, 'C'),
                expect: &["ENDORSE A"],
            },
        ],
    );
}

#[test]
fn with_one_client_in_the_cluster_its_block_is_taken_after_the_wait() {
    let s = Scene::block().silent_with_one_witness();
    play(
        &s,
        vec![
            Step { at: 100, desc: "not the leader's", input: s.candidate(3, 'D'), expect: &[] },
            Step { at: 400, desc: "nobody else", input: Input::Time, expect: &["ENDORSE D"] },
        ],
    );
}

#[test]
fn one_operator_has_one_candidate() {
    let s = Scene::block();
    play(
        &s,
        vec![
            Step { at: 100, desc: "own", input: s.asks('D'), expect: &["CANDIDATE D"] },
            Step { at: 110, desc: "3's first", input: s.candidate(3, 'C'), expect: &[] },
            Step {
                at: 120,
                desc: "the leader's first is what counts",
                input: s.candidate(0, 'A'),
                expect: &["ENDORSE A"],
            },
            Step { at: 130, desc: "its second does not", input: s.candidate(0, 'B'), expect: &[] },
            Step {
                at: 140,
                desc: "and the own client has one too",
                input: s.asks('E'),
                expect: &[],
            },
        ],
    );
}

#[test]
fn rounds_of_a_block_last_half_a_second() {
    let s = Scene::block().for_operator(3);
    play(
        &s,
        vec![
            Step { at: 100, desc: "own", input: s.asks('D'), expect: &["CANDIDATE D"] },
            Step { at: 400, desc: "wait", input: Input::Time, expect: &["ENDORSE D own"] },
            Step {
                at: 2_500,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 3D"],
            },
            Step {
                at: 3_000,
                desc: "round 2",
                input: Input::Time,
                expect: &["ROUND-CHANGE 2 showing 3D"],
            },
            Step {
                at: 12_000,
                desc: "nothing in the next slot, nor a timer",
                input: Input::Time,
                expect: &[],
            },
            Step { at: 12_000, desc: "it is over", input: Input::NextTimeout, expect: &[] },
        ],
    );
}

#[test]
fn a_node_without_evidence_prepares_no_uncertified_block() {
    let s = Scene::block().for_operator(3);
    play(
        &s,
        vec![Step {
            at: 2_600,
            desc: "a proposal of rounds that others run, and this node joins to help them",
            input: s.propose(1, 1, 'A', &[0, 1, 2], "0A 1A 2B"),
            expect: &["ROUND-CHANGE 1 showing 0A 1A 2B"],
        }],
    );
}

#[test]
fn the_leader_of_round_1_proposes_its_own_block_where_nobody_endorsed() {
    let s = Scene::block();
    play(
        &s,
        vec![
            Step {
                at: 2_600,
                desc: "late",
                input: s.asks('B'),
                expect: &["CANDIDATE B", "ROUND-CHANGE 1 showing"],
            },
            Step {
                at: 2_610,
                desc: "asker",
                input: s.round_change(0, 1, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 2_620,
                desc: "quorum of askers",
                input: s.round_change(3, 1, Shown::Endorsements("")),
                expect: &["PROPOSE 1 B showing", "PREPARE 1 B"],
            },
        ],
    );
}
