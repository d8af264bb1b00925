//! The [key manager API](https://github.com/ethereum/keymanager-APIs): keys listed, imported and deleted
//! over HTTP, with the bearer token that its specification asks for.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`token`] | the bearer token and its file |
//! | `routes`, `body`, `request` | the endpoints: who may ask, what is read |
//! | [`error`] | what is refused as a whole, in the specification's form |
//! | `slashing` | slashing data imported before keys are active, exported when they are not any more |
//! | [`standalone`] | whole keys: imported, deleted |
//! | [`cluster`] | a cluster's keys: listed, and matched to the lock |
//!
//! # What holds
//! * A key is active only after the slashing data that came with it are on the disk. A key whose data were
//!   refused is refused.
//! * After a deletion is answered nothing is signed with the key that the answer's export does not hold.
//! * Keys are compared by value, never by spelling.
//! * The token is checked before a body is read. No password and no token is in a log or an answer.

pub mod cluster;
pub mod error;
pub mod standalone;
pub mod token;

mod body;
mod request;
mod routes;
mod slashing;

use std::fmt;
use std::sync::Arc;

use api_spec::{DeleteItem, DeleteStatus, ImportItem, ImportStatus, KeystoreItem, RemoteKeyItem};
use tokio::sync::Semaphore;

pub use self::error::KeyManagerError;
pub use self::request::{ImportKeystores, SubmittedKey, SubmittedKeystore};
pub(crate) use self::routes::{PATHS, router};
use self::token::ApiToken;

/// Whose keys are managed. All of it blocks, and may take as long as opening the keystores does.
pub trait KeyManager: Send + Sync + 'static {
    /// The keys whose keystores are here, sorted.
    ///
    /// # Errors
    /// [`KeyManagerError::NotReady`] while they are not all known.
    fn keystores(&self) -> Result<Vec<KeystoreItem>, KeyManagerError>;

    /// Imports the slashing data, then the keystores. One item for each keystore, in its order.
    ///
    /// # Errors
    /// Nothing was imported: the slashing data as a whole cannot be, or keys are still being loaded.
    fn import(&self, request: ImportKeystores) -> Result<Vec<ImportItem>, KeyManagerError>;

    /// Lets keys sign no more, then exports what they signed. One item for each key, in its order.
    ///
    /// # Errors
    /// The history cannot be exported. Keys may be deleted all the same, as the text says; the same
    /// request again then exports.
    fn delete(&self, keys: &[SubmittedKey]) -> Result<Deletion, KeyManagerError>;

    /// The keys that are signed for together with others, sorted; none can be changed here.
    fn remote_keys(&self) -> Vec<RemoteKeyItem>;
}

/// What a deletion did.
#[derive(Debug)]
pub struct Deletion {
    /// One for each key of the request, in its order.
    pub items: Vec<DeleteItem>,
    /// The text of an EIP-3076 interchange file with the keys that are deleted or not active.
    pub slashing_protection: String,
}

/// The endpoints: whose keys, and the token for them. Clones share both.
#[derive(Clone)]
pub struct KeyManagerApi {
    keys: Arc<dyn KeyManager>,
    token: ApiToken,
    /// One import at a time: each may hold a large body, and opening keystores takes all cores.
    imports: Arc<Semaphore>,
}

impl KeyManagerApi {
    /// Endpoints for these keys, for whoever has the token.
    pub fn new(keys: Arc<dyn KeyManager>, token: ApiToken) -> Self {
        Self { keys, token, imports: Arc::new(Semaphore::new(1)) }
    }
}

impl fmt::Debug for KeyManagerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyManagerApi").finish_non_exhaustive()
    }
}

fn import_item(status: ImportStatus, message: impl Into<String>) -> ImportItem {
    ImportItem { status, message: error::bounded(&message.into()) }
}

fn delete_item(status: DeleteStatus, message: impl Into<String>) -> DeleteItem {
    DeleteItem { status, message: error::bounded(&message.into()) }
}
