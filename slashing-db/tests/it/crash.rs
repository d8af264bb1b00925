//! A process that signs without a pause is killed at random instants. After each restart everything it
//! released is on record, and nothing it ever released contradicts anything else.
//!
//! `SLASHING_DB_CRASHES` sets how often; the nightly run does it a thousand times.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::str::FromStr;
use std::time::Duration;

use eth_types::{Epoch, PublicKey, Root, Slot};
use slashing_db::{Candidate, Safe};

use crate::child::{self, Random};
use crate::common::{Place, block, key, vote};

/// One released permit, as a line of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Released {
    pub(crate) validator: PublicKey,
    pub(crate) candidate: Candidate,
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.candidate {
            Candidate::Block { slot, signing_root } => {
                write!(f, "{} block {slot} {signing_root} .", self.validator)
            }
            Candidate::Attestation { source, target, signing_root } => {
                write!(f, "{} {source} {target} {signing_root} .", self.validator)
            }
        }
    }
}

impl FromStr for Released {
    type Err = ();

    /// `Err` for a line that the kill cut short: its end is missing.
    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<_> = line.split(' ').collect();
        let [validator, source, height, signing_root, "."] = words[..] else { return Err(()) };
        let height: u64 = height.parse().map_err(|_| ())?;
        let signing_root: Root = signing_root.parse().map_err(|_| ())?;
        let candidate = match source {
            "block" => Candidate::Block { slot: Slot::new(height), signing_root },
            source => Candidate::Attestation {
                source: source.parse().map_err(|_| ())?,
                target: Epoch::new(height),
                signing_root,
            },
        };
        Ok(Self { validator: validator.parse().map_err(|_| ())?, candidate })
    }
}

fn crashes() -> u64 {
    std::env::var("SLASHING_DB_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

#[test]
fn what_a_killed_process_released_is_on_record_and_stays_the_only_one() {
    let place = Place::new();
    let mut random = Random(7);
    let mut roots: HashMap<(PublicKey, bool, u64), Candidate> = HashMap::new();
    let mut total = 0;
    for round in 1..=crashes() {
        let mut child =
            child::command("sign", &place.path(), round, r#"exec "$@""#).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines
                .filter_map(|line| {
                    line.strip_prefix("released ").and_then(|line| line.parse().ok())
                })
                .collect::<Vec<Released>>()
        });
        std::thread::sleep(Duration::from_millis(20 + random.below(180)));
        child.kill().unwrap();
        child.wait().unwrap();
        let released = reader.join().unwrap();
        total += released.len();

        let db = place.open();
        for Released { validator, candidate } in released {
            let duty = match candidate {
                Candidate::Block { slot, .. } => (validator, true, slot.as_u64()),
                Candidate::Attestation { target, .. } => (validator, false, target.as_u64()),
            };
            let first = roots.entry(duty).or_insert(candidate);
            assert_eq!(*first, candidate, "round {round}: two messages for one duty");
            let checked = db.check(&validator, &candidate);
            assert_eq!(checked, Ok(Safe::SameData), "round {round}: {candidate:?}");
        }
        for ((validator, is_block, height), candidate) in &roots {
            assert_eq!(db.check(validator, candidate), Ok(Safe::SameData), "round {round}");
            let other = if *is_block { block(*height, 9) } else { vote(height - 1, *height, 9) };
            assert!(db.check(validator, &other).is_err(), "round {round}: {other:?}");
        }
        db.close();
    }
    assert!(total > 0, "no process lived long enough to sign; key {}", key(0));
}
