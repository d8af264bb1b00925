//! Keeps events that may come by the thousand from filling the log.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};
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

/// Different events that are remembered; a setup with more clients than that shows the others' one by one.
const MAX_NEWS: usize = 64;
/// After this time an event is new again.
const NEWS_LASTS: Duration = Duration::from_secs(60);

/// Lets one event through in each interval, and beyond that each event that differs from those of the last
/// minute, up to a bound: a flood of one kind does not hide the others.
#[derive(Debug)]
pub(crate) struct NewsThrottle {
    repeated: Throttle,
    hasher: RandomState,
    news: Mutex<News>,
}

#[derive(Debug)]
struct News {
    since: Instant,
    /// Hashes: what an event holds may be a client's choice, and long.
    seen: HashSet<u64>,
}

impl NewsThrottle {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            repeated: Throttle::new(interval),
            hasher: RandomState::new(),
            news: Mutex::new(News { since: Instant::now(), seen: HashSet::new() }),
        }
    }

    /// Whether this event is let through.
    pub(crate) fn allows(&self, event: impl Hash) -> bool {
        let is_news = self.is_news(self.hasher.hash_one(event));
        self.repeated.allows() || is_news
    }

    fn is_news(&self, event: u64) -> bool {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.since.elapsed() >= NEWS_LASTS {
            *news = News { since: Instant::now(), seen: HashSet::new() };
        }
        news.seen.len() < MAX_NEWS && news.seen.insert(event)
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

    #[test]
    fn each_different_event_is_let_through_once_up_to_a_bound() {
        let hourly = NewsThrottle::new(Duration::from_secs(3600));
        let events = ["one", "other", "one", "other", "third"];
        assert_eq!(events.map(|event| hourly.allows(event)), [true, true, false, false, true]);
        let flood = (0..10_000_u32).filter(|number| hourly.allows(number)).count();
        assert_eq!(flood, MAX_NEWS - 3);
    }
}
