//! Opening keys: on all cores, keystores within the memory budget, and each only once: what is in
//! memory or in the cache already is not derived again.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
use super::refused::Refused;
use super::scan::{Candidate, Source, may_pass};
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

    /// The same key once for each of its places, with that one alone.
    pub(super) fn places(&self) -> impl Iterator<Item = Self> {
        self.sources().zip(self.fingerprints()).map(|(source, fingerprint)| Self {
            key: Arc::clone(&self.key),
            source: source.clone(),
            path: self.path.clone(),
            fingerprint,
            also: Vec::new(),
        })
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
    /// What did not open and is not tried again.
    pub(super) refused: Refused,
    /// How many keystores were opened by their key derivation so far.
    pub(super) derived: AtomicUsize,
}

/// A key, or why a candidate gives none.
pub(super) type Outcome = Result<Arc<StoredKey>, NoKey>;

/// Why a candidate gives no key.
#[derive(Debug)]
pub(super) struct NoKey {
    pub(super) reason: String,
    /// Its files say nothing about the key now and may do so later: they are there and cannot be read.
    pub(super) may_pass: bool,
}

impl NoKey {
    const fn lasting(reason: String) -> Self {
        Self { reason, may_pass: false }
    }

    /// A fault of this program, not of the files.
    fn internal() -> Self {
        let reason = "internal error while it was opened, of which stderr has more".to_owned();
        Self { reason, may_pass: true }
    }

    fn at(self, source: &Source) -> Self {
        Self { reason: format!("{source}: {}", self.reason), ..self }
    }
}

/// A key, the path that its keystore names, and what it is known by.
type Opened = (Arc<WholeKey>, String, Fingerprint);

impl Loader {
    /// Opens all candidates; the outcomes are in their order. `known` are keys that need not be opened
    /// again. `each` is called with every outcome, from whichever thread has it.
    pub(super) fn load_all(
        &self,
        candidates: &[Candidate],
        known: &HashMap<Fingerprint, Arc<WholeKey>>,
        each: &(dyn Fn(&Outcome) + Sync),
    ) -> Vec<Outcome> {
        self.refused.next_load();
        let next = AtomicUsize::new(0);
        let saved = Mutex::new(Instant::now());
        let work = || {
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(candidate) = candidates.get(index) else { return outcomes };
                let one = AssertUnwindSafe(|| {
                    let outcome = self.load(candidate, known);
                    each(&outcome);
                    outcome
                });
                // A fault that one file brings to light must not cost the other keys.
                let outcome = catch_unwind(one)
                    .unwrap_or_else(|_| Err(NoKey::internal().at(&candidate.source)));
                outcomes.push((index, outcome));
                self.save_now_and_then(&saved);
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(candidates.len());
        let mut outcomes: BTreeMap<usize, Outcome> = thread::scope(|scope| {
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
        let each = candidates.iter().enumerate().map(|(index, candidate)| {
            outcomes.remove(&index).unwrap_or_else(|| Err(NoKey::internal().at(&candidate.source)))
        });
        each.collect()
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
            (None, Source::Raw { .. }) => Err(NoKey::lasting("no key in it".to_owned())),
        }
        .map_err(|no_key| no_key.at(&source))?;
        Ok(Arc::new(StoredKey { key, source, path, fingerprint, also: Vec::new() }))
    }

    fn raw(
        &self,
        raw: &[u8; 32],
        known: &HashMap<Fingerprint, Arc<WholeKey>>,
    ) -> Result<Opened, NoKey> {
        let fingerprint = self.cache_key.fingerprint(&[b"raw", raw]);
        let key = match known.get(&fingerprint) {
            Some(key) => Arc::clone(key),
            None => {
                let secret = SecretKey::from_bytes(raw)
                    .map_err(|error| NoKey::lasting(error.to_string()))?;
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
    ) -> Result<Opened, NoKey> {
        let in_keystore = |reason: String| format!("keystore {}: {reason}", path.display());
        let in_password =
            |reason: String| format!("password {}: {reason}", password_path.display());
        let unread = |error: &files::ReadError, reason| NoKey { reason, may_pass: may_pass(error) };
        let text = files::read_bounded(path, MAX_KEYSTORE_BYTES)
            .map_err(|error| unread(&error, in_keystore(chain(&error))))?;
        let keystore =
            Keystore::parse(&text).map_err(|error| NoKey::lasting(in_keystore(chain(&error))))?;
        let password = files::read_bounded(password_path, MAX_PASSWORD_BYTES as u64)
            .map_err(|error| unread(&error, in_password(chain(&error))))?;
        let password =
            password_of(&password).map_err(|reason| NoKey::lasting(in_password(reason)))?;
        let fingerprint = self.fingerprint(&text, &password);
        let key = match known.get(&fingerprint) {
            Some(key) => Arc::clone(key),
            None => {
                let secret = self.open(&keystore, &password, fingerprint);
                Arc::new(WholeKey::new(secret.map_err(|error| {
                    NoKey::lasting(match &*error {
                        KeystoreError::Checksum => format!(
                            "keystore {} does not open with the password in {}: the password is wrong or the \
                             keystore is damaged",
                            path.display(),
                            password_path.display()
                        ),
                        error => in_keystore(chain(error)),
                    })
                })?))
            }
        };
        Ok((key, keystore.path().to_owned(), fingerprint))
    }

    pub(super) fn fingerprint(&self, keystore: &[u8], password: &Password) -> Fingerprint {
        self.cache_key.fingerprint(&[b"keystore", keystore, password.expose().as_bytes()])
    }

    /// The secret from the cache, or by the key derivation, and into the cache then. What did not open
    /// is not tried again.
    fn open(
        &self,
        keystore: &Keystore,
        password: &Password,
        fingerprint: Fingerprint,
    ) -> Result<SecretKey, Arc<KeystoreError>> {
        if let Some(secret) =
            self.cache().and_then(|cache| cache.get(&self.cache_key, &fingerprint))
        {
            return Ok(secret);
        }
        if let Some(error) = self.refused.get(&fingerprint) {
            return Err(error);
        }
        let taken = self.budget.take(keystore.kdf_memory_bytes());
        let secret = keystore
            .decrypt(password)
            .map_err(Arc::new)
            .inspect_err(|error| self.refused.insert(fingerprint, error))?;
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use zeroize::Zeroizing;

    use super::*;

    fn raw(number: u8) -> Candidate {
        Candidate {
            source: Source::Raw { config: PathBuf::from(format!("{number}.yaml")), document: 0 },
            raw: Some(Zeroizing::new([number; 32])),
        }
    }

    #[test]
    fn a_fault_at_one_key_is_that_keys_outcome_and_the_others_keep_their_places() {
        let loader = Loader {
            cache_key: CacheKey::fresh(),
            cache: None,
            budget: MemoryBudget::new(0),
            refused: Refused::default(),
            derived: AtomicUsize::new(0),
        };
        let candidates: Vec<_> = (1..=40).map(raw).collect();
        let is_faulty = |number: u8| number.is_multiple_of(7);
        let faulty: Vec<_> = (1..=40)
            .filter(|number| is_faulty(*number))
            .map(|number| SecretKey::from_bytes(&[number; 32]).unwrap().public_key())
            .collect();
        let outcomes = loader.load_all(&candidates, &HashMap::new(), &|outcome| {
            let stored = outcome.as_ref().unwrap();
            assert!(!faulty.contains(&stored.validator()), "a fault of the program");
        });
        assert_eq!(outcomes.len(), candidates.len());
        for (number, outcome) in (1..=40).zip(outcomes) {
            match outcome {
                Ok(stored) => {
                    let expected = SecretKey::from_bytes(&[number; 32]).unwrap().public_key();
                    assert_eq!(stored.validator(), expected);
                    assert!(!is_faulty(number));
                }
                Err(no_key) => {
                    assert!(is_faulty(number));
                    assert!(no_key.reason.starts_with(&format!("{number}.yaml: ")));
                    assert!(no_key.may_pass);
                }
            }
        }
    }
}
