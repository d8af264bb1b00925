//! How much memory key derivations may hold together.

use std::sync::{Condvar, Mutex, PoisonError};

/// Memory that threads take before a key derivation and give back after it.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    limit: u64,
    taken: Mutex<u64>,
    given_back: Condvar,
}

impl MemoryBudget {
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, taken: Mutex::new(0), given_back: Condvar::new() }
    }

    /// Waits until there is room for `bytes`. More than the whole budget is let in alone.
    pub(super) fn take(&self, bytes: u64) -> Taken<'_> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken != 0 && taken.saturating_add(bytes) > self.limit {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = taken.saturating_add(bytes);
        Taken { budget: self, bytes }
    }
}

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    budget: &'a MemoryBudget,
    bytes: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut taken = self.budget.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(self.bytes);
        drop(taken);
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn threads_never_hold_more_than_the_budget_together() {
        let budget = MemoryBudget::new(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in [30, 40, 50, 60, 30, 40, 50, 60] {
                let (budget, held, most) = (&budget, &held, &most);
                scope.spawn(move || {
                    for _ in 0..100 {
                        let _taken = budget.take(bytes);
                        let now = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 100);
        assert_eq!(*budget.taken.lock().unwrap(), 0);
    }

    #[test]
    fn what_exceeds_the_budget_is_let_in_alone() {
        let budget = MemoryBudget::new(100);
        drop(budget.take(1000));
        let _all = budget.take(100);
    }
}
