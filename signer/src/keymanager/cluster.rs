//! A cluster's keys: each validator's key is shared among the operators, and this node holds one share of
//! each.
//!
//! Which validators there are says the cluster lock, and a node runs with a share of every one of them or
//! not at all. Keystores that are sent are therefore compared with the lock and nothing else: a share that
//! belongs here is here already. Nor is a share deleted: the other operators would go on with one less,
//! close to the point where none of them can sign.

use api_spec::{DeleteItem, DeleteStatus, ImportItem, ImportStatus, KeystoreItem, RemoteKeyItem};
use eth_types::PublicKey;
use slashing_db::SlashingDb;
use threshold::cluster_file::VerifiedLock;
use threshold::keystore::{Keystore, KeystoreError, Password};
use threshold_protocol::OperatorIndex;

use super::error::KeyManagerError;
use super::request::{ImportKeystores, SubmittedKey, SubmittedKeystore};
use super::slashing::{self, ImportedHistory};
use super::{Deletion, KeyManager, delete_item, import_item};
use crate::control::keys::{KeyMap, KeyOwner};
use crate::control::work::Maintenance;
use crate::error::chain;

const NOT_DELETED: &str = "the keys of a cluster are not deleted one by one, and this node's share still signs: the \
                           cluster lock says which validators it signs for. To end that, stop the node, export with \
                           `synod slashing-protection export`, and keep it stopped";

/// The keys of a cluster's node.
#[derive(Debug)]
pub struct ClusterKeys {
    operator: OperatorIndex,
    /// Sorted.
    validators: Vec<PublicKey>,
    keys: KeyMap,
    maintenance: Maintenance,
}

impl ClusterKeys {
    /// The keys of the lock, as `operator` has them. The node has to hold a share of each.
    #[must_use]
    pub fn new(lock: &VerifiedLock, operator: OperatorIndex, db: SlashingDb) -> Self {
        let mut validators: Vec<_> =
            lock.validators().iter().map(|validator| validator.public_key()).collect();
        validators.sort_unstable();
        let keys = KeyMap::of_lock(lock);
        Self { operator, validators, maintenance: Maintenance::new(db, keys.clone()), keys }
    }

    fn import_one(&self, submitted: &SubmittedKeystore, history: &ImportedHistory) -> ImportItem {
        let key = match public_key(submitted) {
            Ok(key) => key,
            Err(reason) => return import_item(ImportStatus::Error, reason),
        };
        let refused = |reason: String| import_item(ImportStatus::Error, reason);
        match self.keys.owner(&key) {
            None => refused(format!(
                "{key} is no key share of this cluster: the cluster lock does not have it"
            )),
            Some(KeyOwner { validator, share_of: None }) => refused(format!(
                "this keystore holds the whole key of validator {validator}, not a share of it: it must not \
                 be on any node"
            )),
            Some(KeyOwner { validator, share_of: Some(operator) }) if operator != self.operator => {
                refused(format!(
                    "this keystore holds operator {operator}'s share of validator {validator}; this node is \
                     operator {}",
                    self.operator
                ))
            }
            Some(KeyOwner { validator, .. }) => {
                let message = history.objection(&validator);
                let message = message.map(|objection| {
                    format!("the share was here already, and signs; but {objection}")
                });
                import_item(ImportStatus::Duplicate, message.unwrap_or_default())
            }
        }
    }

    fn delete_one(&self, key: &SubmittedKey) -> DeleteItem {
        match key {
            Err(reason) => delete_item(DeleteStatus::Error, reason),
            Ok(key) if self.keys.owner(key).is_some() => {
                delete_item(DeleteStatus::Error, NOT_DELETED)
            }
            Ok(_) => delete_item(DeleteStatus::NotFound, ""),
        }
    }
}

impl KeyManager for ClusterKeys {
    fn keystores(&self) -> Result<Vec<KeystoreItem>, KeyManagerError> {
        let item = |validator: &PublicKey| KeystoreItem {
            validating_pubkey: *validator,
            // Shares are derived from nothing.
            derivation_path: None,
            readonly: true,
        };
        Ok(self.validators.iter().map(item).collect())
    }

    fn import(&self, request: ImportKeystores) -> Result<Vec<ImportItem>, KeyManagerError> {
        let history = slashing::import(&self.maintenance, request.slashing_protection.as_deref())?;
        Ok(request.keystores.iter().map(|submitted| self.import_one(submitted, &history)).collect())
    }

    fn delete(&self, keys: &[SubmittedKey]) -> Result<Deletion, KeyManagerError> {
        // A history goes with a key that signs no more, and all of these do.
        let slashing_protection = slashing::export(&self.maintenance, Vec::new())?;
        let items = keys.iter().map(|key| self.delete_one(key)).collect();
        Ok(Deletion { items, slashing_protection })
    }

    fn remote_keys(&self) -> Vec<RemoteKeyItem> {
        let item = |validator: &PublicKey| RemoteKeyItem {
            pubkey: *validator,
            url: String::new(),
            readonly: true,
        };
        self.validators.iter().map(item).collect()
    }
}

/// The public key of a keystore: the one that it states, or that of its secret. Nothing is done with the
/// secret, so the stated one is good enough.
fn public_key(submitted: &SubmittedKeystore) -> Result<PublicKey, String> {
    let keystore = Keystore::parse(submitted.text.as_bytes()).map_err(|error| match &error {
        KeystoreError::Json(json) => {
            format!("{error}: it goes wrong at line {}, column {}", json.line(), json.column())
        }
        error => chain(error),
    })?;
    if let Some(stated) = keystore.public_key() {
        return Ok(stated);
    }
    let password = Password::new(&submitted.password).map_err(|error| chain(&error))?;
    let secret = keystore.decrypt(&password).map_err(|error| chain(&error))?;
    Ok(secret.public_key())
}
