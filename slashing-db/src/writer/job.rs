//! What the writer is asked to do, and how it answers.

use crate::error::{FailStop, RecordError, Refusal};
use crate::permit::Permit;
use crate::record::Request;
use crate::store::Store;
use crate::writer::shared::Shared;

/// What happens with a batch's outcome.
pub(crate) type Outcome = Result<Vec<Result<Permit, Refusal>>, RecordError>;

/// Called with a batch's outcome.
pub(crate) type Done = Box<dyn FnOnce(Outcome) + Send>;

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Record a batch.
    Record { batch: Vec<Request>, done: Done },
    /// Anything else that reads or writes the file.
    Task(Task),
}

/// What a task does.
type Work = Box<dyn FnOnce(&mut Store, &Shared) -> rusqlite::Result<()> + Send>;

/// Work on the store, and who hears that it is done. An error stops all signing, as a failed commit
/// does: memory may be ahead of the disk.
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) done: Box<dyn FnOnce(Result<(), FailStop>) + Send>,
}

impl Job {
    /// Answers a job that will not be done.
    pub(crate) fn refuse(self, error: RecordError) {
        match self {
            Self::Record { done, .. } => call(done, Err(error)),
            // Its caller sees the channel closed.
            Self::Task(_) => {}
        }
    }
}

/// Calls back; a panic in it is the caller's and must not end the writer.
pub(crate) fn call(done: Done, outcome: Outcome) {
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || done(outcome)));
    if called.is_err() {
        tracing::error!("a callback of the slashing database panicked");
    }
}
