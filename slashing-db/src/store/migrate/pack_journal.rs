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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use eth_types::Root;
    use rusqlite::params;

    use super::*;
    use crate::store::row::root_bytes;

    const OLD_TABLE: &str = "
        CREATE TABLE metadata AS SELECT 0 AS journal_chain;
        CREATE TABLE journal (
            sequence INTEGER PRIMARY KEY,
            validator_id INTEGER NOT NULL,
            source_epoch INTEGER,
            height INTEGER NOT NULL,
            signing_root BLOB NOT NULL,
            chain INTEGER NOT NULL
        ) STRICT;";

    /// The chain's value behind what was moved out of the old journal before.
    const MOVED_OUT: i64 = -77;

    /// An old journal of these numbers, and what is in it.
    fn old_journal(numbers: impl Iterator<Item = u64>) -> (Connection, Vec<(u64, JournalRow)>) {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(OLD_TABLE).unwrap();
        conn.execute("UPDATE metadata SET journal_chain = ?1", [MOVED_OUT]).unwrap();
        let (mut chain, mut messages) = (MOVED_OUT, Vec::new());
        for sequence in numbers {
            let (height, validator) = (1000 + sequence, sql(sequence % 3));
            let signing_root = Root::new([u8::try_from(sequence % 251).unwrap(); 32]);
            let source = (sequence % 4 > 0).then_some(sequence);
            chain = Checksum::new(Kind::Journal)
                .number(chain)
                .number(sql(sequence))
                .number(validator)
                .optional(source.map(sql))
                .number(sql(height))
                .bytes(signing_root.as_bytes())
                .finish();
            let (bytes, source_column) = (root_bytes(Some(&signing_root)), source.map(sql));
            conn.execute(
                "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![sql(sequence), validator, source_column, sql(height), bytes, chain],
            )
            .unwrap();
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
        (conn, messages)
    }

    fn packed(conn: &Connection) -> Vec<(u64, JournalRow)> {
        let mut messages = Vec::new();
        let read = journal::read(conn, MOVED_OUT, |entry| {
            let first = entry.last + 1 - entry.rows.len() as u64;
            messages.extend((first..).zip(entry.rows));
            ControlFlow::Continue(())
        });
        read.unwrap().unwrap();
        messages
    }

    #[test]
    fn many_messages_with_gaps_keep_their_numbers_behind_what_was_moved_out() {
        // More than an entry holds; gaps of one number and of many; a run of one message.
        let numbers = (41..241).chain(242..312).chain([320]).chain(400..475);
        let (mut conn, messages) = old_journal(numbers);
        let tx = conn.transaction().unwrap();
        pack_journal(&tx).unwrap();
        tx.commit().unwrap();
        assert_eq!(packed(&conn), messages);
        let entries: i64 =
            conn.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap();
        assert_eq!(entries, 3 + 1 + 1 + 2, "of at most 70 messages each");
    }

    #[test]
    fn an_empty_journal_stays_empty() {
        let (mut conn, _) = old_journal(std::iter::empty());
        let tx = conn.transaction().unwrap();
        pack_journal(&tx).unwrap();
        assert_eq!(packed(&tx), []);
    }

    #[test]
    fn a_message_that_is_missing_or_changed_is_named() {
        for change in [
            "DELETE FROM journal WHERE sequence = 99",
            "UPDATE journal SET height = 0 WHERE sequence = 100",
            "UPDATE metadata SET journal_chain = 0; DELETE FROM journal WHERE sequence < 100",
        ] {
            let (mut conn, _) = old_journal(41..200);
            conn.execute_batch(change).unwrap();
            let tx = conn.transaction().unwrap();
            let error = pack_journal(&tx).unwrap_err().to_string();
            assert!(error.contains("number 100 of its journal was changed"), "{change}: {error}");
        }
    }
}
