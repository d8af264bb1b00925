//! Entries of `journal`: what was signed last, appended in the order of signing and chained by checksum.
//!
//! An entry is some messages of one commit, packed: SQLite's part of a large batch is then a few rows,
//! one for each page that has to be written anyway.

use std::ops::ControlFlow;

use eth_types::{Epoch, Root, Slot};
use rusqlite::{Connection, params};

use crate::checksum::{Checksum, Kind};
use crate::record::Candidate;
use crate::store::row::{number, sql};

/// Messages of one entry: as many as fit on one of SQLite's pages of 4096 bytes.
const ENTRY_ROWS: usize = 70;

/// One message: validator id, kind, source, height, signing root; numbers with the low byte first.
const ROW_BYTES: usize = 8 + 1 + 8 + 8 + 32;

const BLOCK: u8 = 0;
const ATTESTATION: u8 = 1;

/// One message and the id of its validator.
pub(crate) type JournalRow = (i64, Candidate);

/// One entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The number of its last message; those before it have the numbers before it.
    pub(crate) last: u64,
    pub(crate) rows: Vec<JournalRow>,
    /// The chain's value behind it.
    pub(crate) chain: i64,
}

/// The entry with this number was changed by something else than this program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Damage(pub(crate) u64);

/// Appends messages behind `sequence` and `chain`; the new values of both.
pub(crate) fn append(
    conn: &Connection,
    rows: &[JournalRow],
    (mut sequence, mut chain): (u64, i64),
) -> rusqlite::Result<(u64, i64)> {
    let mut statement =
        conn.prepare_cached("INSERT INTO journal (sequence, messages, chain) VALUES (?1, ?2, ?3)")?;
    let mut messages = Vec::with_capacity(rows.len().min(ENTRY_ROWS) * ROW_BYTES);
    for entry in rows.chunks(ENTRY_ROWS) {
        messages.clear();
        for row in entry {
            write_row(row, &mut messages);
        }
        sequence = sequence.saturating_add(entry.len() as u64);
        chain = link(sequence, &messages, chain);
        statement.execute(params![sql(sequence), messages, chain])?;
    }
    Ok((sequence, chain))
}

/// Reads the entries behind `chain` in their order, until `each` breaks it off. The inner error is the
/// first one that is not what was written.
pub(crate) fn read(
    conn: &Connection,
    mut chain: i64,
    mut each: impl FnMut(Entry) -> ControlFlow<()>,
) -> rusqlite::Result<Result<(), Damage>> {
    let mut statement =
        conn.prepare_cached("SELECT sequence, messages, chain FROM journal ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let last = number(row, 0)?;
        let messages = row.get_ref(1)?.as_blob()?;
        let expected = link(last, messages, chain);
        chain = row.get(2)?;
        let read = if chain == expected { read_rows(messages) } else { None };
        let Some(rows) = read else { return Ok(Err(Damage(last))) };
        if each(Entry { last, rows, chain }).is_break() {
            break;
        }
    }
    Ok(Ok(()))
}

fn write_row((validator_id, candidate): &JournalRow, to: &mut Vec<u8>) {
    let (kind, source, height, root) = match *candidate {
        Candidate::Block { slot, signing_root } => (BLOCK, 0, slot.as_u64(), signing_root),
        Candidate::Attestation { source, target, signing_root } => {
            (ATTESTATION, source.as_u64(), target.as_u64(), signing_root)
        }
    };
    to.extend_from_slice(&validator_id.to_le_bytes());
    to.push(kind);
    to.extend_from_slice(&source.to_le_bytes());
    to.extend_from_slice(&height.to_le_bytes());
    to.extend_from_slice(root.as_bytes());
}

/// The messages of an entry; `None` if they are none.
fn read_rows(messages: &[u8]) -> Option<Vec<JournalRow>> {
    let (rows, rest) = messages.as_chunks::<ROW_BYTES>();
    if !rest.is_empty() {
        return None;
    }
    rows.iter().map(|row| read_row(row)).collect()
}

fn read_row(mut bytes: &[u8]) -> Option<JournalRow> {
    let validator_id = i64::from_le_bytes(*bytes.split_off(..8)?.as_array()?);
    let kind = *bytes.split_off_first()?;
    let source = u64::from_le_bytes(*bytes.split_off(..8)?.as_array()?);
    let height = u64::from_le_bytes(*bytes.split_off(..8)?.as_array()?);
    let signing_root = Root::try_from(bytes).ok()?;
    let candidate = match kind {
        BLOCK => Candidate::Block { slot: Slot::new(height), signing_root },
        ATTESTATION => Candidate::Attestation {
            source: Epoch::new(source),
            target: Epoch::new(height),
            signing_root,
        },
        _ => return None,
    };
    Some((validator_id, candidate))
}

fn link(last: u64, messages: &[u8], chain: i64) -> i64 {
    Checksum::new(Kind::Journal).number(chain).number(sql(last)).bytes(messages).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back_and_what_is_cut_or_unknown_does_not() {
        let signing_root = Root::new([7; 32]);
        let rows = [
            (1, Candidate::Block { slot: Slot::new(u64::MAX), signing_root }),
            (
                i64::MAX,
                Candidate::Attestation {
                    source: Epoch::new(3),
                    target: Epoch::new(1 << 40),
                    signing_root,
                },
            ),
        ];
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| write_row(row, &mut bytes));
        assert_eq!(bytes.len(), 2 * ROW_BYTES);
        assert_eq!(read_rows(&bytes).as_deref(), Some(rows.as_slice()));
        assert_eq!(read_rows(&bytes[..ROW_BYTES + 1]), None);
        bytes[8] = 2;
        assert_eq!(read_rows(&bytes), None);
    }
}
