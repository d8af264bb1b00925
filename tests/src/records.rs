//! What a slashing database holds, read from the file with SQL: an oracle that shares no code with the
//! program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eth_types::{Epoch, PublicKey, Root, Slot};
use rusqlite::Connection;

/// The name of the database in a node's data directory.
pub const DATABASE: &str = "slashing-protection.sqlite";

/// The length of a message in the journal: the validator's number, a byte for its kind, source, slot or
/// target, signing root.
const MESSAGE_BYTES: usize = 8 + 1 + 8 + 8 + 32;

/// A message on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Who signed.
    pub validator: PublicKey,
    /// For what.
    pub duty: RecordedDuty,
    /// The source epoch of an attestation.
    pub source: Option<Epoch>,
    /// The message.
    pub root: Root,
}

/// What of a validator only one message may be on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordedDuty {
    /// The block of a slot.
    Block(Slot),
    /// The attestation of a target epoch.
    Attestation(Epoch),
}

/// Everything on record in the database of a data directory whose node does not run. A database that
/// was never made holds nothing. The files are read from a copy, so that a node that was killed finds them
/// as it left them.
///
/// # Panics
/// The files cannot be read.
#[must_use]
pub fn read(data_dir: &Path) -> BTreeSet<Record> {
    if !data_dir.join(DATABASE).exists() {
        return BTreeSet::new();
    }
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{DATABASE}{suffix}");
        if data_dir.join(&name).exists() {
            std::fs::copy(data_dir.join(&name), copy.path().join(&name)).unwrap();
        }
    }
    let database = Connection::open(copy.path().join(DATABASE)).unwrap();
    let mut records = BTreeSet::new();
    for query in [
        "SELECT public_key, NULL, slot, signing_root FROM blocks \
         JOIN validators ON validators.id = validator_id",
        "SELECT public_key, source_epoch, target_epoch, signing_root FROM attestations \
         JOIN validators ON validators.id = validator_id",
    ] {
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], record).unwrap();
        records.extend(rows.map(Result::unwrap));
    }
    records.extend(journal(&database));
    records
}

/// What is in the journal still: messages of [`MESSAGE_BYTES`] each, as slashing-db's schema says.
fn journal(database: &Connection) -> Vec<Record> {
    let mut statement = database.prepare("SELECT id, public_key FROM validators").unwrap();
    let keys: BTreeMap<u64, PublicKey> = statement
        .query_map([], |row| {
            let (id, key): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            Ok((u64::try_from(id).unwrap(), PublicKey::try_from(key.as_slice()).unwrap()))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut statement = database.prepare("SELECT messages FROM journal").unwrap();
    let entries = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    entries
        .map(Result::unwrap)
        .flat_map(|entry| {
            let messages = entry.chunks_exact(MESSAGE_BYTES);
            assert!(messages.remainder().is_empty(), "an entry of {} bytes", entry.len());
            messages.map(|bytes| message(bytes, &keys)).collect::<Vec<_>>()
        })
        .collect()
}

fn message(bytes: &[u8], keys: &BTreeMap<u64, PublicKey>) -> Record {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (source, duty) = match bytes[8] {
        0 => (None, RecordedDuty::Block(Slot::new(number(17)))),
        1 => (Some(Epoch::new(number(9))), RecordedDuty::Attestation(Epoch::new(number(17)))),
        kind => panic!("a message of kind {kind}"),
    };
    let root = Root::try_from(&bytes[25..]).unwrap();
    Record { validator: keys[&number(0)], duty, source, root }
}

fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    let number = |number: i64| u64::try_from(number).unwrap();
    let (key, source): (Vec<u8>, Option<i64>) = (row.get(0)?, row.get(1)?);
    let (height, root): (i64, Vec<u8>) = (row.get(2)?, row.get(3)?);
    let (source, height) = (source.map(number), number(height));
    let duty = match source {
        None => RecordedDuty::Block(Slot::new(height)),
        Some(_) => RecordedDuty::Attestation(Epoch::new(height)),
    };
    Ok(Record {
        validator: PublicKey::try_from(key.as_slice()).unwrap(),
        duty,
        source: source.map(Epoch::new),
        root: Root::try_from(root.as_slice()).unwrap(),
    })
}

/// Pairs of records of one node that EIP-3076 forbids: two messages for one duty, or votes one of which
/// surrounds the other.
#[must_use]
pub fn contradictions(records: &BTreeSet<Record>) -> Vec<(Record, Record)> {
    let mut found = Vec::new();
    for a in records {
        for b in records.iter().filter(|b| b.validator == a.validator && *b > a) {
            let two_messages = a.duty == b.duty && a.root != b.root;
            if two_messages || surrounds(a, b) || surrounds(b, a) {
                found.push((*a, *b));
            }
        }
    }
    found
}

fn surrounds(outer: &Record, inner: &Record) -> bool {
    match (outer.duty, inner.duty) {
        (RecordedDuty::Attestation(outer_target), RecordedDuty::Attestation(inner_target)) => {
            outer.source < inner.source && inner_target < outer_target
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(source: u64, target: u64, root: u8) -> Record {
        Record {
            validator: PublicKey::new([1; 48]),
            duty: RecordedDuty::Attestation(Epoch::new(target)),
            source: Some(Epoch::new(source)),
            root: Root::new([root; 32]),
        }
    }

    #[test]
    fn contradictions_are_double_messages_and_surrounding_votes() {
        let other = Record { validator: PublicKey::new([2; 48]), ..vote(3, 4, 9) };
        let sound = BTreeSet::from([vote(1, 2, 1), vote(2, 3, 1), vote(3, 4, 1), other]);
        assert_eq!(contradictions(&sound), []);
        let double = BTreeSet::from([vote(1, 2, 1), vote(1, 2, 2)]);
        assert_eq!(contradictions(&double).len(), 1);
        let surround = BTreeSet::from([vote(1, 5, 1), vote(2, 4, 1)]);
        assert_eq!(contradictions(&surround).len(), 1);
    }
}
