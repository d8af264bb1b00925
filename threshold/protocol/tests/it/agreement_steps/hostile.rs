//! What liars send: equivocation, proposals that are not justified, messages that are not theirs or not
//! of this instance, and too many of them.

use eth_types::Root;
use threshold_protocol::agreement::{
    AgreementMessage, Body, InstanceKey, Prepared, Statement, UncheckedVote, Vote, VoteKind,
};
use threshold_protocol::{OperatorIndex, OperatorSet};

use super::scene::{Input, Scene, Shown, unknown_root};
use super::{Step, play};
use crate::support::{HashIdentity, SLOT};

#[test]
fn equivocation_is_reported_once_and_the_first_endorsement_stands() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "3 says A", input: s.endorse(3, 'A'), expect: &[] },
            Step {
                at: 4_030,
                desc: "3 says B too",
                input: s.endorse(3, 'B'),
                expect: &["lie of 3: A, B"],
            },
            Step { at: 4_040, desc: "and C: that is known", input: s.endorse(3, 'C'), expect: &[] },
            Step {
                at: 4_050,
                desc: "in this instance what it said first counts",
                input: s.endorse(1, 'A'),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn own_and_adopted_endorsements_of_one_value_are_no_lie() {
    let s = Scene::attestation();
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "own", input: s.endorse(3, 'A'), expect: &[] },
            Step { at: 4_020, desc: "adopted", input: s.adopt(3, 'A'), expect: &[] },
        ],
    );
}

#[test]
fn who_lied_earlier_is_not_counted_but_its_endorsement_in_a_certificate_is() {
    let ignored: OperatorSet = [OperatorIndex::new(3)].into_iter().collect();
    let s = Scene { ignored, ..Scene::attestation() };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "1", input: s.endorse(1, 'A'), expect: &[] },
            Step {
                at: 4_030,
                desc: "the liar makes no three",
                input: s.endorse(3, 'A'),
                expect: &[],
            },
            Step {
                at: 4_040,
                desc: "who does not know of the lie may have a certificate: it is valid",
                input: s.lock(1, 'A', &[0, 1, 3]),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn certificates_that_are_none_are_refused() {
    let s = Scene::attestation();
    let lock = |letter: char, certificate| {
        let vote = s.vote(1, VoteKind::Commit, 0, letter);
        s.hears(1, Body::Commit(vote, Some(certificate)))
    };
    let mut forged = s.certificate(0, 'A', &[1, 2, 3]);
    forged.votes[1].signature = forged.votes[0].signature;
    let mut mixed = s.certificate(0, 'A', &[1, 2, 3]);
    mixed.votes[1] = s.endorsement(2, 'B', true);
    let mut of_round_1 = s.certificate(1, 'A', &[1, 2, 3]);
    of_round_1.prepared.round = 0;
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "two voters", input: s.lock(1, 'A', &[1, 2]), expect: &[] },
            Step { at: 4_030, desc: "one twice", input: s.lock(1, 'A', &[1, 2, 2]), expect: &[] },
            Step { at: 4_040, desc: "forged", input: lock('A', forged), expect: &[] },
            Step { at: 4_050, desc: "two values", input: lock('A', mixed), expect: &[] },
            Step { at: 4_060, desc: "of PREPAREs", input: lock('A', of_round_1), expect: &[] },
            Step {
                at: 4_070,
                desc: "for another value than is committed to",
                input: lock('B', s.certificate(0, 'A', &[1, 2, 3])),
                expect: &[],
            },
            Step {
                at: 4_080,
                desc: "a good one",
                input: s.lock(1, 'A', &[1, 2, 3]),
                expect: &["LOCK A", "settle A"],
            },
        ],
    );
}

#[test]
fn unjustified_proposals_are_dropped() {
    let s = Scene::attestation();
    let propose = |change: fn(&Scene, &mut threshold_protocol::agreement::Propose)| {
        let mut body = s.propose_body(2, 1, 'A', &[1, 2, 3], "1A");
        change(&s, &mut body);
        s.hears(2, Body::Propose(body))
    };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0A"],
            },
            Step {
                at: 5_010,
                desc: "too few askers",
                input: s.propose(2, 1, 'A', &[1, 2], ""),
                expect: &[],
            },
            Step {
                at: 5_011,
                desc: "one asker twice",
                input: s.propose(2, 1, 'A', &[1, 2, 2], ""),
                expect: &[],
            },
            Step {
                at: 5_012,
                desc: "not the leader",
                input: s.propose(3, 1, 'A', &[1, 2, 3], ""),
                expect: &[],
            },
            Step {
                at: 5_013,
                desc: "round 0 has no leader",
                input: s.propose(1, 0, 'A', &[1, 2, 3], ""),
                expect: &[],
            },
            Step {
                at: 5_014,
                desc: "askers for another round",
                input: propose(|s, body| {
                    body.round_changes[0] = s.round_change_vote(1, 2, None);
                }),
                expect: &[],
            },
            Step {
                at: 5_015,
                desc: "an asker that did not sign",
                input: propose(|_, body| {
                    body.round_changes[0].signature = body.round_changes[1].signature;
                }),
                expect: &[],
            },
            Step {
                at: 5_016,
                desc: "an endorsement that nobody signed",
                input: propose(|_, body| {
                    body.endorsements[0].signature = body.vote.signature;
                }),
                expect: &[],
            },
            Step {
                at: 5_017,
                desc: "an asker names a certificate and the leader does not show it",
                input: propose(|s, body| {
                    let prepared = Prepared { round: 0, root: s.root('B') };
                    body.round_changes[0] = s.round_change_vote(1, 1, Some(prepared));
                }),
                expect: &[],
            },
            Step {
                at: 5_018,
                desc: "it shows it and proposes another value",
                input: propose(|s, body| {
                    let prepared = Prepared { round: 0, root: s.root('A') };
                    body.vote = s.vote(2, VoteKind::Propose, 1, 'B');
                    body.round_changes[0] = s.round_change_vote(1, 1, Some(prepared));
                    body.certificate = Some(s.certificate(0, 'A', &[1, 2, 3]));
                }),
                expect: &[],
            },
            Step {
                at: 5_019,
                desc: "a certificate of the round itself",
                input: propose(|s, body| {
                    let prepared = Prepared { round: 1, root: s.root('A') };
                    body.round_changes[0] = s.round_change_vote(1, 1, Some(prepared));
                    body.certificate = Some(s.certificate(1, 'A', &[1, 2, 3]));
                }),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "after all that a good one is taken",
                input: s.propose(2, 1, 'A', &[1, 2, 3], ""),
                expect: &["PREPARE 1 A"],
            },
        ],
    );
}

#[test]
fn a_lower_certificate_than_an_asker_named_does_not_bind() {
    let s = Scene::attestation();
    let mut body = s.propose_body(3, 2, 'A', &[1, 2, 3], "");
    let higher = Prepared { round: 1, root: s.root('B') };
    let lower = Prepared { round: 0, root: s.root('A') };
    body.round_changes[0] = s.round_change_vote(1, 2, Some(higher));
    body.round_changes[1] = s.round_change_vote(2, 2, Some(lower));
    body.certificate = Some(s.certificate(0, 'A', &[1, 2, 3]));
    play(
        &s,
        vec![
            Step {
                at: 6_000,
                desc: "round 2",
                input: s.asks('A'),
                expect: &["ENDORSE A own", "ROUND-CHANGE 2 showing 0A"],
            },
            Step {
                at: 6_010,
                desc: "1 is prepared on B in round 1",
                input: s.hears(3, Body::Propose(body)),
                expect: &[],
            },
        ],
    );
}

#[test]
fn round_changes_that_name_what_they_do_not_show_are_refused() {
    let s = Scene::attestation().for_operator(2);
    let bare = |prepared: Prepared| {
        let mut body = s.round_change_body(1, 1, Shown::Endorsements(""));
        body.vote = s.round_change_vote(1, 1, Some(prepared));
        s.hears(1, Body::RoundChange(body))
    };
    let other = {
        let mut body = s.round_change_body(1, 1, Shown::Certificate(0, 'B', &[0, 1, 3]));
        let prepared = Prepared { round: 0, root: s.root('C') };
        body.vote = s.round_change_vote(1, 1, Some(prepared));
        s.hears(1, Body::RoundChange(body))
    };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "B of 0", input: s.endorse(0, 'B'), expect: &[] },
            Step {
                at: 5_000,
                desc: "T0",
                input: Input::Time,
                expect: &["ROUND-CHANGE 1 showing 0B 2A"],
            },
            Step {
                at: 5_010,
                desc: "asker",
                input: s.round_change(0, 1, Shown::Endorsements("")),
                expect: &[],
            },
            Step {
                at: 5_020,
                desc: "no certificate",
                input: bare(Prepared { round: 0, root: s.root('B') }),
                expect: &[],
            },
            Step {
                at: 5_030,
                desc: "one of the round that it asks for",
                input: s.round_change(1, 1, Shown::Certificate(1, 'B', &[0, 1, 3])),
                expect: &[],
            },
            Step { at: 5_040, desc: "another one than it names", input: other, expect: &[] },
            Step {
                at: 5_050,
                desc: "none of them counted, though the endorsements in them do: now there are three",
                input: s.round_change(3, 1, Shown::Endorsements("")),
                expect: &["PROPOSE 1 B showing 0B 1B 2A 3B", "PREPARE 1 B"],
            },
        ],
    );
}

#[test]
fn an_askers_bare_vote_in_a_proposal_is_not_built_on_by_a_later_leader() {
    // Operator 3 leads round 2, and saw in an unjustified way that 1 is prepared.
    let s = Scene::attestation().for_operator(3);
    play(
        &s,
        vec![
            Step {
                at: 6_000,
                desc: "round 2",
                input: s.asks('A'),
                expect: &["ENDORSE A own", "ROUND-CHANGE 2 showing 3A"],
            },
            Step {
                at: 6_010,
                desc: "with its certificate it counts, and its value is proposed",
                input: s.round_change(1, 2, Shown::Certificate(0, 'B', &[0, 1, 2])),
                expect: &[],
            },
            Step {
                at: 6_020,
                desc: "quorum",
                input: s.round_change(0, 2, Shown::Endorsements("")),
                expect: &["PROPOSE 2 B certified in 0", "PREPARE 2 B"],
            },
        ],
    );
}

#[test]
fn nobody_speaks_for_another() {
    let s = Scene::attestation();
    let from_another = |input: Input, from: u8| match input {
        Input::Hear(_, message) => Input::Hear(OperatorIndex::new(from), message),
        _ => panic!("a message"),
    };
    let unknown = OperatorIndex::new(9);
    let stranger = Body::Endorse(
        Vote::sign(
            Statement { own: true, ..Statement::about(s.key, VoteKind::Endorse, 0, s.root('A')) },
            unknown,
            &crate::support::LOCK_HASH,
            &HashIdentity(unknown),
        )
        .unchecked(),
    );
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step {
                at: 4_020,
                desc: "1's endorsement from 3",
                input: from_another(s.endorse(1, 'A'), 3),
                expect: &[],
            },
            Step {
                at: 4_030,
                desc: "2's endorsement from 3",
                input: from_another(s.endorse(2, 'A'), 3),
                expect: &[],
            },
            Step {
                at: 4_040,
                desc: "2's LOCK from 3",
                input: from_another(s.lock(2, 'A', &[0, 1, 2]), 3),
                expect: &[],
            },
            Step {
                at: 4_050,
                desc: "1's ROUND-CHANGE from 3",
                input: from_another(s.round_change(1, 1, Shown::Endorsements("")), 3),
                expect: &[],
            },
            Step {
                at: 4_060,
                desc: "2's PREPARE from 3",
                input: from_another(s.prepare(2, 1, 'A'), 3),
                expect: &[],
            },
            Step {
                at: 4_070,
                desc: "2's proposal from 3",
                input: from_another(s.propose(2, 1, 'A', &[1, 2, 3], ""), 3),
                expect: &[],
            },
            Step {
                at: 4_080,
                desc: "an operator that does not exist",
                input: Input::Hear(unknown, s.message(stranger)),
                expect: &[],
            },
            Step {
                at: 4_090,
                desc: "C0 and a decision may be passed on: they prove themselves",
                input: from_another(s.decided(1, 0, 'A', &[1, 2, 3]), 3),
                expect: &["settle A"],
            },
        ],
    );
}

#[test]
fn what_was_said_elsewhere_is_not_said_here() {
    let s = Scene::attestation();
    let endorse = |statement: Statement, lock_hash: Root| {
        let from = OperatorIndex::new(1);
        let said = Vote::sign(statement, from, &lock_hash, &HashIdentity(from)).unchecked();
        // The statement as it would have to be for this instance, with the signature of the other.
        let here =
            Statement { own: true, ..Statement::about(s.key, VoteKind::Endorse, 0, s.root('A')) };
        let relabelled = UncheckedVote { statement: here, ..said };
        [said, relabelled].map(|vote| Input::Hear(from, s.message(Body::Endorse(vote))))
    };
    let about =
        Statement { own: true, ..Statement::about(s.key, VoteKind::Endorse, 0, s.root('A')) };
    let other_slot = InstanceKey::Attestation { slot: SLOT.saturating_add(1), committee: None };
    let elsewhere = [
        ("another slot", Statement { key: other_slot, ..about }, crate::support::LOCK_HASH),
        (
            "another kind",
            Statement { kind: VoteKind::Candidate, ..about },
            crate::support::LOCK_HASH,
        ),
        ("another round", Statement { round: 1, ..about }, crate::support::LOCK_HASH),
        ("another value", Statement { root: s.root('B'), ..about }, crate::support::LOCK_HASH),
        ("adopted", Statement { own: false, ..about }, crate::support::LOCK_HASH),
        ("another cluster", about, Root::new([0xdd; 32])),
    ];
    for (desc, statement, lock_hash) in elsewhere {
        let [said, relabelled] = endorse(statement, lock_hash);
        let mut steps = vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "2", input: s.endorse(2, 'A'), expect: &[] },
            Step { at: 4_030, desc, input: relabelled, expect: &[] },
        ];
        // As it was said it may be a sound statement: of another value, or adopted.
        if !matches!(desc, "another value" | "adopted" | "another round") {
            steps.push(Step { at: 4_040, desc, input: said, expect: &[] });
        }
        steps.push(Step {
            at: 4_050,
            desc: "what is said here counts",
            input: s.endorse(1, 'A'),
            expect: &["LOCK A", "settle A"],
        });
        play(&s, steps);
    }
}

#[test]
fn a_message_of_another_instance_is_not_for_this_one() {
    let s = Scene::attestation();
    let other = InstanceKey::Attestation { slot: SLOT.saturating_add(1), committee: None };
    let body = Body::Endorse(s.endorsement(1, 'A', true));
    let message = AgreementMessage { key: other, body, values: vec![s.value('A')] };
    play(
        &s,
        vec![
            Step { at: 4_010, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
            Step { at: 4_020, desc: "2", input: s.endorse(2, 'A'), expect: &[] },
            Step {
                at: 4_030,
                desc: "labelled for another slot",
                input: Input::Hear(OperatorIndex::new(1), message),
                expect: &[],
            },
        ],
    );
}

#[test]
fn an_endorsement_without_its_value_counts_for_nothing() {
    let s = Scene::attestation();
    let body = Body::Endorse(s.endorsement(1, 'B', true));
    let bare = AgreementMessage { key: s.key, body, values: Vec::new() };
    let about = Statement::about(s.key, VoteKind::Endorse, 0, unknown_root());
    let unknown = s.message(Body::Endorse(s.signed(3, about)));
    play(
        &s.silent_with_one_witness(),
        vec![
            Step {
                at: 4_010,
                desc: "its sender has to bring it",
                input: Input::Hear(OperatorIndex::new(1), bare),
                expect: &[],
            },
            Step {
                at: 4_020,
                desc: "a root that no value has",
                input: Input::Hear(OperatorIndex::new(3), unknown),
                expect: &[],
            },
        ],
    );
}

#[test]
fn a_liar_that_names_many_values_does_not_crowd_out_the_others() {
    let s = Scene::attestation();
    let mut steps = Vec::new();
    for (letter, round) in ('F'..='W').zip(1..) {
        steps.push(Step {
            at: 100,
            desc: "flood",
            input: s.prepare(3, round, letter),
            expect: &[],
        });
        steps.push(Step { at: 100, desc: "flood", input: s.commit(3, round, letter), expect: &[] });
    }
    steps.extend([
        Step { at: 4_010, desc: "1", input: s.endorse(1, 'A'), expect: &[] },
        Step { at: 4_020, desc: "2", input: s.endorse(2, 'A'), expect: &[] },
        Step {
            at: 4_090,
            desc: "A is heard all the same",
            input: Input::Time,
            expect: &["ENDORSE A", "LOCK A", "settle A"],
        },
    ]);
    play(&s, steps);
}

#[test]
fn a_liar_that_endorses_many_values_does_not_crowd_out_the_others() {
    let s = Scene::attestation();
    let mut steps = vec![
        Step { at: 100, desc: "first", input: s.endorse(3, 'F'), expect: &[] },
        Step { at: 100, desc: "second", input: s.endorse(3, 'G'), expect: &["lie of 3: F, G"] },
    ];
    for letter in 'H'..='W' {
        steps.push(Step { at: 100, desc: "flood", input: s.endorse(3, letter), expect: &[] });
    }
    steps.extend([
        Step { at: 4_010, desc: "1", input: s.endorse(1, 'A'), expect: &[] },
        Step { at: 4_020, desc: "2", input: s.endorse(2, 'A'), expect: &[] },
        Step {
            at: 4_090,
            desc: "A is heard all the same",
            input: Input::Time,
            expect: &["ENDORSE A", "LOCK A", "settle A"],
        },
    ]);
    play(&s, steps);
}

#[test]
fn a_liar_with_many_candidates_does_not_crowd_out_the_others() {
    let s = Scene::block();
    let mut steps: Vec<Step> = ('F'..='W')
        .map(|letter| Step { at: 10, desc: "flood", input: s.candidate(3, letter), expect: &[] })
        .collect();
    steps.extend([
        Step { at: 20, desc: "own", input: s.asks('B'), expect: &["CANDIDATE B"] },
        Step {
            at: 30,
            desc: "the leader is heard all the same",
            input: s.candidate(0, 'A'),
            expect: &["ENDORSE A"],
        },
    ]);
    play(&s, steps);
}

#[test]
fn a_liar_that_commits_in_many_rounds_does_not_hide_its_commit_of_round_0() {
    let s = Scene::attestation();
    let mut steps = vec![
        Step { at: 4_760, desc: "A", input: s.asks('A'), expect: &["ENDORSE A own"] },
        Step { at: 4_770, desc: "C0", input: s.lock(3, 'A', &[1, 2, 3]), expect: &["LOCK A"] },
    ];
    for round in 1..20 {
        steps.push(Step { at: 4_780, desc: "more", input: s.commit(3, round, 'A'), expect: &[] });
    }
    steps.push(Step {
        at: 4_790,
        desc: "0, 1 and 3",
        input: s.lock(1, 'A', &[1, 2, 3]),
        expect: &["settle A"],
    });
    play(&s, steps);
}
