//! Whose database it is, and who has it open.

use std::fs;

use eth_types::Root;
use slashing_db::{Identity, OpenError, SlashingDb};

use crate::common::{Place, block, identity, key, options, record};

#[test]
fn another_identity_is_refused_with_both_named() {
    let place = Place::new();
    place.open().close();
    let mut other = identity();
    other.network = "mainnet".to_owned();
    let error = SlashingDb::open(&place.path(), &other, options()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::OtherIdentity { .. }), "{text}");
    assert!(text.contains("hoodi") && text.contains("mainnet"), "{text}");

    let mut other = identity();
    other.cluster_lock_hash = Some(Root::new([9; 32]));
    assert!(SlashingDb::open(&place.path(), &other, options()).is_err());
    place.open();
}

#[test]
fn a_second_user_is_refused_with_the_first_named() {
    let place = Place::new();
    let _db = place.open();
    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::InUse { .. }), "{text}");
    let named = format!("process {} since 20", std::process::id());
    assert!(text.contains(&named), "{text}");
}

#[test]
fn the_stored_identity_is_told_without_opening() {
    let place = Place::new();
    assert_eq!(Identity::stored(&place.path()).unwrap(), None, "there is no file");
    assert!(!place.path().exists(), "and none was made");
    place.open().close();
    assert_eq!(Identity::stored(&place.path()).unwrap(), Some(identity()));
    // Still refused while it is in use, with the user named.
    let db = place.open();
    let error = Identity::stored(&place.path()).unwrap_err();
    let OpenError::InUse { holder, .. } = &error else { panic!("{error}") };
    assert!(holder.starts_with(&format!("process {} since 20", std::process::id())), "{holder}");
    db.close();
    assert_eq!(Identity::stored(&place.path()).unwrap(), Some(identity()));
}

#[test]
fn the_stored_identity_is_read_over_what_a_killed_process_left_which_stays_as_it_is() {
    let place = Place::new();
    let slow = std::time::Duration::from_secs(3600);
    let db = place.open_with(slashing_db::Options { quiet_after: slow, ..options() });
    record(&db, key(1), block(1, 1)).unwrap();
    let left = Place::new();
    let name = |place: &Place, ending| format!("{}{ending}", place.path().display());
    for ending in ["", "-wal", ".progress"] {
        fs::copy(name(&place, ending), name(&left, ending)).unwrap();
    }
    assert_eq!(Identity::stored(&left.path()).unwrap(), Some(identity()));
    for ending in ["", "-wal", ".progress"] {
        let (before, after) = (fs::read(name(&place, ending)), fs::read(name(&left, ending)));
        assert!(before.unwrap() == after.unwrap(), "`{ending}` was changed");
    }
}

#[test]
fn an_empty_file_has_no_identity_and_a_foreign_one_is_refused_untouched() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();
    assert_eq!(Identity::stored(&place.path()).unwrap(), None);
    let foreign = rusqlite::Connection::open(place.path()).unwrap();
    foreign.execute_batch("CREATE TABLE letters (text)").unwrap();
    drop(foreign);
    let before = fs::read(place.path()).unwrap();
    let error = Identity::stored(&place.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
    assert!(before == fs::read(place.path()).unwrap());
}

#[test]
fn a_database_that_is_gone_or_emptied_is_missed_by_what_is_left_beside_it() {
    let place = Place::new();
    assert_eq!(Identity::missed(&place.path()).unwrap(), None);
    fs::write(place.path(), "").unwrap();
    assert_eq!(Identity::missed(&place.path()).unwrap(), None, "it may always have been empty");
    for _ in 0..3 {
        place.open().close();
    }
    let beside = |ending: &str| format!("{}{ending}", place.path().display());
    let missed = || Identity::missed(&place.path()).unwrap().unwrap();
    fs::write(place.path(), "").unwrap();
    assert!(missed().starts_with("the file is empty, but "), "{}", missed());
    fs::remove_file(place.path()).unwrap();
    let what = missed();
    assert!(what.starts_with("the file is missing, but "), "{what}");
    assert!(what.ends_with(".progress says that a signer has started on it 3 times"), "{what}");
    assert_eq!(Identity::stored(&place.path()).unwrap(), None);
    assert_eq!(missed(), what, "a look has changed it");

    fs::write(beside(".progress"), "junk").unwrap();
    assert!(missed().contains(".progress is damaged"), "{}", missed());
    fs::remove_file(beside(".progress")).unwrap();
    assert!(missed().contains(".lock says that database "), "{}", missed());
    fs::remove_file(beside(".lock")).unwrap();
    assert_eq!(Identity::missed(&place.path()).unwrap(), None);
}

#[test]
fn a_foreign_sqlite_file_is_left_alone() {
    let place = Place::new();
    let foreign = rusqlite::Connection::open(place.path()).unwrap();
    foreign.execute_batch("CREATE TABLE letters (text)").unwrap();
    drop(foreign);
    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    place.open().close();
    let file = rusqlite::Connection::open(place.path()).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let error = SlashingDb::open(&place.path(), &identity(), options()).unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 99, .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn all_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let _db = place.open();
    let directory = place.path().parent().unwrap().to_owned();
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert_eq!(seen, 4, "database, write-ahead log, lock and progress file");
}
