//! The database against the [`oracle`], over random histories and operations.
//!
//! `PROPTEST_CASES` sets how many; with `TMPDIR` on a memory file system a million steps take minutes.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use eth_types::{Epoch, Slot};
use proptest::prelude::*;
use slashing_db::{Candidate, Options, Safe, SlashingDb, Span};

use self::oracle::{Block, Marks, Validator, Vote};
use crate::common::{Place, block, export, identity, import, key, options, record, root, vote};

#[expect(unreachable_pub, reason = "the fuzz targets include this file as well")]
mod oracle;

/// Few enough that messages meet.
const VALIDATORS: u64 = 3;
const SLOTS: u64 = 12;
const EPOCHS: u64 = 8;
const ROOTS: u64 = 2;

/// What a file has of one validator, perhaps in several entries.
type Entry = (u64, Vec<Block>, Vec<Vote>);

#[derive(Debug, Clone)]
enum Step {
    Record(u64, Candidate),
    Import(Vec<Entry>),
    Raise(Option<u64>, Marks),
    High(Option<u64>, Option<u64>),
    Reopen,
}

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
    ]
}

/// The database and what it should be.
struct Pair {
    place: Place,
    db: Option<SlashingDb>,
    strategy: slashing_db::Strategy,
    models: HashMap<u64, Validator>,
    floor: Marks,
    high: (Option<u64>, Option<u64>),
}

impl Pair {
    fn new(strategy: slashing_db::Strategy) -> Self {
        let mut pair = Self {
            place: Place::new(),
            db: None,
            strategy,
            models: HashMap::new(),
            floor: Marks::default(),
            high: (None, None),
        };
        pair.reopen();
        pair
    }

    fn reopen(&mut self) {
        if let Some(db) = self.db.take() {
            db.close();
        }
        // Small enough that some of the history is in the archive and some in memory.
        self.db = Some(self.place.open_with(Options {
            strategy: self.strategy,
            journal_rows: 5,
            quiet_after: Duration::ZERO,
            ..options()
        }));
    }

    fn db(&self) -> &SlashingDb {
        self.db.as_ref().unwrap()
    }

    fn model(&mut self, validator: u64) -> &mut Validator {
        let minimal = self.strategy == slashing_db::Strategy::Minimal;
        self.models.entry(validator).or_insert_with(|| Validator::new(minimal))
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Reopen => self.reopen(),
            Step::Record(validator, candidate) => self.record(*validator, candidate)?,
            Step::Import(entries) => {
                let report = import(self.db(), &file(entries)).unwrap();
                prop_assert_eq!(report.refused(), 0);
                for validator in 0..VALIDATORS {
                    let of = |entry: &&Entry| entry.0 == validator;
                    let blocks: Vec<_> =
                        entries.iter().filter(of).flat_map(|entry| entry.1.clone()).collect();
                    let votes: Vec<_> =
                        entries.iter().filter(of).flat_map(|entry| entry.2.clone()).collect();
                    self.model(validator).import(&blocks, &votes);
                }
            }
            Step::Raise(validator, to) => {
                let keys = validator.map(|validator| vec![key(validator)]);
                let raised = self.db().raise_watermark(database_marks(*to), keys);
                // It may only fail for the high watermark; then nothing has changed.
                match (raised, validator) {
                    (Ok(()), Some(validator)) => self.model(*validator).raise(*to),
                    (Ok(()), None) => self.floor = self.floor.max(*to),
                    (Err(_), _) => prop_assert!(self.high != (None, None)),
                }
            }
            Step::High(slot, epoch) => {
                let set = self.db().set_high_watermark(slot.map(Slot::new), epoch.map(Epoch::new));
                if set.is_ok() {
                    self.high = (*slot, *epoch);
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, validator: u64, candidate: &Candidate) -> Result<(), TestCaseError> {
        let (floor, high) = (self.floor, self.high);
        let expected = self.model(validator).allows(candidate, floor, high);
        let checked = self.db().check(&key(validator), candidate);
        prop_assert_eq!(checked.as_ref().ok(), expected.as_ref(), "{:?} {:?}", candidate, checked);
        let recorded = record(self.db(), key(validator), *candidate);
        prop_assert_eq!(recorded.ok(), expected.map(|_| candidate.signing_root()));
        if expected == Some(Safe::New) {
            self.model(validator).note(candidate);
        }
        Ok(())
    }

    /// What imports our export refuses what we refuse, and signs whatever is new to both.
    fn compare_with_importer(&mut self) -> Result<(), TestCaseError> {
        let other = Place::new();
        let copy = other.open();
        import(&copy, &export(self.db())).unwrap();
        let floor = self.floor;
        for validator in 0..VALIDATORS {
            let unknown = !self.models.contains_key(&validator);
            for candidate in all_candidates() {
                let ours = self.model(validator).allows(&candidate, floor, (None, None));
                let theirs = copy.check(&key(validator), &candidate).ok();
                match ours {
                    // A watermark raised for all does not reach whom the file does not have.
                    None if unknown => {}
                    Some(Safe::SameData) => prop_assert!(theirs != Some(Safe::New)),
                    _ => prop_assert_eq!(theirs, ours, "{} {:?}", validator, candidate),
                }
            }
        }
        Ok(())
    }
}

fn all_candidates() -> impl Iterator<Item = Candidate> {
    let blocks = (0..=SLOTS).flat_map(|slot| (0..ROOTS).map(move |root| block(slot, root)));
    let votes = (0..=EPOCHS).flat_map(|source| {
        (0..=EPOCHS).flat_map(move |target| (0..ROOTS).map(move |root| vote(source, target, root)))
    });
    blocks.chain(votes)
}

fn database_marks(marks: Marks) -> slashing_db::Marks {
    slashing_db::Marks {
        slot: marks.slot.map(Slot::new),
        span: marks.vote.map(|(source, target)| Span {
            source: Epoch::new(source),
            target: Epoch::new(target),
        }),
    }
}

fn file(entries: &[Entry]) -> String {
    let mut text = format!(
        r#"{{"metadata": {{"interchange_format_version": "5", "genesis_validators_root": "{}"}}, "data": ["#,
        identity().genesis_validators_root
    );
    for (at, (validator, blocks, votes)) in entries.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let root = |number: &Option<u64>| {
            number.map_or_else(String::new, |number| {
                format!(r#", "signing_root": "{}""#, root(number))
            })
        };
        let blocks: Vec<_> =
            blocks.iter().map(|(slot, r)| format!(r#"{{"slot": "{slot}"{}}}"#, root(r))).collect();
        let votes: Vec<_> = votes
            .iter()
            .map(|(source, target, r)| {
                format!(r#"{{"source_epoch": "{source}", "target_epoch": {target}{}}}"#, root(r))
            })
            .collect();
        write!(
            text,
            r#"{comma}{{"pubkey": "{}", "signed_blocks": [{}], "signed_attestations": [{}]}}"#,
            key(*validator),
            blocks.join(","),
            votes.join(",")
        )
        .unwrap();
    }
    text + "]}"
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
            pair.step(step)?;
        }
        pair.compare_with_importer()?;
    }

    #[test]
    fn the_minimal_strategy_signs_only_above_everything(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut pair = Pair::new(slashing_db::Strategy::Minimal);
        for step in &steps {
            pair.step(step)?;
        }
    }
}
