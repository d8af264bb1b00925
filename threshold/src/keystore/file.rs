//! Keystores as pairs of files: `keystore-N.json` and its password in `keystore-N.txt`.

use std::io;
use std::path::{Path, PathBuf};

use threshold_protocol::bls::SecretKey;

use super::{Keystore, KeystoreError, MAX_PASSWORD_BYTES, Password, PasswordError};
use crate::data_dir::files::{self, ReadError};

/// Largest keystore file read. Real ones have about 1 KiB; a description may be longer.
pub const MAX_KEYSTORE_BYTES: u64 = 64 * 1024;

/// Keystore and password alike: for the owner only, and not to be changed.
const FILE_MODE: u32 = 0o400;

/// Why a keystore's files gave no key, or could not be written. Always names the file.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreFileError {
    /// The keystore cannot be read.
    #[error("cannot use keystore {}", path.display())]
    Read {
        /// The keystore.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The keystore is not one, or did not open.
    #[error("cannot use keystore {}", path.display())]
    Keystore {
        /// The keystore.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<KeystoreError>,
    },
    /// The password does not open the keystore.
    #[error(
        "cannot open keystore {} with the password in {}: the password is wrong or the keystore is \
         damaged",
        path.display(),
        password_path.display()
    )]
    WrongPassword {
        /// The keystore.
        path: PathBuf,
        /// The file of the password.
        password_path: PathBuf,
    },
    /// The password file cannot be read.
    #[error("cannot use password file {}", path.display())]
    ReadPassword {
        /// The password file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The password file holds no password.
    #[error("cannot use password file {}", path.display())]
    Password {
        /// The password file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PasswordError,
    },
    /// A file cannot be written, for example because it exists.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads a keystore file without opening it.
///
/// # Errors
/// The file cannot be read or is no keystore.
pub fn read_file(path: &Path) -> Result<Keystore, KeystoreFileError> {
    let text = files::read_bounded(path, MAX_KEYSTORE_BYTES)
        .map_err(|source| KeystoreFileError::Read { path: path.to_owned(), source })?;
    Keystore::parse(&text).map_err(|source| KeystoreFileError::Keystore {
        path: path.to_owned(),
        source: source.into(),
    })
}

/// Reads a keystore and its password, and opens it. Takes as long as the key derivation does.
///
/// # Errors
/// A file cannot be read, is not what it should be, or the password does not fit.
pub fn read_files(path: &Path, password_path: &Path) -> Result<SecretKey, KeystoreFileError> {
    open(&read_file(path)?, path, password_path)
}

/// Opens a keystore that was read from `path` with the password in `password_path`.
pub(crate) fn open(
    keystore: &Keystore,
    path: &Path,
    password_path: &Path,
) -> Result<SecretKey, KeystoreFileError> {
    let password = read_password(password_path)?;
    keystore.decrypt(&password).map_err(|error| match error {
        KeystoreError::Checksum => KeystoreFileError::WrongPassword {
            path: path.to_owned(),
            password_path: password_path.to_owned(),
        },
        source => KeystoreFileError::Keystore { path: path.to_owned(), source: source.into() },
    })
}

/// Writes a keystore and its password as new files, for the owner only, and waits until they are on
/// disk. The directory's own entry is the caller's to sync.
///
/// # Errors
/// A file exists or cannot be written.
pub fn write_files(
    keystore: &Keystore,
    password: &Password,
    path: &Path,
    password_path: &Path,
) -> Result<(), KeystoreFileError> {
    let json = keystore.to_json().map_err(|source| KeystoreFileError::Keystore {
        path: path.to_owned(),
        source: source.into(),
    })?;
    for (path, content) in [(path, json.as_str()), (password_path, password.expose())] {
        files::write_new(path, content.as_bytes(), FILE_MODE)
            .map_err(|source| KeystoreFileError::Write { path: path.to_owned(), source })?;
    }
    Ok(())
}

fn read_password(path: &Path) -> Result<Password, KeystoreFileError> {
    let content = files::read_bounded(path, MAX_PASSWORD_BYTES as u64)
        .map_err(|source| KeystoreFileError::ReadPassword { path: path.to_owned(), source })?;
    Password::from_file_content(&content)
        .map_err(|source| KeystoreFileError::Password { path: path.to_owned(), source })
}
