//! Rows of `journal`: what was signed last, appended in the order of signing and chained by checksum.

use eth_types::{Epoch, Slot};
use rusqlite::{Connection, params};

use crate::checksum::{Checksum, Kind};
use crate::record::Candidate;
use crate::store::row::{full_root, number, sql};

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalRow {
    pub(crate) sequence: u64,
    pub(crate) validator_id: i64,
    pub(crate) candidate: Candidate,
}

/// Appends a row behind `chain`; the chain's new value.
pub(crate) fn append(conn: &Connection, row: &JournalRow, chain: i64) -> rusqlite::Result<i64> {
    let chain = link(row, chain);
    let (source, height, root) = parts(&row.candidate);
    conn.prepare_cached(
        "INSERT INTO journal (sequence, validator_id, source_epoch, height, signing_root, chain)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        sql(row.sequence),
        row.validator_id,
        source,
        height,
        root.as_bytes().as_slice(),
        chain
    ])?;
    Ok(chain)
}

/// Reads the first `limit` rows in order. Each comes with the chain's value as it is stored and as it
/// has to be behind the row before it.
pub(crate) fn read(
    conn: &Connection,
    mut chain: i64,
    limit: u64,
    mut each: impl FnMut(JournalRow, Link),
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT sequence, validator_id, source_epoch, height, signing_root, chain
         FROM journal ORDER BY sequence LIMIT ?1",
    )?;
    let mut rows = statement.query([sql(limit)])?;
    while let Some(row) = rows.next()? {
        let height = number(row, 3)?;
        let signing_root = full_root(row, 4)?;
        let candidate = match row.get_ref(2)? {
            rusqlite::types::ValueRef::Null => {
                Candidate::Block { slot: Slot::new(height), signing_root }
            }
            _ => Candidate::Attestation {
                source: Epoch::new(number(row, 2)?),
                target: Epoch::new(height),
                signing_root,
            },
        };
        let journal_row =
            JournalRow { sequence: number(row, 0)?, validator_id: row.get(1)?, candidate };
        let expected = link(&journal_row, chain);
        chain = row.get(5)?;
        each(journal_row, Link { stored: chain, expected });
    }
    Ok(())
}

/// The chain's value after a row, stored and computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) stored: i64,
    pub(crate) expected: i64,
}

fn parts(candidate: &Candidate) -> (Option<i64>, i64, eth_types::Root) {
    match *candidate {
        Candidate::Block { slot, signing_root } => (None, sql(slot.as_u64()), signing_root),
        Candidate::Attestation { source, target, signing_root } => {
            (Some(sql(source.as_u64())), sql(target.as_u64()), signing_root)
        }
    }
}

fn link(row: &JournalRow, chain: i64) -> i64 {
    let (source, height, root) = parts(&row.candidate);
    Checksum::new(Kind::Journal)
        .number(chain)
        .number(sql(row.sequence))
        .number(row.validator_id)
        .optional(source)
        .number(height)
        .bytes(root.as_bytes())
        .finish()
}
