//! Files that were cut, torn or changed: the database refuses them, or knows everything it released.

use std::fs;
use std::path::Path;
use std::time::Duration;

use slashing_db::{Candidate, Identity, OpenError, Options, Safe, SlashingDb};

use crate::child::Random;
use crate::common::{LEFT, Place, block, copy_left, identity, key, options, record, vote};

fn file(place: &Place, ending: &str) -> String {
    format!("{}{ending}", place.path().display())
}

/// A database as a killed process leaves it: records in the archive, in the journal and in the log.
fn left_behind() -> (Place, Vec<Candidate>) {
    let place = Place::new();
    let folding = Options { journal_rows: 4, quiet_after: Duration::ZERO, ..options() };
    let db = place.open_with(folding);
    let mut released = Vec::new();
    let sign = |db: &SlashingDb, released: &mut Vec<Candidate>, from: u64, to: u64| {
        for height in from..to {
            for candidate in [block(height, height), vote(height - 1, height, height)] {
                record(db, key(1), candidate).unwrap();
                released.push(candidate);
            }
        }
    };
    sign(&db, &mut released, 1, 60);
    db.close();
    let db = place.open_with(Options { quiet_after: Duration::from_secs(3600), ..options() });
    sign(&db, &mut released, 60, 80);
    let copy = Place::new();
    copy_left(&place, &copy);
    (copy, released)
}

/// Opens a damaged copy; whether it was refused.
fn refused_or_complete(damaged: &Path, released: &[Candidate], what: &str) -> bool {
    let Ok(db) = SlashingDb::open(damaged, &identity(), options()) else { return true };
    for candidate in released {
        // It may refuse more than it has to, but it has forgotten nothing.
        let checked = db.check(&key(1), candidate);
        assert_ne!(checked, Ok(Safe::New), "{what}: {candidate:?} is forgotten");
        let other = match *candidate {
            Candidate::Block { slot, .. } => block(slot.as_u64(), 999),
            Candidate::Attestation { source, target, .. } => {
                vote(source.as_u64(), target.as_u64(), 999)
            }
        };
        assert!(db.check(&key(1), &other).is_err(), "{what}: {other:?} would be signed");
    }
    false
}

fn damage_many(ending: &str, harm: impl Fn(&mut Vec<u8>, &mut Random)) -> usize {
    let (original, released) = left_behind();
    let mut refused = 0;
    for seed in 0..150 {
        let copy = Place::new();
        for other in LEFT {
            fs::copy(file(&original, other), file(&copy, other)).unwrap();
        }
        let path = file(&copy, ending);
        let mut bytes = fs::read(&path).unwrap();
        harm(&mut bytes, &mut Random(seed));
        fs::write(&path, bytes).unwrap();
        let what = format!("`{ending}` seed {seed}");
        refused += usize::from(refused_or_complete(&copy.path(), &released, &what));
    }
    refused
}

fn cut(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = random.below(bytes.len() as u64);
    bytes.truncate(usize::try_from(len).unwrap());
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << random.below(8);
    }
}

/// A sector that never reached the disk.
fn tear(bytes: &mut [u8], random: &mut Random) {
    let sector = usize::try_from(random.below(bytes.len() as u64 / 512)).unwrap();
    bytes[sector * 512..][..512].fill(0);
}

#[test]
fn the_undamaged_copy_opens_and_is_complete() {
    let (copy, released) = left_behind();
    assert!(!refused_or_complete(&copy.path(), &released, "undamaged"));
}

#[test]
fn a_cut_log_is_refused() {
    assert_eq!(damage_many("-wal", cut), 150);
}

#[test]
fn a_changed_log_is_refused_or_complete() {
    assert!(damage_many("-wal", |bytes, random| flip(bytes, random)) > 0);
    assert!(damage_many("-wal", |bytes, random| tear(bytes, random)) > 0);
}

#[test]
fn a_cut_main_file_is_refused_or_complete() {
    assert!(damage_many("", cut) > 0);
}

#[test]
fn a_changed_main_file_is_refused_or_complete() {
    assert!(damage_many("", |bytes, random| flip(bytes, random)) > 0);
    assert!(damage_many("", |bytes, random| tear(bytes, random)) > 0);
}

#[test]
fn a_damaged_progress_file_is_refused() {
    assert_eq!(damage_many(".progress", cut), 150);
}

#[test]
fn a_database_that_sqlite_cannot_read_is_called_damaged_once_with_what_to_do() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(1, 1)).unwrap();
    db.close();
    let sound = fs::read(place.path()).unwrap();
    let junk_pages = [&sound[..4096], &vec![0xa5; sound.len() - 4096]].concat();
    for (content, words) in
        [(vec![0x55; 8192], "file is not a database"), (junk_pages, "disk image is malformed")]
    {
        fs::write(place.path(), content).unwrap();
        for error in [
            SlashingDb::open(&place.path(), &identity(), options()).unwrap_err(),
            Identity::stored(&place.path()).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, OpenError::Damaged { .. }), "{text}");
            assert_eq!(text.matches(words).count(), 1, "{text}");
            assert!(
                text.contains("Sign nothing with it") && text.contains("newest export"),
                "{text}"
            );
            assert!(std::error::Error::source(&error).is_none(), "said twice");
        }
    }
}

#[test]
fn junk_in_the_progress_file_is_refused_with_what_to_do_and_written_anew_once_accepted() {
    let place = Place::new();
    place.open().close();
    for junk in ["what is this\n".as_bytes(), &[0xff, 0xfe], b""] {
        fs::write(file(&place, ".progress"), junk).unwrap();
        let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, OpenError::ProgressDamaged { .. }), "{text}");
        assert!(text.contains(".progress is damaged"), "{text}");
        assert!(text.contains("start once with --accept-restored-database"), "{text}");
        let db = place.open_with(Options { accept_restored: true, ..options() });
        assert!(db.looks_restored().unwrap().contains(".progress is damaged"));
        db.close();
        let db = place.open();
        assert_eq!(db.looks_restored(), None);
        db.close();
    }
}
