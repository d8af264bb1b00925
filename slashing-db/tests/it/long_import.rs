//! Imports of many records: in bounded memory, with a short log, and killed half-way.
//!
//! `SLASHING_DB_IMPORT_RECORDS` sets how many; the nightly run takes a million.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Child;

use slashing_db::Safe;

use crate::child::{self, Random};
use crate::common::{Place, content, export, identity, key, root, vote};

/// Votes of each validator in the file: an import of one needs several transactions.
const EACH: u64 = 3000;

/// A file of 20,000 votes for each run.
fn records() -> u64 {
    std::env::var("SLASHING_DB_IMPORT_RECORDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000)
}

/// Where the child process finds the file to import.
pub(crate) fn file_beside(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".interchange.json");
    name.into()
}

fn write_file(place: &Place, validators: u64) {
    let mut file = BufWriter::new(File::create(file_beside(&place.path())).unwrap());
    write!(
        file,
        r#"{{"metadata": {{"interchange_format_version": "5", "genesis_validators_root": "{}"}}, "data": ["#,
        identity().genesis_validators_root
    )
    .unwrap();
    for validator in 0..validators {
        let comma = if validator == 0 { "" } else { "," };
        write!(
            file,
            r#"{comma}{{"pubkey": "{}", "signed_blocks": [], "signed_attestations": ["#,
            key(validator)
        )
        .unwrap();
        for target in 1..=EACH {
            let comma = if target == 1 { "" } else { "," };
            write!(
                file,
                r#"{comma}{{"source_epoch":"{}","target_epoch":"{target}","signing_root":"{}"}}"#,
                target - 1,
                root(target)
            )
            .unwrap();
        }
        file.write_all(b"]}").unwrap();
    }
    file.write_all(b"]}").unwrap();
    file.flush().unwrap();
}

fn start(place: &Place) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = child::command("import", &place.path(), 0, r#"exec "$@""#).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output.lines().map_while(Result::ok))
}

#[test]
fn an_import_takes_bounded_memory_and_a_bounded_log() {
    let place = Place::new();
    let validators = (records() / EACH).max(2);
    write_file(&place, validators);
    let (mut child, lines) = start(&place);
    let mut figures = std::collections::HashMap::new();
    for line in lines {
        if let Some((name, value)) = line.split_once(' ')
            && let Ok(value) = value.parse::<u64>()
        {
            figures.insert(name.to_owned(), value);
        }
    }
    assert!(child.wait().unwrap().success());
    println!("{} records: {figures:?} (bytes, KiB)", validators * EACH);
    // 1024 frames and the largest transaction: one page for each of a chunk's records.
    assert!(figures["log"] <= 16 << 20, "the log was {} bytes long", figures["log"]);
    // SQLite's cache is 16 MiB; the program and its tests the rest.
    let peak = figures["peak"];
    assert!(peak < 64 << 10, "{peak} KiB");
    let db = place.open();
    for validator in [0, validators - 1] {
        assert_eq!(db.check(&key(validator), &vote(1, 2, 2)), Ok(Safe::SameData));
        assert!(db.check(&key(validator), &vote(1, 2, 3)).is_err());
    }
}

#[test]
fn an_import_that_is_killed_leaves_nothing_signable_below_its_end_and_can_be_done_again() {
    const VALIDATORS: u64 = 4;
    let mut random = Random(11);
    for round in 0..3 {
        let place = Place::new();
        write_file(&place, VALIDATORS);
        let (mut child, mut lines) = start(&place);
        // The second half of the way is the merging.
        let stop = 65 + random.below(30);
        let at = |line: &str| line.strip_prefix("done ")?.parse::<u64>().ok();
        let reached = lines.find(|line| at(line).is_some_and(|at| at >= stop));
        assert!(reached.is_some(), "the import ended before {stop} %");
        child.kill().unwrap();
        child.wait().unwrap();

        let db = place.open();
        let known = db.watermarks(None).unwrap().validators;
        assert!(!known.is_empty(), "round {round}: nothing was begun at {stop} %");
        for validator in &known {
            for target in (1..=EACH).step_by(97).chain([EACH]) {
                let checked = db.check(&validator.validator, &vote(target - 1, target, 0));
                assert!(checked.is_err(), "round {round}, {stop} %: target {target}");
            }
        }
        // Who was not begun is as unknown as before.
        let untouched =
            (0..VALIDATORS).map(key).filter(|k| known.iter().all(|v| v.validator != *k));
        for validator in untouched {
            assert_eq!(db.check(&validator, &vote(1, 2, 0)), Ok(Safe::New));
        }
        db.close();

        let (mut child, lines) = start(&place);
        let _ = lines.count();
        assert!(child.wait().unwrap().success());
        let file = std::fs::read_to_string(file_beside(&place.path())).unwrap();
        let (exported, imported) = (content(&export(&place.open())), content(&file));
        for (validator, lines) in imported {
            let begun = known.iter().any(|v| v.validator.to_string() == validator);
            let exported = &exported[&validator];
            // Up to the end of an import that was never finished all stays refused, and that is what
            // is told of it: the watermark there, in its last record's place.
            assert!(*exported == lines || (begun && exported.len() == 1), "{}", exported.len());
        }
    }
}
