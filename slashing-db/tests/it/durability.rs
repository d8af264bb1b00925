//! What was recorded is there again, whatever ended the process in between.

use std::fs;

use eth_types::Slot;
use slashing_db::{
    Access, Marks, OpenError, Options, RecordError, Refusal, Request, Safe, SlashingDb,
};

use crate::common::{FRAME, Place, block, copy_left, identity, key, options, record, vote};

#[test]
fn records_outlive_a_close() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    record(&db, key(1), vote(1, 2, 1)).unwrap();
    db.close();

    let db = place.open();
    assert_eq!(db.check(&key(1), &block(5, 1)), Ok(Safe::SameData));
    assert!(matches!(db.check(&key(1), &block(5, 2)), Err(Refusal::DoubleBlock { .. })));
    assert!(matches!(db.check(&key(1), &vote(1, 2, 2)), Err(Refusal::DoubleVote { .. })));
    assert_eq!(db.check(&key(1), &vote(1, 3, 2)), Ok(Safe::New));
}

#[test]
fn a_closed_database_records_nothing() {
    let place = Place::new();
    let db = place.open();
    let other = db.clone();
    db.close();
    let batch = vec![Request { validator: key(1), candidate: block(1, 1) }];
    assert!(matches!(other.record(batch), Err(RecordError::Closed)));
}

#[test]
fn an_older_copy_is_refused_until_it_is_accepted() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    db.close();
    let copy = fs::read(place.path()).unwrap();
    let db = place.open();
    record(&db, key(1), block(6, 1)).unwrap();
    db.close();
    fs::write(place.path(), copy).unwrap();

    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Restored { .. }), "{error}");
    let mut accepting = options();
    accepting.accept_restored = true;
    place.open_with(accepting).close();
    // Accepted once is enough.
    place.open().close();
}

#[test]
fn a_database_that_vanished_is_not_made_anew_in_silence() {
    let place = Place::new();
    place.open().close();
    fs::remove_file(place.path()).unwrap();
    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Restored { .. }), "{error}");
}

/// For import, export and a look, whatever happened before.
fn maintenance() -> Options {
    Options { access: Access::Maintain, accept_restored: true, ..options() }
}

/// Some changes that are no records of signatures.
fn change(db: &SlashingDb) {
    for slot in 0..20 {
        let to = Marks { slot: Some(Slot::new(slot)), span: None };
        db.raise_watermark(to, Some(vec![key(2)])).unwrap();
    }
}

#[test]
fn a_database_that_maintenance_made_or_changed_can_be_signed_with() {
    let place = Place::new();
    let db = place.open_with(maintenance());
    change(&db);
    assert_eq!(db.looks_restored(), None);
    db.close();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    db.close();
    let db = place.open_with(maintenance());
    change(&db);
    assert_eq!(db.looks_restored(), None);
    db.close();
    assert_eq!(place.open().check(&key(1), &block(5, 1)), Ok(Safe::SameData));
}

#[test]
fn maintenance_of_an_older_copy_does_not_make_up_for_what_it_lost() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    let copy = Place::new();
    // A copy that was made while the signer ran, in the same start.
    for ending in ["", "-wal"] {
        let name = |place: &Place| format!("{}{ending}", place.path().display());
        if fs::exists(name(&place)).unwrap() {
            fs::copy(name(&place), name(&copy)).unwrap();
        }
    }
    record(&db, key(1), block(6, 1)).unwrap();
    db.close();
    fs::copy(
        format!("{}.progress", place.path().display()),
        format!("{}.progress", copy.path().display()),
    )
    .unwrap();
    for _ in 0..2 {
        let db = copy.open_with(maintenance());
        assert!(db.looks_restored().is_some());
        change(&db);
        db.close();
        let error = SlashingDb::open(&copy.path(), &identity(), options()).unwrap_err();
        assert!(matches!(error, OpenError::Restored { .. }), "{error}");
    }
    let accepting = Options { accept_restored: true, ..options() };
    let db = copy.open_with(accepting.clone());
    assert!(db.looks_restored().unwrap().contains(".progress"), "{:?}", db.looks_restored());
    db.close();
    let db = copy.open_with(accepting);
    assert_eq!(db.looks_restored(), None, "it was accepted before");
    db.close();
    copy.open().close();
}

#[test]
fn a_database_that_maintenance_made_in_place_of_a_lost_one_is_refused_until_it_is_accepted() {
    // Gone alone, or with its progress file.
    for lost in [&[""][..], &["", ".progress"]] {
        let place = Place::new();
        let db = place.open();
        record(&db, key(1), block(5, 1)).unwrap();
        db.close();
        for ending in lost {
            fs::remove_file(format!("{}{ending}", place.path().display())).unwrap();
        }
        for _ in 0..2 {
            let db = place.open_with(maintenance());
            assert!(db.looks_restored().is_some(), "{lost:?}");
            change(&db);
            db.close();
            let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
            assert!(matches!(error, OpenError::Restored { .. }), "{error}");
        }
        place.open_with(Options { accept_restored: true, ..options() }).close();
        place.open().close();
    }
}

#[test]
fn a_blank_database_that_maintenance_made_in_place_of_a_lost_one_is_refused_until_it_is_accepted() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    db.close();
    for ending in ["", ".progress"] {
        fs::remove_file(format!("{}{ending}", place.path().display())).unwrap();
    }
    let db = place.open_with(maintenance());
    assert!(db.looks_restored().is_some());
    db.close();
    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Restored { .. }), "{error}");
    assert!(error.to_string().contains(".lock says that database "), "{error}");
    place.open_with(Options { accept_restored: true, ..options() }).close();
    place.open().close();
}

#[test]
fn an_earlier_database_is_refused_even_with_its_own_progress_file_until_it_is_accepted() {
    let place = Place::new();
    let file = |ending: &str| format!("{}{ending}", place.path().display());
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    db.close();
    let earlier = ["", ".progress"].map(|ending| (ending, fs::read(file(ending)).unwrap()));
    for (ending, _) in &earlier {
        fs::remove_file(file(ending)).unwrap();
    }
    let db = place.open_with(Options { accept_restored: true, ..options() });
    record(&db, key(1), block(6, 1)).unwrap();
    db.close();
    for (ending, bytes) in earlier {
        fs::write(file(ending), bytes).unwrap();
    }
    for access in [Access::Sign, Access::Maintain, Access::Sign] {
        let error =
            match SlashingDb::open(&place.path(), &identity(), Options { access, ..options() }) {
                Ok(db) => db.looks_restored().unwrap().to_owned(),
                Err(error) => error.to_string(),
            };
        assert!(error.contains(".lock says that database "), "{access:?}: {error}");
    }
    place.open_with(Options { accept_restored: true, ..options() }).close();
    place.open().close();
}

#[test]
fn a_database_that_is_some_starts_ahead_of_its_progress_file_is_not_old() {
    let place = Place::new();
    place.open().close();
    let progress = format!("{}.progress", place.path().display());
    let early = fs::read(&progress).unwrap();
    for _ in 0..3 {
        place.open().close();
    }
    fs::write(&progress, early).unwrap();
    place.open().close();
}

#[test]
fn a_database_that_vanished_with_its_progress_file_is_missed() {
    let place = Place::new();
    place.open().close();
    fs::remove_file(place.path()).unwrap();
    fs::remove_file(format!("{}.progress", place.path().display())).unwrap();
    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Restored { .. }), "{error}");
    assert!(error.to_string().contains(".lock says that database "), "{error}");
    assert!(!place.path().exists());
    place.open_with(Options { accept_restored: true, ..options() }).close();
    place.open().close();
}

#[test]
fn a_check_asks_the_file_only_about_what_is_not_above_the_archive() {
    let place = Place::new();
    let folding = Options { journal_rows: 0, ..options() };
    let db = place.open_with(folding);
    assert_eq!(db.check_in_memory(&key(1), &block(5, 1)), Some(Ok(Safe::New)));
    record(&db, key(1), block(5, 1)).unwrap();
    record(&db, key(1), vote(3, 4, 1)).unwrap();
    while db.status().unwrap().journal_rows > 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    for candidate in [block(6, 1), vote(3, 5, 1)] {
        assert_eq!(db.check_in_memory(&key(1), &candidate), Some(Ok(Safe::New)));
    }
    for (candidate, verdict) in
        [(block(5, 1), true), (vote(3, 4, 2), false), (vote(2, 5, 1), false)]
    {
        assert_eq!(db.check_in_memory(&key(1), &candidate), None, "{candidate:?}");
        assert_eq!(db.check(&key(1), &candidate).is_ok(), verdict, "{candidate:?}");
    }
}

#[test]
fn a_commit_that_was_cut_out_of_the_log_is_noticed() {
    let place = Place::new();
    let mut slow = options();
    slow.quiet_after = std::time::Duration::from_secs(3600);
    let db = place.open_with(slow);
    for slot in 1..10 {
        record(&db, key(1), block(slot, 1)).unwrap();
    }
    // What a killed process leaves: the files as they are now.
    let crashed = Place::new();
    copy_left(&place, &crashed);
    let log = format!("{}-wal", crashed.path().display());
    let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(fs::metadata(&log).unwrap().len() - FRAME as u64).unwrap();
    let error = SlashingDb::open(&crashed.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Restored { .. }), "{error}");
}
