//! A node's identity: the secp256k1 secret whose public key its node record names.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use k256::ecdsa::{SigningKey, VerifyingKey};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use zeroize::Zeroizing;

use super::{Enr, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, compress};
use crate::data_dir::files::{self, ReadError};

/// Names of the secret's file in a data directory: this program's, and Charon's.
pub const ENR_KEY_FILES: [&str; 2] = ["enr-private-key", "charon-enr-private-key"];

/// Mode of the secret's file.
pub const ENR_KEY_MODE: u32 = 0o600;

/// Length of a recoverable signature: R || S || V.
pub const RECOVERABLE_SIGNATURE_BYTES: usize = 65;

const SECRET_BYTES: usize = 32;

/// Largest secret file read: 64 hex digits, a `0x` and white space around them.
const MAX_FILE_BYTES: u64 = 256;

/// A node's identity key. Signs node records, cluster locks and, over libp2p, connections. Erased from
/// memory when dropped.
pub struct Identity {
    key: SigningKey,
}

/// Why there is no identity. Names the file if there is one.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot use the ENR private key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The file does not hold a secret.
    #[error("cannot use the ENR private key {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParseIdentityError,
    },
    /// The file cannot be written; one that exists is never overwritten.
    #[error("cannot write the ENR private key {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system")]
    Randomness(#[source] SysError),
}

/// Why a text is no secp256k1 secret. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdentityError {
    /// Not 64 hex digits.
    #[error("expected 64 hex digits")]
    Hex,
    /// Zero, or not below the order of the group.
    #[error("the number is not a secp256k1 secret key")]
    Range,
}

impl Identity {
    /// A fresh identity from the operating system's randomness.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        loop {
            let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
            SysRng.try_fill_bytes(bytes.as_mut()).map_err(IdentityError::Randomness)?;
            // All but one in 2^127 numbers are secrets.
            if let Ok(key) = SigningKey::from_slice(bytes.as_ref()) {
                return Ok(Self { key });
            }
        }
    }

    /// Reads a secret of 64 hex digits; a `0x` before and white space around them do no harm.
    ///
    /// # Errors
    /// The text is no secret.
    pub fn from_hex(text: &str) -> Result<Self, ParseIdentityError> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| ParseIdentityError::Hex)?;
        let key = SigningKey::from_slice(bytes.as_ref()).map_err(|_| ParseIdentityError::Range)?;
        Ok(Self { key })
    }

    /// Reads the secret from its file.
    ///
    /// # Errors
    /// The file cannot be read or holds no secret.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let content = files::read_bounded(path, MAX_FILE_BYTES)
            .map_err(|source| IdentityError::Read { path: path.to_owned(), source })?;
        std::str::from_utf8(&content)
            .map_err(|_| ParseIdentityError::Hex)
            .and_then(Self::from_hex)
            .map_err(|source| IdentityError::File { path: path.to_owned(), source })
    }

    /// Writes the secret to a new file, for the owner only, and waits until it is on disk.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn save_new(&self, path: &Path) -> Result<(), IdentityError> {
        let text = Zeroizing::new(hex::encode(self.to_bytes().as_slice()));
        files::write_new(path, text.as_bytes(), ENR_KEY_MODE)
            .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
    }

    /// The node record of this identity.
    #[must_use]
    pub fn enr(&self) -> Enr {
        Enr::for_identity(self)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    /// The public key, compressed.
    #[must_use]
    pub fn public_key_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        compress(self.public_key())
    }

    /// Signs a digest: R || S, deterministic (RFC 6979), S in the lower half of the group.
    #[must_use]
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; SIGNATURE_BYTES] {
        let (signature, _) = self.key.sign_prehash_recoverable(digest);
        signature.to_bytes().into()
    }

    /// Signs a digest so that the public key can be recovered: R || S || V, V being 0 or 1.
    #[must_use]
    pub fn sign_digest_recoverable(&self, digest: &[u8; 32]) -> [u8; RECOVERABLE_SIGNATURE_BYTES] {
        let (signature, recovery) = self.key.sign_prehash_recoverable(digest);
        let mut bytes = [recovery.to_byte(); RECOVERABLE_SIGNATURE_BYTES];
        for (byte, from) in bytes.iter_mut().zip(signature.to_bytes()) {
            *byte = from;
        }
        bytes
    }

    /// The secret's 32 bytes, for the network's own key type.
    ///
    /// # Security
    /// Do not log or keep them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        Zeroizing::new(self.key.to_bytes().into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(public key {})", hex::encode(self.public_key_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::fs;

    use super::*;

    const SECRET: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

    #[test]
    fn a_saved_identity_is_loaded_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ENR_KEY_FILES[0]);
        let identity = Identity::generate().unwrap();
        identity.save_new(&path).unwrap();
        assert_eq!(files::mode(&path).unwrap(), ENR_KEY_MODE);
        assert_eq!(fs::read_to_string(&path).unwrap().len(), 64);
        assert_eq!(Identity::load(&path).unwrap().public_key(), identity.public_key());

        let error = Identity::generate().unwrap().save_new(&path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot write the ENR private key {}", path.display())
        );
        assert_eq!(Identity::load(&path).unwrap().public_key(), identity.public_key());
    }

    #[test]
    fn secrets_are_read_with_white_space_and_prefix() {
        for text in [SECRET.to_owned(), format!("0x{SECRET}\n"), SECRET.to_uppercase()] {
            assert!(Identity::from_hex(&text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("empty", String::new(), "expected 64 hex digits"),
            ("short", SECRET[2..].to_owned(), "expected 64 hex digits"),
            ("no-hex", SECRET.replace('b', "g"), "expected 64 hex digits"),
            ("zero", "0".repeat(64), "the number is not a secp256k1 secret key"),
            ("large", "f".repeat(64), "the number is not a secp256k1 secret key"),
            ("long", "0".repeat(257), "it has more than the 256 bytes that are read"),
        ];
        for (name, content, reason) in cases {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            let error = Identity::load(&path).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot use the ENR private key {}", path.display())
            );
            assert_eq!(error.source().unwrap().to_string(), reason);
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let identity = Identity::from_hex(SECRET).unwrap();
        assert!(!format!("{identity:?}").contains(SECRET));
    }
}
