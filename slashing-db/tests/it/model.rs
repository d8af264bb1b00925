//! The database against a model that knows nothing of watermarks in memory, neighbours or SQL: all
//! messages in a list, each compared with each.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use slashing_db::{Candidate, Options, Safe};

use crate::common::{Place, block, key, options, record, vote};

/// One validator's list.
#[derive(Default)]
struct Model {
    blocks: Vec<(u64, u64)>,
    votes: Vec<(u64, u64, u64)>,
    low_slot: Option<u64>,
    low_vote: Option<(u64, u64)>,
}

impl Model {
    /// EIP-3076's conditions, read word for word.
    fn allows_block(&self, slot: u64, root: u64) -> bool {
        let slashable = self.blocks.iter().any(|(s, r)| *s == slot && *r != root);
        let repeat = self.blocks.contains(&(slot, root));
        let below = self.low_slot.is_some_and(|low| slot <= low);
        !slashable && (repeat || !below)
    }

    fn allows_vote(&self, source: u64, target: u64, root: u64) -> bool {
        let slashable = self.votes.iter().any(|(s, t, r)| {
            let double = *t == target && (*s, *r) != (source, root);
            let around = *s < source && target < *t;
            let inside = source < *s && *t < target;
            double || around || inside
        });
        let repeat = self.votes.contains(&(source, target, root));
        let low_source = self.low_vote.is_some_and(|(low, _)| source < low);
        let low_target = self.low_vote.is_some_and(|(_, low)| target <= low);
        source <= target && !slashable && !low_source && (repeat || !low_target)
    }

    fn allows(&self, candidate: &Candidate) -> Option<Safe> {
        let (allowed, repeat) = match *candidate {
            Candidate::Block { slot, signing_root } => {
                let (slot, root) = (slot.as_u64(), number(signing_root));
                (self.allows_block(slot, root), self.blocks.contains(&(slot, root)))
            }
            Candidate::Attestation { source, target, signing_root } => {
                let (s, t, r) = (source.as_u64(), target.as_u64(), number(signing_root));
                (self.allows_vote(s, t, r), self.votes.contains(&(s, t, r)))
            }
        };
        allowed.then_some(if repeat { Safe::SameData } else { Safe::New })
    }

    fn note(&mut self, candidate: &Candidate) {
        match *candidate {
            Candidate::Block { slot, signing_root } => {
                self.blocks.push((slot.as_u64(), number(signing_root)));
                self.low_slot.get_or_insert(slot.as_u64());
            }
            Candidate::Attestation { source, target, signing_root } => {
                let (s, t) = (source.as_u64(), target.as_u64());
                self.votes.push((s, t, number(signing_root)));
                self.low_vote.get_or_insert((s, t));
            }
        }
    }
}

fn number(root: eth_types::Root) -> u64 {
    u64::from_be_bytes(root.as_bytes()[24..].try_into().unwrap())
}

#[derive(Debug, Clone)]
enum Step {
    Record(u64, Candidate),
    Reopen,
}

fn candidate() -> impl Strategy<Value = Candidate> {
    prop_oneof![
        (0..12_u64, 0..2_u64).prop_map(|(slot, root)| block(slot, root)),
        (0..8_u64, 0..8_u64, 0..2_u64)
            .prop_map(|(source, target, root)| vote(source, target, root)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0..3_u64, candidate()).prop_map(|(validator, candidate)| Step::Record(validator, candidate)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_database_decides_as_a_list_compared_word_for_word(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let place = Place::new();
        // Small enough that some of the history is in the archive and some in memory.
        let options = || Options { journal_rows: 5, quiet_after: Duration::ZERO, ..options() };
        let mut db = place.open_with(options());
        let mut models: HashMap<u64, Model> = HashMap::new();
        for step in steps {
            match step {
                Step::Reopen => {
                    db.close();
                    db = place.open_with(options());
                }
                Step::Record(validator, candidate) => {
                    let model = models.entry(validator).or_default();
                    let expected = model.allows(&candidate);
                    let checked = db.check(&key(validator), &candidate);
                    prop_assert_eq!(checked.as_ref().ok(), expected.as_ref(), "{:?}", candidate);
                    let permit = record(&db, key(validator), candidate);
                    prop_assert_eq!(permit.is_ok(), expected.is_some());
                    if expected == Some(Safe::New) {
                        model.note(&candidate);
                    }
                }
            }
        }
    }
}
