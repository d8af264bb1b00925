//! What an import did, for each validator.

use std::fmt;

use eth_types::PublicKey;

use crate::memory::Marks;

/// How far a long import or export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Steps done: bytes of the file for an import (each is read twice), validators for an export.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// What became of one validator of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Nothing was known of it before.
    Imported,
    /// Its records were added to those already here.
    Merged,
    /// Everything was here already.
    Unchanged,
    /// None of its records was taken.
    Refused {
        /// Why.
        reason: String,
    },
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorReport {
    /// The validator; for one that is not ours, the key in the file.
    pub validator: PublicKey,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// Blocks of the file.
    pub blocks: u64,
    /// Attestations of the file.
    pub attestations: u64,
    /// Records that were not here before.
    pub added: u64,
    /// Added records that contradict others: evidence that a slashable message was signed, unless one
    /// of them is a watermark that another signer wrote as a record.
    pub contradictions: u64,
    /// The file begins above everything signed here, so up to these numbers (for a source: below it) nothing
    /// but repeats is signed any more.
    pub closed: Marks,
}

impl fmt::Display for ValidatorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.outcome {
            ImportOutcome::Imported => "imported",
            ImportOutcome::Merged => "merged",
            ImportOutcome::Unchanged => "unchanged",
            ImportOutcome::Refused { reason } => {
                return write!(f, "{} refused: {reason}", self.validator);
            }
        };
        write!(
            f,
            "{} {word}: {} blocks and {} attestations in the file, {} of them new",
            self.validator, self.blocks, self.attestations, self.added
        )?;
        if self.contradictions > 0 {
            write!(
                f,
                "; {} contradict other records: this key has signed something slashable, unless a record \
                 stands for a watermark",
                self.contradictions
            )?;
        }
        Ok(())
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// One line for each validator, in the order of the file.
    pub validators: Vec<ValidatorReport>,
}

impl ImportReport {
    /// How many validators were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        let refused =
            |line: &&ValidatorReport| matches!(line.outcome, ImportOutcome::Refused { .. });
        self.validators.iter().filter(refused).count()
    }

    /// Records that were not here before.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.validators.iter().map(|line| line.added).sum()
    }
}
