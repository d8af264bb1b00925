//! What is known of each validator without a look at the disk: its watermarks, the highest of what
//! it signed, and the messages that are still in the journal.
//!
//! A message above everything signed so far (nearly all are) is judged from here alone.

use std::collections::HashMap;

use eth_types::{Epoch, PublicKey, Root, Slot};

use crate::error::Refusal;
use crate::record::{Candidate, Safe, SignedAttestation, SignedBlock, Span};
use crate::rules::{self, AttestationFacts, AttestationLimits, BlockLimits};
use crate::store::row::sql;

/// A slot and a span, each of which may not exist yet. Used for low and raised watermarks and for
/// peaks; the epochs of a span are then two independent bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// For blocks.
    pub slot: Option<Slot>,
    /// For attestations.
    pub span: Option<Span>,
}

impl Marks {
    /// The higher of both in each number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { slot: self.slot.max(other.slot), span: join(self.span, other.span, Epoch::max) }
    }

    /// The lower of both in each number that both have.
    pub(crate) fn min(self, other: Self) -> Self {
        let slot = match (self.slot, other.slot) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { slot, span: join(self.span, other.span, Epoch::min) }
    }

    /// Takes from `other` what is missing here.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { slot: self.slot.or(other.slot), span: self.span.or(other.span) }
    }

    pub(crate) const fn of_block(slot: Slot) -> Self {
        Self { slot: Some(slot), span: None }
    }

    pub(crate) const fn of_span(span: Span) -> Self {
        Self { slot: None, span: Some(span) }
    }
}

fn join(a: Option<Span>, b: Option<Span>, pick: fn(Epoch, Epoch) -> Epoch) -> Option<Span> {
    match (a, b) {
        (Some(a), Some(b)) => {
            Some(Span { source: pick(a.source, b.source), target: pick(a.target, b.target) })
        }
        (a, b) => a.or(b),
    }
}

/// Which of EIP-3076's strategies decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Every recorded message counts; only what would be slashable or below the known history is
    /// refused.
    #[default]
    Complete,
    /// Only what is above everything recorded is signed, besides repeats of what this database
    /// recorded itself; an import leaves nothing but its highest numbers.
    Minimal,
}

/// One validator.
#[derive(Debug, Clone)]
pub(crate) struct Validator {
    pub(crate) id: i64,
    pub(crate) public_key: PublicKey,
    pub(crate) low: Marks,
    pub(crate) floor: Marks,
    pub(crate) guard: Marks,
    /// The highest of each in the archive.
    pub(crate) archived: Marks,
    /// The highest of each, journal included.
    pub(crate) peak: Marks,
    pub(crate) contradictory: bool,
    /// Whether a message of it was signed here, so that its history up to then is whole.
    pub(crate) signed: bool,
    /// Blocks still in the journal.
    pub(crate) blocks: Vec<SignedBlock>,
    /// Attestations still in the journal.
    pub(crate) votes: Vec<SignedAttestation>,
    /// The checksum of the validator's row as it is stored; 0 while there is none.
    pub(crate) stored_checksum: i64,
}

impl Validator {
    pub(crate) fn new(id: i64, public_key: PublicKey) -> Self {
        Self {
            id,
            public_key,
            low: Marks::default(),
            floor: Marks::default(),
            guard: Marks::default(),
            archived: Marks::default(),
            peak: Marks::default(),
            contradictory: false,
            signed: false,
            blocks: Vec::new(),
            votes: Vec::new(),
            stored_checksum: 0,
        }
    }

    /// Whether records in the archive could decide about the candidate.
    pub(crate) fn needs_archive(&self, candidate: &Candidate) -> bool {
        match candidate {
            Candidate::Block { slot, .. } => self.archived.slot.is_some_and(|peak| *slot <= peak),
            Candidate::Attestation { source, target, .. } => self
                .archived
                .span
                .is_some_and(|peak| *target <= peak.target || *source < peak.source),
        }
    }

    /// The journal's blocks of a slot.
    pub(crate) fn blocks_at(&self, slot: Slot) -> Vec<SignedBlock> {
        if self.peak.slot.is_none_or(|peak| slot > peak) {
            return Vec::new();
        }
        self.blocks.iter().filter(|block| block.slot == slot).copied().collect()
    }

    /// What the journal's attestations say about a candidate.
    pub(crate) fn facts(&self, new: Span) -> AttestationFacts {
        let mut facts = AttestationFacts::default();
        // Above everything signed: nothing can be beside, inside or around it.
        if self.peak.span.is_none_or(|peak| new.target > peak.target && new.source >= peak.source) {
            return facts;
        }
        for vote in &self.votes {
            facts.add(new.target, *vote);
        }
        facts
    }

    /// Notes a message that was judged new.
    pub(crate) fn note(&mut self, candidate: &Candidate) {
        self.signed = true;
        match *candidate {
            Candidate::Block { slot, signing_root } => {
                self.blocks.push(SignedBlock { slot, signing_root: Some(signing_root) });
                self.widen(Marks::of_block(slot));
            }
            Candidate::Attestation { source, target, signing_root } => {
                self.votes.push(SignedAttestation {
                    source,
                    target,
                    signing_root: Some(signing_root),
                });
                self.widen(Marks::of_span(Span { source, target }));
            }
        }
    }

    /// Forgets the first of the journal's messages, which the archive has now. The journal has a
    /// validator's messages in the order in which they were noted here.
    pub(crate) fn forget(&mut self, blocks: usize, votes: usize) {
        self.blocks.drain(..blocks.min(self.blocks.len()));
        self.votes.drain(..votes.min(self.votes.len()));
    }

    /// Lifts the peaks for a record that went into the archive.
    pub(crate) fn archive(&mut self, marks: Marks) {
        self.archived = self.archived.max(marks);
        self.peak = self.peak.max(marks);
    }

    /// Lifts the peaks, and begins the history where there is none. A low watermark that exists is
    /// never moved by a record.
    fn widen(&mut self, marks: Marks) {
        self.peak = self.peak.max(marks);
        self.low = self.low.or(marks);
    }
}

impl AttestationFacts {
    /// Takes a recorded vote into account for a candidate with `target`.
    pub(crate) fn add(&mut self, target: Epoch, vote: SignedAttestation) {
        match vote.target.cmp(&target) {
            std::cmp::Ordering::Equal => self.same_target.push(vote),
            std::cmp::Ordering::Less => {
                if self.earlier.is_none_or(|known| vote.source > known.source) {
                    self.earlier = Some(vote);
                }
            }
            std::cmp::Ordering::Greater => {
                if self.later.is_none_or(|known| vote.source < known.source) {
                    self.later = Some(vote);
                }
            }
        }
    }
}

fn position(id: i64) -> Option<usize> {
    usize::try_from(id).ok()?.checked_sub(1)
}

/// All validators, and what holds for all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) strategy: Strategy,
    /// The watermark raised for every validator, known or not.
    pub(crate) floor: Marks,
    pub(crate) high_slot: Option<Slot>,
    pub(crate) high_epoch: Option<Epoch>,
    index: HashMap<PublicKey, usize>,
    /// The validator with id `n` is at `n - 1`.
    validators: Vec<Validator>,
}

impl Memory {
    /// No validators; the watermarks that hold for all of them.
    pub(crate) fn new(floor: Marks, high_slot: Option<Slot>, high_epoch: Option<Epoch>) -> Self {
        Self { floor, high_slot, high_epoch, ..Self::default() }
    }

    /// The validator with the key.
    pub(crate) fn get(&self, public_key: &PublicKey) -> Option<&Validator> {
        self.validators.get(*self.index.get(public_key)?)
    }

    /// The validator with the key; registered now if it is not known.
    pub(crate) fn entry(&mut self, public_key: &PublicKey) -> &mut Validator {
        let position = match self.index.get(public_key) {
            Some(position) => *position,
            None => self.push(*public_key),
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "the index holds positions of this vector only"
        )]
        &mut self.validators[position]
    }

    fn push(&mut self, public_key: PublicKey) -> usize {
        let position = self.validators.len();
        let id = sql(position as u64).saturating_add(1);
        self.index.insert(public_key, position);
        self.validators.push(Validator::new(id, public_key));
        position
    }

    /// Takes over a validator that was read from the disk. Ids are given without gaps from 1, and
    /// read in that order; `false` for one that breaks it or repeats a key.
    #[must_use]
    pub(crate) fn restore(&mut self, validator: Validator) -> bool {
        let position = self.validators.len();
        let expected = sql(position as u64).saturating_add(1);
        if validator.id != expected {
            return false;
        }
        let fresh = self.index.insert(validator.public_key, position).is_none();
        self.validators.push(validator);
        fresh
    }

    /// The validator with the id.
    pub(crate) fn with_id(&self, id: i64) -> Option<&Validator> {
        self.validators.get(position(id)?)
    }

    /// The validator with the id, to be changed.
    pub(crate) fn by_id(&mut self, id: i64) -> Option<&mut Validator> {
        self.validators.get_mut(position(id)?)
    }

    pub(crate) fn validators(&self) -> &[Validator] {
        &self.validators
    }

    /// The verdict, if the archive is not needed for it.
    pub(crate) fn judge(
        &self,
        public_key: &PublicKey,
        candidate: &Candidate,
    ) -> Option<Result<Safe, Refusal>> {
        let Some(validator) = self.get(public_key) else {
            return Some(self.judge_unknown(public_key, candidate));
        };
        if validator.needs_archive(candidate) {
            return None;
        }
        Some(match *candidate {
            Candidate::Block { slot, signing_root } => {
                self.judge_block(validator, &validator.blocks_at(slot), slot, signing_root)
            }
            Candidate::Attestation { source, target, signing_root } => {
                let new = Span { source, target };
                self.judge_vote(validator, &validator.facts(new), new, signing_root)
            }
        })
    }

    fn judge_unknown(
        &self,
        public_key: &PublicKey,
        candidate: &Candidate,
    ) -> Result<Safe, Refusal> {
        let nobody = Validator::new(0, *public_key);
        match *candidate {
            Candidate::Block { slot, signing_root } => {
                self.judge_block(&nobody, &[], slot, signing_root)
            }
            Candidate::Attestation { source, target, signing_root } => {
                let facts = AttestationFacts::default();
                self.judge_vote(&nobody, &facts, Span { source, target }, signing_root)
            }
        }
    }

    /// The verdict on a block, given all recorded blocks of its slot.
    pub(crate) fn judge_block(
        &self,
        validator: &Validator,
        same_slot: &[SignedBlock],
        slot: Slot,
        signing_root: Root,
    ) -> Result<Safe, Refusal> {
        let (low, floor) = self.limits(validator);
        let limits = BlockLimits { low: low.slot, floor: floor.slot, high: self.high_slot };
        rules::block(&limits, same_slot, slot, signing_root)
    }

    /// The verdict on an attestation, given the records that can decide.
    pub(crate) fn judge_vote(
        &self,
        validator: &Validator,
        facts: &AttestationFacts,
        new: Span,
        signing_root: Root,
    ) -> Result<Safe, Refusal> {
        let (low, floor) = self.limits(validator);
        let limits = AttestationLimits { low: low.span, floor: floor.span, high: self.high_epoch };
        rules::attestation(&limits, facts, new, signing_root)
    }

    /// The low and the raised watermarks that hold for a validator.
    pub(crate) fn limits(&self, validator: &Validator) -> (Marks, Marks) {
        let low = match self.strategy {
            Strategy::Complete => validator.low,
            Strategy::Minimal => validator.low.max(validator.peak),
        };
        (low, self.floor.max(validator.floor).max(validator.guard))
    }
}
