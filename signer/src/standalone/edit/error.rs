//! Why a keystore is not opened, added or removed.

use std::io;
use std::path::PathBuf;

use eth_types::PublicKey;
use threshold::keystore::{KeystoreError, PasswordError};

use crate::standalone::scan::Source;

/// Why a keystore does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeystoreError {
    /// The program is being stopped.
    #[error("the signer is being stopped")]
    Stopped,
    /// The password is none.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The first line of a password file must not be blank, so such a password cannot be stored.
    #[error("the password is blank")]
    BlankPassword,
    /// The keystore is none, or does not open.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
}

/// Why a keystore was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// A load or a reload is under way.
    #[error("keys are being loaded; try again when that is through")]
    Loading,
    /// The program is being stopped.
    #[error("the signer is being stopped")]
    Stopped,
    /// A file of that name, with something else in it, is in the way.
    #[error("{} exists already with another content; move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a key was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// A load or a reload is under way.
    #[error("keys are being loaded; try again when that is through")]
    Loading,
    /// The program is being stopped.
    #[error("the signer is being stopped")]
    Stopped,
    /// There is no such key.
    #[error("unknown validator key {validator}")]
    Unknown {
        /// The key.
        validator: PublicKey,
    },
    /// Its file is not one that is removed.
    #[error("the key is read-only: {place} is not removed while the program runs")]
    ReadOnly {
        /// Where the key comes from.
        place: Source,
    },
    /// The file with which the key is there cannot be removed; the key still signs.
    #[error("cannot remove {}, so the key stays", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file with which the key is there is gone, but that may not be on disk; the key still signs.
    #[error(
        "{} is gone now, but may be back after a power failure, so the key stays: send the same request again",
        path.display()
    )]
    NotOnDisk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key does not sign any more and will not after a restart. These files of it are not removed:
    /// other key files name them, or they are outside the directory of key configuration files, or some
    /// of those cannot be read.
    #[error(
        "the key is removed, but not {}, which other keys or programs may need: look at that by hand",
        listed(paths)
    )]
    Kept {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The key does not sign any more and will not after a restart, but that its secret is gone may not be
    /// on disk.
    #[error(
        "the key is removed, but {}, which is gone now, may be back after a power failure: look for it then",
        path.display()
    )]
    SecretNotOnDisk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key does not sign any more and will not after a restart, but its secret is still on disk.
    #[error("the key is removed, but {} is still there: remove it by hand", path.display())]
    LeftOver {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}
