//! The one thread that writes: takes all batches that wait into one commit, and does the background
//! work when none waits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::db::{Access, Options, Outcome, call, held};
use crate::error::{FailStop, Refusal};
use crate::files;
use crate::identity::Identity;
use crate::lock::Lock;
use crate::memory::Memory;
use crate::permit::Permit;
use crate::record::{Request, Safe};
use crate::sidecar::Sidecar;
use crate::store::prune::{Pruner, Pruning};
use crate::store::{Additions, Store};

/// Records of one commit: enough that a full queue is a few commits, few enough that the first of
/// them does not wait for many milliseconds.
const GROUP_BOUND: usize = 16_384;

/// How often writing is tried again after a failed commit.
const RETRY_EVERY: Duration = Duration::from_secs(1);

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

/// What the handles and the writer share. Whoever needs both takes the store before the memory.
#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    /// `None` while it is closed, which happens only after a failure.
    store: Mutex<Option<Store>>,
    memory: RwLock<Memory>,
    stopped: AtomicBool,
    failure: Mutex<Option<FailStop>>,
    /// How many exports want everything to stay where it is.
    holds: AtomicUsize,
}

/// Keeps the background work from moving and pruning, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Shared>);

impl Hold {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.holds.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    pub(crate) fn new(store: Store, memory: Memory) -> Self {
        Self {
            path: store.path().to_owned(),
            store: Mutex::new(Some(store)),
            memory: RwLock::new(memory),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
            holds: AtomicUsize::new(0),
        }
    }

    /// Why nothing is recorded at present, if that is so.
    pub(crate) fn failure(&self) -> Option<FailStop> {
        if !self.stopped.load(Ordering::Acquire) {
            return None;
        }
        held(&self.failure).clone()
    }

    /// The verdict on a request as things stand.
    pub(crate) fn check(&self, request: &Request) -> Result<Safe, Refusal> {
        if let Some(failure) = self.failure() {
            return Err(failure.into());
        }
        if let Some(verdict) = self.memory().judge(&request.validator, &request.candidate) {
            return verdict;
        }
        let store = held(&self.store);
        let verdict = store.as_ref().map(|store| store.judge(&self.memory(), request));
        drop(store);
        match verdict {
            Some(Ok(verdict)) => verdict,
            Some(Err(error)) => Err(self.describe(&error).into()),
            None => Err(self.failure().unwrap_or_else(|| self.closed()).into()),
        }
    }

    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, error: &rusqlite::Error) -> FailStop {
        let mut failure = held(&self.failure);
        // The first failure is the cause; what follows from it says less.
        let failure = failure.get_or_insert_with(|| self.describe(error)).clone();
        self.stopped.store(true, Ordering::Release);
        failure
    }

    fn go_on(&self) {
        *held(&self.failure) = None;
        self.stopped.store(false, Ordering::Release);
    }

    fn describe(&self, error: &rusqlite::Error) -> FailStop {
        FailStop { reason: error.to_string(), path: self.path.clone(), since: SystemTime::now() }
    }

    fn closed(&self) -> FailStop {
        FailStop {
            reason: "it is closed".to_owned(),
            path: self.path.clone(),
            since: SystemTime::now(),
        }
    }
}

/// Starts the writer. It ends when all senders of `queue` are gone, and closes the file then.
pub(crate) fn spawn(
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    lock: Lock,
    sidecar: Option<Sidecar>,
    identity: Identity,
    options: &Options,
) -> std::io::Result<JoinHandle<()>> {
    let writer = Writer {
        shared,
        queue,
        _lock: lock,
        sidecar,
        identity,
        options: options.clone(),
        retry_at: None,
        pruner: Pruner::default(),
    };
    std::thread::Builder::new().name("slashing-db".to_owned()).spawn(move || writer.run())
}

struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    _lock: Lock,
    /// `None` if the database was not opened for signing.
    sidecar: Option<Sidecar>,
    identity: Identity,
    options: Options,
    /// After a failed commit: when to try again.
    retry_at: Option<Instant>,
    pruner: Pruner,
}

impl Writer {
    fn run(mut self) {
        // Whether the last background step left another to do at once.
        let mut more = false;
        loop {
            let wait = if more { Duration::ZERO } else { self.options.quiet_after };
            match self.queue.recv_timeout(wait) {
                Ok(job) => {
                    self.serve(job);
                    more = false;
                }
                Err(RecvTimeoutError::Timeout) => more = self.rest(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let store = held(&self.shared.store).take();
        if let Some(Err(error)) = store.map(Store::close) {
            tracing::warn!(%error, "the slashing database was not closed in order; nothing recorded is lost");
        }
    }

    /// Serves a job together with the batches that wait behind it.
    fn serve(&mut self, first: Job) {
        let mut batches = Vec::new();
        let mut records = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Record { batch, done } => {
                    records += batch.len();
                    batches.push((batch, done));
                }
                Job::Task(task) => {
                    self.record(std::mem::take(&mut batches));
                    self.run_task(task);
                    return;
                }
            }
            next = if records < GROUP_BOUND { self.queue.try_recv().ok() } else { None };
        }
        self.record(batches);
    }

    fn run_task(&mut self, task: Task) {
        let outcome = self.still_stopped().map_or(Ok(()), Err).and_then(|()| {
            let worked = held(&self.shared.store).as_mut().map_or(
                Err(rusqlite::Error::InvalidQuery),
                |store| {
                    (task.work)(store, &self.shared)?;
                    if let Some(sidecar) = &mut self.sidecar {
                        note(sidecar, store);
                    }
                    Ok(())
                },
            );
            worked.map_err(|error| self.fail(&error))
        });
        (task.done)(outcome);
    }

    /// Records batches in one transaction and answers them.
    fn record(&mut self, batches: Vec<(Vec<Request>, Done)>) {
        if batches.is_empty() {
            return;
        }
        if let Some(failure) = self.still_stopped() {
            for (_, done) in batches {
                call(done, Err(failure.clone().into()));
            }
            return;
        }
        let mut verdicts = Vec::with_capacity(batches.len());
        if let Err(error) = self.commit(&batches, &mut verdicts) {
            let failure = self.fail(&error);
            for (_, done) in batches {
                call(done, Err(failure.clone().into()));
            }
            return;
        }
        for ((batch, done), verdicts) in batches.into_iter().zip(verdicts) {
            let permits = batch
                .iter()
                .zip(verdicts)
                .map(|(request, verdict)| {
                    verdict.map(|_| {
                        Permit::recorded(request.validator, request.candidate.signing_root())
                    })
                })
                .collect();
            call(done, Ok(permits));
        }
    }

    /// Judges every request and makes the new ones durable.
    fn commit(
        &mut self,
        batches: &[(Vec<Request>, Done)],
        verdicts: &mut Vec<Vec<Result<Safe, Refusal>>>,
    ) -> rusqlite::Result<()> {
        let mut guard = held(&self.shared.store);
        let store = guard.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        let mut additions = Additions::default();
        let mut memory = self.shared.memory_mut();
        for (batch, _) in batches {
            let judged: rusqlite::Result<_> = batch
                .iter()
                .map(|request| store.reserve(&mut memory, request, &mut additions))
                .collect();
            verdicts.push(judged?);
        }
        let registrations = store.register(&mut memory, &mut additions);
        // Readers go on while the disk works. What they see is ahead of it: the safe direction.
        drop(memory);
        store.append(&mut additions, registrations)?;
        if let Some(sidecar) = &mut self.sidecar {
            note(sidecar, store);
        }
        Ok(())
    }

    /// Stops all signing. The memory is ahead of the disk now, and is not used until it was read anew.
    fn fail(&mut self, error: &rusqlite::Error) -> FailStop {
        let failure = self.shared.stop(error);
        tracing::error!(%failure, "a commit of the slashing database failed");
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        failure
    }

    /// Tries to go on after a failure, now and then; the failure if it is still there.
    fn still_stopped(&mut self) -> Option<FailStop> {
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
        let mut guard = held(&self.shared.store);
        drop(guard.take());
        let now = files::seconds(SystemTime::now());
        let (mut store, memory) =
            Store::open(&self.shared.path, &self.identity, self.options.strategy, now, false)
                .map_err(|error| {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    format!("{error}: {}", cause.unwrap_or_default())
                })?;
        store.probe().map_err(|error| error.to_string())?;
        *self.shared.memory_mut() = memory;
        *guard = Some(store);
        Ok(())
    }

    /// One step of background work, while nobody waits; whether there is another.
    fn rest(&mut self) -> bool {
        if self.still_stopped().is_some() {
            return false;
        }
        let more = self.step();
        more.unwrap_or_else(|error| {
            self.fail(&error);
            false
        })
    }

    fn step(&mut self) -> rusqlite::Result<bool> {
        let mut guard = held(&self.shared.store);
        let Some(store) = guard.as_mut() else { return Ok(false) };
        if self.shared.holds.load(Ordering::Acquire) == 0 {
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
                fold(store, &self.shared)?;
                return Ok(true);
            }
            if let Some(pruning) = &pruning
                && store.prune(&mut self.pruner, &self.shared.memory, pruning)?
            {
                return Ok(true);
            }
        }
        store.checkpoint()?;
        if let Some(sidecar) = &mut self.sidecar {
            note(sidecar, store);
        }
        Ok(false)
    }
}

/// Moves one step's worth of the journal into the archive.
fn fold(store: &mut Store, shared: &Shared) -> rusqlite::Result<()> {
    let fold = store.begin_fold(&mut shared.memory_mut())?;
    if let Some(fold) = fold {
        store.commit_fold(&fold)?;
        fold.end(&mut shared.memory_mut());
    }
    Ok(())
}

/// Notes how far the database has come. Without it the commit stands; only its loss might not be
/// noticed later.
fn note(sidecar: &mut Sidecar, store: &Store) {
    if let Err(error) = sidecar.note(&store.progress()) {
        tracing::warn!(%error, "the slashing database's progress file could not be written");
    }
}
