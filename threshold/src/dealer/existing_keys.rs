//! Validator keys that exist already, to be split: finding their keystores and passwords.
//!
//! Two layouts are known:
//! - `keystore*.json` with `.txt` of the same name beside it;
//! - a folder `keystores` with a `.json` for each key, and a folder `passwords` with a `.txt` of the same
//!   name, or one `password.txt` for all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use eth_types::PublicKey;
use threshold_protocol::bls::SecretKey;

use crate::keystore::{KeystoreFileError, KeystorePair, open_all, read_all};

/// Why existing keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ExistingKeysError {
    /// The folder cannot be read.
    #[error("cannot list the keystores in {}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no keystore in the folder.
    #[error("no keystore in {}: expected keystore*.json, or *.json in a folder keystores", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A keystore has no password file.
    #[error(
        "no password for keystore {}: expected {}",
        path.display(),
        tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ")
    )]
    NoPassword {
        /// The keystore.
        path: PathBuf,
        /// Where a password was looked for.
        tried: Vec<PathBuf>,
    },
    /// A keystore cannot be used.
    #[error(transparent)]
    Keystore(#[from] KeystoreFileError),
    /// Two keystores hold one key.
    #[error("{} and {} hold the same key {key}", first.display(), second.display())]
    Duplicate {
        /// The key.
        key: PublicKey,
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// Finds the keystores in `dir`, in the order of their numbers or names.
pub(super) fn find(dir: &Path) -> Result<Vec<KeystorePair>, ExistingKeysError> {
    let own_folder = dir.join("keystores");
    let (keystores, prefix) =
        if own_folder.is_dir() { (own_folder.as_path(), "") } else { (dir, "keystore") };
    let mut found = list(keystores, prefix)?;
    if found.is_empty() {
        return Err(ExistingKeysError::Empty { path: dir.to_owned() });
    }
    found.sort_unstable_by_key(|stem| (number(stem).unwrap_or(u64::MAX), stem.clone()));
    found
        .into_iter()
        .map(|stem| {
            let keystore = keystores.join(format!("{stem}.json"));
            let text = format!("{stem}.txt");
            let tried = [
                keystores.join(&text),
                dir.join("passwords").join(&text),
                dir.join("password.txt"),
            ];
            match tried.iter().find(|path| path.is_file()) {
                Some(password) => Ok(KeystorePair { keystore, password: password.clone() }),
                None => {
                    Err(ExistingKeysError::NoPassword { path: keystore, tried: tried.to_vec() })
                }
            }
        })
        .collect()
}

/// Opens the keystores that were found.
pub(super) fn open(
    pairs: Vec<KeystorePair>,
    opened: &(dyn Fn() + Sync),
) -> Result<Vec<SecretKey>, ExistingKeysError> {
    let keystores = read_all(pairs)?;
    let secrets = open_all(&keystores, opened)?;
    let mut seen = BTreeMap::new();
    for (secret, read) in secrets.iter().zip(&keystores) {
        let key = secret.public_key();
        if let Some(first) = seen.insert(key, &read.pair.keystore) {
            return Err(ExistingKeysError::Duplicate {
                key,
                first: first.clone(),
                second: read.pair.keystore.clone(),
            });
        }
    }
    Ok(secrets)
}

/// The names, without `.json`, of the files that start with `prefix`.
fn list(dir: &Path, prefix: &str) -> Result<Vec<String>, ExistingKeysError> {
    let error = |source| ExistingKeysError::List { path: dir.to_owned(), source };
    let mut stems = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
        stems.extend(stem.filter(|stem| stem.starts_with(prefix)).map(str::to_owned));
    }
    Ok(stems)
}

/// The N of `keystore-N`.
fn number(stem: &str) -> Option<u64> {
    stem.strip_prefix("keystore-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn names(dir: &Path) -> Vec<(String, String)> {
        let relative = |path: &Path| path.strip_prefix(dir).unwrap().display().to_string();
        find(dir).unwrap().iter().map(|p| (relative(&p.keystore), relative(&p.password))).collect()
    }

    fn pair(keystore: &str, password: &str) -> (String, String) {
        (keystore.to_owned(), password.to_owned())
    }

    #[test]
    fn numbered_keystores_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["keystore-10.json", "keystore-10.txt", "keystore-9.json", "keystore-9.txt"];
        touch(dir.path(), &files);
        touch(
            dir.path(),
            &["keystore-m_1.json", "keystore-m_1.txt", "deposit-data.json", "x.json"],
        );
        assert_eq!(
            names(dir.path()),
            [
                pair("keystore-9.json", "keystore-9.txt"),
                pair("keystore-10.json", "keystore-10.txt"),
                pair("keystore-m_1.json", "keystore-m_1.txt"),
            ]
        );
    }

    #[test]
    fn keystores_in_their_own_folder_have_passwords_one_by_one_or_for_all() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["keystores/0xab.json", "keystores/0xaa.json", "passwords/0xaa.txt"]);
        let error = find(dir.path()).unwrap_err().to_string();
        let at = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(
            error,
            format!(
                "no password for keystore {}: expected {} or {} or {}",
                at("keystores/0xab.json"),
                at("keystores/0xab.txt"),
                at("passwords/0xab.txt"),
                at("password.txt")
            )
        );
        touch(dir.path(), &["password.txt"]);
        assert_eq!(
            names(dir.path()),
            [
                pair("keystores/0xaa.json", "passwords/0xaa.txt"),
                pair("keystores/0xab.json", "password.txt")
            ]
        );
    }

    #[test]
    fn a_folder_without_keystores_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["deposit-data.json"]);
        let expected = format!(
            "no keystore in {}: expected keystore*.json, or *.json in a folder keystores",
            dir.path().display()
        );
        assert_eq!(find(dir.path()).unwrap_err().to_string(), expected);
        assert!(matches!(find(&dir.path().join("no")), Err(ExistingKeysError::List { .. })));
    }
}
