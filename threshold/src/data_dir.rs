//! A node's data directory: its identity, the cluster lock and its key shares, loaded and matched.
//!
//! Directories made by this program and by Charon are read as they stand:
//!
//! | file | what |
//! | --- | --- |
//! | `enr-private-key` or `charon-enr-private-key` | the node's identity |
//! | `cluster-lock.json` | the cluster |
//! | `validator_keys/keystore*.json` and `.txt` | the node's share of each validator's key, and its password |
//!
//! # Permissions
//! The identity and the passwords are secrets. If everybody on the machine can read one of them, loading
//! refuses ([`SecretPermissions::Refuse`]); if the file's group can, it warns. Keystores are encrypted,
//! and Charon leaves them readable by all: that is accepted.

pub mod files;
mod partial;
mod shares;

use std::io;
use std::path::{Path, PathBuf};

use threshold_protocol::bls::SecretShare;
use threshold_protocol::cluster::{KeyIndex, OperatorIndex};

use self::files::mode;
pub use self::shares::SharesError;
use crate::cluster_file::{
    ClusterLock, LOCK_FILE, LockError, ReadClusterFileError, VerifiedLock, WalletSignatures,
};
use crate::enr::{ENR_KEY_FILES, Enr, Identity, IdentityError};

/// Name of the share keystores' directory in a data directory.
pub const VALIDATOR_KEYS_DIR: &str = "validator_keys";

/// Rights of everybody who is neither the owner nor in the group.
const OTHERS: u32 = 0o007;
/// Rights of the group.
const GROUP: u32 = 0o070;

/// What to do about a secret file that everybody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SecretPermissions {
    /// Do not load it.
    #[default]
    Refuse,
    /// Load it and warn. For volumes that show the same mode for every file, as some orchestrators'
    /// secrets do.
    Warn,
}

/// Where to look, and how strictly.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The identity's file, if it is not in the data directory.
    pub private_key_file: Option<PathBuf>,
    /// The lock, if it is not in the data directory.
    pub lock_file: Option<PathBuf>,
    /// The share keystores' directory, if it is not in the data directory.
    pub validator_keys_dir: Option<PathBuf>,
    /// Whether the operators' wallet signatures are checked.
    pub wallets: WalletSignatures,
    /// What to do about a secret file that everybody can read.
    pub permissions: SecretPermissions,
}

/// What a node needs to take part in its cluster.
#[derive(Debug)]
pub struct NodeKeys {
    /// The node's identity.
    pub identity: Identity,
    /// The cluster.
    pub lock: VerifiedLock,
    /// Which of the lock's operators this node is.
    pub operator: OperatorIndex,
    /// This operator's share of each validator's key, one for every validator, in the lock's order.
    pub shares: Vec<(KeyIndex, SecretShare)>,
}

/// Why a data directory cannot be used. Always names the file.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// There is no identity.
    #[error(
        "no ENR private key in {}: expected {} (make one with `synod create enr`, or take the directory \
         of a created cluster)",
        dir.display(),
        ENR_KEY_FILES.join(" or ")
    )]
    NoIdentity {
        /// The data directory.
        dir: PathBuf,
    },
    /// There are two identities.
    #[error("{} and {} are both there: remove the one that is not this node's", first.display(), second.display())]
    TwoIdentities {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Everybody can read a secret.
    #[error(
        "everybody on this machine can read {} (mode {mode:03o}): run `chmod 600 {}`",
        path.display(),
        path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file's mode cannot be seen.
    #[error("cannot look at {}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The lock cannot be read.
    #[error(transparent)]
    ReadLock(#[from] ReadClusterFileError),
    /// The lock is refused.
    #[error("cluster lock {} is refused", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<LockError>,
    },
    /// The identity is not one of the cluster's operators.
    #[error(
        "the ENR private key {} is not that of any of the {operators} operators in {}: its ENR is {enr}",
        identity.display(),
        lock.display()
    )]
    NotAnOperator {
        /// The identity's file.
        identity: PathBuf,
        /// The lock.
        lock: PathBuf,
        /// How many operators there are.
        operators: usize,
        /// The node record of the identity.
        enr: Box<Enr>,
    },
    /// The key shares cannot be loaded or are not this node's.
    #[error(transparent)]
    Shares(#[from] SharesError),
}

/// Loads and checks everything. Blocks: opening a keystore takes tens of milliseconds of a core and more
/// with scrypt; all cores are used, within a bound on memory.
///
/// # Errors
/// See [`DataDirError`].
pub fn load(dir: &Path, options: &LoadOptions) -> Result<NodeKeys, DataDirError> {
    let identity_path = match &options.private_key_file {
        Some(path) => path.clone(),
        None => find_identity(dir)?,
    };
    check_secret(&identity_path, options.permissions)?;
    let identity = Identity::load(&identity_path)?;

    let lock_path = options.lock_file.clone().unwrap_or_else(|| dir.join(LOCK_FILE));
    let lock = ClusterLock::load(&lock_path)?.verify(options.wallets).map_err(|source| {
        DataDirError::Lock { path: lock_path.clone(), source: Box::new(source) }
    })?;
    let operator = lock
        .operators()
        .iter()
        .zip(0..)
        .find(|(operator, _)| operator.enr().public_key() == identity.public_key())
        .map(|(_, index)| OperatorIndex::new(index))
        .ok_or_else(|| DataDirError::NotAnOperator {
            identity: identity_path,
            lock: lock_path,
            operators: lock.operators().len(),
            enr: Box::new(identity.enr()),
        })?;

    let keys_dir =
        options.validator_keys_dir.clone().unwrap_or_else(|| dir.join(VALIDATOR_KEYS_DIR));
    let keystores = shares::find(&keys_dir)?;
    for pair in &keystores {
        // A password that is not there is reported with its keystore, below.
        if pair.password.exists() {
            check_secret(&pair.password, options.permissions)?;
        }
    }
    let shares = shares::load(&keys_dir, keystores, &lock, operator)?;
    Ok(NodeKeys { identity, lock, operator, shares })
}

/// Names of a validator's share keystore and of its password; `validator` is its place in the lock.
#[must_use]
pub fn keystore_files(keys_dir: &Path, validator: usize) -> (PathBuf, PathBuf) {
    let name = |extension: &str| keys_dir.join(format!("keystore-{validator}.{extension}"));
    (name("json"), name("txt"))
}

fn find_identity(dir: &Path) -> Result<PathBuf, DataDirError> {
    let mut found = ENR_KEY_FILES.iter().map(|name| dir.join(name)).filter(|path| path.exists());
    match (found.next(), found.next()) {
        (None, _) => Err(DataDirError::NoIdentity { dir: dir.to_owned() }),
        (Some(path), None) => Ok(path),
        (Some(first), Some(second)) => Err(DataDirError::TwoIdentities { first, second }),
    }
}

fn check_secret(path: &Path, permissions: SecretPermissions) -> Result<(), DataDirError> {
    let mode =
        mode(path).map_err(|source| DataDirError::Metadata { path: path.to_owned(), source })?;
    if mode & OTHERS != 0 && permissions == SecretPermissions::Refuse {
        return Err(DataDirError::Permissions { path: path.to_owned(), mode });
    }
    if mode & (OTHERS | GROUP) != 0 {
        let mode = format!("{mode:03o}");
        tracing::warn!(path = %path.display(), mode, "others than the owner can read a secret");
    }
    Ok(())
}
