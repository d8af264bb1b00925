//! Moving the oldest journal rows into the archive, a bounded number at a time.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{PoisonError, RwLock};

use crate::memory::{Marks, Memory};
use crate::record::{Candidate, SignedAttestation, SignedBlock, Span};
use crate::store::journal::{Damage, JournalRow};
use crate::store::row::sql;
use crate::store::validators::ValidatorRow;
use crate::store::{Store, archive, journal};

/// Messages moved in one step, and the rest of the last entry: a few milliseconds, which is the most that
/// a signature waits for it.
const STEP: usize = 1024;

/// The messages of one step, between reading and forgetting them.
#[derive(Debug, Default)]
struct Fold {
    /// In the archive's order.
    rows: Vec<JournalRow>,
    last: u64,
    chain: i64,
    validators: Vec<ValidatorRow>,
    validators_digest: i64,
}

impl Store {
    /// Moves one step's worth of the journal into the archive.
    pub(crate) fn fold(&mut self, memory: &RwLock<Memory>) -> rusqlite::Result<()> {
        let write = || memory.write().unwrap_or_else(PoisonError::into_inner);
        let mut fold = Fold::default();
        journal::read(&self.conn, self.metadata.journal_chain, |entry| {
            fold.rows.extend(entry.rows);
            (fold.last, fold.chain) = (entry.last, entry.chain);
            if fold.rows.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?
        .map_err(damaged)?;
        if fold.rows.is_empty() {
            return Ok(());
        }
        fold.rows.sort_unstable_by_key(|(id, candidate)| (height(candidate), *id));
        self.lift_peaks(&mut fold, &mut write());
        self.commit_fold(&fold)?;
        fold.end(&mut write());
        Ok(())
    }

    /// Lifts the archive's peaks in memory: from now on the archive is asked about the rows, which
    /// waits for this step to end.
    fn lift_peaks(&self, fold: &mut Fold, memory: &mut Memory) {
        let mut touched: Vec<i64> = fold.rows.iter().map(|(id, _)| *id).collect();
        touched.sort_unstable();
        touched.dedup();
        for (id, candidate) in &fold.rows {
            if let Some(validator) = memory.by_id(*id) {
                validator.archive(marks(candidate));
            }
        }
        fold.validators_digest = self.metadata.validators_digest;
        for id in touched {
            if let Some(validator) = memory.by_id(id) {
                fold.validators.push(ValidatorRow::new(validator, &mut fold.validators_digest));
            }
        }
    }

    /// Moves the rows, in one transaction.
    fn commit_fold(&mut self, fold: &Fold) -> rusqlite::Result<()> {
        self.change(|metadata, conn| {
            for (id, candidate) in &fold.rows {
                let added = match *candidate {
                    Candidate::Block { slot, signing_root } => archive::insert_block(
                        conn,
                        *id,
                        &SignedBlock { slot, signing_root: Some(signing_root) },
                    )?,
                    Candidate::Attestation { source, target, signing_root } => {
                        archive::insert_vote(
                            conn,
                            *id,
                            &SignedAttestation { source, target, signing_root: Some(signing_root) },
                        )?
                    }
                };
                if let Some(checksum) = added {
                    metadata.archive_digest = metadata.archive_digest.wrapping_add(checksum);
                }
            }
            for row in &fold.validators {
                row.write(conn)?;
            }
            conn.prepare_cached("DELETE FROM journal WHERE sequence <= ?1")?
                .execute([sql(fold.last)])?;
            metadata.validators_digest = fold.validators_digest;
            metadata.journal_chain = fold.chain;
            Ok(())
        })?;
        self.journal_rows = self.journal_rows.saturating_sub(fold.rows.len());
        Ok(())
    }
}

impl Fold {
    /// Forgets the rows in memory: the archive has them.
    fn end(self, memory: &mut Memory) {
        let mut counts: HashMap<i64, (usize, usize)> = HashMap::new();
        for (id, candidate) in &self.rows {
            let (blocks, votes) = counts.entry(*id).or_default();
            match candidate {
                Candidate::Block { .. } => *blocks += 1,
                Candidate::Attestation { .. } => *votes += 1,
            }
        }
        for (id, (blocks, votes)) in counts {
            if let Some(validator) = memory.by_id(id) {
                validator.forget(blocks, votes);
            }
        }
    }
}

/// The file was changed by something else while it was open: nothing more is signed with it.
fn damaged(Damage(at): Damage) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some(format!("journal entry {at} does not fit its checksum")),
    )
}

fn height(candidate: &Candidate) -> (bool, u64) {
    match candidate {
        Candidate::Block { slot, .. } => (false, slot.as_u64()),
        Candidate::Attestation { target, .. } => (true, target.as_u64()),
    }
}

fn marks(candidate: &Candidate) -> Marks {
    match *candidate {
        Candidate::Block { slot, .. } => Marks::of_block(slot),
        Candidate::Attestation { source, target, .. } => Marks::of_span(Span { source, target }),
    }
}
