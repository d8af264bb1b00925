//! Watermarks, and pruning, which raises them.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use eth_types::{Epoch, Slot};
use slashing_db::{
    HighWatermark, Marks, Options, Pruning, Refusal, Safe, SlashingDb, Span, WatermarkError,
};

use crate::common::{Place, block, content, export, import, key, options, record, vote};

fn marks(slot: u64, source: u64, target: u64) -> Marks {
    Marks {
        slot: Some(Slot::new(slot)),
        span: Some(Span { source: Epoch::new(source), target: Epoch::new(target) }),
    }
}

#[test]
fn at_or_below_a_raised_watermark_nothing_is_signed_not_even_a_repeat() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    record(&db, key(1), vote(1, 2, 1)).unwrap();
    db.raise_watermark(marks(10, 3, 4), None).unwrap();
    let refuses = |db: &SlashingDb| {
        // A key that comes later is meant too.
        for number in [1, 2] {
            for candidate in
                [block(5, 1), block(10, 1), vote(1, 2, 1), vote(3, 4, 1), vote(2, 5, 1)]
            {
                let refusal = db.check(&key(number), &candidate).unwrap_err();
                let raised = matches!(
                    refusal,
                    Refusal::BlockBelowRaisedWatermark { .. }
                        | Refusal::AttestationBelowRaisedWatermark { .. }
                );
                assert!(raised, "{refusal}");
            }
            assert_eq!(db.check(&key(number), &block(11, 1)), Ok(Safe::New));
            assert_eq!(db.check(&key(number), &vote(3, 5, 1)), Ok(Safe::New));
        }
    };
    refuses(&db);
    // Never down.
    db.raise_watermark(marks(1, 1, 1), None).unwrap();
    refuses(&db);
    db.close();
    refuses(&place.open());
}

#[test]
fn a_watermark_raised_for_one_validator_leaves_the_others() {
    let place = Place::new();
    let db = place.open();
    db.raise_watermark(marks(10, 3, 4), Some(vec![key(1)])).unwrap();
    assert!(db.check(&key(1), &block(10, 1)).is_err());
    assert_eq!(db.check(&key(2), &block(10, 1)), Ok(Safe::New));
    let shown = db.watermarks(None).unwrap();
    assert_eq!(shown.raised_for_all, Marks::default());
    assert_eq!(shown.validators.len(), 1);
    assert_eq!(shown.validators[0].raised, marks(10, 3, 4));
}

#[test]
fn whoever_imports_an_export_keeps_to_the_raised_watermark() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    record(&db, key(1), vote(6, 9, 1)).unwrap();
    db.raise_watermark(marks(10, 3, 9), None).unwrap();
    let other = Place::new();
    let copy = other.open();
    import(&copy, &export(&db)).unwrap();
    for candidate in [block(5, 1), block(10, 1), vote(6, 9, 1), vote(5, 10, 1)] {
        assert!(db.check(&key(1), &candidate).is_err());
        assert!(copy.check(&key(1), &candidate).is_err(), "{candidate:?}");
    }
    for candidate in [block(11, 1), vote(6, 10, 1)] {
        assert_eq!(db.check(&key(1), &candidate), Ok(Safe::New));
        assert_eq!(copy.check(&key(1), &candidate), Ok(Safe::New));
    }
}

/// Others take two records of one slot or target for slashable and refuse the key.
#[test]
fn an_export_has_one_record_for_each_slot_and_target_wherever_a_watermark_is() {
    let votes = [(1, 2), (2, 4), (4, 5), (5, 8)];
    for raised in (0..10).flat_map(|target| (0..=target).map(move |source| (source, target))) {
        let (source, target) = raised;
        let (place, other) = (Place::new(), Place::new());
        let db = place.open();
        for (source, target) in votes {
            record(&db, key(1), vote(source, target, 1)).unwrap();
            record(&db, key(1), block(target, 1)).unwrap();
        }
        db.raise_watermark(marks(target, source, target), None).unwrap();
        let text = export(&db);
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (list, duty) in [("signed_blocks", "slot"), ("signed_attestations", "target_epoch")] {
            let records = file["data"][0][list].as_array().unwrap();
            let duties: BTreeSet<&str> =
                records.iter().map(|record| record[duty].as_str().unwrap()).collect();
            assert_eq!(duties.len(), records.len(), "raised to {raised:?}: {text}");
        }
        // And whoever imports it signs nothing that is refused here.
        let copy = other.open();
        import(&copy, &text).unwrap();
        let votes = (0..12).flat_map(|target| (0..=target).map(move |source| (source, target)));
        let candidates = votes.map(|(source, target)| vote(source, target, 1));
        for candidate in candidates.chain((0..12).map(|slot| block(slot, 1))) {
            if copy.check(&key(1), &candidate).is_ok() {
                assert!(db.check(&key(1), &candidate).is_ok(), "{raised:?}: {candidate:?}");
            }
        }
    }
}

#[test]
fn at_or_above_the_high_watermark_nothing_is_signed() {
    let place = Place::new();
    let db = place.open();
    record(&db, key(1), block(5, 1)).unwrap();
    assert_eq!(db.high_watermark(), HighWatermark::default());
    db.set_high_watermark(Some(Slot::new(10)), Some(Epoch::new(4))).unwrap();
    db.close();
    let db = place.open();
    let set = HighWatermark { slot: Some(Slot::new(10)), epoch: Some(Epoch::new(4)) };
    assert_eq!(db.high_watermark(), set);
    assert_eq!(db.check(&key(1), &block(9, 1)), Ok(Safe::New));
    assert!(matches!(
        db.check(&key(1), &block(10, 1)),
        Err(Refusal::BlockAboveHighWatermark { .. })
    ));
    assert_eq!(db.check(&key(1), &vote(2, 3, 1)), Ok(Safe::New));
    assert!(matches!(
        db.check(&key(1), &vote(2, 4, 1)),
        Err(Refusal::AttestationAboveHighWatermark { .. })
    ));
    // The two never cross.
    let error = db.raise_watermark(marks(10, 1, 2), None).unwrap_err();
    assert!(matches!(error, WatermarkError::Crossed { low: 10, high: 10, .. }), "{error}");
    let error = db.set_high_watermark(Some(Slot::new(5)), None).unwrap_err();
    assert!(matches!(error, WatermarkError::Crossed { low: 5, high: 5, .. }), "{error}");
    db.set_high_watermark(None, None).unwrap();
    assert_eq!(db.check(&key(1), &block(10, 1)), Ok(Safe::New));
}

/// Keeps four epochs of eight slots.
fn pruning() -> Options {
    Options {
        pruning: Some(Pruning {
            keep_epochs: NonZeroU64::new(4).unwrap(),
            slots_per_epoch: NonZeroU64::new(8).unwrap(),
        }),
        quiet_after: Duration::ZERO,
        ..options()
    }
}

/// Waits for the background work: until the export has no more than so many records.
fn wait_for(db: &SlashingDb, records: usize) {
    for _ in 0..1000 {
        if content(&export(db)).values().map(|lines| lines.len()).sum::<usize>() <= records {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("pruning did not come to its end: {}", export(db));
}

#[test]
fn pruning_keeps_the_horizon_and_refuses_what_the_pruned_would_have() {
    let place = Place::new();
    let db = place.open_with(pruning());
    for epoch in 1..=20 {
        record(&db, key(1), vote(epoch - 1, epoch, epoch)).unwrap();
        record(&db, key(1), block(epoch * 8, epoch)).unwrap();
    }
    // One that stopped long ago keeps its own last epochs.
    record(&db, key(2), vote(1, 2, 1)).unwrap();
    // The first key's four epochs with a watermark each, and the second key's vote.
    wait_for(&db, 4 + 1 + 4 + 1 + 1);
    let low = db.watermarks(Some(vec![key(1)])).unwrap().validators[0].low;
    assert_eq!(low, marks(16 * 8, 15, 16));
    for epoch in 1..=16 {
        assert!(db.check(&key(1), &vote(epoch - 1, epoch, epoch)).is_err());
        assert!(db.check(&key(1), &vote(epoch - 1, 30, 1)).is_err(), "surrounds a pruned vote");
        assert!(db.check(&key(1), &block(epoch * 8, epoch)).is_err());
    }
    for epoch in 17..=20 {
        assert_eq!(db.check(&key(1), &vote(epoch - 1, epoch, epoch)), Ok(Safe::SameData));
        assert_eq!(db.check(&key(1), &block(epoch * 8, epoch)), Ok(Safe::SameData));
        // Between the records nothing is over-strict.
        assert_eq!(db.check(&key(1), &block(epoch * 8 - 1, 1)), Ok(Safe::New));
    }
    assert_eq!(db.check(&key(2), &vote(1, 2, 1)), Ok(Safe::SameData));
    db.close();
    // Sums and peaks are right: the file is compared with them when it is opened.
    let db = place.open_with(pruning());
    assert_eq!(db.check(&key(1), &vote(16, 17, 17)), Ok(Safe::SameData));
}
