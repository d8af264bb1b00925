//! Whole keys: keystores are imported into the key store and deleted from it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use api_spec::{DeleteItem, DeleteStatus, ImportItem, ImportStatus, KeystoreItem, RemoteKeyItem};
use eth_types::PublicKey;
use slashing_db::SlashingDb;
use threshold::keystore::{Keystore, KeystoreError};

use super::error::KeyManagerError;
use super::request::{ImportKeystores, SubmittedKey, SubmittedKeystore};
use super::slashing::{self, ImportedHistory};
use super::{Deletion, KeyManager, delete_item, import_item};
use crate::control::keys::KeyMap;
use crate::control::work::Maintenance;
use crate::error::chain;
use crate::standalone::edit::{AddError, Added, OpenKeystoreError, OpenedKeystore, RemoveError};
use crate::standalone::store::{KeyStore, StoredKey};

/// Keystores that are opened before they are stored and sign: what was finished stays if the program is
/// stopped during a long import, and few opened keys are held.
const CHUNK: usize = 64;

/// The keys of a signer without a cluster.
#[derive(Debug)]
pub struct StandaloneKeys {
    store: KeyStore,
    maintenance: Maintenance,
}

impl StandaloneKeys {
    /// Takes the keys, and the database with which they sign.
    #[must_use]
    pub fn new(store: KeyStore, db: SlashingDb) -> Self {
        Self { store, maintenance: Maintenance::new(db, KeyMap::any()) }
    }

    /// Opens keystores on all cores, then stores those that opened and let them sign.
    fn import_chunk(
        &self,
        keystores: &[SubmittedKeystore],
        history: &ImportedHistory,
    ) -> Vec<ImportItem> {
        let opened = on_all_cores(keystores, |submitted| self.open(submitted, history));
        let mut items = Vec::with_capacity(opened.len());
        let mut adding = Vec::new();
        for outcome in opened {
            items.push(match outcome {
                Ok(opened) => {
                    adding.push(opened);
                    None
                }
                Err(item) => Some(item),
            });
        }
        let mut added = self.store.add_all(adding).into_iter();
        items
            .into_iter()
            .map(|item| item.or_else(|| added.next().map(added_item)).unwrap_or_else(lost))
            .collect()
    }

    /// A keystore that may be added, or the item that says why not.
    fn open(
        &self,
        submitted: &SubmittedKeystore,
        history: &ImportedHistory,
    ) -> Result<OpenedKeystore, ImportItem> {
        let refused = |reason: String| import_item(ImportStatus::Error, reason);
        // A request that is sent again must not take as long as the first time.
        let stated = Keystore::parse(submitted.text.as_bytes())
            .ok()
            .and_then(|keystore| keystore.public_key());
        if let Some(validator) = stated {
            if self.store.with_key(&validator, |_| ()).is_some() {
                return Err(duplicate(&validator, history));
            }
            if let Some(objection) = history.objection(&validator) {
                return Err(refused(objection));
            }
        }
        let opened = self
            .store
            .open_keystore(&submitted.text, &submitted.password)
            .map_err(|error| refused(open_error(&error)))?;
        match history.objection(&opened.validator()) {
            Some(objection) => Err(refused(objection)),
            None => Ok(opened),
        }
    }

    fn remove(&self, keys: &[SubmittedKey]) -> Vec<Removed> {
        let mut valid = keys.iter().flatten().copied().collect::<Vec<_>>();
        let mut seen = HashSet::new();
        valid.retain(|key| seen.insert(*key));
        let mut outcomes: HashMap<_, _> =
            valid.iter().copied().zip(self.store.remove_all(&valid)).collect();
        keys.iter()
            .map(|key| match key {
                Err(reason) => Removed::No(reason.clone()),
                // A key that is there twice is not there the second time.
                Ok(key) => match outcomes.remove(key) {
                    None | Some(Err(RemoveError::Unknown { .. })) => Removed::NotHere(*key),
                    Some(Ok(())) => Removed::Yes(*key, String::new()),
                    Some(Err(
                        error @ (RemoveError::LeftOver { .. }
                        | RemoveError::SecretNotOnDisk { .. }
                        | RemoveError::Kept { .. }),
                    )) => Removed::Yes(*key, chain(&error)),
                    Some(Err(error)) => Removed::No(chain(&error)),
                },
            })
            .collect()
    }
}

impl KeyManager for StandaloneKeys {
    fn keystores(&self) -> Result<Vec<KeystoreItem>, KeyManagerError> {
        let keys = self.store.list()?;
        let item = |stored: &Arc<StoredKey>| KeystoreItem {
            validating_pubkey: stored.validator(),
            derivation_path: Some(stored.path().to_owned()).filter(|path| !path.is_empty()),
            readonly: stored.is_readonly(),
        };
        Ok(keys.iter().map(item).collect())
    }

    fn import(&self, request: ImportKeystores) -> Result<Vec<ImportItem>, KeyManagerError> {
        // A key that is not loaded yet would be taken for a new one.
        self.store.public_keys()?;
        let history = slashing::import(&self.maintenance, request.slashing_protection.as_deref())?;
        let chunks = request.keystores.chunks(CHUNK);
        Ok(chunks.flat_map(|chunk| self.import_chunk(chunk, &history)).collect())
    }

    fn delete(&self, keys: &[SubmittedKey]) -> Result<Deletion, KeyManagerError> {
        self.store.public_keys()?;
        // First nothing signs any more and all that did is recorded; what is asked then is all there is.
        let removed = self.remove(keys);
        let gone: HashSet<PublicKey> = removed.iter().filter_map(Removed::gone).collect();
        let export = || {
            let known = slashing::with_history(&self.maintenance, &gone)?;
            let text = slashing::export(&self.maintenance, in_order(&removed, &known))?;
            Ok((known, text))
        };
        let (known, slashing_protection) = export().map_err(|error: KeyManagerError| {
            KeyManagerError::Failed(format!(
                "the keys sign no more, but what they signed could not be exported ({error}): send the same \
                 request again before using them elsewhere"
            ))
        })?;
        let items = removed.iter().map(|removed| removed.item(&known)).collect();
        Ok(Deletion { items, slashing_protection })
    }

    fn remote_keys(&self) -> Vec<RemoteKeyItem> {
        Vec::new()
    }
}

/// What became of one key of a deletion.
enum Removed {
    /// It signs no more; what is still to be done, if anything.
    Yes(PublicKey, String),
    /// It did not sign.
    NotHere(PublicKey),
    /// It still signs, or is no key.
    No(String),
}

impl Removed {
    const fn gone(&self) -> Option<PublicKey> {
        match self {
            Self::Yes(key, _) | Self::NotHere(key) => Some(*key),
            Self::No(_) => None,
        }
    }

    fn item(&self, known: &HashSet<PublicKey>) -> DeleteItem {
        match self {
            Self::Yes(_, left) => delete_item(DeleteStatus::Deleted, left),
            Self::NotHere(key) if known.contains(key) => delete_item(DeleteStatus::NotActive, ""),
            Self::NotHere(_) => delete_item(DeleteStatus::NotFound, ""),
            Self::No(reason) => delete_item(DeleteStatus::Error, reason),
        }
    }
}

/// The keys to export, each once, in the order of the request.
fn in_order(removed: &[Removed], known: &HashSet<PublicKey>) -> Vec<PublicKey> {
    let mut seen = HashSet::new();
    let keys = removed.iter().filter_map(Removed::gone);
    keys.filter(|key| known.contains(key) && seen.insert(*key)).collect()
}

fn added_item(outcome: Result<Added, AddError>) -> ImportItem {
    match outcome {
        Ok(Added::Imported) => import_item(ImportStatus::Imported, ""),
        Ok(Added::Duplicate) => import_item(ImportStatus::Duplicate, ""),
        Err(error) => import_item(ImportStatus::Error, chain(&error)),
    }
}

/// The key signs already, so refusing it would say less than what is so.
fn duplicate(validator: &PublicKey, history: &ImportedHistory) -> ImportItem {
    let message = history
        .objection(validator)
        .map(|objection| format!("the key was here already, and signs; but {objection}"));
    import_item(ImportStatus::Duplicate, message.unwrap_or_default())
}

fn lost() -> ImportItem {
    import_item(ImportStatus::Error, "internal error: no outcome for this keystore")
}

/// The text of an error, without pieces of the keystore.
fn open_error(error: &OpenKeystoreError) -> String {
    match error {
        OpenKeystoreError::Keystore(error @ KeystoreError::Json(json)) => {
            format!("{error}: it goes wrong at line {}, column {}", json.line(), json.column())
        }
        OpenKeystoreError::Keystore(KeystoreError::Checksum) => {
            "the password is wrong, or the keystore is damaged: the checksum does not match"
                .to_owned()
        }
        error => chain(error),
    }
}

/// Calls `each` with every item, on all cores; the outcomes are in the items' order.
fn on_all_cores<I: Sync, O: Send>(items: &[I], each: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let outcome = each(item);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            let name = "open-keystores".to_owned();
            // Without a thread more the others do its part.
            let _ = thread::Builder::new().name(name).spawn_scoped(scope, work);
        }
        work();
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_unstable_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}
