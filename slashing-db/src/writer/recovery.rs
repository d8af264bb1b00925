//! After a failed commit: nothing is signed until writing works again.

use std::time::{Duration, Instant, SystemTime};

use crate::error::FailStop;
use crate::files;
use crate::store::Store;
use crate::writer::Writer;

/// How often writing is tried again after a failed commit.
const RETRY_EVERY: Duration = Duration::from_secs(1);

impl Writer {
    /// Stops all signing. The memory is ahead of the disk now, and is not used until it was read anew.
    pub(super) fn fail(&mut self, error: &rusqlite::Error) -> FailStop {
        let failure = self.shared.stop(error);
        tracing::error!(%failure, "a commit of the slashing database failed");
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        failure
    }

    /// Tries to go on after a failure, now and then; the failure if it is still there.
    pub(super) fn still_stopped(&mut self) -> Option<FailStop> {
        let failure = self.shared.failure()?;
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Some(failure);
        }
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the slashing database records again");
                self.retry_at = None;
                self.shared.go_on();
                None
            }
            Err(reason) => {
                tracing::warn!(%reason, "the slashing database still cannot record");
                self.retry_at = Some(Instant::now() + RETRY_EVERY);
                Some(failure)
            }
        }
    }

    /// Opens the file anew and reads the memory from it. Opening copies the write-ahead log into the
    /// main file: what a failed sync left behind is written again, not believed.
    fn reopen(&self) -> Result<(), String> {
        let mut guard = self.shared.store();
        drop(guard.take());
        let now = files::seconds(SystemTime::now());
        let (mut store, memory) =
            Store::open(self.shared.path(), &self.identity, self.options.strategy, now, false)
                .map_err(|error| {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    format!("{error}: {}", cause.unwrap_or_default())
                })?;
        store.probe().map_err(|error| error.to_string())?;
        *self.shared.memory_mut() = memory;
        *guard = Some(store);
        Ok(())
    }
}
