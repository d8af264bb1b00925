//! Opening many keystores: on all cores, and no more at once than memory allows.

use std::path::PathBuf;
use std::thread;

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use threshold_protocol::bls::SecretKey;

use super::Keystore;
use super::file::{KeystoreFileError, open, read_file};

/// Memory that key derivations may hold together. A scrypt keystore commonly takes 256 MiB, so that
/// four are opened at once.
const MEMORY_BUDGET_BYTES: u64 = 1024 * 1024 * 1024;

/// A keystore file and the file of its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeystorePair {
    pub(crate) keystore: PathBuf,
    pub(crate) password: PathBuf,
}

/// A keystore that was read and not opened.
#[derive(Debug)]
pub(crate) struct ReadKeystore {
    pub(crate) pair: KeystorePair,
    pub(crate) keystore: Keystore,
}

/// Reads them all, in order.
///
/// # Errors
/// The first file that is no keystore.
pub(crate) fn read_all(pairs: Vec<KeystorePair>) -> Result<Vec<ReadKeystore>, KeystoreFileError> {
    pairs
        .into_iter()
        .map(|pair| Ok(ReadKeystore { keystore: read_file(&pair.keystore)?, pair }))
        .collect()
}

/// Opens them all, in order; `opened` is called after each from whichever thread opened it.
///
/// # Errors
/// The first keystore of the list that does not open.
pub(crate) fn open_all(
    keystores: &[ReadKeystore],
    opened: &(dyn Fn() + Sync),
) -> Result<Vec<SecretKey>, KeystoreFileError> {
    let open_all = || {
        keystores
            .par_iter()
            .map(|read| {
                let secret = open(&read.keystore, &read.pair.keystore, &read.pair.password)?;
                opened();
                Ok(secret)
            })
            // The first error of the list, not the first in time.
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    };
    let memory = keystores.iter().map(|read| read.keystore.kdf_memory_bytes()).max();
    match ThreadPoolBuilder::new().num_threads(threads(memory.unwrap_or(0))).build() {
        Ok(pool) => pool.install(open_all),
        // Without threads of its own it still works, on the shared ones.
        Err(error) => {
            tracing::warn!(%error, "no threads for opening keystores");
            open_all()
        }
    }
}

/// How many keystores to open at once, if each takes so much memory.
fn threads(memory_each: u64) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    match MEMORY_BUDGET_BYTES.checked_div(memory_each) {
        None => cores,
        Some(fitting) => cores.min(usize::try_from(fitting).unwrap_or(cores)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_how_many_are_opened_at_once() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(threads(0), cores);
        assert_eq!(threads(256 * 1024 * 1024), cores.min(4));
        assert_eq!(threads(512 * 1024 * 1024), cores.min(2));
        assert_eq!(threads(u64::MAX), 1);
    }
}
