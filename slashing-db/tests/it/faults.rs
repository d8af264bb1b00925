//! A disk that fails: writes and syncs of the database's files return errors, by a library that is loaded
//! before libc. Signing stops with the reason, and goes on when the disk does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use slashing_db::Safe;

use crate::child;
use crate::common::{Place, block, key};

/// Builds the library; `None`, with a line that says so, where there is no C compiler.
fn library(directory: &Path) -> Option<PathBuf> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let library = directory.join("faults.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults.c");
    let mut command = Command::new(&compiler);
    command.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    match command.arg("-ldl").status() {
        Ok(status) => {
            assert!(status.success(), "{} failed", compiler.display());
            Some(library)
        }
        Err(error) => {
            println!("skipped: no C compiler ({}: {error})", compiler.display());
            None
        }
    }
}

fn signing_stops_and_goes_on(fault: &str, reason: &str) {
    let place = Place::new();
    let directory = place.path().parent().unwrap().to_owned();
    let Some(library) = library(&directory) else { return };
    let control = directory.join("control");
    fs::write(&control, "none").unwrap();
    let mut command = child::command("starve", &place.path(), 0, r#"exec "$@""#);
    command.env("LD_PRELOAD", library).env("FAULTS_CONTROL", &control);
    command.env("FAULTS_FILES", place.path());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(output.any(|line| line == "ready"), "the process did not start");
    let mut ask = |slot: u64| {
        writeln!(input, "sign {slot}").unwrap();
        output.next().unwrap()
    };
    let mut signed = Vec::new();
    // Not only the first failure is survived.
    for round in [10, 20] {
        for slot in round..round + 5 {
            assert_eq!(ask(slot), "signed true");
            signed.push(slot);
        }
        fs::write(&control, fault).unwrap();
        let stopped = ask(round + 5);
        assert!(stopped.starts_with("stopped signing has stopped: "), "{stopped}");
        assert!(stopped.contains(reason), "{stopped}");
        assert!(ask(round + 6).starts_with("stopped "), "another message is refused as well");

        fs::write(&control, "none").unwrap();
        let started = Instant::now();
        while ask(round + 7) != "signed true" {
            assert!(started.elapsed() < Duration::from_secs(60), "it did not go on");
            std::thread::sleep(Duration::from_millis(100));
        }
        signed.push(round + 7);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let db = place.open();
    for slot in signed {
        assert_eq!(db.check(&key(1), &block(slot, 1)), Ok(Safe::SameData), "slot {slot}");
        assert!(db.check(&key(1), &block(slot, 2)).is_err(), "slot {slot}");
    }
}

#[test]
fn when_syncs_fail_signing_stops_until_they_work() {
    signing_stops_and_goes_on("sync-eio", "disk I/O error");
}

#[test]
fn when_writes_fail_signing_stops_until_they_work() {
    signing_stops_and_goes_on("write-eio", "disk I/O error");
}

#[test]
fn without_room_on_the_disk_signing_stops_until_there_is_some() {
    signing_stops_and_goes_on("write-enospc", "database or disk is full");
}

#[test]
fn when_writes_end_half_way_signing_stops_until_they_do_not() {
    signing_stops_and_goes_on("write-half", "database or disk is full");
}
