//! Keystores that did not open, so that the same keystore with the same password is not derived again at
//! every reload, for which anybody may ask: [`Refused`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use threshold::keystore::KeystoreError;

use super::cache::Fingerprint;

/// Most keystores that are remembered: more than an operator has whose passwords are wrong, in a few
/// megabytes. What is above is tried again at each reload.
const MAX_REFUSED: usize = 20_000;

/// What did not open in the last load and in this one, in memory only.
#[derive(Debug, Default)]
pub(super) struct Refused {
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    last: HashMap<Fingerprint, Arc<KeystoreError>>,
    this: HashMap<Fingerprint, Arc<KeystoreError>>,
}

impl Refused {
    /// A load begins: what did not open before the last one is forgotten, since its files are others now.
    pub(super) fn next_load(&self) {
        let mut loads = self.loads();
        loads.last = std::mem::take(&mut loads.this);
    }

    /// Why a keystore did not open with a password, if both were tried.
    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<Arc<KeystoreError>> {
        let mut loads = self.loads();
        let error = loads.this.get(fingerprint).or_else(|| loads.last.get(fingerprint)).cloned()?;
        loads.insert(*fingerprint, &error);
        Some(error)
    }

    /// A keystore does not open.
    pub(super) fn insert(&self, fingerprint: Fingerprint, error: &Arc<KeystoreError>) {
        self.loads().insert(fingerprint, error);
    }

    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loads {
    fn insert(&mut self, fingerprint: Fingerprint, error: &Arc<KeystoreError>) {
        if self.this.len() < MAX_REFUSED {
            self.this.insert(fingerprint, Arc::clone(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::CacheKey;
    use super::*;

    #[test]
    fn what_was_met_in_the_last_load_is_known_and_what_was_not_is_forgotten() {
        let key = CacheKey::fresh();
        let (kept, dropped) = (key.fingerprint(&[b"kept"]), key.fingerprint(&[b"dropped"]));
        let refused = Refused::default();
        for fingerprint in [kept, dropped] {
            refused.insert(fingerprint, &Arc::new(KeystoreError::Checksum));
        }
        for _ in 0..3 {
            refused.next_load();
            assert!(refused.get(&kept).is_some());
        }
        assert!(refused.get(&dropped).is_none());
    }

    #[test]
    fn no_more_are_remembered_than_the_bound() {
        let key = CacheKey::fresh();
        let refused = Refused::default();
        for number in 0..=MAX_REFUSED {
            let fingerprint = key.fingerprint(&[&number.to_le_bytes()]);
            refused.insert(fingerprint, &Arc::new(KeystoreError::Checksum));
        }
        assert_eq!(refused.loads().this.len(), MAX_REFUSED);
    }
}
