//! The database against the [`oracle`](crate::model::oracle), over random histories and operations.
//!
//! `PROPTEST_CASES` sets how many; with `TMPDIR` on a memory file system a million steps take minutes.

use proptest::prelude::*;
use slashing_db::Candidate;

use crate::common::{block, vote};
use crate::model::oracle::Marks;
use crate::model::{EPOCHS, Entry, Pair, ROOTS, SLOTS, Step, VALIDATORS};

fn candidate() -> impl Strategy<Value = Candidate> {
    prop_oneof![
        (0..SLOTS, 0..ROOTS).prop_map(|(slot, root)| block(slot, root)),
        (0..EPOCHS, 0..EPOCHS, 0..ROOTS)
            .prop_map(|(source, target, root)| vote(source, target, root)),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let root = || proptest::option::of(0..ROOTS);
    (
        0..VALIDATORS,
        proptest::collection::vec((0..SLOTS, root()), 0..4),
        // An import may bring what never was a vote: a source after its target.
        proptest::collection::vec((0..EPOCHS, 0..EPOCHS, root()), 0..4),
    )
}

fn marks() -> impl Strategy<Value = Marks> {
    let span = (0..EPOCHS, 0..EPOCHS).prop_map(|(a, b)| (a.min(b), a.max(b)));
    (proptest::option::of(0..SLOTS), proptest::option::of(span))
        .prop_map(|(slot, vote)| Marks { slot, vote })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (0..VALIDATORS, candidate()).prop_map(|(key, candidate)| Step::Record(key, candidate)),
        4 => proptest::collection::vec(entry(), 0..4).prop_map(Step::Import),
        1 => (proptest::option::of(0..VALIDATORS), marks()).prop_map(|(key, to)| Step::Raise(key, to)),
        1 => (proptest::option::of(0..2 * SLOTS), proptest::option::of(0..2 * EPOCHS))
            .prop_map(|(slot, epoch)| Step::High(slot, epoch)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Prune),
    ]
}

/// A bounded number for every run; as many as are asked for in the nightly one.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig { cases: 24, ..ProptestConfig::default() },
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_database_decides_as_a_list_compared_word_for_word(
        steps in proptest::collection::vec(step(), 1..100),
    ) {
        let mut pair = Pair::new(slashing_db::Strategy::Complete);
        for step in &steps {
            pair.step(step);
        }
        pair.finish();
    }

    #[test]
    fn the_minimal_strategy_signs_only_above_everything(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut pair = Pair::new(slashing_db::Strategy::Minimal);
        for step in &steps {
            pair.step(step);
        }
    }
}
