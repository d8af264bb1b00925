//! Any bytes as a sequence of operations, on the database and on the brute-force model of the rules.

use slashing_db::Strategy;

use crate::common::{block, vote};
use crate::model::oracle::Marks;
use crate::model::{EPOCHS, Entry, Pair, ROOTS, SLOTS, Step, VALIDATORS};

/// Operations of one run; more only take longer.
const MOST_STEPS: usize = 200;

/// Does what the input says, and compares both after each operation and at the end.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    let strategy = if bytes.below(4) == Some(3) { Strategy::Minimal } else { Strategy::Complete };
    let mut pair = Pair::new(strategy);
    for _ in 0..MOST_STEPS {
        let Some(step) = bytes.step() else { break };
        pair.step(&step);
    }
    // An importer that keeps to the minimal form tells less than its file does.
    if strategy == Strategy::Complete {
        pair.finish();
    }
}

/// The rest of the input.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    /// A number below `bound`; `None` at the end of the input.
    fn below(&mut self, bound: u64) -> Option<u64> {
        Some(u64::from(*self.0.split_off_first()?) % bound)
    }

    fn step(&mut self) -> Option<Step> {
        Some(match self.below(32)? {
            0 => Step::Reopen,
            1 => Step::Prune,
            2 => Step::High(self.maybe(2 * SLOTS)?, self.maybe(2 * EPOCHS)?),
            3 => Step::Raise(self.maybe(VALIDATORS)?, self.marks()?),
            4..=7 => {
                let entries = self.below(4)?;
                Step::Import((0..entries).map(|_| self.entry()).collect::<Option<_>>()?)
            }
            8..=15 => {
                let (validator, slot, root) =
                    (self.below(VALIDATORS)?, self.below(SLOTS)?, self.below(ROOTS)?);
                Step::Record(validator, block(slot, root))
            }
            _ => {
                let (source, target) = (self.below(EPOCHS)?, self.below(EPOCHS)?);
                Step::Record(self.below(VALIDATORS)?, vote(source, target, self.below(ROOTS)?))
            }
        })
    }

    fn maybe(&mut self, bound: u64) -> Option<Option<u64>> {
        let value = self.below(bound + 1)?;
        Some((value < bound).then_some(value))
    }

    fn marks(&mut self) -> Option<Marks> {
        let slot = self.maybe(SLOTS)?;
        let (a, b) = (self.below(EPOCHS)?, self.maybe(EPOCHS)?);
        Some(Marks { slot, vote: b.map(|b| (a.min(b), a.max(b))) })
    }

    fn entry(&mut self) -> Option<Entry> {
        let validator = self.below(VALIDATORS)?;
        let blocks = (0..self.below(4)?)
            .map(|_| Some((self.below(SLOTS)?, self.maybe(ROOTS)?)))
            .collect::<Option<_>>()?;
        let votes = (0..self.below(4)?)
            .map(|_| Some((self.below(EPOCHS)?, self.below(EPOCHS)?, self.maybe(ROOTS)?)))
            .collect::<Option<_>>()?;
        Some((validator, blocks, votes))
    }
}
