//! The trusted dealer: makes a whole cluster on one machine, from new keys or from existing ones.
//!
//! For a moment the dealer's machine knows every key, which a key generation ceremony avoids; that is why
//! it is for test clusters, for one operator with several machines, and for splitting keys that exist.
//!
//! 1. The parameters are checked, and that no directory is in the way (`plan`).
//! 2. Keys are made, or read from keystores (`existing_keys`).
//! 3. Each key is split; its registration and deposits are signed; the lock is put together and signed by
//!    every share and every node (`deal`).
//! 4. The lock is verified as any node will verify it.
//! 5. All is written beside the final place and moved there in the end (`write`).

mod address;
mod deal;
mod existing_keys;
mod plan;
mod write;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use eth_types::{PublicKey, Root};
use rand::rngs::SysError;
use threshold_protocol::bls::{AggregateError, KeyError, SecretKey, SplitError, Threshold};

pub use self::address::{AddressError, parse_address};
pub use self::existing_keys::ExistingKeysError;
pub use self::plan::{
    ClusterParams, DEFAULT_TARGET_GAS_LIMIT, KeySource, MAX_VALIDATORS, ParamsError,
};
use self::plan::{Plan, check_key_count};
use crate::cluster_file::{DepositFileError, LimitError, LockError, WalletSignatures};
use crate::enr::IdentityError;
use crate::keystore::{KeystoreError, KeystoreFileError};

/// What was made.
#[derive(Debug, Clone)]
pub struct CreatedCluster {
    /// What names the cluster everywhere.
    pub lock_hash: Root,
    /// n and t.
    pub threshold: Threshold,
    /// The validators' public keys, in the lock's order.
    pub public_keys: Vec<PublicKey>,
    /// The nodes' data directories, operator 1 first.
    pub node_dirs: Vec<PathBuf>,
}

/// How far the dealer is. Steps come in the order of [`Step`], each counting up to its total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// How many are done.
    pub done: usize,
    /// Of how many.
    pub total: usize,
}

/// What the dealer spends its time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Existing keystores are opened.
    OpenKeystores,
    /// Keys are split, deposits and registrations signed.
    Split,
    /// The lock is signed by every share.
    SignLock,
    /// Share keystores are encrypted and written: the longest.
    WriteKeystores,
}

/// Why no cluster was made. Nothing is left on disk.
#[derive(Debug, thiserror::Error)]
pub enum DealerError {
    /// The parameters are wrong.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// A node's directory is there already.
    #[error("{} exists: choose another cluster directory, or move it away", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// Existing keys cannot be read.
    #[error(transparent)]
    ExistingKeys(#[from] ExistingKeysError),
    /// A directory or file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A keystore cannot be written.
    #[error(transparent)]
    KeystoreFile(#[from] KeystoreFileError),
    /// A share cannot be encrypted.
    #[error("cannot encrypt a key share")]
    Keystore(#[source] Box<KeystoreError>),
    /// A node's identity cannot be made or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The name or another field is longer than the files allow.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The finished lock does not verify: a fault of this program or of the machine.
    #[error("the finished cluster lock does not verify, so nothing was written")]
    Verify(#[source] Box<LockError>),
    /// Deposits do not verify, or cannot be written.
    #[error(transparent)]
    Deposit(#[from] DepositFileError),
    /// A file's text cannot be made.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// A key cannot be split.
    #[error("cannot split a key")]
    Split(#[from] SplitError),
    /// A share is no key.
    #[error("a key share is unusable")]
    Share(#[from] KeyError),
    /// The shares' signatures do not aggregate.
    #[error("cannot sign the cluster lock")]
    Aggregate(#[from] AggregateError),
    /// The clock's time cannot be written.
    #[error("cannot write the time")]
    Time(#[source] time::error::Format),
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system")]
    Randomness(#[source] SysError),
}

impl From<KeystoreError> for DealerError {
    fn from(error: KeystoreError) -> Self {
        Self::Keystore(Box::new(error))
    }
}

/// Makes a cluster and writes every node's data directory. Blocks for as long as it takes, some tens of
/// milliseconds of a core for each validator and node, and uses all cores; `progress` is called from any
/// of them.
///
/// # Errors
/// See [`DealerError`]. Nothing is left behind and nothing was overwritten.
pub fn create_cluster(
    params: &ClusterParams,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<CreatedCluster, DealerError> {
    let report = Reporter { progress };
    params.threshold()?;
    write::check_free(params)?;
    let (plan, keys) = match &params.keys {
        KeySource::Generate { validators } => {
            (Plan::new(params, *validators)?, deal::generate_keys(*validators)?)
        }
        KeySource::Split { dir, validators } => {
            let pairs = existing_keys::find(dir)?;
            check_key_count(dir, *validators, pairs.len())?;
            let plan = Plan::new(params, pairs.len())?;
            let step = report.step(Step::OpenKeystores, pairs.len());
            (plan, existing_keys::open(pairs, &|| step.done())?)
        }
    };
    let deal = deal::deal(&plan, &keys, &report)?;
    let public_keys = keys.iter().map(SecretKey::public_key).collect();
    drop(keys);
    let verified = deal
        .lock
        .verify(WalletSignatures::Verify)
        .map_err(|error| DealerError::Verify(Box::new(error)))?;
    let node_dirs = write::write(params, &deal, &report)?;
    Ok(CreatedCluster {
        lock_hash: verified.lock_hash(),
        threshold: verified.threshold(),
        public_keys,
        node_dirs,
    })
}

/// Tells the caller how far it is.
struct Reporter<'a> {
    progress: &'a (dyn Fn(Progress) + Sync),
}

/// Counts one step's work, from any thread.
struct Counter<'a> {
    progress: &'a (dyn Fn(Progress) + Sync),
    step: Step,
    total: usize,
    done: AtomicUsize,
}

impl<'a> Reporter<'a> {
    fn step(&self, step: Step, total: usize) -> Counter<'a> {
        Counter { progress: self.progress, step, total, done: AtomicUsize::new(0) }
    }
}

impl Counter<'_> {
    fn done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (self.progress)(Progress { step: self.step, done, total: self.total });
    }
}
