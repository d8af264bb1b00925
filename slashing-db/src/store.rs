//! The database on the disk: one connection, used by one thread at a time.
//!
//! * [`schema`] makes the tables and sets the connection up,
//! * [`load`] reads what is kept in memory and checks it,
//! * [`journal`] appends what is signed, [`archive`] holds everything older, [`fold`] moves it there,
//! * [`log`] keeps SQLite's write-ahead log short.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{OpenError, Refusal};
use crate::identity::Identity;
use crate::memory::{Marks, Memory, Strategy};
use crate::record::{Candidate, Request, Safe, Span};
use crate::sidecar::Progress;
use crate::store::journal::JournalRow;
use crate::store::log::Log;
use crate::store::metadata::Metadata;
use crate::store::validators::ValidatorRow;

pub(crate) mod archive;
pub(crate) mod fold;
pub(crate) mod journal;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod merge;
pub(crate) mod metadata;
pub(crate) mod migrate;
pub(crate) mod pages;
pub(crate) mod prune;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod validators;

/// The connection and what has to be known to write through it.
#[derive(Debug)]
pub(crate) struct Store {
    conn: Connection,
    path: PathBuf,
    metadata: Metadata,
    /// The number of the last change, journal rows included.
    sequence: u64,
    /// The chained checksum of the last journal entry.
    chain: i64,
    /// How many messages the journal has.
    journal_rows: usize,
    log: Log,
}

/// Rows of validators that are to be written with a batch.
#[derive(Debug)]
pub(crate) struct Registrations {
    metadata: Metadata,
    rows: Vec<ValidatorRow>,
}

/// What a batch adds: the rows, and the validators whose own rows change with them.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    rows: Vec<JournalRow>,
    touched: Vec<i64>,
}

impl Store {
    /// Opens an existing file, or makes the database in an empty one if `new_at` says when that is; with
    /// everything that the write-ahead log still held made durable in the main file.
    ///
    /// # Errors
    /// It is not ours, belongs to another identity, is damaged, or cannot be read.
    pub(crate) fn open(
        path: &Path,
        identity: &Identity,
        strategy: Strategy,
        new_at: Option<u64>,
        verify: bool,
    ) -> Result<(Self, Memory), OpenError> {
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let conn = schema::connect(path).map_err(failed)?;
        let mut conn = schema::prepare(conn, path, identity, new_at)?;
        // A commit that a killed process did not live to sync is readable by now, but not durable.
        // It must be before anybody is told that its message is on record.
        log::empty(&conn).map_err(failed)?;
        let log = Log::watch(&mut conn, path).map_err(failed)?;
        let loaded = load::load(&conn, verify)
            .map_err(failed)?
            .map_err(|what| OpenError::Damaged { path: path.to_owned(), what })?;
        let store = Self {
            conn,
            path: path.to_owned(),
            metadata: loaded.metadata,
            sequence: loaded.sequence,
            chain: loaded.chain,
            journal_rows: loaded.journal_rows,
            log,
        };
        let mut memory = loaded.memory;
        memory.strategy = strategy;
        Ok((store, memory))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether nothing was ever recorded.
    pub(crate) fn is_blank(&self, memory: &Memory) -> bool {
        memory.validators().is_empty() && self.metadata.floor == Marks::default()
    }

    pub(crate) const fn journal_rows(&self) -> usize {
        self.journal_rows
    }

    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Counts one more start, durably.
    pub(crate) fn count_start(&mut self) -> rusqlite::Result<()> {
        self.change(|metadata, _| {
            metadata.starts = metadata.starts.saturating_add(1);
            Ok(())
        })
    }

    /// Gives the database another id: from now on its sidecar belongs to another database.
    pub(crate) fn rename(&mut self) -> rusqlite::Result<()> {
        self.change(|metadata, conn| {
            metadata.database_id = schema::random_id(conn)?;
            Ok(())
        })
    }

    /// A durable change that means nothing: whether writing works.
    pub(crate) fn probe(&mut self) -> rusqlite::Result<()> {
        self.change(|_, _| Ok(()))
    }

    /// Runs `change` in a transaction that ends with the metadata row; counts it.
    pub(crate) fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Metadata, &Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut metadata = self.metadata.clone();
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = change(&mut metadata, &tx)?;
        metadata.sequence = self.sequence.saturating_add(1);
        metadata.write(&tx)?;
        tx.commit()?;
        self.sequence = metadata.sequence;
        self.metadata = metadata;
        Ok(outcome)
    }

    /// The verdict on one request, from memory or with the archive's help.
    pub(crate) fn judge(
        &self,
        memory: &Memory,
        request: &Request,
    ) -> rusqlite::Result<Result<Safe, Refusal>> {
        if let Some(verdict) = memory.judge(&request.validator, &request.candidate) {
            return Ok(verdict);
        }
        let Some(validator) = memory.get(&request.validator) else {
            return Err(rusqlite::Error::QueryReturnedNoRows);
        };
        match request.candidate {
            Candidate::Block { slot, signing_root } => {
                let mut same_slot = validator.blocks_at(slot);
                same_slot.extend(archive::blocks_at(&self.conn, validator, slot)?);
                Ok(memory.judge_block(validator, &same_slot, slot, signing_root))
            }
            Candidate::Attestation { source, target, signing_root } => {
                let new = Span { source, target };
                let mut facts = validator.facts(new);
                archive::add_same_target(&self.conn, validator, new, &mut facts)?;
                // What is below the history is refused whatever its neighbours are, and to find them may
                // be a long way.
                let below = |low: Span| {
                    new.source < low.source
                        || (new.target <= low.target && facts.same_target.is_empty())
                };
                let (low, floor) = memory.limits(validator);
                if !low.max(floor).span.is_some_and(below) {
                    archive::add_neighbours(&self.conn, validator, new, &mut facts)?;
                }
                Ok(memory.judge_vote(validator, &facts, new, signing_root))
            }
        }
    }

    /// Prepares the rows of validators that `additions` touch, in the order of their ids.
    pub(crate) fn register(
        &self,
        memory: &mut Memory,
        additions: &mut Additions,
    ) -> Option<Registrations> {
        if additions.touched.is_empty() {
            return None;
        }
        additions.touched.sort_unstable();
        additions.touched.dedup();
        let mut metadata = self.metadata.clone();
        let mut rows = Vec::with_capacity(additions.touched.len());
        for id in &additions.touched {
            if let Some(validator) = memory.by_id(*id) {
                rows.push(ValidatorRow::new(validator, &mut metadata.validators_digest));
            }
        }
        Some(Registrations { metadata, rows })
    }

    /// Makes the additions durable, all or none of them.
    pub(crate) fn append(
        &mut self,
        additions: &mut Additions,
        registrations: Option<Registrations>,
    ) -> rusqlite::Result<()> {
        if additions.rows.is_empty() {
            return Ok(());
        }
        // A batch is usually of one slot or epoch, so this is the archive's order.
        additions.rows.sort_by_key(|(id, _)| *id);
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(registrations) = &registrations {
            for row in &registrations.rows {
                row.write(&tx)?;
            }
            registrations.metadata.write(&tx)?;
        }
        let end = journal::append(&tx, &additions.rows, (self.sequence, self.chain))?;
        tx.commit()?;
        (self.sequence, self.chain) = end;
        self.journal_rows += additions.rows.len();
        if let Some(registrations) = registrations {
            self.metadata = registrations.metadata;
        }
        Ok(())
    }

    /// How far the database has come, for its sidecar.
    pub(crate) const fn progress(&self) -> Progress {
        Progress {
            database_id: self.metadata.database_id,
            starts: self.metadata.starts,
            sequence: self.sequence,
        }
    }

    /// Empties the write-ahead log and closes the file.
    pub(crate) fn close(self) -> rusqlite::Result<()> {
        log::empty(&self.conn)?;
        self.conn.close().map_err(|(_, error)| error)
    }
}

impl Additions {
    /// Notes a request that was judged to be new, here and in memory. What is noted has to be
    /// committed with [`Store::append`], or the memory read anew.
    pub(crate) fn note(&mut self, memory: &mut Memory, request: &Request) {
        let validator = memory.entry(&request.validator);
        let low = validator.low;
        validator.note(&request.candidate);
        // Its row has to be made, or shows a first low watermark.
        if validator.stored_checksum == 0 || validator.low != low {
            self.touched.push(validator.id);
        }
        self.rows.push((validator.id, request.candidate));
    }
}
