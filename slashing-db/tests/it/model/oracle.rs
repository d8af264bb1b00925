//! The oracle: all messages in a list, each compared with each, and EIP-3076's conditions word for
//! word. It knows nothing of memory, neighbours, journals or SQL, and shares no code with the program
//! but the form of a candidate. The fuzz targets use it too.

use slashing_db::{Candidate, Safe};

/// A block: slot and root.
pub(crate) type Block = (u64, Option<u64>);
/// A vote: source, target and root.
pub(crate) type Vote = (u64, u64, Option<u64>);

/// Watermarks: a slot, and a source with a target.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    /// For blocks.
    pub(crate) slot: Option<u64>,
    /// For votes.
    pub(crate) vote: Option<(u64, u64)>,
}

impl Marks {
    /// The higher of both in each number.
    #[must_use]
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            slot: self.slot.max(other.slot),
            vote: match (self.vote, other.vote) {
                (Some((s, t)), Some((u, v))) => Some((s.max(u), t.max(v))),
                (a, b) => a.or(b),
            },
        }
    }
}

/// One validator's list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Validator {
    blocks: Vec<Block>,
    votes: Vec<Vote>,
    low: Marks,
    floor: Marks,
    minimal: bool,
    /// Whether a message was signed here.
    signed: bool,
}

impl Validator {
    /// Of whom nothing is known; with `minimal` only what is above everything is new.
    #[must_use]
    pub(crate) fn new(minimal: bool) -> Self {
        Self { minimal, ..Self::default() }
    }

    /// What may be said to the candidate; `high` are the high watermarks for slots and epochs, and
    /// `floor` is what was raised for all.
    #[must_use]
    pub(crate) fn allows(
        &self,
        candidate: &Candidate,
        floor: Marks,
        high: (Option<u64>, Option<u64>),
    ) -> Option<Safe> {
        let floor = self.floor.max(floor);
        match *candidate {
            Candidate::Block { slot, signing_root } => {
                let (slot, root) = (slot.as_u64(), number(signing_root));
                let raised = floor.slot.is_some_and(|floor| slot <= floor);
                let high = high.0.is_some_and(|high| slot >= high);
                (!raised && !high).then(|| self.allows_block(slot, root)).flatten()
            }
            Candidate::Attestation { source, target, signing_root } => {
                let (source, target) = (source.as_u64(), target.as_u64());
                let raised = floor.vote.is_some_and(|(s, t)| source < s || target <= t);
                let high = high.1.is_some_and(|high| source >= high || target >= high);
                let root = number(signing_root);
                (!raised && !high).then(|| self.allows_vote(source, target, root)).flatten()
            }
        }
    }

    fn allows_block(&self, slot: u64, root: u64) -> Option<Safe> {
        // Conditions 1 and 2.
        let slashable = self.blocks.iter().any(|(s, r)| *s == slot && *r != Some(root));
        let repeat = self.blocks.contains(&(slot, Some(root)));
        let mut low = self.low.slot;
        if self.minimal {
            low = low.max(self.blocks.iter().map(|(slot, _)| *slot).max());
        }
        let below = low.is_some_and(|low| slot <= low);
        answer(!slashable && (repeat || !below), repeat)
    }

    fn allows_vote(&self, source: u64, target: u64, root: u64) -> Option<Safe> {
        // Condition 3, `is_slashable_attestation_data` both ways round.
        let slashable = self.votes.iter().any(|(s, t, r)| {
            let double = *t == target && (*s, *r) != (source, Some(root));
            let around = *s < source && target < *t;
            let inside = source < *s && *t < target;
            double || around || inside
        });
        let repeat = self.votes.contains(&(source, target, Some(root)));
        let mut low = self.low.vote;
        if self.minimal {
            for (s, t, _) in &self.votes {
                low = Some(low.map_or((*s, *t), |(u, v)| (u.max(*s), v.max(*t))));
            }
        }
        // Conditions 4 and 5.
        let low_source = low.is_some_and(|(low, _)| source < low);
        let low_target = low.is_some_and(|(_, low)| target <= low);
        let allowed = source <= target && !slashable && !low_source && (repeat || !low_target);
        answer(allowed, repeat)
    }

    /// Puts a signed message on the list.
    pub(crate) fn note(&mut self, candidate: &Candidate) {
        self.signed = true;
        match *candidate {
            Candidate::Block { slot, signing_root } => {
                self.blocks.push((slot.as_u64(), Some(number(signing_root))));
                self.low.slot.get_or_insert(slot.as_u64());
            }
            Candidate::Attestation { source, target, signing_root } => {
                let (s, t) = (source.as_u64(), target.as_u64());
                self.votes.push((s, t, Some(number(signing_root))));
                self.low.vote.get_or_insert((s, t));
            }
        }
    }

    /// Puts all that a file has of the validator on the list.
    pub(crate) fn import(&mut self, blocks: &[Block], votes: &[Vote]) {
        let highest_slot = blocks.iter().map(|(slot, _)| *slot).max();
        let sources = || votes.iter().map(|(source, _, _)| *source);
        let targets = || votes.iter().map(|(_, target, _)| *target);
        if self.minimal {
            let vote = sources().max().zip(targets().max());
            self.blocks.extend(highest_slot.map(|slot| (slot, None)));
            self.votes.extend(vote.map(|(source, target)| (source, target, None)));
            self.low = self.low.max(Marks { slot: highest_slot, vote });
            return;
        }
        let lowest_slot = blocks.iter().map(|(slot, _)| *slot).min();
        let lowest_vote = sources().min().zip(targets().min());
        // A file that begins above what was signed here: conditions 2, 4 and 5 for the file alone.
        let known = self.peak();
        let above = Marks {
            slot: lowest_slot.filter(|low| known.slot.is_some_and(|peak| *low > peak)),
            vote: lowest_vote.filter(|(_, low)| known.vote.is_some_and(|(_, peak)| *low > peak)),
        };
        if self.signed {
            self.low = self.low.max(above);
        }
        self.low.slot = self.low.slot.or(lowest_slot);
        self.low.vote = self.low.vote.or(lowest_vote);
        self.blocks.extend(blocks);
        self.votes.extend(votes);
    }

    /// Whether this very message is on the list.
    #[must_use]
    pub(crate) fn has(&self, candidate: &Candidate) -> bool {
        match *candidate {
            Candidate::Block { slot, signing_root } => {
                self.blocks.contains(&(slot.as_u64(), Some(number(signing_root))))
            }
            Candidate::Attestation { source, target, signing_root } => {
                let vote = (source.as_u64(), target.as_u64(), Some(number(signing_root)));
                self.votes.contains(&vote)
            }
        }
    }

    /// The highest of each number on the list; source and target may be of two votes.
    #[must_use]
    pub(crate) fn peak(&self) -> Marks {
        let vote = self.votes.iter().fold(None, |peak: Option<(u64, u64)>, (s, t, _)| {
            Some(peak.map_or((*s, *t), |(u, v)| (u.max(*s), v.max(*t))))
        });
        Marks { slot: self.blocks.iter().map(|(slot, _)| *slot).max(), vote }
    }

    /// Raises the watermark for this validator.
    pub(crate) fn raise(&mut self, to: Marks) {
        self.floor = self.floor.max(to);
    }
}

fn answer(allowed: bool, repeat: bool) -> Option<Safe> {
    allowed.then_some(if repeat { Safe::SameData } else { Safe::New })
}

/// The number that the tests make a root of.
#[must_use]
pub(crate) fn number(root: eth_types::Root) -> u64 {
    root.as_bytes()[24..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
