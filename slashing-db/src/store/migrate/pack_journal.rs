//! Version 1 to 2: the journal held one message a row; now an entry holds some, packed.

use rusqlite::types::Type;
use rusqlite::{Connection, Transaction};

use eth_types::{Epoch, Slot};

use crate::checksum::{Checksum, Kind};
use crate::record::Candidate;
use crate::store::journal::{self, JournalRow};
use crate::store::row::{full_root, number, optional_number, sql};

const NEW_TABLE: &str = "
    ALTER TABLE journal RENAME TO journal_1;
    CREATE TABLE journal (
        sequence INTEGER PRIMARY KEY,
        messages BLOB NOT NULL,
        chain INTEGER NOT NULL
    ) STRICT;";

/// A row of the old journal is not what was written there.
#[derive(Debug, thiserror::Error)]
#[error("number {0} of its journal was changed by something else than this program")]
struct Changed(u64);

/// The step. The old rows are checked against their chain of checksums on the way.
pub(super) fn pack_journal(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(NEW_TABLE)?;
    let rows = read_old(tx)?;
    // Numbers may have gaps, where something else than a message was counted.
    for run in rows.chunk_by(|(before, _), (after, _)| before.saturating_add(1) == *after) {
        let Some((first, _)) = run.first() else { continue };
        let messages: Vec<JournalRow> = run.iter().map(|(_, message)| *message).collect();
        let chain = last_chain(tx)?;
        journal::append(tx, &messages, (first.saturating_sub(1), chain))?;
    }
    tx.execute_batch("DROP TABLE journal_1")
}

/// The value behind which the next entry goes: the last one's, or that of what was moved out.
fn last_chain(tx: &Connection) -> rusqlite::Result<i64> {
    tx.query_row(
        "SELECT coalesce(
             (SELECT chain FROM journal ORDER BY sequence DESC LIMIT 1),
             (SELECT journal_chain FROM metadata))",
        [],
        |row| row.get(0),
    )
}

fn read_old(tx: &Connection) -> rusqlite::Result<Vec<(u64, JournalRow)>> {
    let mut chain = tx.query_row("SELECT journal_chain FROM metadata", [], |row| row.get(0))?;
    let mut statement = tx.prepare(
        "SELECT sequence, validator_id, source_epoch, height, signing_root, chain
         FROM journal_1 ORDER BY sequence",
    )?;
    let mut rows = statement.query([])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        let (sequence, validator, source) =
            (number(row, 0)?, row.get(1)?, optional_number(row, 2)?);
        let (height, signing_root) = (number(row, 3)?, full_root(row, 4)?);
        let expected = Checksum::new(Kind::Journal)
            .number(chain)
            .number(sql(sequence))
            .number(validator)
            .optional(source.map(sql))
            .number(sql(height))
            .bytes(signing_root.as_bytes())
            .finish();
        chain = row.get(5)?;
        if chain != expected {
            let changed = Box::new(Changed(sequence));
            return Err(rusqlite::Error::FromSqlConversionFailure(5, Type::Integer, changed));
        }
        let message = match source {
            None => Candidate::Block { slot: Slot::new(height), signing_root },
            Some(source) => Candidate::Attestation {
                source: Epoch::new(source),
                target: Epoch::new(height),
                signing_root,
            },
        };
        messages.push((sequence, (validator, message)));
    }
    Ok(messages)
}
