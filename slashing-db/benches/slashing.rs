//! Speed beside the floor of the disk, in one run: a bare append of the same bytes and its sync.
//!
//! `cargo bench -p slashing-db`; `SLASHING_BENCH_DIR` chooses the disk (default: beside the target
//! directory's temporary files).
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eth_types::{Epoch, PublicKey, Root};
use slashing_db::{Candidate, Identity, Options, Request, SlashingDb};
use tempfile::TempDir;

/// A large operator, with the history that pruning leaves.
const VALIDATORS: u64 = 10_000;
const EPOCHS: u64 = 250;
/// A 32nd of the validators attests in each slot.
const SLOT: u64 = 312;
/// What one record has to say: sequence, validator, source, target, root and checksum.
const RECORD_BYTES: usize = 72;

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

fn open(directory: &TempDir) -> SlashingDb {
    let identity = Identity {
        genesis_validators_root: Root::new([7; 32]),
        network: "hoodi".to_owned(),
        cluster_lock_hash: None,
    };
    let options = Options { quiet_after: Duration::from_millis(5), ..Options::default() };
    SlashingDb::open(&directory.path().join("slashing.sqlite"), &identity, options).unwrap()
}

/// A database with the whole history, written as a signer writes it.
fn filled() -> (TempDir, SlashingDb) {
    let directory = directory();
    let db = open(&directory);
    let started = Instant::now();
    for epoch in 1..=EPOCHS {
        let batch = (0..VALIDATORS).map(|validator| vote(validator, epoch)).collect();
        assert!(db.record(batch).unwrap().iter().all(Result::is_ok));
        // Let the background work go on as it does between slots.
        std::thread::sleep(Duration::from_millis(30));
    }
    eprintln!("{} records written in {:?}", VALIDATORS * EPOCHS, started.elapsed());
    (directory, db)
}

fn bench_records(c: &mut Criterion, db: &SlashingDb, first_slot: &mut u64) {
    let mut group = c.benchmark_group("record");
    group.sample_size(50);
    for size in [1, 16, 64, SLOT] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("bare append and fdatasync", size), |b| {
            let directory = directory();
            let mut file = File::create(directory.path().join("bare")).unwrap();
            let bytes = vec![7; RECORD_BYTES * usize::try_from(size).unwrap()];
            b.iter(|| {
                file.write_all(&bytes).unwrap();
                file.sync_data().unwrap();
            });
        });
        group.bench_function(BenchmarkId::new("overwrite and fdatasync", size), |b| {
            let directory = directory();
            let file = File::create(directory.path().join("bare")).unwrap();
            let bytes = vec![7; RECORD_BYTES * usize::try_from(size).unwrap()];
            file.write_all_at(&vec![0; 1 << 20], 0).unwrap();
            file.sync_all().unwrap();
            b.iter(|| {
                file.write_all_at(&bytes, 0).unwrap();
                file.sync_data().unwrap();
            });
        });
        group.bench_function(BenchmarkId::new("record", size), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let slot = *first_slot;
                    *first_slot += 1;
                    let target = slot / 32 + 1;
                    let batch: Vec<_> = committee(slot, size).map(|v| vote(v, target)).collect();
                    // As in life, the quiet part of the slot comes before the next one.
                    std::thread::sleep(Duration::from_millis(12));
                    let started = Instant::now();
                    let outcome = db.record(batch).unwrap();
                    spent += started.elapsed();
                    assert!(outcome.iter().all(Result::is_ok));
                }
                spent
            });
        });
    }
    group.finish();
}

fn bench_checks(c: &mut Criterion, db: &SlashingDb) {
    let mut group = c.benchmark_group("check");
    let far = 1 << 40;
    let mut validator = 0;
    let mut next = move || {
        validator = (validator + 7919) % VALIDATORS;
        validator
    };
    group.bench_function("above everything signed", |b| {
        b.iter(|| {
            let request = vote(next(), far);
            black_box(db.check(&request.validator, &request.candidate)).unwrap()
        });
    });
    group.bench_function("repeat from the archive", |b| {
        b.iter(|| {
            let request = vote(next(), EPOCHS / 2);
            black_box(db.check(&request.validator, &request.candidate)).unwrap()
        });
    });
    group.bench_function("double vote in the archive", |b| {
        b.iter(|| {
            let mut request = vote(next(), EPOCHS / 2);
            if let Candidate::Attestation { signing_root, .. } = &mut request.candidate {
                *signing_root = Root::ZERO;
            }
            black_box(db.check(&request.validator, &request.candidate)).unwrap_err()
        });
    });
    group.bench_function("surrounding vote", |b| {
        b.iter(|| {
            let mut request = vote(next(), far);
            if let Candidate::Attestation { source, .. } = &mut request.candidate {
                *source = Epoch::new(EPOCHS / 2);
            }
            black_box(db.check(&request.validator, &request.candidate)).unwrap_err()
        });
    });
    group.finish();
}

fn bench_open(c: &mut Criterion, directory: &TempDir) {
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    let identity = Identity {
        genesis_validators_root: Root::new([7; 32]),
        network: "hoodi".to_owned(),
        cluster_lock_hash: None,
    };
    for verify in [true, false] {
        let name = if verify { "with every record compared" } else { "without" };
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let options = Options { verify, ..Options::default() };
                    let path = directory.path().join("slashing.sqlite");
                    let started = Instant::now();
                    let db = SlashingDb::open(&path, &identity, options).unwrap();
                    spent += started.elapsed();
                    db.close();
                }
                spent
            });
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    let (directory, db) = filled();
    let mut slot = EPOCHS * 32;
    bench_records(c, &db, &mut slot);
    bench_checks(c, &db);
    db.close();
    bench_open(c, &directory);
}

criterion_group!(benches, all);
criterion_main!(benches);
