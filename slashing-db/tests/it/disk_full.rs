//! A disk without room: signing stops with the reason, and goes on when there is room.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use crate::child;
use crate::common::{Place, block, key};
use slashing_db::Safe;

#[test]
fn without_room_signing_stops_with_the_reason_and_goes_on_when_there_is_room() {
    let place = Place::new();
    // Files may have 128 blocks of 512 bytes; the signal that comes with the refusal is ignored.
    let wrap = r#"trap '' XFSZ; ulimit -S -f 128; exec "$@""#;
    let mut child = child::command("starve", &place.path(), 0, wrap).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(output.any(|line| line == "ready"), "the process did not start");
    let mut ask = |line: &str| {
        writeln!(input, "{line}").unwrap();
        output.next().unwrap()
    };
    let mut signed = 0;
    let stopped = loop {
        let answer = ask(&format!("sign {}", signed + 1));
        if answer != "signed true" {
            break answer;
        }
        signed += 1;
        assert!(signed < 1000, "the limit has no effect");
    };
    assert!(signed > 0);
    assert!(stopped.starts_with("stopped signing has stopped: "), "{stopped}");
    // Another message is refused just as well.
    assert!(ask("sign 5000").starts_with("stopped "));

    assert_eq!(ask("room"), "room");
    let started = Instant::now();
    while ask("sign 5000") != "signed true" {
        assert!(started.elapsed() < Duration::from_secs(60), "it did not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let db = place.open();
    for slot in (1..=signed).chain([5000]) {
        assert_eq!(db.check(&key(1), &block(slot, 1)), Ok(Safe::SameData), "slot {slot}");
    }
    // The message that found no room was never released; whether it is on record does not matter, but
    // what is said about it must hold.
    let lost = signed + 1;
    if db.check(&key(1), &block(lost, 1)) == Ok(Safe::SameData) {
        assert!(db.check(&key(1), &block(lost, 2)).is_err());
    }
}
