//! Keeps events that may come by the thousand from filling the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one event through in each interval.
#[derive(Debug)]
pub(crate) struct Throttle {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { interval, last: Mutex::new(None) }
    }

    /// Whether this event is let through.
    pub(crate) fn allows(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = last.is_none_or(|last| now.duration_since(last) >= self.interval);
        if allowed {
            *last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_let_through_in_each_interval() {
        let hourly = Throttle::new(Duration::from_secs(3600));
        assert_eq!([hourly.allows(), hourly.allows(), hourly.allows()], [true, false, false]);
        let unthrottled = Throttle::new(Duration::ZERO);
        assert_eq!([unthrottled.allows(), unthrottled.allows()], [true, true]);
    }
}
