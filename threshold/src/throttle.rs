//! Log lines that peers can cause, kept from flooding the log. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use threshold_protocol::OperatorIndex;

/// Lines of one kind about one operator in each [`WINDOW`]. The first few say what is going on; the
/// counters in the metrics say how much of it.
const LINES: u32 = 10;

/// How long [`LINES`] have to last.
const WINDOW: Duration = Duration::from_secs(10);

/// Decides which lines are written.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    windows: BTreeMap<(OperatorIndex, &'static str), Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    unlogged: u64,
}

impl Throttle {
    /// Whether to write a line of this kind about an operator: how many before it were not written, if
    /// so.
    pub(crate) fn admit(
        &mut self,
        operator: OperatorIndex,
        kind: &'static str,
        now: Instant,
    ) -> Option<u64> {
        let fresh = Window { since: now, lines: 0, unlogged: 0 };
        let window = self.windows.entry((operator, kind)).or_insert(fresh);
        if now.saturating_duration_since(window.since) >= WINDOW {
            (window.since, window.lines) = (now, 0);
        }
        if window.lines >= LINES {
            window.unlogged = window.unlogged.saturating_add(1);
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_line_says_by_how_much() {
        let start = Instant::now();
        let (one, two) = (OperatorIndex::new(0), OperatorIndex::new(1));
        let mut throttle = Throttle::default();
        for _ in 0..LINES {
            assert_eq!(throttle.admit(one, "bad", start), Some(0));
        }
        for _ in 0..500 {
            assert_eq!(throttle.admit(one, "bad", start), None);
        }
        assert_eq!(throttle.admit(two, "bad", start), Some(0), "another operator's are written");
        assert_eq!(throttle.admit(one, "other", start), Some(0), "and those of another kind");
        assert_eq!(throttle.admit(one, "bad", start + WINDOW), Some(500));
        assert_eq!(throttle.admit(one, "bad", start + WINDOW), Some(0));
    }
}
