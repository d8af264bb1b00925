//! The handle.

use std::path::Path;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eth_types::PublicKey;

use crate::error::{FailStop, OpenError, RecordError, Refusal, TaskError};
use crate::files;
use crate::identity::Identity;
use crate::lock::Lock;
use crate::memory::{Memory, Strategy};
use crate::observe::{Answered, Observer};
use crate::options::{Access, Options};
use crate::permit::Permit;
use crate::record::{Candidate, Request, Safe};
use crate::start::{self, file_error};
use crate::store::Store;
use crate::store::schema::SCHEMA_VERSION;
use crate::writer;
use crate::writer::job::{Job, Task};
use crate::writer::shared::{Hold, Shared, held};

/// Batches that may wait for the writer. It takes all that wait into one commit, so a queue this long
/// means a disk that has stopped answering.
const QUEUE_BOUND: usize = 4096;

/// Records in one batch: more validators than one node is known to serve, in one slot.
pub(crate) const MAX_BATCH: usize = 65_536;

/// Figures about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The version of its schema.
    pub schema_version: i64,
    /// When it was made.
    pub created_at: SystemTime,
    /// How often a signer has started on it.
    pub starts: u64,
    /// The number of its last change; every recorded message counts.
    pub changes: u64,
    /// Validators it knows.
    pub validators: usize,
    /// Messages that are in memory and in the journal still.
    pub journal_rows: usize,
}

/// An open slashing-protection database. Clones are handles to the same one; when the last is gone,
/// or [`SlashingDb::close`] is called, the file is closed.
#[derive(Debug, Clone)]
pub struct SlashingDb {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    identity: Identity,
    strategy: Strategy,
    access: Access,
    looks_restored: Option<String>,
    /// Held by the import or the export that runs.
    importing: Mutex<()>,
    observer: OnceLock<Observer>,
    /// `None` once closed.
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SlashingDb {
    /// Opens the database at `path`, or makes it, for its owner alone, pinned to `identity`.
    ///
    /// # Errors
    /// The file is in use (the message names by whom), belongs to another identity, is not a database
    /// of ours or a newer one, is damaged, looks like an old copy, or cannot be used at all.
    pub fn open(path: &Path, identity: &Identity, options: Options) -> Result<Self, OpenError> {
        Self::open_file(path, identity, options).map_err(OpenError::or_damaged)
    }

    fn open_file(path: &Path, identity: &Identity, options: Options) -> Result<Self, OpenError> {
        let mut lock = Lock::take(path)?;
        let (progress, unreadable) = start::read_progress(path, &options)?;
        let missed = start::create_file(path, progress.as_ref(), &lock, &options)?;
        let now = files::seconds(SystemTime::now());
        let (mut store, memory) =
            Store::open(path, identity, options.strategy, Some(now), options.verify)?;
        let (sidecar, looks_restored) = match options.access {
            Access::Maintain => {
                let suspect = unreadable.is_some() || missed.is_some();
                start::maintain(&mut store, &memory, progress.as_ref(), &lock, suspect)?
            }
            Access::Sign => {
                let found = if options.accept_restored {
                    start::accept(&store, &memory, progress.as_ref(), &lock)?
                } else {
                    start::compare(&store, &memory, progress.as_ref(), &lock)?;
                    None
                };
                store
                    .count_start()
                    .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
                (Some(start::start_sidecar(&store)?), found)
            }
        };
        // What was found first is why the rest does not fit.
        let looks_restored = unreadable.or(missed).or(looks_restored);
        // What is not accepted does not become the database that was used last.
        if options.access == Access::Sign || looks_restored.is_none() {
            lock.note_database(&store.metadata().database_id)?;
        }
        let shared = Arc::new(Shared::new(store, memory));
        let (jobs, queue) = mpsc::sync_channel(QUEUE_BOUND);
        let thread =
            writer::spawn(Arc::clone(&shared), queue, lock, sidecar, identity.clone(), &options)
                .map_err(|source| file_error("start the writer thread of", path, source))?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                identity: identity.clone(),
                strategy: options.strategy,
                access: options.access,
                looks_restored,
                importing: Mutex::new(()),
                observer: OnceLock::new(),
                jobs: Mutex::new(Some(jobs)),
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Whether a message could be signed now. Read-only: for refusing early, and no permission to
    /// sign.
    ///
    /// Answered from memory, in less than a microsecond, if the message is above everything that has
    /// moved into the archive: a block whose slot, or an attestation whose target, is higher than any
    /// in there, and whose source is not lower. Any other message (a repeat of an older one, a slashable
    /// one, one from before) is looked up in the file. Then this waits for a commit that is under way
    /// and may read from the disk; async code asks [`SlashingDb::check_in_memory`] first.
    ///
    /// # Errors
    /// The rule that forbids it, or that the database has stopped.
    pub fn check(&self, validator: &PublicKey, candidate: &Candidate) -> Result<Safe, Refusal> {
        self.inner.shared.check(&Request { validator: *validator, candidate: *candidate })
    }

    /// As [`SlashingDb::check`], but never waits for the disk: `None` where the file has to be asked.
    /// Async code then calls `check` on a thread that may block.
    #[must_use]
    pub fn check_in_memory(
        &self,
        validator: &PublicKey,
        candidate: &Candidate,
    ) -> Option<Result<Safe, Refusal>> {
        let request = Request { validator: *validator, candidate: *candidate };
        self.inner.shared.check_in_memory(&request)
    }

    /// Records a batch in one transaction and waits until it is durable: a permit for each message
    /// that may be signed (new, or the very same as recorded before), a refusal for each other, in the
    /// order of the batch. Later messages of a batch are judged with the earlier ones recorded.
    /// Blocks; from async code use [`SlashingDb::record_then`].
    ///
    /// # Errors
    /// Nothing was recorded, for the whole batch; in particular after a failed commit.
    pub fn record(&self, batch: Vec<Request>) -> Result<Vec<Result<Permit, Refusal>>, RecordError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = Box::new(move |outcome| {
            // The receiver below is there until it has this.
            let _ = sender.send(outcome);
        });
        match self.admit(&batch) {
            Ok(jobs) => jobs.send(Job::Record { batch, done }).map_err(|_| RecordError::Closed)?,
            Err(error) => return Err(error),
        }
        receiver.recv().unwrap_or(Err(RecordError::Closed))
    }

    /// As [`SlashingDb::record`], without waiting: `done` is called with the outcome, from the writer
    /// thread after the commit, or at once if the batch cannot even be queued. It must not block.
    pub fn record_then(
        &self,
        batch: Vec<Request>,
        done: impl FnOnce(Result<Vec<Result<Permit, Refusal>>, RecordError>) + Send + 'static,
    ) {
        let jobs = match self.admit(&batch) {
            Ok(jobs) => jobs,
            Err(error) => return done(Err(error)),
        };
        let watched = self.inner.observer.get().map(|observer| observer.watch(&batch));
        let done = move |outcome| {
            done(outcome);
            if let Some(watched) = watched {
                watched();
            }
        };
        match jobs.try_send(Job::Record { batch, done: Box::new(done) }) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => {
                job.refuse(RecordError::QueueFull { bound: QUEUE_BOUND });
            }
            Err(TrySendError::Disconnected(job)) => job.refuse(RecordError::Closed),
        }
    }

    /// Has `told` called for each batch of [`SlashingDb::record_then`] that was answered, from the
    /// thread that answered; it must not block. The first observer stays.
    pub fn observe(&self, told: impl Fn(Answered) + Send + Sync + 'static) {
        // There is one already, which stays.
        let _ = self.inner.observer.set(Observer::new(told));
    }

    /// Whose records these are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// Which strategy decides.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.inner.strategy
    }

    /// Why the database looks restored from an old copy, or made anew, if it does and was opened all the same:
    /// because somebody accepts it ([`Options::accept_restored`]), or for maintenance. What is imported then
    /// does not change that: to sign with it somebody has to accept it.
    #[must_use]
    pub fn looks_restored(&self) -> Option<&str> {
        self.inner.looks_restored.as_deref()
    }

    /// How the database is doing.
    ///
    /// # Errors
    /// It is closed or has stopped.
    pub fn status(&self) -> Result<Status, TaskError> {
        self.run(|store, shared| {
            Ok(Status {
                schema_version: SCHEMA_VERSION,
                created_at: UNIX_EPOCH + Duration::from_secs(store.metadata().created_at),
                starts: store.metadata().starts,
                changes: store.sequence(),
                validators: shared.memory().validators().len(),
                journal_rows: store.journal_rows(),
            })
        })
    }

    /// Whether messages can be recorded.
    ///
    /// # Errors
    /// A commit failed and writing has not worked since.
    pub fn health(&self) -> Result<(), FailStop> {
        self.inner.shared.failure().map_or(Ok(()), Err)
    }

    /// Whether the thread that records still runs. If it has panicked, nothing is recorded any more, as
    /// [`Self::health`] says, and only a new start mends that.
    #[must_use]
    pub fn is_running(&self) -> bool {
        held(&self.inner.thread).as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Finishes what is queued, empties the write-ahead log and closes the file. Other clones of the
    /// handle get [`RecordError::Closed`] from then on.
    pub fn close(self) {
        self.inner.close();
    }

    /// Runs work on the writer thread, between two commits, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, TaskError> {
        let (value, values) = mpsc::sync_channel(1);
        let (done, outcome) = mpsc::sync_channel(1);
        let task = Task {
            work: Box::new(move |store, shared| {
                let _ = value.send(work(store, shared)?);
                Ok(())
            }),
            done: Box::new(move |outcome| {
                let _ = done.send(outcome);
            }),
        };
        let jobs = held(&self.inner.jobs).clone().ok_or(TaskError::Closed)?;
        jobs.send(Job::Task(task)).map_err(|_| TaskError::Closed)?;
        drop(jobs);
        outcome.recv().map_err(|_| TaskError::Closed)??;
        values.recv().map_err(|_| TaskError::Closed)
    }

    /// What is known without a look at the disk.
    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.inner.shared.memory()
    }

    /// Waits until no other import or export runs, and keeps others waiting while the guard lives: an
    /// import has to find the marks of its unfinished validators as it left them.
    pub(crate) fn import_alone(&self) -> MutexGuard<'_, ()> {
        held(&self.inner.importing)
    }

    /// Nothing is moved or pruned while the guard lives.
    pub(crate) fn hold_background_work(&self) -> Hold {
        Hold::new(Arc::clone(&self.inner.shared))
    }

    fn admit(&self, batch: &[Request]) -> Result<SyncSender<Job>, RecordError> {
        if self.inner.access == Access::Maintain {
            return Err(RecordError::Maintenance);
        }
        if batch.len() > MAX_BATCH {
            return Err(RecordError::BatchTooLarge { found: batch.len(), bound: MAX_BATCH });
        }
        held(&self.inner.jobs).clone().ok_or(RecordError::Closed)
    }
}

impl Inner {
    fn close(&self) {
        // With the last sender gone the writer finishes its queue and ends.
        drop(held(&self.jobs).take());
        let Some(thread) = held(&self.thread).take() else { return };
        // A callback may hold the last handle: the writer cannot wait for itself.
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        if thread.join().is_err() {
            tracing::error!("the slashing database's writer thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
