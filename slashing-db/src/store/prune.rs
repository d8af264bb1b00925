//! Forgetting what is too old to matter, a bounded number of rows at a time.
//!
//! A record may go once the low watermark refuses everything that could contradict it: a block when the
//! watermark's slot is not below its own, an attestation when neither the watermark's source nor its
//! target is below its own. Each step lifts the watermarks of the validators whose records it removes,
//! in the same transaction.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::ControlFlow;

use eth_types::{Epoch, Slot};
use rusqlite::params;

use crate::memory::{Marks, Memory, Validator};
use crate::record::{Candidate, SignedAttestation, SignedBlock};
use crate::store::row::{number, root, root_bytes, sql};
use crate::store::validators::ValidatorRow;
use crate::store::{Store, archive, journal};

/// Rows looked at in one step: a few milliseconds, which is the most that a signature waits for it.
const STEP: usize = 1024;

/// A pass begins when the highest epoch has risen by this part of what is kept.
const PASSES: u64 = 16;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruning {
    /// Epochs before the highest attestation of each validator, and as many epochs' slots before its
    /// highest block. 250 is what other signers keep.
    pub keep_epochs: NonZeroU64,
    /// The chain's slots per epoch.
    pub slots_per_epoch: NonZeroU64,
}

impl Default for Pruning {
    fn default() -> Self {
        const KEPT: NonZeroU64 = NonZeroU64::new(250).unwrap();
        const MAINNET: NonZeroU64 = NonZeroU64::new(32).unwrap();
        Self { keep_epochs: KEPT, slots_per_epoch: MAINNET }
    }
}

impl Pruning {
    /// The lowest target that is kept for a validator whose highest is `peak`.
    fn vote_horizon(&self, peak: &Marks) -> u64 {
        let peak = peak.span.map_or(0, |span| span.target.as_u64());
        peak.saturating_add(1).saturating_sub(self.keep_epochs.get())
    }

    /// How far the chain is by the highest that was signed.
    fn epoch(&self, peak: &Marks) -> Epoch {
        let block = peak.slot.map_or(Epoch::new(0), |slot| slot.epoch(self.slots_per_epoch));
        peak.span.map_or(block, |span| span.target.max(block))
    }

    /// The lowest slot that is kept.
    fn block_horizon(&self, peak: &Marks) -> u64 {
        let kept = self.keep_epochs.get().saturating_mul(self.slots_per_epoch.get());
        let peak = peak.slot.map_or(0, Slot::as_u64);
        peak.saturating_add(1).saturating_sub(kept)
    }
}

/// Where the pruning is.
#[derive(Debug, Default)]
pub(crate) struct Pruner {
    /// The highest epoch at the last pass's begin; `None` before the first pass.
    last_pass: Option<Epoch>,
    cursor: Option<Cursor>,
}

/// The last row that was looked at.
#[derive(Debug, Clone, Copy)]
enum Cursor {
    Votes(Option<(i64, SignedAttestation)>),
    Blocks(Option<(i64, SignedBlock)>),
}

/// Rows that may go, and where the next step begins.
#[derive(Debug, Default)]
struct Old {
    votes: Vec<(i64, SignedAttestation)>,
    blocks: Vec<(i64, SignedBlock)>,
}

impl Pruner {
    /// Whether there is something to do now.
    pub(crate) fn is_due(&self, memory: &Memory, pruning: &Pruning) -> bool {
        if self.cursor.is_some() {
            return true;
        }
        let step = (pruning.keep_epochs.get() / PASSES).max(1);
        let now = pruning.epoch(&highest(memory));
        self.last_pass.is_none_or(|last| now >= last.saturating_add(step))
    }
}

/// The highest of each number over all validators.
fn highest(memory: &Memory) -> Marks {
    memory.validators().iter().map(|v| v.peak).fold(Marks::default(), Marks::max)
}

impl Store {
    /// Whether the oldest message in the journal is old enough to be pruned, so that it has to move
    /// into the archive first.
    pub(crate) fn journal_is_old(
        &self,
        memory: &Memory,
        pruning: &Pruning,
    ) -> rusqlite::Result<bool> {
        let mut front = None;
        // A damaged entry is found, and reported, when it is moved.
        let _ = journal::read(&self.conn, self.metadata.journal_chain, |entry| {
            front = entry.rows.into_iter().next();
            ControlFlow::Break(())
        })?;
        let Some((id, candidate)) = front else { return Ok(false) };
        let peak = memory.with_id(id).map(|v| v.peak).unwrap_or_default();
        Ok(match candidate {
            Candidate::Attestation { target, .. } => target.as_u64() < pruning.vote_horizon(&peak),
            Candidate::Block { slot, .. } => slot.as_u64() < pruning.block_horizon(&peak),
        })
    }

    /// One step. `true` if there is another.
    pub(crate) fn prune(
        &mut self,
        pruner: &mut Pruner,
        memory: &std::sync::RwLock<Memory>,
        pruning: &Pruning,
    ) -> rusqlite::Result<bool> {
        let read = || memory.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let cursor = match pruner.cursor {
            Some(cursor) => cursor,
            None => {
                pruner.last_pass = Some(pruning.epoch(&highest(&read())));
                Cursor::Votes(None)
            }
        };
        let (old, next) = match cursor {
            Cursor::Votes(after) => self.old_votes(after, &read(), pruning)?,
            Cursor::Blocks(after) => self.old_blocks(after, &read(), pruning)?,
        };
        if !old.votes.is_empty() || !old.blocks.is_empty() {
            let mut validators = lifted(&old, &read());
            self.remove(&old, &mut validators)?;
            memory
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .put_back(validators.into_values().collect());
        }
        pruner.cursor = next;
        Ok(next.is_some())
    }

    fn old_votes(
        &self,
        after: Option<(i64, SignedAttestation)>,
        memory: &Memory,
        pruning: &Pruning,
    ) -> rusqlite::Result<(Old, Option<Cursor>)> {
        // Nobody's horizon is beyond this.
        let end = pruning.vote_horizon(&highest(memory));
        let (id, last) = after.unwrap_or((0, LOWEST_VOTE));
        let rows: Vec<(i64, SignedAttestation)> = self
            .conn
            .prepare_cached(
                "SELECT target_epoch, validator_id, source_epoch, signing_root FROM attestations
                 WHERE (target_epoch, validator_id, source_epoch, signing_root)
                           > (?1, ?2, ?3, ?4) AND target_epoch < ?5
                 ORDER BY target_epoch, validator_id, source_epoch, signing_root LIMIT ?6",
            )?
            .query_map(
                params![
                    sql(last.target.as_u64()),
                    id,
                    sql(last.source.as_u64()),
                    root_bytes(last.signing_root.as_ref()),
                    sql(end),
                    STEP as i64
                ],
                |row| {
                    let vote = SignedAttestation {
                        target: number(row, 0)?.into(),
                        source: number(row, 2)?.into(),
                        signing_root: root(row, 3)?,
                    };
                    Ok((row.get(1)?, vote))
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        let next = if rows.len() < STEP {
            Cursor::Blocks(None)
        } else {
            Cursor::Votes(rows.last().copied())
        };
        let horizon = |id: i64| memory.with_id(id).map_or(0, |v| pruning.vote_horizon(&v.peak));
        let votes = rows.into_iter().filter(|(id, v)| v.target.as_u64() < horizon(*id)).collect();
        Ok((Old { votes, ..Old::default() }, Some(next)))
    }

    fn old_blocks(
        &self,
        after: Option<(i64, SignedBlock)>,
        memory: &Memory,
        pruning: &Pruning,
    ) -> rusqlite::Result<(Old, Option<Cursor>)> {
        let (id, last) = after.unwrap_or((0, LOWEST_BLOCK));
        let rows: Vec<(i64, SignedBlock)> = self
            .conn
            .prepare_cached(
                "SELECT validator_id, slot, signing_root FROM blocks
                 WHERE (validator_id, slot, signing_root) > (?1, ?2, ?3)
                 ORDER BY validator_id, slot, signing_root LIMIT ?4",
            )?
            .query_map(
                params![
                    id,
                    sql(last.slot.as_u64()),
                    root_bytes(last.signing_root.as_ref()),
                    STEP as i64
                ],
                |row| {
                    let block =
                        SignedBlock { slot: number(row, 1)?.into(), signing_root: root(row, 2)? };
                    Ok((row.get(0)?, block))
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        let next = (rows.len() == STEP).then(|| Cursor::Blocks(rows.last().copied()));
        let horizon = |id: i64| memory.with_id(id).map_or(0, |v| pruning.block_horizon(&v.peak));
        let blocks = rows.into_iter().filter(|(id, b)| b.slot.as_u64() < horizon(*id)).collect();
        Ok((Old { blocks, ..Old::default() }, next))
    }

    /// Removes the rows and writes the lifted watermarks, in one transaction.
    fn remove(
        &mut self,
        old: &Old,
        validators: &mut BTreeMap<i64, Validator>,
    ) -> rusqlite::Result<()> {
        self.change(|metadata, conn| {
            let mut forget = |removed: usize, checksum: i64| {
                if removed == 1 {
                    metadata.archive_digest = metadata.archive_digest.wrapping_sub(checksum);
                }
            };
            let mut statement = conn.prepare_cached(
                "DELETE FROM attestations WHERE target_epoch = ?1 AND validator_id = ?2
                     AND source_epoch = ?3 AND signing_root = ?4",
            )?;
            for (id, vote) in &old.votes {
                let removed = statement.execute(params![
                    sql(vote.target.as_u64()),
                    id,
                    sql(vote.source.as_u64()),
                    root_bytes(vote.signing_root.as_ref())
                ])?;
                forget(removed, archive::vote_checksum(*id, vote));
            }
            let mut statement = conn.prepare_cached(
                "DELETE FROM blocks WHERE validator_id = ?1 AND slot = ?2 AND signing_root = ?3",
            )?;
            for (id, block) in &old.blocks {
                let removed = statement.execute(params![
                    id,
                    sql(block.slot.as_u64()),
                    root_bytes(block.signing_root.as_ref())
                ])?;
                forget(removed, archive::block_checksum(*id, block));
            }
            for validator in validators.values_mut() {
                ValidatorRow::new(validator, &mut metadata.validators_digest).write(conn)?;
            }
            Ok(())
        })
    }
}

/// Below every stored row, whose ids begin at 1.
const LOWEST_BLOCK: SignedBlock = SignedBlock { slot: Slot::new(0), signing_root: None };
const LOWEST_VOTE: SignedAttestation =
    SignedAttestation { target: Epoch::new(0), source: Epoch::new(0), signing_root: None };

/// The validators whose records go, with their watermarks lifted over them.
fn lifted(old: &Old, memory: &Memory) -> BTreeMap<i64, Validator> {
    let mut validators = BTreeMap::new();
    let votes = old.votes.iter().map(|(id, vote)| (*id, Marks::of_span(vote.span())));
    let blocks = old.blocks.iter().map(|(id, block)| (*id, Marks::of_block(block.slot)));
    for (id, marks) in votes.chain(blocks) {
        let Some(known) = memory.with_id(id) else { continue };
        let validator: &mut Validator = validators.entry(id).or_insert_with(|| known.clone());
        validator.low = validator.low.max(marks);
    }
    validators
}
