//! Speed beside the floor of the disk, in one run.
//!
//! `cargo bench -p slashing-db`; `SLASHING_BENCH_DIR` chooses the disk (default: the directory for
//! temporary files). The database has 10,000 validators and 250 epochs of attestations.
//!
//! Four ways to make the same bytes durable take turns, so that whatever else the machine does hits all
//! of them: an append with `fdatasync` to a file that grows, a write with `fdatasync` over what is there
//! already (the least that a disk can be asked for), the same append done by another thread, and the
//! database, which has a thread of its own. Medians are compared; on a machine with more to do than it has
//! cores, the third shows what waiting for a core costs.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use eth_types::{Epoch, PublicKey, Root};
use slashing_db::{Candidate, Identity, Options, Request, SlashingDb};
use tempfile::TempDir;

fn main() {
    let directory = directory();
    let db = filled(&directory);
    settle(&db);
    records(&db);
    settle(&db);
    checks(&db);
    db.close();
    opening(&directory);
}

/// A large operator, with the history that pruning leaves.
const VALIDATORS: u64 = 10_000;
const EPOCHS: u64 = 250;
/// A 32nd of the validators attests in each slot.
const SLOT: u64 = 312;
/// What one record has to say: sequence, validator, source, target, root and checksum.
const RECORD_BYTES: usize = 72;
/// How long no request comes before background work begins.
const QUIET: Duration = Duration::from_millis(5);
/// The quiet part of a slot, in which background work is done.
const PAUSE: Duration = Duration::from_millis(20);
/// Rounds of each measurement of a write.
const ROUNDS: usize = 200;

fn key(number: u64) -> PublicKey {
    let mut bytes = [0xa0; 48];
    bytes[40..].copy_from_slice(&number.to_be_bytes());
    PublicKey::new(bytes)
}

fn vote(validator: u64, target: u64) -> Request {
    let mut root = [0; 32];
    root[..8].copy_from_slice(&target.to_be_bytes());
    root[8..16].copy_from_slice(&validator.to_be_bytes());
    Request {
        validator: key(validator),
        candidate: Candidate::Attestation {
            source: Epoch::new(target.saturating_sub(2)),
            target: Epoch::new(target),
            signing_root: Root::new(root),
        },
    }
}

/// Committees are drawn anew in each epoch: the validators of a slot are scattered over the keys.
fn committee(slot: u64, size: u64) -> impl Iterator<Item = u64> {
    let epoch = slot / 32;
    (0..size).map(move |seat| {
        let turn = (slot % 32) * SLOT + seat;
        (turn * 7919 + epoch * 104_729) % VALIDATORS
    })
}

fn directory() -> TempDir {
    let base =
        std::env::var_os("SLASHING_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base).unwrap()
}

fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("slashing.sqlite")
}

fn identity() -> Identity {
    Identity {
        genesis_validators_root: Root::new([7; 32]),
        network: "hoodi".to_owned(),
        cluster_lock_hash: None,
    }
}

fn open(directory: &TempDir) -> SlashingDb {
    let options = Options { quiet_after: QUIET, ..Options::default() };
    SlashingDb::open(&path(directory), &identity(), options).unwrap()
}

/// A database with the whole history, written as a signer writes it.
fn filled(directory: &TempDir) -> SlashingDb {
    let db = open(directory);
    let started = Instant::now();
    for epoch in 1..=EPOCHS {
        let batch = (0..VALIDATORS).map(|validator| vote(validator, epoch)).collect();
        assert!(db.record(batch).unwrap().iter().all(Result::is_ok));
    }
    println!("{} records written in {:.1?}", VALIDATORS * EPOCHS, started.elapsed());
    db
}

/// Waits until the background work has caught up.
fn settle(db: &SlashingDb) {
    let mut last = usize::MAX;
    loop {
        sleep(10 * QUIET);
        let now = db.status().unwrap().journal_rows;
        if now == last && now <= Options::default().journal_rows {
            return;
        }
        last = now;
    }
}

/// What one way of writing took, in all rounds.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let outcome = work();
        self.0.push(started.elapsed());
        outcome
    }

    fn quantile(&mut self, part: f64) -> Duration {
        self.0.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a position in a short list"
        )]
        let at = ((self.0.len() - 1) as f64 * part).round() as usize;
        self.0.get(at).copied().unwrap_or_default()
    }

    fn line(&mut self, name: &str) {
        let (median, late) = (self.quantile(0.5), self.quantile(0.99));
        println!("  {name:<38} {median:>10.1?}   99 % within {late:>10.1?}");
    }
}

fn records(db: &SlashingDb) {
    let directory = directory();
    let mut growing = File::create(directory.path().join("growing")).unwrap();
    let fixed = File::create(directory.path().join("fixed")).unwrap();
    fixed.write_all_at(&vec![0; 1 << 20], 0).unwrap();
    fixed.sync_all().unwrap();
    let (to_thread, appends) = mpsc::channel::<Vec<u8>>();
    let (appended, from_thread) = mpsc::channel();
    let mut other = File::create(directory.path().join("other")).unwrap();
    spawn(move || {
        for bytes in appends {
            other.write_all(&bytes).unwrap();
            other.sync_data().unwrap();
            appended.send(()).unwrap();
        }
    });
    let mut slot = EPOCHS * 32;
    let mut at = 0;
    for size in [1, 16, 64, SLOT] {
        let bytes = vec![7; RECORD_BYTES * usize::try_from(size).unwrap()];
        let [mut append, mut overwrite, mut by_thread, mut record] =
            [const { Times(Vec::new()) }; 4];
        for turn in 0..4 * ROUNDS {
            // Who comes behind whom changes from round to round: what one left to the disk is felt by
            // the next.
            match (turn % 4 + turn / 4) % 4 {
                0 => append.measure(|| {
                    growing.write_all(&bytes).unwrap();
                    growing.sync_data().unwrap();
                }),
                1 => {
                    overwrite.measure(|| {
                        fixed.write_all_at(&bytes, at).unwrap();
                        fixed.sync_data().unwrap();
                    });
                    at = (at + bytes.len() as u64) % (1 << 19);
                }
                2 => by_thread.measure(|| {
                    to_thread.send(bytes.clone()).unwrap();
                    from_thread.recv().unwrap();
                }),
                _ => {
                    slot += 1;
                    let target = slot / 32 + 1;
                    let batch: Vec<_> = committee(slot, size).map(|v| vote(v, target)).collect();
                    let outcome = record.measure(|| db.record(batch).unwrap());
                    assert!(outcome.iter().all(Result::is_ok));
                }
            }
            sleep(PAUSE);
        }
        println!("{size} records in one batch");
        append.line("bare append and fdatasync");
        overwrite.line("bare overwrite and fdatasync");
        by_thread.line("bare append by another thread");
        record.line("record");
        let ratio = |floor: &mut Times, own: &mut Times| {
            own.quantile(0.5).as_secs_f64() / floor.quantile(0.5).as_secs_f64()
        };
        println!(
            "  record is {:.2} x the append, {:.2} x the overwrite, {:.2} x the other thread's append",
            ratio(&mut append, &mut record),
            ratio(&mut overwrite, &mut record),
            ratio(&mut by_thread, &mut record)
        );
    }
}

fn checks(db: &SlashingDb) {
    const FAR: u64 = 1 << 40;
    let with = |mut request: Request, source: Option<u64>, root: Option<Root>| {
        if let Candidate::Attestation { source: from, signing_root, .. } = &mut request.candidate {
            *from = source.map_or(*from, Epoch::new);
            *signing_root = root.unwrap_or(*signing_root);
        }
        request
    };
    println!("check");
    each(db, "above everything signed", true, |validator| vote(validator, FAR));
    each(db, "repeat from the archive", true, |validator| vote(validator, EPOCHS / 2));
    each(db, "double vote in the archive", false, |validator| {
        with(vote(validator, EPOCHS / 2), None, Some(Root::ZERO))
    });
    each(db, "surrounding vote", false, |validator| {
        with(vote(validator, FAR), Some(EPOCHS / 2), None)
    });
}

/// Checks a message of each validator, ten times.
fn each(db: &SlashingDb, name: &str, granted: bool, request: impl Fn(u64) -> Request) {
    let mut times = Times::default();
    for turn in 0..10 * VALIDATORS {
        let request = request(turn * 7919 % VALIDATORS);
        let checked = times.measure(|| black_box(db.check(&request.validator, &request.candidate)));
        assert_eq!(checked.is_ok(), granted, "{name}");
    }
    times.line(name);
}

fn opening(directory: &TempDir) {
    println!("open");
    for (verify, name) in [(true, "every record compared"), (false, "without")] {
        let mut times = Times::default();
        for _ in 0..10 {
            let options = Options { verify, ..Options::default() };
            let db =
                times.measure(|| SlashingDb::open(&path(directory), &identity(), options).unwrap());
            db.close();
        }
        times.line(name);
    }
}
