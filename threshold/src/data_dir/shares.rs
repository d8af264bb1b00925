//! A node's key shares: every keystore opened and given its place in the lock.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use eth_types::PublicKey;
use threshold_protocol::bls::{KeyError, SecretShare};
use threshold_protocol::cluster::{KeyIndex, OperatorIndex};

use crate::cluster_file::VerifiedLock;
use crate::keystore::{KeystoreFileError, KeystorePair, open_all, read_all};

/// How many missing keystores an error names one by one.
const NAMED_MISSING: usize = 5;

/// Why a node's key shares cannot be used. Operators and validators are counted from 0, as in the lock.
#[derive(Debug, thiserror::Error)]
pub enum SharesError {
    /// The directory cannot be read.
    #[error("cannot list the share keystores in {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A keystore cannot be used.
    #[error(transparent)]
    Keystore(#[from] KeystoreFileError),
    /// A keystore holds another operator's share.
    #[error(
        "keystore {} belongs to operator {found}, not to this node, which is operator {expected}",
        path.display()
    )]
    OtherOperator {
        /// The keystore.
        path: PathBuf,
        /// Whose it is.
        found: OperatorIndex,
        /// Which operator this node is.
        expected: OperatorIndex,
    },
    /// A keystore holds a whole key.
    #[error(
        "keystore {} holds the whole key of validator {validator}, {key}, not a share of it: it must not \
         be on any node",
        path.display()
    )]
    WholeKey {
        /// The keystore.
        path: PathBuf,
        /// Whose.
        validator: KeyIndex,
        /// The validator's public key.
        key: PublicKey,
    },
    /// A keystore is of no validator of the cluster.
    #[error("keystore {} with public key {key} is not in the lock", path.display())]
    NotInLock {
        /// The keystore.
        path: PathBuf,
        /// Its public key.
        key: PublicKey,
    },
    /// Two keystores hold the same share.
    #[error(
        "keystores {} and {} both hold the share of validator {validator}",
        first.display(),
        second.display()
    )]
    Duplicate {
        /// Whose.
        validator: KeyIndex,
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Not every validator has a keystore.
    #[error(
        "{} of {validators} share keystores are missing in {}: {}; copy this operator's keystore files there",
        missing.len(),
        dir.display(),
        Names(missing)
    )]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// How many validators there are.
        validators: usize,
        /// The validators without one, with their public keys.
        missing: Vec<(KeyIndex, PublicKey)>,
    },
    /// A secret is no share.
    #[error("keystore {} holds no key share", path.display())]
    Share {
        /// The keystore.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The lock has no such operator.
    #[error("the lock has no share for operator {operator}")]
    NoShareIndex {
        /// Which.
        operator: OperatorIndex,
    },
}

/// Names the first of the missing and counts the rest.
struct Names<'a>(&'a [(KeyIndex, PublicKey)]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (validator, key)) in self.0.iter().take(NAMED_MISSING).enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}validator {validator} ({key})")?;
        }
        match self.0.len().saturating_sub(NAMED_MISSING) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Lists the keystores of a directory, each with the file its password ought to be in.
pub(super) fn find(keys_dir: &Path) -> Result<Vec<KeystorePair>, SharesError> {
    let error = |source| SharesError::List { path: keys_dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(keys_dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("keystore") && name.ends_with(".json") {
            found.push(KeystorePair { password: path.with_extension("txt"), keystore: path });
        }
    }
    found.sort_unstable_by(|a, b| a.keystore.cmp(&b.keystore));
    Ok(found)
}

/// Opens the keystores and finds the place of each share in the lock.
pub(super) fn load(
    keys_dir: &Path,
    pairs: Vec<KeystorePair>,
    lock: &VerifiedLock,
    operator: OperatorIndex,
) -> Result<Vec<(KeyIndex, SecretShare)>, SharesError> {
    let index = operator.share_index().ok_or(SharesError::NoShareIndex { operator })?;
    let keystores = read_all(pairs)?;
    let places = Places::new(lock, operator);
    // What the files say of themselves shows most mistakes before the slow part.
    let stated = keystores
        .iter()
        .filter_map(|read| Some((read.keystore.public_key()?, read.pair.keystore.as_path())))
        .collect::<Vec<_>>();
    places.check_all(&stated)?;
    if stated.len() == keystores.len() {
        places.check_complete(keys_dir, &stated)?;
    }

    let secrets = open_all(&keystores, &|| {})?;
    let opened = secrets
        .iter()
        .zip(&keystores)
        .map(|(secret, read)| (secret.public_key(), read.pair.keystore.as_path()))
        .collect::<Vec<_>>();
    let validators = places.check_all(&opened)?;
    places.check_complete(keys_dir, &opened)?;
    let mut shares = validators
        .into_iter()
        .zip(secrets.iter().zip(&opened))
        .map(|(validator, (secret, (_, path)))| {
            let share = SecretShare::from_bytes(index, &secret.to_bytes())
                .map_err(|source| SharesError::Share { path: (*path).to_owned(), source })?;
            Ok((validator, share))
        })
        .collect::<Result<Vec<_>, SharesError>>()?;
    shares.sort_unstable_by_key(|(validator, _)| *validator);
    Ok(shares)
}

/// Whose each public key of the lock is.
struct Places<'a> {
    lock: &'a VerifiedLock,
    operator: OperatorIndex,
    shares: BTreeMap<PublicKey, (KeyIndex, OperatorIndex)>,
    whole_keys: BTreeMap<PublicKey, KeyIndex>,
}

impl<'a> Places<'a> {
    fn new(lock: &'a VerifiedLock, operator: OperatorIndex) -> Self {
        let (mut shares, mut whole_keys) = (BTreeMap::new(), BTreeMap::new());
        for (validator, index) in lock.validators().iter().zip((0..).map(KeyIndex::new)) {
            whole_keys.insert(validator.public_key(), index);
            for (share, owner) in validator.public_shares().iter().zip(0..) {
                shares.insert(*share, (index, OperatorIndex::new(owner)));
            }
        }
        Self { lock, operator, shares, whole_keys }
    }

    /// The validator of each keystore, all of them this operator's and no one twice.
    fn check_all(&self, keystores: &[(PublicKey, &Path)]) -> Result<Vec<KeyIndex>, SharesError> {
        let mut seen = BTreeMap::new();
        keystores
            .iter()
            .map(|(key, path)| {
                let validator = self.place(key, path)?;
                match seen.insert(validator, *path) {
                    None => Ok(validator),
                    Some(first) => Err(SharesError::Duplicate {
                        validator,
                        first: first.to_owned(),
                        second: (*path).to_owned(),
                    }),
                }
            })
            .collect()
    }

    fn place(&self, key: &PublicKey, path: &Path) -> Result<KeyIndex, SharesError> {
        let path = || path.to_owned();
        match (self.shares.get(key), self.whole_keys.get(key)) {
            (Some((validator, owner)), _) if *owner == self.operator => Ok(*validator),
            (Some((_, owner)), _) => Err(SharesError::OtherOperator {
                path: path(),
                found: *owner,
                expected: self.operator,
            }),
            (None, Some(validator)) => {
                Err(SharesError::WholeKey { path: path(), validator: *validator, key: *key })
            }
            (None, None) => Err(SharesError::NotInLock { path: path(), key: *key }),
        }
    }

    /// Every validator has a keystore.
    fn check_complete(
        &self,
        keys_dir: &Path,
        keystores: &[(PublicKey, &Path)],
    ) -> Result<(), SharesError> {
        let there: BTreeMap<_, _> = keystores.iter().copied().collect();
        let missing: Vec<_> = self
            .lock
            .validators()
            .iter()
            .zip((0..).map(KeyIndex::new))
            .filter(|(validator, _)| {
                let share = validator.public_shares().get(self.operator.as_usize());
                !share.is_some_and(|share| there.contains_key(share))
            })
            .map(|(validator, index)| (index, validator.public_key()))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(SharesError::Missing {
            dir: keys_dir.to_owned(),
            validators: self.lock.validators().len(),
            missing,
        })
    }
}
