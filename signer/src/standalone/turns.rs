//! Loads and edits of the keys run one at a time, in the order in which they came: [`Turns`].
//!
//! Anybody may ask for a reload, again and again. Since whoever came first goes first, an edit waits for
//! the load that runs or was asked for before it, and for no later one.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who may change keys from files now, and who waits for that.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Kind>,
    /// The numbers of those who wait, the first one first.
    waiting: VecDeque<u64>,
    /// The number of the next one who comes.
    next: u64,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Edit,
}

impl Turns {
    /// Waits for a turn to load keys.
    pub(super) fn load(&self) -> Turn<'_> {
        let mut state = self.state();
        let number = state.come();
        while !state.is_next(number) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.begin(&mut state, Kind::Load)
    }

    /// Waits for a turn to add or remove keys; `None` if a load takes longer than `limit`, or if the
    /// program stops. Other edits are waited for as long as they take.
    pub(super) fn edit(&self, limit: Duration) -> Option<Turn<'_>> {
        let mut state = self.state();
        let number = state.come();
        let mut load_ends_by = None;
        loop {
            if state.closed {
                break;
            }
            if state.is_next(number) {
                return Some(self.begin(&mut state, Kind::Edit));
            }
            state = if state.running == Some(Kind::Load) {
                let now = Instant::now();
                let left = load_ends_by.get_or_insert(now + limit).duration_since(now);
                if left.is_zero() {
                    break;
                }
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
        state.waiting.retain(|waiting| *waiting != number);
        drop(state);
        self.changed.notify_all();
        None
    }

    /// Lets no edit begin any more, and sends those away that wait.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn begin(&self, state: &mut State, kind: Kind) -> Turn<'_> {
        state.waiting.pop_front();
        state.running = Some(kind);
        // Edits that wait for a load wait for so long only.
        self.changed.notify_all();
        Turn { turns: self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn come(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(number);
        number
    }

    fn is_next(&self, number: u64) -> bool {
        self.running.is_none() && self.waiting.front() == Some(&number)
    }
}

/// The next one's turn comes when this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.state().running = None;
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn wait_until(turns: &Turns, waiting: usize) {
        while turns.waiting() < waiting {
            thread::yield_now();
        }
    }

    #[test]
    fn whoever_came_first_goes_first() {
        let turns = Turns::default();
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let running = turns.load();
            scope.spawn(|| {
                let _turn = turns.edit(LONG).unwrap();
                order.lock().unwrap().push("edit");
            });
            wait_until(&turns, 1);
            scope.spawn(|| {
                let _turn = turns.load();
                order.lock().unwrap().push("load");
            });
            wait_until(&turns, 2);
            scope.spawn(|| {
                let _turn = turns.edit(LONG).unwrap();
                order.lock().unwrap().push("second edit");
            });
            wait_until(&turns, 3);
            drop(running);
        });
        assert_eq!(*order.lock().unwrap(), ["edit", "load", "second edit"]);
    }

    #[test]
    fn an_edit_gives_up_on_a_long_load_and_is_in_nobodys_way_then() {
        let turns = Turns::default();
        let running = turns.load();
        assert!(turns.edit(Duration::ZERO).is_none());
        assert!(turns.edit(Duration::from_millis(5)).is_none());
        assert_eq!(turns.waiting(), 0);
        drop(running);
        drop(turns.load());
        assert!(turns.edit(Duration::ZERO).is_some());
    }

    #[test]
    fn an_edit_waits_for_another_however_long_that_takes() {
        let turns = Turns::default();
        thread::scope(|scope| {
            let running = turns.edit(LONG).unwrap();
            let second = scope.spawn(|| turns.edit(Duration::ZERO).is_some());
            wait_until(&turns, 1);
            drop(running);
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn edits_that_wait_are_sent_away_when_the_program_stops() {
        let turns = Turns::default();
        thread::scope(|scope| {
            let _running = turns.load();
            let waiting = scope.spawn(|| turns.edit(LONG).is_none());
            wait_until(&turns, 1);
            turns.close();
            assert!(waiting.join().unwrap());
        });
        assert!(turns.edit(LONG).is_none());
    }
}
