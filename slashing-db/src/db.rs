//! The handle.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eth_types::PublicKey;

use crate::error::{FailStop, OpenError, RecordError, Refusal, TaskError};
use crate::files;
use crate::identity::Identity;
use crate::lock::Lock;
use crate::memory::{Memory, Strategy};
use crate::permit::Permit;
use crate::record::{Candidate, Request, Safe};
use crate::sidecar::{Progress, Sidecar};
use crate::store::Store;
use crate::store::prune::Pruning;
use crate::store::schema::SCHEMA_VERSION;
use crate::writer::{self, Done, Hold, Job, Shared, Task};

/// Batches that may wait for the writer. It takes all that wait into one commit, so a queue this long
/// means a disk that has stopped answering.
const QUEUE_BOUND: usize = 4096;

/// Records in one batch: more validators than one node is known to serve, in one slot.
pub(crate) const MAX_BATCH: usize = 65_536;

/// What a database is opened for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// To sign. Counts a start, and refuses a database that looks restored from an old copy.
    #[default]
    Sign,
    /// To import, export and look: nothing is recorded for signing, and nothing is pruned.
    Maintain,
}

/// How a database is used. `Options::default()` is right for a signer.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which of EIP-3076's strategies decides.
    pub strategy: Strategy,
    /// What the database is opened for.
    pub access: Access,
    /// Sign although the database looks restored from an old copy.
    pub accept_restored: bool,
    /// Compare every stored record with the checksums when opening: about a second for 2.5 million.
    pub verify: bool,
    /// How much is kept when old records are pruned in the background; `None` keeps everything.
    pub pruning: Option<Pruning>,
    /// Messages kept in memory and in the journal before they move to the archive in the background.
    /// The default holds an epoch and a half of 10,000 validators, in about a megabyte.
    pub journal_rows: usize,
    /// How long no request must have come before background work is done.
    pub quiet_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: Strategy::Complete,
            access: Access::Sign,
            accept_restored: false,
            verify: true,
            pruning: Some(Pruning::default()),
            journal_rows: 16_384,
            quiet_after: Duration::from_millis(200),
        }
    }
}

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
        let lock = Lock::take(path)?;
        let progress = Sidecar::read(path)
            .map_err(|source| file_error("read", &Sidecar::path_of(path), source));
        let progress = match progress {
            // Somebody accepts what was lost: then it does not matter why.
            Err(_) if options.accept_restored => None,
            other => other?,
        };
        create_file(path, progress.as_ref(), &options)?;
        let now = files::seconds(SystemTime::now());
        let (mut store, memory) =
            Store::open(path, identity, options.strategy, now, options.verify)?;
        let sidecar = match options.access {
            Access::Maintain => None,
            Access::Sign => {
                if !options.accept_restored {
                    compare(&store, &memory, progress.as_ref())?;
                }
                store
                    .count_start()
                    .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
                Some(start_sidecar(&store)?)
            }
        };
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
                jobs: Mutex::new(Some(jobs)),
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Whether a message could be signed now. Read-only: for refusing early, and no permission to
    /// sign. Answered from memory unless the message is not above everything signed before.
    ///
    /// # Errors
    /// The rule that forbids it, or that the database has stopped.
    pub fn check(&self, validator: &PublicKey, candidate: &Candidate) -> Result<Safe, Refusal> {
        self.inner.shared.check(&Request { validator: *validator, candidate: *candidate })
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
        match jobs.try_send(Job::Record { batch, done: Box::new(done) }) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => {
                job.refuse(RecordError::QueueFull { bound: QUEUE_BOUND });
            }
            Err(TrySendError::Disconnected(job)) => job.refuse(RecordError::Closed),
        }
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

/// A lock whose holder panicked guards plain values, which are whole at every moment.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an empty file where there is none, unless the sidecar knows of a database that was there.
fn create_file(
    path: &Path,
    progress: Option<&Progress>,
    options: &Options,
) -> Result<(), OpenError> {
    let len = match std::fs::metadata(path) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(file_error("look at", path, source)),
    };
    if len.is_none_or(|len| len == 0)
        && let Some(progress) = progress
        && !options.accept_restored
    {
        return Err(OpenError::Restored {
            path: path.to_owned(),
            what: format!(
                "the file is {}, but {} says that a signer has started on it {} times",
                if len.is_none() { "missing" } else { "empty" },
                Sidecar::path_of(path).display(),
                progress.starts
            ),
        });
    }
    if len.is_some() {
        return Ok(());
    }
    let mut create = OpenOptions::new();
    create.write(true).create_new(true);
    files::private(&mut create);
    create
        .open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| files::sync_directory(path))
        .map_err(|source| file_error("create", path, source))
}

/// Refuses a database that is behind its sidecar, or has none although it was used.
fn compare(store: &Store, memory: &Memory, progress: Option<&Progress>) -> Result<(), OpenError> {
    let metadata = store.metadata();
    let restored = |what| OpenError::Restored { path: store.path().to_owned(), what };
    let sidecar = Sidecar::path_of(store.path());
    let Some(progress) = progress else {
        // The first start may have ended between the two files; nothing was signed in it.
        if metadata.starts <= 1 && store.is_blank(memory) {
            return Ok(());
        }
        return Err(restored(format!(
            "{} is missing, though the database has been started {} times",
            sidecar.display(),
            metadata.starts
        )));
    };
    if progress.database_id != metadata.database_id {
        return Err(restored(format!("{} belongs to another database", sidecar.display())));
    }
    // The database counts first: one ahead is a start that ended between the two files.
    let one_ahead = progress.starts.saturating_add(1);
    if metadata.starts != progress.starts && metadata.starts != one_ahead {
        return Err(restored(format!(
            "it counts {} starts, {} counts {}",
            metadata.starts,
            sidecar.display(),
            progress.starts
        )));
    }
    if store.sequence() < progress.sequence {
        return Err(restored(format!(
            "its last change is number {}, but {} has seen number {}",
            store.sequence(),
            sidecar.display(),
            progress.sequence
        )));
    }
    Ok(())
}

fn start_sidecar(store: &Store) -> Result<Sidecar, OpenError> {
    Sidecar::begin(store.path(), &store.progress())
        .map_err(|source| file_error("write", &Sidecar::path_of(store.path()), source))
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::File { action, path: path.to_owned(), source }
}

/// What happens with a batch's outcome.
pub(crate) type Outcome = Result<Vec<Result<Permit, Refusal>>, RecordError>;

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
