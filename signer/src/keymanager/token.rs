//! The bearer token that the key manager endpoints ask for, and the file that it is in.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use threshold::data_dir::files;
use zeroize::Zeroizing;

/// Name of the file in the data directory, unless told otherwise.
pub const TOKEN_FILE: &str = "api-token.txt";

/// What a generated token begins with, as those of other clients do; 64 hex digits follow.
const PREFIX: &str = "api-token-0x";
/// Random bytes of a generated token.
const RANDOM_BYTES: usize = 32;
const FILE_MODE: u32 = 0o600;
/// Shortest token that is taken from a file: 16 random characters cannot be guessed over the network.
const MIN_BYTES: usize = 16;
/// Longest file that is read: a token goes into a header.
const MAX_FILE_BYTES: u64 = 4096;
/// Rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// A token. Only its hash is kept, so that comparing takes the same time whatever is compared.
#[derive(Clone)]
pub struct ApiToken {
    hash: [u8; 32],
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the API token in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: files::ReadError,
    },
    /// The file's mode cannot be seen.
    #[error("cannot look at {}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write an API token to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not only the owner can read the token.
    #[error(
        "others than its owner can use the API token in {} (mode {mode:03o}): run `chmod 600 {}`, \
         and change the token",
        path.display(),
        path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error(
        "{} holds no API token: {reason}; remove the file, and a new one is made",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong. Never the token.
        reason: &'static str,
    },
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system")]
    Randomness(#[from] SysError),
}

impl ApiToken {
    /// A token that is known already.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        Self { hash: Sha256::digest(token).into() }
    }

    /// Reads the token of a file; makes one, for the owner only, if the file is not there. Blocks.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let write_error = |source| TokenError::Write { path: path.to_owned(), source };
        let text = generate()?;
        match files::write_new(path, text.as_bytes(), FILE_MODE) {
            Ok(()) => {
                if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                    files::sync_dir(dir).map_err(write_error)?;
                }
                Ok(Self::new(text.as_bytes()))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(write_error(error)),
        }
    }

    /// Whether a client sent this token. Takes the same time for every token of a length.
    #[must_use]
    pub fn is(&self, sent: &[u8]) -> bool {
        self.hash.ct_eq(&Self::new(sent).hash).into()
    }

    fn read(path: &Path) -> Result<Self, TokenError> {
        let mode = files::mode(path)
            .map_err(|source| TokenError::Metadata { path: path.to_owned(), source })?;
        if mode & OTHERS != 0 {
            return Err(TokenError::Permissions { path: path.to_owned(), mode });
        }
        let content = files::read_bounded(path, MAX_FILE_BYTES)
            .map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
        let unusable = |reason| TokenError::Unusable { path: path.to_owned(), reason };
        let token = content.trim_ascii();
        if token.len() < MIN_BYTES {
            return Err(unusable("it is shorter than 16 characters"));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(unusable("it is not one line of printable characters without spaces"));
        }
        Ok(Self::new(token))
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(redacted)")
    }
}

fn generate() -> Result<Zeroizing<String>, SysError> {
    let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
    SysRng.try_fill_bytes(bytes.as_mut_slice())?;
    let digits = Zeroizing::new(hex::encode(bytes.as_slice()));
    Ok(Zeroizing::new([PREFIX, &digits].concat()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, content: &str, mode: u32) {
        // Removed first: the mode is that of a new file.
        let _ = fs::remove_file(path);
        files::write_new(path, content.as_bytes(), mode).unwrap();
    }

    #[test]
    fn a_new_token_is_private_in_the_usual_form_and_stays_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TOKEN_FILE);
        let token = ApiToken::open(&path).unwrap();
        assert_eq!(files::mode(&path).unwrap(), 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), PREFIX.len() + 64);
        assert!(text.starts_with(PREFIX));
        assert!(token.is(text.as_bytes()));
        assert!(ApiToken::open(&path).unwrap().is(text.as_bytes()));

        let other = dir.path().join("other");
        assert!(!ApiToken::open(&other).unwrap().is(text.as_bytes()));
        for wrong in ["", "api-token-0x", &text[1..], &text.to_uppercase()] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_token_of_ones_own_is_taken_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, "correct-horse-battery\n", 0o600);
        assert!(ApiToken::open(&path).unwrap().is(b"correct-horse-battery"));
    }

    #[test]
    fn files_that_hold_no_token_are_refused_and_the_reason_never_quotes_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for content in ["", "\n", "too-short", "spaces within the token", "correct-hörse-battery"]
        {
            write(&path, content, 0o600);
            let error = ApiToken::open(&path).unwrap_err();
            assert!(matches!(error, TokenError::Unusable { .. }), "{content}: {error}");
            assert!(content.len() < 2 || !error.to_string().contains(content));
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, "correct-horse-battery", 0o600);
        for wide in [0o644, 0o640, 0o604] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wide)).unwrap();
            let error = ApiToken::open(&path).unwrap_err();
            let named = matches!(error, TokenError::Permissions { mode, .. } if mode == wide);
            assert!(named, "{error}");
        }
    }

    #[test]
    fn debug_output_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", ApiToken::new(b"correct-horse")), "ApiToken(redacted)");
    }
}
