//! When to try again. Pure: time and randomness are arguments.

use std::time::{Duration, Instant};

/// The wait before the first attempt after a link broke is random below this, so that two sides
/// that lost each other do not dial in the same instant.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The wait after the first failed attempt; it doubles from there.
const BASE_WAIT: Duration = Duration::from_millis(200);

/// The longest wait between two attempts. A refused dial costs nothing, and a duty is lost with
/// every slot in which a peer that is back is not found.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// The wait after a peer broke the protocol; it doubles with every further breach.
const BASE_PENALTY: Duration = Duration::from_secs(1);

/// The longest such wait: a peer that was repaired is back within half a minute.
const MAX_PENALTY: Duration = Duration::from_secs(30);

/// A link that stood this long proves that the peer keeps to the protocol again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Failed attempts since the last link, and the time of the next.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    next: Instant,
}

impl Backoff {
    /// The first attempt is due at once.
    pub(super) const fn new(now: Instant) -> Self {
        Self { failures: 0, next: now }
    }

    /// When the next attempt is due.
    pub(super) const fn due(&self) -> Instant {
        self.next
    }

    /// An attempt failed. `random` is uniform in [0, 1).
    pub(super) fn failed(&mut self, now: Instant, random: f64) {
        let doubled =
            BASE_WAIT.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        // Three quarters to five quarters of the wait: two sides never stay in step.
        self.next = now + doubled.min(MAX_WAIT).mul_f64(0.75 + random / 2.0);
    }

    /// A link that was up broke: try again almost at once.
    pub(super) fn reset(&mut self, now: Instant, random: f64) {
        self.failures = 0;
        self.next = now + FIRST_WAIT.mul_f64(random);
    }

    /// Not before `until`, whatever was planned.
    pub(super) fn hold_until(&mut self, until: Instant) {
        self.next = self.next.max(until);
    }
}

/// How often a peer broke the protocol lately.
#[derive(Debug)]
pub(super) struct Penalty {
    breaches: u32,
}

impl Penalty {
    /// No breach so far.
    pub(super) const fn new() -> Self {
        Self { breaches: 0 }
    }

    /// Counts a breach and says how long to keep away from the peer.
    pub(super) fn breach(&mut self, link_stood: Duration) -> Duration {
        if link_stood >= FORGIVEN_AFTER {
            self.breaches = 0;
        }
        let wait =
            BASE_PENALTY.saturating_mul(1_u32.checked_shl(self.breaches).unwrap_or(u32::MAX));
        self.breaches = self.breaches.saturating_add(1);
        wait.min(MAX_PENALTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_three_seconds_and_begin_anew_after_a_link() {
        let now = Instant::now();
        let mut backoff = Backoff::new(now);
        assert_eq!(backoff.due(), now);
        let mut waits = Vec::new();
        for _ in 0..40 {
            backoff.failed(now, 0.5);
            waits.push(backoff.due() - now);
        }
        let milliseconds: Vec<u128> = waits.iter().take(6).map(Duration::as_millis).collect();
        assert_eq!(milliseconds, [200, 400, 800, 1600, 3000, 3000]);
        assert_eq!(waits.last(), Some(&MAX_WAIT));

        backoff.reset(now, 0.99);
        assert!(backoff.due() - now < FIRST_WAIT);
        backoff.failed(now, 0.5);
        assert_eq!(backoff.due() - now, BASE_WAIT);
    }

    #[test]
    fn jitter_spreads_a_wait_by_a_quarter_to_both_sides() {
        let now = Instant::now();
        for (random, expected) in [(0.0, 150), (0.999_999, 249)] {
            let mut backoff = Backoff::new(now);
            backoff.failed(now, random);
            assert_eq!((backoff.due() - now).as_millis(), expected);
        }
    }

    #[test]
    fn penalties_double_up_to_the_limit_and_a_long_link_forgives() {
        let mut penalty = Penalty::new();
        let seconds: Vec<u64> = (0..7).map(|_| penalty.breach(Duration::ZERO).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(penalty.breach(FORGIVEN_AFTER).as_secs(), 1);
        for _ in 0..100 {
            penalty.breach(Duration::ZERO);
        }
        assert_eq!(penalty.breach(Duration::ZERO), MAX_PENALTY);
    }
}
