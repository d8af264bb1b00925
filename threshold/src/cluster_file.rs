//! Cluster definitions and locks: the files that say who is in a cluster and which keys it holds.
//!
//! The format is the one that Obol's Charon has made the field's: versions v1.8 to v1.11 are read, v1.10
//! is written, so that a cluster made by either program is run by either.
//!
//! | file | type | checked by |
//! | --- | --- | --- |
//! | `cluster-definition.json` | [`ClusterDefinition`] | [`ClusterDefinition::verify_hashes`], [`check_numbers`](ClusterDefinition::check_numbers), [`verify_operators`](ClusterDefinition::verify_operators) |
//! | `cluster-lock.json` | [`ClusterLock`] | [`ClusterLock::verify`], which gives a [`VerifiedLock`] |
//! | `deposit-data*.json` | [`deposit_files`] | made of deposits that were |
//!
//! The first two are the files as they stand. The program works with a [`VerifiedLock`] only.

mod definition;
mod deposit;
mod eip712;
mod error;
mod hashes;
mod json;
mod lock;
mod secp256k1;
mod verified;
mod verify;
mod version;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use self::definition::{
    ClusterDefinition, Creator, DEFAULT_DKG_ALGORITHM, Operator, ValidatorAddresses,
};
pub use self::deposit::{DepositFile, DepositFileError, deposit_files};
pub use self::eip712::Message;
pub use self::error::{LockError, SignedBy};
pub use self::hashes::LimitError;
pub use self::json::{Gwei, HexBytes, OptionalAddress};
pub use self::lock::{ClusterLock, DistributedValidator, Registration, SignedRegistration};
pub use self::secp256k1::RecoverError;
pub use self::verified::{VerifiedLock, VerifiedOperator, VerifiedValidator};
pub use self::verify::{WalletSignatures, known_network, withdrawal_credentials};
pub(crate) use self::verify::{deposit_root, registration_root};
pub use self::version::{FileVersion, VersionError};
use crate::data_dir::files::{self, ReadError};

/// Name of the definition's file in a data directory.
pub const DEFINITION_FILE: &str = "cluster-definition.json";
/// Name of the lock's file in a data directory.
pub const LOCK_FILE: &str = "cluster-lock.json";

/// Largest definition or lock read. A lock has about 3 KiB for each validator of a cluster of four, and
/// the format ends at 65,536 validators.
pub const MAX_CLUSTER_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Why a cluster file could not be read. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum ReadClusterFileError {
    /// The file cannot be read.
    #[error("cannot use cluster file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The file is not JSON of the expected shape.
    #[error("cannot use cluster file {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        #[source]
        source: serde_json::Error,
    },
}

impl ClusterDefinition {
    /// Reads a definition. It is not checked yet.
    ///
    /// # Errors
    /// The file cannot be read or has another shape.
    pub fn load(path: &Path) -> Result<Self, ReadClusterFileError> {
        load(path)
    }
}

impl ClusterLock {
    /// Reads a lock. It is not checked yet: [`ClusterLock::verify`] does that.
    ///
    /// # Errors
    /// The file cannot be read or has another shape.
    pub fn load(path: &Path) -> Result<Self, ReadClusterFileError> {
        load(path)
    }
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ReadClusterFileError> {
    let text = files::read_bounded(path, MAX_CLUSTER_FILE_BYTES)
        .map_err(|source| ReadClusterFileError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text)
        .map_err(|source| ReadClusterFileError::Json { path: path.to_owned(), source })
}
