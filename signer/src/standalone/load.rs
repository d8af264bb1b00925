//! Opening keys: on all cores, keystores within the memory budget, and each only once: what is in
//! memory or in the cache already is not derived again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use eth_types::PublicKey;
use threshold::data_dir::files;
use threshold::keystore::{
    Keystore, KeystoreError, MAX_KEYSTORE_BYTES, MAX_PASSWORD_BYTES, Password,
};
use threshold::share::WholeKey;
use threshold_protocol::bls::SecretKey;

use super::budget::MemoryBudget;
use super::cache::{CacheKey, Fingerprint, KeyCache};
use super::scan::{Candidate, Source};
use crate::error::chain;

/// How often the cache is written while keys are loaded, so that a start that is broken off is not
/// begun from nothing.
const SAVE_CACHE_EVERY: Duration = Duration::from_secs(20);

/// A key that can sign, and where it came from.
#[derive(Debug)]
pub struct StoredKey {
    pub(super) key: Arc<WholeKey>,
    pub(super) source: Source,
    pub(super) path: String,
    pub(super) fingerprint: Fingerprint,
    /// Where else the same key is.
    pub(super) also: Vec<(Source, Fingerprint)>,
}

impl StoredKey {
    /// The validator.
    #[must_use]
    pub fn validator(&self) -> PublicKey {
        self.key.validator()
    }

    /// The key, which signs.
    #[must_use]
    pub fn key(&self) -> &WholeKey {
        &self.key
    }

    /// Where it came from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Whether it cannot be removed while the program runs.
    #[must_use]
    pub fn is_readonly(&self) -> bool {
        self.sources().any(Source::is_readonly)
    }

    /// All places where it is, the first one first.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.source).chain(self.also.iter().map(|(source, _)| source))
    }

    /// The fingerprints of all those.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        std::iter::once(self.fingerprint).chain(self.also.iter().map(|(_, print)| *print))
    }

    /// The same key with one more place.
    pub(super) fn with_also(&self, other: &Self) -> Self {
        let mut also = self.also.clone();
        also.push((other.source.clone(), other.fingerprint));
        Self {
            key: Arc::clone(&self.key),
            source: self.source.clone(),
            path: self.path.clone(),
            fingerprint: self.fingerprint,
            also,
        }
    }

    /// The EIP-2334 path that its keystore names; empty without one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// What loading works with.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) cache_key: CacheKey,
    /// `None` if nothing is kept across restarts.
    pub(super) cache: Option<Mutex<KeyCache>>,
    pub(super) budget: MemoryBudget,
    /// How many keystores were opened by their key derivation so far.
    pub(super) derived: AtomicUsize,
}

/// A key, or why a candidate gives none.
pub(super) type Outcome = Result<Arc<StoredKey>, String>;

impl Loader {
    /// Opens all candidates; the outcomes are in their order. `known` are keys that need not be opened
    /// again. `each` is called with every outcome, from whichever thread has it.
    pub(super) fn load_all(
        &self,
        candidates: &[Candidate],
        known: &HashMap<Fingerprint, Arc<WholeKey>>,
        each: &(dyn Fn(&Outcome) + Sync),
    ) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let saved = Mutex::new(Instant::now());
        let work = || {
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(candidate) = candidates.get(index) else { return outcomes };
                let outcome = self.load(candidate, known);
                each(&outcome);
                outcomes.push((index, outcome));
                self.save_now_and_then(&saved);
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(candidates.len());
        let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads)
                .filter_map(|_| {
                    thread::Builder::new()
                        .name("load-keys".to_owned())
                        .spawn_scoped(scope, work)
                        .ok()
                })
                .collect();
            let own = work();
            helpers
                .into_iter()
                .flat_map(|helper| helper.join().unwrap_or_default())
                .chain(own)
                .collect()
        });
        outcomes.sort_unstable_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn load(&self, candidate: &Candidate, known: &HashMap<Fingerprint, Arc<WholeKey>>) -> Outcome {
        let source = candidate.source.clone();
        let (key, path, fingerprint) = match (&candidate.raw, &source) {
            (Some(raw), _) => self.raw(raw, known),
            (None, Source::Keystore { keystore, password, .. }) => {
                self.keystore(keystore, password, first_line, known)
            }
            (None, Source::Bulk { keystore, password, .. }) => {
                self.keystore(keystore, password, whole, known)
            }
            (None, Source::Raw { .. }) => Err("no key in it".to_owned()),
        }
        .map_err(|reason| format!("{source}: {reason}"))?;
        Ok(Arc::new(StoredKey { key, source, path, fingerprint, also: Vec::new() }))
    }

    fn raw(
        &self,
        raw: &[u8; 32],
        known: &HashMap<Fingerprint, Arc<WholeKey>>,
    ) -> Result<(Arc<WholeKey>, String, Fingerprint), String> {
        let fingerprint = self.cache_key.fingerprint(&[b"raw", raw]);
        let key = match known.get(&fingerprint) {
            Some(key) => Arc::clone(key),
            None => {
                let secret = SecretKey::from_bytes(raw).map_err(|error| error.to_string())?;
                Arc::new(WholeKey::new(secret))
            }
        };
        Ok((key, String::new(), fingerprint))
    }

    fn keystore(
        &self,
        path: &Path,
        password_path: &Path,
        password_of: fn(&[u8]) -> Result<Password, String>,
        known: &HashMap<Fingerprint, Arc<WholeKey>>,
    ) -> Result<(Arc<WholeKey>, String, Fingerprint), String> {
        let in_keystore = |reason: String| format!("keystore {}: {reason}", path.display());
        let in_password =
            |reason: String| format!("password {}: {reason}", password_path.display());
        let text = files::read_bounded(path, MAX_KEYSTORE_BYTES)
            .map_err(|error| in_keystore(chain(&error)))?;
        let keystore = Keystore::parse(&text).map_err(|error| in_keystore(chain(&error)))?;
        let password = files::read_bounded(password_path, MAX_PASSWORD_BYTES as u64)
            .map_err(|error| in_password(chain(&error)))?;
        let password = password_of(&password).map_err(in_password)?;
        let fingerprint = self.fingerprint(&text, &password);
        let key = match known.get(&fingerprint) {
            Some(key) => Arc::clone(key),
            None => {
                let secret = self.open(&keystore, &password, fingerprint);
                Arc::new(WholeKey::new(secret.map_err(|error| match error {
                    KeystoreError::Checksum => format!(
                        "keystore {} does not open with the password in {}: the password is wrong or the \
                         keystore is damaged",
                        path.display(),
                        password_path.display()
                    ),
                    error => in_keystore(chain(&error)),
                })?))
            }
        };
        Ok((key, keystore.path().to_owned(), fingerprint))
    }

    pub(super) fn fingerprint(&self, keystore: &[u8], password: &Password) -> Fingerprint {
        self.cache_key.fingerprint(&[b"keystore", keystore, password.expose().as_bytes()])
    }

    /// The secret from the cache, or by the key derivation, and into the cache then.
    pub(super) fn open(
        &self,
        keystore: &Keystore,
        password: &Password,
        fingerprint: Fingerprint,
    ) -> Result<SecretKey, KeystoreError> {
        if let Some(secret) =
            self.cache().and_then(|cache| cache.get(&self.cache_key, &fingerprint))
        {
            return Ok(secret);
        }
        let taken = self.budget.take(keystore.kdf_memory_bytes());
        let secret = keystore.decrypt(password)?;
        drop(taken);
        self.derived.fetch_add(1, Ordering::Relaxed);
        if let Some(mut cache) = self.cache() {
            cache.insert(&self.cache_key, fingerprint, &secret);
        }
        Ok(secret)
    }

    /// The cache, locked.
    pub(super) fn cache(&self) -> Option<std::sync::MutexGuard<'_, KeyCache>> {
        self.cache.as_ref().map(|cache| cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the cache, if it changed. Without it the next start takes longer, and that is all.
    pub(super) fn save_cache(&self) {
        if let Some(mut cache) = self.cache()
            && let Err(error) = cache.save()
        {
            tracing::warn!(%error, "the key cache could not be written; the next start opens the keystores again");
        }
    }

    fn save_now_and_then(&self, saved: &Mutex<Instant>) {
        // Whoever finds it locked has nothing to do: somebody else is at it.
        if let Ok(mut saved) = saved.try_lock()
            && saved.elapsed() >= SAVE_CACHE_EVERY
        {
            self.save_cache();
            *saved = Instant::now();
        }
    }
}

/// Web3Signer's rule for `keystorePasswordFile`: the first line, which must not be blank.
fn first_line(content: &[u8]) -> Result<Password, String> {
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.trim_ascii().is_empty() {
        return Err("the first line, which is the password, is blank".to_owned());
    }
    whole(line)
}

/// The rule for password files beside keystores: all of it, without line ends.
fn whole(content: &[u8]) -> Result<Password, String> {
    Password::from_file_content(content).map_err(|error| error.to_string())
}
