//! How fast one peer may fill the node's event queue. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Frames per second that are taken from one peer, and the most it may send in one burst.
///
/// A peer whose validator client asks for 10,000 selection proofs at the start of an epoch sends
/// as many co-signing requests within about a second; twice that is no honest load.
pub const MAX_FRAMES_PER_SECOND: u32 = 20_000;

/// Bytes per second that are taken from one peer, and the most it may send in one burst: the
/// 20,000 frames above at 1.6 KB, which no honest mix of messages exceeds.
pub const MAX_BYTES_PER_SECOND: u32 = 32 << 20;

/// Microseconds of the node's time per second that one peer's frames may take: a quarter of a core.
/// What costs most in a frame are its agreement signatures, about 0.1 ms each.
pub const MAX_WORK_PER_SECOND: u32 = 250_000;

/// Microseconds of work that a peer may cause in one burst: the frames of the largest cluster at the
/// start of an epoch take less than a second.
pub const MAX_WORK_BURST: u32 = 2_000_000;

/// Three token buckets: frames, bytes, and the time that the node spent on them. A peer over the rate
/// is not cut off: it is read more slowly, so that its own queue fills and drops.
#[derive(Debug)]
pub(super) struct RateLimit {
    frames: Bucket,
    bytes: Bucket,
    work: Bucket,
}

impl RateLimit {
    /// Full buckets.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            frames: Bucket::new(MAX_FRAMES_PER_SECOND, MAX_FRAMES_PER_SECOND, now),
            bytes: Bucket::new(MAX_BYTES_PER_SECOND, MAX_BYTES_PER_SECOND, now),
            work: Bucket::new(MAX_WORK_PER_SECOND, MAX_WORK_BURST, now),
        }
    }

    /// Accounts for a frame, and for the work that the frames before it have caused, and says how long
    /// to wait before the next one is read.
    pub(super) fn take(&mut self, frame_bytes: usize, work: Duration, now: Instant) -> Duration {
        let bytes = u32::try_from(frame_bytes).unwrap_or(u32::MAX);
        let micros = u32::try_from(work.as_micros()).unwrap_or(u32::MAX);
        let wait = self.frames.take(1, now).max(self.bytes.take(bytes, now));
        wait.max(self.work.take(micros, now))
    }
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    /// What may still be taken at once; below zero there is a debt to wait for.
    level: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self { per_second: per_second.into(), burst: burst.into(), level: burst.into(), at: now }
    }

    fn take(&mut self, amount: u32, now: Instant) -> Duration {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.at = self.at.max(now);
        self.level = (self.level + gained).min(self.burst) - f64::from(amount);
        if self.level >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.level / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_second_passes_and_what_follows_waits() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        for _ in 0..MAX_FRAMES_PER_SECOND {
            assert_eq!(limit.take(100, Duration::ZERO, start), Duration::ZERO);
        }
        assert!(limit.take(100, Duration::ZERO, start) > Duration::ZERO);
        let later = start + Duration::from_secs(1);
        assert_eq!(limit.take(100, Duration::ZERO, later), Duration::ZERO);
    }

    #[test]
    fn large_frames_wait_for_the_bytes() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        for _ in 0..32 {
            assert_eq!(limit.take(1 << 20, Duration::ZERO, start), Duration::ZERO);
        }
        let wait = limit.take(1 << 20, Duration::ZERO, start);
        assert!(wait > Duration::from_millis(30) && wait < Duration::from_millis(33), "{wait:?}");
    }

    #[test]
    fn idle_time_saves_up_no_more_than_one_burst() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        let later = start + Duration::from_secs(3600);
        for _ in 0..MAX_FRAMES_PER_SECOND {
            assert_eq!(limit.take(1, Duration::ZERO, later), Duration::ZERO);
        }
        assert!(limit.take(1, Duration::ZERO, later) > Duration::ZERO);
    }

    #[test]
    fn a_peer_whose_frames_cost_much_work_is_read_more_slowly() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        let burst = Duration::from_micros(MAX_WORK_BURST.into());
        assert_eq!(limit.take(1, burst, start), Duration::ZERO);
        let wait = limit.take(1, Duration::from_millis(25), start);
        assert_eq!(wait, Duration::from_millis(100), "four times what it cost");
        let later = start + wait;
        assert_eq!(limit.take(1, Duration::ZERO, later), Duration::ZERO);
    }
}
