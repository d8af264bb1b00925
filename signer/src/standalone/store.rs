//! The keys that are known, and where each came from: [`KeyStore`].
//!
//! One load, reload or edit runs at a time. A key signs as soon as it is opened; the list of keys is
//! given only when the first load is through, since clients drop a key that is missing from it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use eth_types::PublicKey;
use threshold::data_dir::files;

use super::budget::MemoryBudget;
use super::cache::{CacheKey, KeyCache};
use super::load::Loader;
pub use super::load::StoredKey;
use super::progress::Progress;
use super::refused::Refused;
pub use super::scan::{Keystores, Passwords, Places, ScanError, Source, Way};
use super::scan::{Scan, scan};
use super::settle::{Settled, log_bad, log_gone, settle, warn_of_exposed};
use super::turns::{Turn, Turns};
use crate::backend::{KeySource, NotReady, ReloadRefused, ReloadState, ReloadStatus};
use crate::error::chain;

/// Memory that key derivations may hold together, unless told otherwise. A scrypt keystore commonly
/// takes 256 MiB, so that four are opened at once.
pub const DEFAULT_LOAD_MEMORY: u64 = 1024 * 1024 * 1024;

/// How long an edit waits for a reload. One that finds nothing new reads ten thousand keystores in a few
/// seconds; one that opens new keystores may take hours, and whoever edits is told so instead.
const EDIT_WAIT: Duration = Duration::from_secs(10);

/// What a store is made with.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where the keys are.
    pub places: Places,
    /// The data directory, in which the key cache is.
    pub data_dir: PathBuf,
    /// Whether keystores that were opened once are kept sealed for the next start.
    pub cache: bool,
    /// Memory that key derivations may hold together, in bytes. One is always let in.
    pub load_memory: u64,
}

/// The keys of a signer without a cluster. Clones are handles to the same ones.
#[derive(Clone)]
pub struct KeyStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) places: Places,
    pub(super) loader: Loader,
    pub(super) active: RwLock<BTreeMap<PublicKey, Arc<StoredKey>>>,
    pub(super) status: Mutex<Status>,
    /// Of those who change keys from files: loads and edits.
    pub(super) turns: Turns,
    /// Held while files are written or removed; true once the program stops.
    pub(super) stopped: Mutex<bool>,
    /// Is told how many keys there are whenever that changed.
    counted: Box<dyn Fn(usize) + Send + Sync>,
}

#[derive(Debug, Default)]
pub(super) struct Status {
    /// The first load is through.
    complete: bool,
    /// While a load runs.
    progress: Option<Arc<Progress>>,
    reload: ReloadStatus,
    config_errors: usize,
    bulk_errors: usize,
}

impl KeyStore {
    /// Looks where keys are and starts opening them, in the background. `counted` is told how many
    /// there are whenever that changed.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn start(
        options: StoreOptions,
        counted: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<Self, ScanError> {
        let found = scan(&options.places)?;
        for dir in [&options.data_dir, &options.places.config_dir] {
            remove_unfinished(dir);
        }
        let cached = options.cache.then(|| KeyCache::open(&options.data_dir)).and_then(|opened| {
            opened
                .inspect_err(
                    |error| tracing::warn!(%error, "no key cache: a file of it can neither be read nor made"),
                )
                .ok()
        });
        let (cache_key, cache) = match cached {
            Some((key, cache)) => (key, Some(Mutex::new(cache))),
            None => (CacheKey::fresh(), None),
        };
        let budget = MemoryBudget::new(options.load_memory);
        let store = Self {
            inner: Arc::new(Inner {
                places: options.places,
                loader: Loader {
                    cache_key,
                    cache,
                    budget,
                    refused: Refused::default(),
                    derived: AtomicUsize::new(0),
                },
                active: RwLock::default(),
                status: Mutex::default(),
                turns: Turns::default(),
                stopped: Mutex::default(),
                counted: Box::new(counted),
            }),
        };
        let progress = store.inner.begin(found.candidates.len());
        store.spawn(move |inner| {
            let loaded = inner.load(&found, &progress);
            inner.end(|status| status.complete = true);
            loaded.log();
        });
        Ok(store)
    }

    /// The keys that can sign, by public key.
    ///
    /// # Errors
    /// [`NotReady`] until the first load is through.
    pub fn list(&self) -> Result<Vec<Arc<StoredKey>>, NotReady> {
        self.ready()?;
        Ok(self.inner.active().values().cloned().collect())
    }

    /// The public keys of [`KeyStore::list`].
    ///
    /// # Errors
    /// [`NotReady`] until the first load is through.
    pub fn public_keys(&self) -> Result<Vec<PublicKey>, NotReady> {
        self.ready()?;
        Ok(self.inner.active().keys().copied().collect())
    }

    /// Calls `use_key` with the key of a validator, if there is one. As long as that runs the key is not
    /// removed, so it must be short: whoever removes a key waits for it.
    pub fn with_key<T>(
        &self,
        validator: &PublicKey,
        use_key: impl FnOnce(&Arc<StoredKey>) -> T,
    ) -> Option<T> {
        self.inner.active().get(validator).map(use_key)
    }

    /// How many keys each way gave, and how many files gave none.
    #[must_use]
    pub fn figures(&self) -> Vec<KeySource> {
        let loaded =
            |way| self.inner.active().values().filter(|stored| stored.source.way() == way).count();
        let status = self.inner.status();
        let mut figures = vec![KeySource {
            id: "config-files-loading",
            loaded: loaded(Way::ConfigFiles),
            errors: status.config_errors,
            complete: status.complete,
        }];
        if self.inner.places.keystores.is_some() {
            figures.push(KeySource {
                id: "keystores-bulk-loading",
                loaded: loaded(Way::BulkKeystores),
                errors: status.bulk_errors,
                complete: status.complete,
            });
        }
        figures
    }

    /// Starts reading the files anew, in the background. When it is through, exactly the keys whose
    /// files are there and can be read are listed and sign, and those from before whose files are there
    /// and cannot be read for now. What is unchanged is not opened again, nor tried again if it did not
    /// open.
    ///
    /// # Errors
    /// A load is under way already.
    pub fn reload(&self) -> Result<(), ReloadRefused> {
        {
            let mut status = self.inner.status();
            if status.progress.is_some() {
                return Err(ReloadRefused::Running);
            }
            status.progress = Some(Arc::new(Progress::begin(0)));
            status.reload.state = ReloadState::Running;
            status.reload.last_error = None;
            status.reload.last_operation.get_or_insert_with(SystemTime::now);
        }
        self.spawn(Inner::reload);
        Ok(())
    }

    /// Lets nobody add or remove keys any more: when this returns, no key file is written or removed,
    /// and another process may have the directory. Blocks as long as writing one part of an import takes.
    pub fn stop(&self) {
        *self.inner.lock_stopped() = true;
        self.inner.turns.close();
    }

    /// How the last reload went, or goes.
    #[must_use]
    pub fn reload_status(&self) -> ReloadStatus {
        self.inner.status().reload.clone()
    }

    /// Waits until no load runs.
    #[cfg(test)]
    pub(super) fn wait_for_load(&self) {
        while self.inner.is_loading() {
            // The load holds this while it runs, and releases it after it has said that it is through.
            drop(self.inner.turns.load());
            std::thread::yield_now();
        }
    }

    /// Whether the first load is through: only then is a key that is not there unknown.
    pub(super) fn ready(&self) -> Result<(), NotReady> {
        let status = self.inner.status();
        if status.complete {
            return Ok(());
        }
        let reason = match status.progress.as_ref().map(|progress| progress.figures()) {
            Some((done, total)) => format!("keys are being loaded, {done} of {total} so far"),
            None => "keys could not be loaded; the log says why".to_owned(),
        };
        Err(NotReady { reason })
    }

    /// Runs a load on a thread of its own, alone.
    fn spawn(&self, work: impl FnOnce(&Inner) + Send + 'static) {
        let inner = Arc::clone(&self.inner);
        let run = move || {
            let _alone = inner.turns.load();
            // Dropped before the turn is given on.
            let _ended = EndedAnyway { inner: &inner };
            work(&inner);
        };
        if let Err(error) = std::thread::Builder::new().name("load-keys".to_owned()).spawn(run) {
            tracing::error!(%error, "no thread to load keys with");
            self.inner.end(|status| status.reload.fail(error.to_string()));
        }
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("keys", &self.inner.active().len()).finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn active(
        &self,
    ) -> std::sync::RwLockReadGuard<'_, BTreeMap<PublicKey, Arc<StoredKey>>> {
        self.active.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn active_mut(
        &self,
    ) -> std::sync::RwLockWriteGuard<'_, BTreeMap<PublicKey, Arc<StoredKey>>> {
        self.active.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn is_loading(&self) -> bool {
        self.status().progress.is_some()
    }

    pub(super) fn lock_stopped(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps other edits and loads away; `None` while a load runs that takes long, and always until
    /// the first one is through.
    pub(super) fn begin_edit(&self) -> Option<Turn<'_>> {
        let complete = self.status().complete;
        complete.then(|| self.turns.edit(EDIT_WAIT)).flatten()
    }

    /// Tells whoever asked how many keys there are.
    pub(super) fn count(&self) {
        (self.counted)(self.active().len());
    }

    fn begin(&self, candidates: usize) -> Arc<Progress> {
        let progress = Arc::new(Progress::begin(candidates));
        self.status().progress = Some(Arc::clone(&progress));
        progress
    }

    fn end(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status();
        status.progress = None;
        change(&mut status);
    }

    fn reload(&self) {
        // A directory from which keys came and that is not there now says nothing of its keys.
        let had_configs = self
            .active()
            .values()
            .flat_map(|stored| stored.sources())
            .any(|source| source.way() == Way::ConfigFiles);
        let mut places = self.places.clone();
        places.config_dir_required |= had_configs;
        let found = match scan(&places) {
            Ok(found) => found,
            Err(error) => {
                let reason = chain(&error);
                tracing::error!("keys not reloaded, those from before stay: {reason}");
                return self.end(|status| status.reload.fail(reason));
            }
        };
        let progress = self.begin(found.candidates.len());
        let loaded = self.load(&found, &progress);
        self.end(|status| {
            status.complete = true;
            status.reload.end(loaded.errors);
        });
        loaded.log();
    }

    /// Opens what was found; what is not there any more is dropped at the end.
    fn load(&self, found: &Scan, progress: &Progress) -> Loaded {
        let known: HashMap<_, _> = self
            .active()
            .values()
            .map(|stored| (stored.fingerprint, Arc::clone(&stored.key)))
            .collect();
        let first = !self.status().complete;
        let places = self.places_of_keys();
        let derived_before = self.loader.derived.load(Ordering::Relaxed);
        let outcomes = self.loader.load_all(&found.candidates, &known, &|outcome| {
            if let Ok(stored) = outcome {
                self.active_mut().entry(stored.validator()).or_insert_with(|| Arc::clone(stored));
            }
            progress.advance();
        });
        progress.end();

        let Settled { keys, bad, kept } = settle(found, outcomes, &places);
        let count_bad = |way| bad.iter().filter(|bad| bad.way == way).count();
        {
            let mut status = self.status();
            status.config_errors = count_bad(Way::ConfigFiles);
            status.bulk_errors = count_bad(Way::BulkKeystores);
        }
        log_bad(&bad);
        if kept > 0 {
            tracing::warn!(
                keys = kept,
                "keys whose files cannot be read for now stay as they were"
            );
        }
        let before = std::mem::replace(&mut *self.active_mut(), keys);
        // What failed may be there again next time, such as a password on a disk that is not mounted yet,
        // and so may all of it. Deriving it anew takes hours.
        if bad.is_empty() && !(first && found.candidates.is_empty()) {
            self.drop_unused_secrets();
        }
        self.loader.save_cache();
        self.count();
        let active = self.active();
        warn_of_exposed(active.values().flat_map(|stored| stored.sources()));
        let gone: Vec<&StoredKey> = before
            .iter()
            .filter(|(key, _)| !active.contains_key(key))
            .map(|(_, stored)| stored.as_ref())
            .collect();
        log_gone(&gone);
        if found.candidates.is_empty() {
            // Keys may come through the API. A disk that is not mounted yet looks the same.
            let looked_in = self.places.to_string();
            tracing::warn!(looked_in, "there are no key files: nothing can be signed yet");
        }
        Loaded {
            keys: active.len(),
            removed: gone.len(),
            errors: bad.len(),
            derived: self.loader.derived.load(Ordering::Relaxed) - derived_before,
            took: progress.elapsed(),
        }
    }

    /// The keys by each of their places.
    fn places_of_keys(&self) -> HashMap<Source, Arc<StoredKey>> {
        let active = self.active();
        let places = active.values().flat_map(|stored| stored.places());
        places.map(|stored| (stored.source.clone(), Arc::new(stored))).collect()
    }

    /// A secret whose keystore is gone leaves the cache.
    fn drop_unused_secrets(&self) {
        let wanted: HashSet<_> =
            self.active().values().flat_map(|stored| stored.fingerprints()).collect();
        if let Some(mut cache) = self.loader.cache() {
            cache.retain(&wanted);
        }
    }
}

/// Before anything is written there by this process. It alone has the data directory; where another signer
/// uses the same directory of keys, an import that the other is in the middle of fails, and is told so.
fn remove_unfinished(dir: &Path) {
    match files::remove_unfinished(dir) {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "unfinished files removed from {}", dir.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, "unfinished files may be left in {}", dir.display());
        }
    }
}

/// Says that a load is through if it ended by a fault of the program: without that, no other could begin
/// before a restart.
struct EndedAnyway<'a> {
    inner: &'a Inner,
}

impl Drop for EndedAnyway<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("loading keys ended by an internal error, of which stderr has more");
            self.inner.end(|status| status.reload.fail("internal error".to_owned()));
        }
    }
}

/// The outcome of a load, for the log.
#[derive(Debug)]
struct Loaded {
    keys: usize,
    /// Keys that were there before.
    removed: usize,
    /// Files that gave no key.
    errors: usize,
    /// Keystores that were opened by their key derivation.
    derived: usize,
    took: Duration,
}

impl Loaded {
    fn log(&self) {
        let Self { keys, removed, errors, derived, took } = self;
        let millis = took.as_millis();
        tracing::info!(keys, removed, errors, derived, millis, "keys loaded");
    }
}

impl ReloadStatus {
    fn fail(&mut self, reason: String) {
        self.state = ReloadState::Failed;
        self.last_operation = Some(SystemTime::now());
        self.last_error = Some(reason);
    }

    fn end(&mut self, errors: usize) {
        self.last_operation = Some(SystemTime::now());
        if errors == 0 {
            self.state = ReloadState::Completed;
        } else {
            self.state = ReloadState::CompletedWithErrors;
            // Web3Signer's words.
            let error = format!("Reload completed with {errors} signer loading error(s)");
            self.last_error = Some(error);
        }
    }
}

#[cfg(test)]
mod tests;
