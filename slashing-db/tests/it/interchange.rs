//! Import and export.

use std::fmt::Write;

use eth_types::{Epoch, PublicKey, Slot};
use slashing_db::interchange::{ExportForm, ExportOptions, ImportError, ImportOutcome};
use slashing_db::{Access, Marks, Options, Refusal, Safe, Span};

use crate::common::{Place, block, content, export, identity, import, key, options, record, vote};

/// A file of this chain with the given entries.
fn file(entries: &str) -> String {
    format!(
        r#"{{"metadata": {{"interchange_format_version": "5", "genesis_validators_root": "{}"}},
            "data": [{entries}]}}"#,
        identity().genesis_validators_root
    )
}

fn entry(key: PublicKey, blocks: &str, votes: &str) -> String {
    format!(
        r#"{{"pubkey": "{key}", "signed_blocks": [{blocks}], "signed_attestations": [{votes}]}}"#
    )
}

#[test]
fn numbers_quoted_or_bare_and_keys_in_any_spelling_are_one() {
    let place = Place::new();
    let db = place.open();
    let spelled = key(1).to_string().to_uppercase().replace("0X", "");
    let text = file(&format!(
        r#"{{"signed_blocks": [{{"slot": 5}}, {{"slot": "6", "signing_root": null}}],
             "name": "extra", "signed_attestations": null, "pubkey": "{spelled}"}},
           {}"#,
        entry(key(1), r#"{"slot": "7", "signing_root": ""}"#, "")
    ));
    let report = import(&db, &text).unwrap();
    assert_eq!(report.validators.len(), 1);
    let line = &report.validators[0];
    assert_eq!((line.validator, line.blocks, line.added), (key(1), 3, 3));
    assert_eq!(line.outcome, ImportOutcome::Imported);
    for slot in 5..8 {
        let refusal = db.check(&key(1), &block(slot, 1)).unwrap_err();
        assert!(matches!(refusal, Refusal::BlockWithoutRoot { .. }), "{refusal}");
    }
    assert_eq!(db.check(&key(1), &block(8, 1)), Ok(Safe::New));
}

#[test]
fn a_validator_is_taken_wholly_or_refused_and_the_others_go_on() {
    let place = Place::new();
    let db = place.open();
    let text = file(
        &[
            entry(key(1), r#"{"slot": "5"}"#, ""),
            entry(key(2), r#"{"slot": "5"}, {"slot": "-1"}"#, ""),
            entry(key(3), "", r#"{"source_epoch": "1", "target_epoch": "9223372036854775808"}"#),
            entry(key(4), r#"{"slot": "5", "signing_root": "0x00"}"#, ""),
            entry(key(5), r#"{"slot": "5"}"#, ""),
            r#"{"pubkey": "0x1234", "signed_blocks": [], "signed_attestations": []}"#.to_owned(),
        ]
        .join(","),
    );
    let report = db
        .import(
            &mut std::io::Cursor::new(text),
            &|file_key| (*file_key != key(5)).then_some(*file_key),
            &mut |_| {},
        )
        .unwrap();
    let refused: Vec<_> = report
        .validators
        .iter()
        .filter_map(|line| match &line.outcome {
            ImportOutcome::Refused { reason } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(refused.len(), report.refused());
    assert_eq!(
        refused,
        [
            "slot `-1` is no number from 0 to 2^63 - 1",
            "target epoch `9223372036854775808` is no number from 0 to 2^63 - 1",
            "signing root `0x00`: expected 32 bytes of hex, found 2 hex digits",
            "no validator of this signer has this key",
            "public key `0x1234`: expected 48 bytes of hex, found 4 hex digits",
        ]
    );
    assert!(db.check(&key(1), &block(5, 1)).is_err());
    for refused in 2..6 {
        assert_eq!(db.check(&key(refused), &block(5, 1)), Ok(Safe::New), "validator {refused}");
    }
}

#[test]
fn a_bare_number_that_is_not_whole_or_not_exact_is_refused() {
    let place = Place::new();
    let db = place.open();
    for number in ["5.0", "5e0", "1e16", "9007199254740993.0", "18446744073709551616"] {
        let text = file(&entry(key(1), &format!(r#"{{"slot": {number}}}"#), ""));
        let report = import(&db, &text).unwrap();
        let ImportOutcome::Refused { reason } = &report.validators[0].outcome else {
            panic!("{number} is taken")
        };
        assert!(reason.contains("is no number from 0 to 2^63 - 1"), "{reason}");
    }
}

#[test]
fn key_shares_come_to_their_validator() {
    let place = Place::new();
    let db = place.open();
    let text = file(
        &[entry(key(1), r#"{"slot": "5"}"#, ""), entry(key(101), r#"{"slot": "6"}"#, "")].join(","),
    );
    let to_validator =
        |file_key: &PublicKey| Some(if *file_key == key(101) { key(1) } else { *file_key });
    let report = db.import(&mut std::io::Cursor::new(text), &to_validator, &mut |_| {}).unwrap();
    assert_eq!(report.validators.len(), 1);
    assert!(db.check(&key(1), &block(6, 1)).is_err());
    assert_eq!(db.check(&key(101), &block(6, 1)), Ok(Safe::New));
}

#[test]
fn a_file_of_another_chain_version_or_shape_changes_nothing() {
    let place = Place::new();
    let db = place.open();
    let good = file(&entry(key(1), r#"{"slot": "5"}"#, ""));
    let root = identity().genesis_validators_root.to_string();
    let other_root = format!("0x{}", "55".repeat(32));
    let cases = [
        (good.replace(&root, &other_root), "chain"),
        (good.replace(&root, "0x55"), "root"),
        (good.replace(r#""5", "genesis"#, r#""4", "genesis"#), "version"),
        (good.replace("\"data\"", "\"other\""), "malformed"),
        (good.replace(r#"{"slot": "5"}"#, r#"{"slot": []}"#), "malformed"),
        (good.replace(r#"{"slot": "5"}"#, "{}"), "malformed"),
        (good.clone() + "x", "malformed"),
        (good[..good.len() - 3].to_owned(), "malformed"),
        (String::new(), "malformed"),
        ("[]".to_owned(), "malformed"),
    ];
    for (text, expected) in cases {
        let word = match import(&db, &text).unwrap_err() {
            ImportError::OtherChain { .. } => "chain",
            ImportError::UnreadableRoot(_) => "root",
            ImportError::Version { .. } => "version",
            ImportError::Malformed(_) => "malformed",
            other => panic!("{other}"),
        };
        assert_eq!(word, expected, "{text}");
        assert_eq!(db.check(&key(1), &block(5, 1)), Ok(Safe::New));
    }
}

#[test]
fn a_file_without_its_two_parts_is_refused_with_the_part_named() {
    let place = Place::new();
    let db = place.open();
    let good = file(&entry(key(1), r#"{"slot": "5"}"#, ""));
    let (_, data) = good.split_once("\"data\":").unwrap();
    let data = data.trim_end().strip_suffix('}').unwrap();
    let metadata_null = format!(r#"{{"metadata": null, "data": {data}}}"#);
    for (text, part) in [
        (good.replace(data, " null"), "expected `data`, a list of validators"),
        (good.replace(data, " {}"), "expected `data`, a list of validators"),
        (good.replace("\"data\"", "\"other\""), "missing field `data`"),
        (metadata_null, "expected `metadata`, an object with"),
    ] {
        let error = import(&db, &text).unwrap_err();
        let ImportError::Malformed(reason) = &error else { panic!("{error}") };
        assert!(reason.to_string().contains(part), "{text}: {reason}");
    }
}

#[test]
fn the_metadata_may_come_last_and_its_version_bare() {
    let place = Place::new();
    let db = place.open();
    let text = format!(
        r#"{{"data": [{}], "metadata": {{"genesis_validators_root": "{}", "interchange_format_version": 5}}}}"#,
        entry(key(1), r#"{"slot": "5"}"#, ""),
        identity().genesis_validators_root
    );
    assert_eq!(import(&db, &text).unwrap().added(), 1);
}

#[test]
fn an_import_never_makes_signable_what_was_refused() {
    let place = Place::new();
    let db = place.open();
    import(&db, &file(&entry(key(1), r#"{"slot": "40"}"#, ""))).unwrap();
    assert!(db.check(&key(1), &block(30, 1)).is_err());
    // An older file of the same validator.
    import(&db, &file(&entry(key(1), r#"{"slot": "20"}"#, ""))).unwrap();
    let refusal = db.check(&key(1), &block(30, 1)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::BlockBelowWatermark { slot: Slot::new(30), watermark: Slot::new(40) }
    );
    // Nor does passing it on.
    let next = Place::new();
    let copy = next.open();
    import(&copy, &export(&db)).unwrap();
    assert!(copy.check(&key(1), &block(30, 1)).is_err());
}

/// The key was used elsewhere meanwhile, and what the file does not have may have been pruned there.
#[test]
fn a_file_that_begins_above_what_was_signed_here_leaves_nothing_signable_between() {
    let elsewhere = file(&entry(
        key(1),
        r#"{"slot": "75"}, {"slot": "80"}"#,
        r#"{"source_epoch": "74", "target_epoch": "75"}, {"source_epoch": "79", "target_epoch": "80"}"#,
    ));
    let between = [block(50, 1), block(75, 1), vote(19, 50, 1), vote(49, 50, 1), vote(73, 81, 1)];
    let above = [block(76, 1), block(81, 1), vote(80, 81, 1), vote(75, 77, 1)];
    for journal_rows in [1, 1000] {
        let place = Place::new();
        let mut options = options();
        options.journal_rows = journal_rows;
        let db = place.open_with(options.clone());
        for number in 10..20 {
            record(&db, key(1), block(number, number)).unwrap();
            record(&db, key(1), vote(number, number + 1, number)).unwrap();
        }
        db.close();
        let db = place.open_with(options.clone());
        // A part of what is known leaves no gap.
        import(&db, &export(&db)).unwrap();
        assert_eq!(db.check(&key(1), &block(50, 1)), Ok(Safe::New));
        let report = import(&db, &elsewhere).unwrap();
        let span = Span { source: Epoch::new(74), target: Epoch::new(75) };
        let closed = Marks { slot: Some(Slot::new(75)), span: Some(span) };
        assert_eq!(report.validators[0].closed, closed);
        db.close();
        let db = place.open_with(options);
        for candidate in between {
            assert!(db.check(&key(1), &candidate).is_err(), "{candidate:?}");
        }
        for candidate in above {
            assert_eq!(db.check(&key(1), &candidate), Ok(Safe::New), "{candidate:?}");
        }
        assert_eq!(db.check(&key(1), &block(15, 15)), Ok(Safe::SameData));
    }

    // A copy from before the first signature looks restored: any validator may have signed since.
    let place = Place::new();
    let first = r#"{"source_epoch": "10", "target_epoch": "11"}"#;
    let db = place.open();
    import(&db, &file(&entry(key(1), r#"{"slot": "10"}"#, first))).unwrap();
    db.close();
    let old = std::fs::read(place.path()).unwrap();
    let db = place.open();
    record(&db, key(1), block(20, 1)).unwrap();
    db.close();
    std::fs::write(place.path(), old).unwrap();
    let db = place.open_with(Options { access: Access::Maintain, ..options() });
    assert!(db.looks_restored().is_some());
    import(&db, &elsewhere).unwrap();
    for candidate in [block(20, 2), block(50, 1), vote(49, 50, 1)] {
        assert!(db.check(&key(1), &candidate).is_err(), "{candidate:?}");
    }
    db.close();

    // Of a validator that never signed here both files are parts of one history.
    let place = Place::new();
    let db = place.open();
    import(&db, &file(&entry(key(1), r#"{"slot": "10"}"#, first))).unwrap();
    import(&db, &elsewhere).unwrap();
    for candidate in [block(50, 1), vote(49, 50, 1)] {
        assert_eq!(db.check(&key(1), &candidate), Ok(Safe::New), "{candidate:?}");
    }
}

#[test]
fn a_file_of_many_transactions_is_the_same_as_one_of_few() {
    let place = Place::new();
    let db = place.open();
    let mut votes = String::new();
    for target in 2..7000 {
        let separator = if target == 2 { "" } else { "," };
        let source = target - 1;
        write!(votes, r#"{separator}{{"source_epoch": "{source}", "target_epoch": "{target}"}}"#)
            .unwrap();
    }
    let text = file(&entry(key(1), r#"{"slot": "5"}"#, &votes));
    let mut steps = Vec::new();
    let report = db
        .import(&mut std::io::Cursor::new(&text), &|key| Some(*key), &mut |step| {
            steps.push(step.done);
            assert_eq!(step.total, 2 * text.len() as u64);
        })
        .unwrap();
    assert_eq!(report.added(), 6999);
    assert_eq!(steps.last(), Some(&(2 * text.len() as u64)));
    assert!(steps.is_sorted());
    // The guard of an unfinished import is gone: late but harmless votes are signed.
    assert_eq!(db.check(&key(1), &vote(6999, 7000, 1)), Ok(Safe::New));
    assert_eq!(db.check(&key(1), &block(6, 1)), Ok(Safe::New));
    let again = import(&db, &text).unwrap();
    assert_eq!(again.validators[0].outcome, ImportOutcome::Unchanged);
    let copy = Place::new();
    let other = copy.open();
    import(&other, &export(&db)).unwrap();
    assert_eq!(content(&export(&other)), content(&text));
}

#[test]
fn contradictions_are_taken_over_and_told() {
    let place = Place::new();
    let db = place.open();
    let text = file(&entry(
        key(1),
        r#"{"slot": "5", "signing_root": "0x0101010101010101010101010101010101010101010101010101010101010101"},
           {"slot": "5", "signing_root": "0x0202020202020202020202020202020202020202020202020202020202020202"}"#,
        r#"{"source_epoch": "2", "target_epoch": "3"}, {"source_epoch": "1", "target_epoch": "4"}"#,
    ));
    let report = import(&db, &text).unwrap();
    assert_eq!(report.validators[0].contradictions, 2);
    assert!(report.validators[0].to_string().contains("2 contradict other records"));
    assert_eq!(content(&export(&db)), content(&text));
    assert_eq!(db.check(&key(1), &vote(2, 5, 1)), Ok(Safe::New));
    let refusal = db.check(&key(1), &vote(1, 5, 1)).unwrap_err();
    assert!(matches!(refusal, Refusal::SurroundsExisting { .. }), "{refusal}");
}

#[test]
fn a_record_without_its_root_beside_the_same_with_it_is_no_contradiction() {
    let root =
        r#""signing_root": "0x0101010101010101010101010101010101010101010101010101010101010101""#;
    let with_root = file(&entry(
        key(1),
        &format!(r#"{{"slot": "5", {root}}}"#),
        &format!(r#"{{"source_epoch": "2", "target_epoch": "3", {root}}}"#),
    ));
    let without =
        file(&entry(key(1), r#"{"slot": "5"}"#, r#"{"source_epoch": "2", "target_epoch": "3"}"#));
    for (first, second) in [(&with_root, &without), (&without, &with_root)] {
        let place = Place::new();
        let db = place.open();
        for text in [first, second] {
            let report = import(&db, text).unwrap();
            assert_eq!((report.added(), report.validators[0].contradictions), (2, 0));
        }
        // It is not known whether they are of the same message: neither is repeated.
        assert!(db.check(&key(1), &block(5, 1)).is_err());
        let other_source = r#"{"source_epoch": "1", "target_epoch": "3"}"#;
        let report = import(&db, &file(&entry(key(1), "", other_source))).unwrap();
        assert_eq!(report.validators[0].contradictions, 1);
    }
}

#[test]
fn what_was_imported_and_what_was_signed_come_out_together() {
    let place = Place::new();
    let mut options = options();
    options.journal_rows = 2;
    let db = place.open_with(options);
    let text =
        file(&entry(key(1), r#"{"slot": "5"}"#, r#"{"source_epoch": "1", "target_epoch": "2"}"#));
    import(&db, &text).unwrap();
    for number in 6..12 {
        record(&db, key(1), block(number, number)).unwrap();
        record(&db, key(1), vote(number, number + 1, number)).unwrap();
        record(&db, key(2), vote(number, number + 1, number)).unwrap();
    }
    let said = content(&export(&db));
    assert_eq!(said[&key(1).to_string()].len(), 2 + 12);
    assert_eq!(said[&key(2).to_string()].len(), 6);

    let only = ExportOptions { validators: Some(vec![key(2)]), form: ExportForm::Minimal };
    let mut bytes = Vec::new();
    let report = db.export(&mut bytes, &only, &mut |_| {}).unwrap();
    assert_eq!((report.validators, report.blocks, report.attestations), (1, 0, 1));
    let copy = Place::new();
    let minimal = copy.open();
    import(&minimal, &String::from_utf8(bytes).unwrap()).unwrap();
    let refusal = minimal.check(&key(2), &vote(11, 12, 11)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::VoteWithoutRoot { target: Epoch::new(12), new: crate::common::root(11) }
    );
    let unknown = ExportOptions { validators: Some(vec![key(9)]), form: ExportForm::Complete };
    assert!(db.export(&mut Vec::new(), &unknown, &mut |_| {}).is_err());
}
