//! What the tests share: a database in a directory of its own, and short ways to ask it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eth_types::{Epoch, PublicKey, Root, Slot};
use slashing_db::interchange::{ExportOptions, ImportError, ImportReport};
use slashing_db::{Candidate, Identity, Options, Refusal, Request, SlashingDb};
use tempfile::TempDir;

/// A place for one database, with its directory.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("slashing-protection.sqlite")
    }

    pub(crate) fn open(&self) -> SlashingDb {
        self.open_with(options())
    }

    pub(crate) fn open_with(&self, options: Options) -> SlashingDb {
        SlashingDb::open(&self.path(), &identity(), options).unwrap()
    }
}

/// Copies what a killed process leaves of a database. Room reserved at the end of the log is left out.
pub(crate) fn copy_left(from: &Place, to: &Place) {
    for ending in LEFT {
        let name = |place: &Place| format!("{}{ending}", place.path().display());
        let mut bytes = fs::read(name(from)).unwrap();
        if ending == "-wal" {
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let frames = (end - LOG_HEAD).div_ceil(FRAME);
            bytes.truncate(LOG_HEAD + frames * FRAME);
        }
        fs::write(name(to), bytes).unwrap();
    }
}

/// How long the write-ahead log's file is.
pub(crate) fn log_bytes(database: &Path) -> u64 {
    fs::metadata(format!("{}-wal", database.display())).map_or(0, |metadata| metadata.len())
}

/// The files of a database that a killed process leaves, but for the lock.
pub(crate) const LEFT: [&str; 3] = ["", "-wal", ".progress"];

/// The bytes of the log's head and of each frame.
const LOG_HEAD: usize = 32;
pub(crate) const FRAME: usize = 24 + 4096;

/// Background work starts at once in tests, but nothing is pruned.
pub(crate) fn options() -> Options {
    Options { quiet_after: Duration::from_millis(1), pruning: None, ..Options::default() }
}

pub(crate) fn identity() -> Identity {
    Identity {
        genesis_validators_root: Root::new([7; 32]),
        network: "hoodi".to_owned(),
        cluster_lock_hash: Some(Root::new([8; 32])),
    }
}

pub(crate) fn key(number: u64) -> PublicKey {
    let mut bytes = [0xa0; 48];
    bytes[40..].copy_from_slice(&number.to_be_bytes());
    PublicKey::new(bytes)
}

pub(crate) fn root(number: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Root::new(bytes)
}

pub(crate) fn block(slot: u64, number: u64) -> Candidate {
    Candidate::Block { slot: Slot::new(slot), signing_root: root(number) }
}

pub(crate) fn vote(source: u64, target: u64, number: u64) -> Candidate {
    Candidate::Attestation {
        source: Epoch::new(source),
        target: Epoch::new(target),
        signing_root: root(number),
    }
}

/// Records one message; the root that may be signed.
pub(crate) fn record(
    db: &SlashingDb,
    validator: PublicKey,
    candidate: Candidate,
) -> Result<Root, Refusal> {
    let permit = db.record(vec![Request { validator, candidate }]).unwrap().remove(0)?;
    Ok(permit.signing_root())
}

/// Imports a text that every key of is ours.
pub(crate) fn import(db: &SlashingDb, text: &str) -> Result<ImportReport, ImportError> {
    db.import(&mut Cursor::new(text), &|key| Some(*key), &mut |_| {})
}

/// Exports everything.
pub(crate) fn export(db: &SlashingDb) -> String {
    let mut text = Vec::new();
    db.export(&mut text, &ExportOptions::default(), &mut |_| {}).unwrap();
    String::from_utf8(text).unwrap()
}

/// A file's content without its order: the record lines of each validator, sorted.
pub(crate) fn content(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut content: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in file["data"].as_array().unwrap() {
        let lines = content.entry(entry["pubkey"].as_str().unwrap().to_owned()).or_default();
        for list in ["signed_blocks", "signed_attestations"] {
            lines.extend(entry[list].as_array().unwrap().iter().map(ToString::to_string));
        }
    }
    content
}
