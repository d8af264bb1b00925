//! A database of an older program.

use std::fs;

use rusqlite::Connection;
use slashing_db::{Access, Identity, OpenError, Options, Refusal, SlashingDb};

use crate::common::{Place, block, identity, import, options};

/// Made by a node of a demonstration cluster that signed a block of slot 1 and a vote for epoch 0, with
/// schema 1.
const SCHEMA_1: &[u8] = include_bytes!("fixtures/schema-1.sqlite");

/// Made by a signer that imported a block of slot 100 and a vote for epoch 2, and signed a vote for epoch 10,
/// with schema 2.
const SCHEMA_2: &[u8] = include_bytes!("fixtures/schema-2.sqlite");

/// What that node signed, as an export says it.
const SIGNED: [&str; 2] = [
    r#""slot":"1","signing_root":"0x9d8be620d83badf97a164eff7455a9300ad5c4a76eca4d49e2fe31e5dab9961a""#,
    r#""source_epoch":"0","target_epoch":"0","signing_root":"0x14f0d56ea6c8f3393c16e03fb5c41f187daa0426e5b810385e739912bf781ec1""#,
];

fn maintained() -> Options {
    Options { access: Access::Maintain, ..options() }
}

fn exported(db: &SlashingDb) -> String {
    let mut file = Vec::new();
    db.export(&mut file, &slashing_db::interchange::ExportOptions::default(), &mut |_| {}).unwrap();
    String::from_utf8(file).unwrap().split_whitespace().collect()
}

#[test]
fn the_first_schemas_records_are_kept_and_a_copy_of_the_file_too() {
    let place = Place::new();
    fs::write(place.path(), SCHEMA_1).unwrap();
    let identity = Identity::stored(&place.path()).unwrap().unwrap();
    let db = SlashingDb::open(&place.path(), &identity, maintained()).unwrap();
    let told = exported(&db);
    for record in SIGNED {
        assert!(told.contains(record), "{record} is not in {told}");
    }
    assert_eq!(db.status().unwrap().schema_version, 3);
    assert_eq!(db.status().unwrap().journal_rows, 2);
    db.close();

    // What was made of it passes every check, and is not made again.
    let db = SlashingDb::open(&place.path(), &identity, maintained()).unwrap();
    assert_eq!(exported(&db), told);
    db.close();
    let copy = format!("{}.schema-1", place.path().display());
    assert_eq!(fs::read(&copy).unwrap(), SCHEMA_1);
    assert!(!fs::exists(format!("{copy}.1")).unwrap());
}

/// Which of its records were imported is not known any more: all count as signed.
#[test]
fn the_second_schemas_records_are_kept_and_count_as_signed() {
    let place = Place::new();
    fs::write(place.path(), SCHEMA_2).unwrap();
    let identity = Identity::stored(&place.path()).unwrap().unwrap();
    let db = SlashingDb::open(&place.path(), &identity, maintained()).unwrap();
    assert_eq!(db.status().unwrap().schema_version, 3);
    let told = exported(&db);
    for record in [
        r#""slot":"100""#,
        r#""source_epoch":"1","target_epoch":"2""#,
        r#""source_epoch":"9","target_epoch":"10""#,
    ] {
        assert!(told.contains(record), "{record} is not in {told}");
    }
    let key = db.watermarks(None).unwrap().validators[0].validator;
    let later = told.replace(r#""slot":"100""#, r#""slot":"200""#);
    import(&db, &later).unwrap();
    let refusal = db.check(&key, &block(150, 1)).unwrap_err();
    assert!(matches!(refusal, Refusal::BlockBelowWatermark { .. }), "{refusal}");
    db.close();
    let db = SlashingDb::open(&place.path(), &identity, maintained()).unwrap();
    assert!(db.check(&key, &block(150, 1)).is_err());
}

#[test]
fn a_database_of_somebody_else_keeps_its_schema() {
    let place = Place::new();
    fs::write(place.path(), SCHEMA_1).unwrap();
    let error = SlashingDb::open(&place.path(), &identity(), maintained()).unwrap_err();
    assert!(matches!(error, OpenError::OtherIdentity { .. }), "{error}");
    assert!(fs::read(place.path()).unwrap() == SCHEMA_1, "the file was changed");
    assert!(!fs::exists(format!("{}.schema-1", place.path().display())).unwrap());
}

#[test]
fn a_record_of_the_first_schema_that_was_changed_is_not_taken_over() {
    let place = Place::new();
    fs::write(place.path(), SCHEMA_1).unwrap();
    let identity = Identity::stored(&place.path()).unwrap().unwrap();
    let file = Connection::open(place.path()).unwrap();
    assert_eq!(file.execute("UPDATE journal SET height = 2 WHERE height = 1", []).unwrap(), 1);
    file.close().unwrap();
    let error = SlashingDb::open(&place.path(), &identity, maintained()).unwrap_err();
    let OpenError::Sqlite { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("number 2 of its journal was changed"), "{source}");
    let file = Connection::open(place.path()).unwrap();
    let version: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "the file is as it was");
}
