//! The database side by side with the [`oracle`], step by step. The property test and the fuzz target
//! say which steps; both include this file.

use std::collections::HashMap;
use std::fmt::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use eth_types::{Epoch, Slot};
use slashing_db::{Candidate, Options, Pruning, Safe, SlashingDb, Span, Strategy};

use self::oracle::{Block, Marks, Validator, Vote};
use crate::common::{Place, block, export, identity, import, key, options, record, root, vote};

#[path = "model/oracle.rs"]
pub(crate) mod oracle;

/// Few enough that messages meet.
pub(crate) const VALIDATORS: u64 = 3;
pub(crate) const SLOTS: u64 = 12;
pub(crate) const EPOCHS: u64 = 8;
pub(crate) const ROOTS: u64 = 2;

/// What pruning keeps.
const KEPT_EPOCHS: u64 = 3;
const SLOTS_PER_EPOCH: u64 = 2;

/// What a file has of one validator, perhaps in several entries.
pub(crate) type Entry = (u64, Vec<Block>, Vec<Vote>);

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Record(u64, Candidate),
    Import(Vec<Entry>),
    Raise(Option<u64>, Marks),
    High(Option<u64>, Option<u64>),
    Reopen,
    /// Closes the database and opens it so that it prunes in the background from now on.
    Prune,
}

/// The database and what it should be.
pub(crate) struct Pair {
    place: Place,
    db: Option<SlashingDb>,
    strategy: Strategy,
    models: HashMap<u64, Validator>,
    floor: Marks,
    high: (Option<u64>, Option<u64>),
    pruning: Option<Pruning>,
    /// Whether it ever pruned. From then on it may refuse what is below its watermark.
    pruned: bool,
}

impl Pair {
    /// An empty database and a model that knows nothing.
    pub(crate) fn new(strategy: Strategy) -> Self {
        let mut pair = Self {
            place: Place::new(),
            db: None,
            strategy,
            models: HashMap::new(),
            floor: Marks::default(),
            high: (None, None),
            pruning: None,
            pruned: false,
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
            pruning: self.pruning,
            journal_rows: 5,
            quiet_after: Duration::ZERO,
            ..options()
        }));
    }

    fn db(&self) -> &SlashingDb {
        self.db.as_ref().unwrap()
    }

    fn model(&mut self, validator: u64) -> &mut Validator {
        let minimal = self.strategy == Strategy::Minimal;
        self.models.entry(validator).or_insert_with(|| Validator::new(minimal))
    }

    /// Does a step on both.
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Reopen => self.reopen(),
            Step::Prune => self.prune(),
            Step::Record(validator, candidate) => self.record(*validator, candidate),
            Step::Import(entries) => self.import(entries),
            Step::Raise(validator, to) => {
                let keys = validator.map(|validator| vec![key(validator)]);
                let raised = self.db().raise_watermark(database_marks(*to), keys);
                // It may only fail for the high watermark; then nothing has changed.
                match (raised, validator) {
                    (Ok(()), Some(validator)) => self.model(*validator).raise(*to),
                    (Ok(()), None) => self.floor = self.floor.max(*to),
                    (Err(_), _) => assert!(self.high != (None, None)),
                }
            }
            Step::High(slot, epoch) => {
                let set = self.db().set_high_watermark(slot.map(Slot::new), epoch.map(Epoch::new));
                if set.is_ok() {
                    self.high = (*slot, *epoch);
                }
            }
        }
    }

    fn prune(&mut self) {
        self.pruned = true;
        self.pruning = Some(Pruning {
            keep_epochs: NonZeroU64::new(KEPT_EPOCHS).unwrap(),
            slots_per_epoch: NonZeroU64::new(SLOTS_PER_EPOCH).unwrap(),
        });
        self.reopen();
    }

    fn import(&mut self, entries: &[Entry]) {
        let report = import(self.db(), &file(entries)).unwrap();
        assert_eq!(report.refused(), 0);
        for validator in 0..VALIDATORS {
            let of = |entry: &&Entry| entry.0 == validator;
            let blocks: Vec<_> =
                entries.iter().filter(of).flat_map(|entry| entry.1.clone()).collect();
            let votes: Vec<_> =
                entries.iter().filter(of).flat_map(|entry| entry.2.clone()).collect();
            self.model(validator).import(&blocks, &votes);
        }
    }

    fn record(&mut self, validator: u64, candidate: &Candidate) {
        let (floor, high) = (self.floor, self.high);
        let expected = self.model(validator).allows(candidate, floor, high);
        let checked = self.db().check(&key(validator), candidate);
        let recorded = record(self.db(), key(validator), *candidate);
        // While it prunes, the second answer may be a refusal where the first was not.
        if checked.is_err() || !self.pruned {
            assert_eq!(recorded.is_ok(), checked.is_ok(), "{candidate:?}");
        }
        self.compare(validator, candidate, checked.ok(), expected);
        if let Ok(signing_root) = recorded {
            assert_eq!(signing_root, candidate.signing_root());
            if expected == Some(Safe::New) {
                self.model(validator).note(candidate);
            }
        }
    }

    /// Both say the same, but for what the database has forgotten: it refuses that. And of two
    /// messages for one old duty, both on record, it may have forgotten one before the other; then it
    /// repeats the other, which was signed before.
    fn compare(
        &self,
        validator: u64,
        candidate: &Candidate,
        own: Option<Safe>,
        model: Option<Safe>,
    ) {
        if own != model {
            let told = format!("{validator} {candidate:?}: {own:?}, and {model:?} by the model");
            assert!(self.pruned && self.is_old(validator, candidate), "{told}");
            let repeat = || self.models[&validator].has(candidate);
            assert!(own.is_none() || (own == Some(Safe::SameData) && repeat()), "{told}");
        }
    }

    /// Whether the candidate is older than what pruning keeps.
    fn is_old(&self, validator: u64, candidate: &Candidate) -> bool {
        let peak = self.models[&validator].peak();
        match *candidate {
            Candidate::Block { slot, .. } => {
                peak.slot.is_some_and(|peak| slot.as_u64() + KEPT_EPOCHS * SLOTS_PER_EPOCH <= peak)
            }
            Candidate::Attestation { target, .. } => {
                peak.vote.is_some_and(|(_, peak)| target.as_u64() + KEPT_EPOCHS <= peak)
            }
        }
    }

    /// Compares every message there could be. What imports our export refuses what we refuse, and
    /// signs whatever is new to both.
    pub(crate) fn finish(&mut self) {
        self.db().set_high_watermark(None, None).unwrap();
        // Nothing changes between the two looks.
        self.pruning = None;
        self.reopen();
        let other = Place::new();
        let copy = other.open_with(Options { strategy: self.strategy, ..options() });
        import(&copy, &export(self.db())).unwrap();
        let floor = self.floor;
        for validator in 0..VALIDATORS {
            let unknown = self.db().watermarks(Some(vec![key(validator)])).unwrap();
            let unknown = unknown.validators.is_empty();
            for candidate in all_candidates() {
                let model = self.model(validator).allows(&candidate, floor, (None, None));
                let own = self.db().check(&key(validator), &candidate).ok();
                self.compare(validator, &candidate, own, model);
                let theirs = copy.check(&key(validator), &candidate).ok();
                match own {
                    // A watermark raised for all does not reach whom the file does not have.
                    None if unknown => {}
                    Some(Safe::SameData) => assert!(theirs != Some(Safe::New)),
                    _ => assert_eq!(theirs, own, "{validator} {candidate:?}"),
                }
            }
        }
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
