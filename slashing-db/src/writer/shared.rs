//! What the handles and the writer share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use crate::error::{FailStop, Refusal};
use crate::memory::Memory;
use crate::record::{Request, Safe};
use crate::store::Store;

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
        if let Some(verdict) = self.check_in_memory(request) {
            return verdict;
        }
        let store = self.store();
        let verdict = store.as_ref().map(|store| store.judge(&self.memory(), request));
        drop(store);
        match verdict {
            Some(Ok(verdict)) => verdict,
            Some(Err(error)) => Err(self.describe(&error).into()),
            None => Err(self.failure().unwrap_or_else(|| self.closed()).into()),
        }
    }

    /// The verdict, if memory is enough for it. Whoever changes the memory does so without the disk.
    pub(crate) fn check_in_memory(&self, request: &Request) -> Option<Result<Safe, Refusal>> {
        if let Some(failure) = self.failure() {
            return Some(Err(failure.into()));
        }
        self.memory().judge(&request.validator, &request.candidate)
    }

    /// The store, for one caller at a time; `None` while it is closed.
    pub(crate) fn store(&self) -> MutexGuard<'_, Option<Store>> {
        held(&self.store)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an export wants everything to stay where it is.
    pub(crate) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    pub(crate) const fn memory_lock(&self) -> &RwLock<Memory> {
        &self.memory
    }

    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop(&self, error: &rusqlite::Error) -> FailStop {
        let mut failure = held(&self.failure);
        // The first failure is the cause; what follows from it says less.
        let failure = failure.get_or_insert_with(|| self.describe(error)).clone();
        self.stopped.store(true, Ordering::Release);
        failure
    }

    /// Says why nothing is recorded still, where that is not what stopped it first.
    pub(crate) fn stop_because(&self, reason: String) -> FailStop {
        let mut failure = held(&self.failure);
        let since = failure.as_ref().map_or_else(SystemTime::now, |failure| failure.since);
        let failure = failure.insert(FailStop { reason, path: self.path.clone(), since }).clone();
        self.stopped.store(true, Ordering::Release);
        failure
    }

    pub(crate) fn go_on(&self) {
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

/// A lock whose holder panicked guards plain values, which are whole at every moment.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
