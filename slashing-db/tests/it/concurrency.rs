//! Many callers at once.

use std::sync::{Arc, Barrier, mpsc};

use slashing_db::{Refusal, Request};

use crate::common::{Place, block, key, root, vote};

#[test]
fn of_64_threads_that_race_for_one_slot_one_root_wins() {
    let place = Place::new();
    let db = place.open();
    let start = Arc::new(Barrier::new(64));
    let threads: Vec<_> = (0..64)
        .map(|number| {
            let (db, start) = (db.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                // The last slot but one is asked for by each with its own root, four times.
                let request = Request { validator: key(1), candidate: block(9, number) };
                (0..4).map(|_| db.record(vec![request]).unwrap().remove(0)).collect::<Vec<_>>()
            })
        })
        .collect();
    let outcomes: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(won.len(), 4, "the winner asked four times");
    assert!(won.iter().all(|permit| permit.signing_root() == won[0].signing_root()));
    for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        let Refusal::DoubleBlock { existing, .. } = refusal else { panic!("{refusal}") };
        assert_eq!(*existing, won[0].signing_root());
    }
}

#[test]
fn within_one_batch_the_first_of_two_contradicting_votes_wins() {
    let place = Place::new();
    let db = place.open();
    let ask = |candidate| Request { validator: key(1), candidate };
    let outcome = db
        .record(vec![
            ask(vote(1, 2, 1)),
            ask(vote(1, 2, 2)),
            ask(vote(1, 2, 1)),
            ask(vote(2, 3, 3)),
        ])
        .unwrap();
    let granted: Vec<_> = outcome.iter().map(Result::is_ok).collect();
    assert_eq!(granted, [true, false, true, true]);
}

#[test]
fn a_callback_gets_the_permits_and_may_hold_the_last_handle() {
    let place = Place::new();
    let db = place.open();
    let (sender, receiver) = mpsc::channel();
    let last = db.clone();
    let batch = vec![Request { validator: key(1), candidate: block(1, 5) }];
    db.record_then(batch, move |outcome| {
        drop(last);
        sender.send(outcome.unwrap().remove(0).unwrap()).unwrap();
    });
    drop(db);
    let permit = receiver.recv().unwrap();
    assert_eq!((permit.validator(), permit.signing_root()), (key(1), root(5)));
}

#[test]
fn a_callback_that_panics_does_not_end_the_database() {
    let place = Place::new();
    let db = place.open();
    let batch = vec![Request { validator: key(1), candidate: block(1, 1) }];
    db.record_then(batch.clone(), |_| panic!("not the writer's fault"));
    assert!(db.record(batch).unwrap().remove(0).is_ok());
}
