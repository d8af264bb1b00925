//! The write-ahead log stays short, whether or not requests leave a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slashing_db::{Options, Request};

use crate::common::{FRAME, Place, block, key, log_bytes, options, vote};

/// What the program allows, 1024 frames, and the largest transaction of this load.
const LONGEST: u64 = 8 << 20;

#[test]
fn the_log_and_the_journal_stay_bounded_under_a_load_that_never_pauses() {
    const THREADS: u64 = 4;
    const BATCHES: u64 = 400;
    const BATCH: u64 = 32;
    const JOURNAL: usize = 2048;
    let place = Place::new();
    // So long a pause never comes.
    let quiet_after = Duration::from_secs(3600);
    let db = place.open_with(Options { journal_rows: JOURNAL, quiet_after, ..options() });
    let done = AtomicBool::new(false);
    let (mut longest, mut most) = (0, 0);
    std::thread::scope(|scope| {
        let load = |thread: u64| {
            for batch in 1..=BATCHES {
                let requests = (0..BATCH)
                    .map(|number| Request {
                        validator: key(thread * BATCH + number),
                        candidate: vote(batch, batch + 1, number),
                    })
                    .collect();
                assert!(db.record(requests).unwrap().iter().all(Result::is_ok));
            }
        };
        let loads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || load(thread))).collect();
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                longest = longest.max(log_bytes(&place.path()));
                most = most.max(db.status().unwrap().journal_rows);
            }
        });
        for load in loads {
            load.join().unwrap();
        }
        done.store(true, Ordering::Release);
        watch.join().unwrap();
    });
    assert!(longest > 0 && longest <= LONGEST, "the log was {longest} bytes long");
    // All threads' batches may come between two looks at the bound.
    let bound = 2 * JOURNAL + usize::try_from(THREADS * BATCH).unwrap();
    assert!(most <= bound, "the journal had {most} rows");
    db.close();
    assert_eq!(log_bytes(&place.path()), 0, "nothing is left in the log of a closed database");
    let db = place.open();
    for thread in 0..THREADS {
        let (validator, last) = (key(thread * BATCH), vote(BATCHES, BATCHES + 1, 0));
        assert_eq!(db.check(&validator, &last), Ok(slashing_db::Safe::SameData));
    }
}

#[test]
fn a_log_that_one_large_batch_made_long_is_cut_again() {
    let place = Place::new();
    let quiet_after = Duration::from_millis(1);
    let db = place.open_with(Options { journal_rows: 1 << 20, quiet_after, ..options() });
    let batch = |n| Request { validator: key(n), candidate: block(1, n) };
    db.record((0..65_000).map(batch).collect()).unwrap();
    let long = log_bytes(&place.path());
    // The commit that begins the log anew cuts it; it comes when the writer has nothing else to do.
    let cut = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let now = log_bytes(&place.path());
        (now < long).then_some(now)
    });
    assert!(cut.is_some_and(|bytes| bytes <= 2 * 1024 * FRAME as u64), "{long}, then {cut:?}");
}
