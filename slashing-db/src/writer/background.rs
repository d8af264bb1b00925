//! The work that no signature waits for: moving the journal into the archive, pruning, copying the
//! write-ahead log into the main file. It is done when no request comes, one bounded step at a time; and
//! between two requests where they leave no room for it.

use crate::options::Access;
use crate::store::prune::Pruning;
use crate::writer::{Writer, note};

/// Under a load that never pauses the journal may have so many times what the options say.
const JOURNAL_SLACK: usize = 2;

impl Writer {
    /// One step of background work, while nobody waits; whether there is another.
    pub(super) fn rest(&mut self) -> bool {
        self.unless_stopped(Self::step)
    }

    /// Between two jobs: what must not wait for a pause that may never come.
    pub(super) fn keep_bounds(&mut self) {
        while self.unless_stopped(Self::keep_bound) {}
    }

    fn unless_stopped(&mut self, work: fn(&mut Self) -> rusqlite::Result<bool>) -> bool {
        if self.still_stopped().is_some() {
            return false;
        }
        work(self).unwrap_or_else(|error| {
            self.fail(&error);
            false
        })
    }

    fn step(&mut self) -> rusqlite::Result<bool> {
        let mut guard = self.shared.store();
        let Some(store) = guard.as_mut() else { return Ok(false) };
        let mut more = false;
        if !self.shared.is_held() {
            let due = |pruning: &Pruning| {
                self.options.access == Access::Sign
                    && self.pruner.is_due(&self.shared.memory(), pruning)
            };
            let pruning = self.options.pruning.filter(due);
            let old = match &pruning {
                Some(pruning) => store.journal_is_old(&self.shared.memory(), pruning)?,
                None => false,
            };
            if old || store.journal_rows() > self.options.journal_rows {
                store.fold(self.shared.memory_lock())?;
                more = true;
            } else if let Some(pruning) = &pruning {
                more = store.prune(&mut self.pruner, self.shared.memory_lock(), pruning)?;
            }
        }
        if if more { store.log_is_full() } else { store.log_is_worth_settling() } {
            store.settle_log()?;
        }
        if !more && self.options.access == Access::Sign {
            store.reserve_log();
        }
        if let Some(sidecar) = &mut self.sidecar {
            note(sidecar, store);
        }
        Ok(more)
    }

    fn keep_bound(&mut self) -> rusqlite::Result<bool> {
        let mut guard = self.shared.store();
        let Some(store) = guard.as_mut() else { return Ok(false) };
        if store.log_is_full() {
            store.settle_log()?;
        }
        let bound = self.options.journal_rows.saturating_mul(JOURNAL_SLACK);
        if self.shared.is_held() || store.journal_rows() <= bound {
            return Ok(false);
        }
        store.fold(self.shared.memory_lock())?;
        Ok(true)
    }
}
