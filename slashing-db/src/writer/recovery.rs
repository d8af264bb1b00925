//! After a failed commit: nothing is signed until writing works again.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{FailStop, OpenError};
use crate::sidecar::Progress;
use crate::start::file_error;
use crate::store::{Store, schema};
use crate::writer::Writer;

/// How often writing is tried again after a failed commit.
const RETRY_EVERY: Duration = Duration::from_secs(1);

impl Writer {
    /// Stops all signing. The memory is ahead of the disk now, and is not used until it was read anew.
    pub(super) fn fail(&mut self, error: &rusqlite::Error) -> FailStop {
        let failure = self.shared.stop(error);
        tracing::error!(%failure, "a commit of the slashing database failed");
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        failure
    }

    /// Tries to go on after a failure, now and then; the failure if it is still there.
    pub(super) fn still_stopped(&mut self) -> Option<FailStop> {
        let failure = self.shared.failure()?;
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Some(failure);
        }
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the slashing database records again");
                self.retry_at = None;
                self.shared.go_on();
                None
            }
            Err(error) => {
                let reason = in_words(&error);
                tracing::warn!(reason, "the slashing database still cannot record");
                self.retry_at = Some(Instant::now() + RETRY_EVERY);
                // The disk may work again by now: then this is why nothing is signed.
                Some(match error {
                    OpenError::Missing { .. } | OpenError::Replaced { .. } => {
                        self.shared.stop_because(reason)
                    }
                    _ => failure,
                })
            }
        }
    }

    /// Opens the file anew and reads the memory from it. Opening copies the write-ahead log into the
    /// main file: what a failed sync left behind is written again, not believed. Neither is a file that has
    /// not come as far as what was acknowledged.
    fn reopen(&mut self) -> Result<(), OpenError> {
        let mut guard = self.shared.store();
        if let Some(store) = guard.take() {
            // Only a commit that did not fail moves it on.
            self.acknowledged = Some(store.progress());
        }
        let path = self.shared.path();
        let last = self.acknowledged.ok_or_else(|| OpenError::Missing { path: path.to_owned() })?;
        check_in_place(path, &last)?;
        let (mut store, memory) =
            Store::open(path, &self.identity, self.options.strategy, None, false)?;
        complete(path, &store.progress(), &last)?;
        store.probe().map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        *self.shared.memory_mut() = memory;
        *guard = Some(store);
        Ok(())
    }
}

/// Looks at a file without changing it: whether it can be the one that was in use.
fn check_in_place(path: &Path, last: &Progress) -> Result<(), OpenError> {
    let gone = || OpenError::Missing { path: path.to_owned() };
    // SQLite would remove the write-ahead log of an empty one.
    let len = std::fs::metadata(path).map_err(|source| file_error("look at", path, source))?.len();
    if len == 0 {
        return Err(gone());
    }
    let found = schema::stored_progress(path)?.ok_or_else(gone)?;
    complete(path, &found, last)
}

fn complete(path: &Path, found: &Progress, last: &Progress) -> Result<(), OpenError> {
    match found.falls_short_of(last) {
        None => Ok(()),
        Some(what) => Err(OpenError::Replaced { path: path.to_owned(), what }),
    }
}

/// The error with its cause, in one line.
fn in_words(error: &OpenError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use eth_types::{PublicKey, Root, Slot};

    use crate::{Candidate, Identity, Options, RecordError, Request, Safe, SlashingDb};

    use super::*;

    /// How long is waited for what has to happen, at most.
    const SOON: Duration = Duration::from_secs(60);

    fn open(path: &Path) -> SlashingDb {
        let identity = Identity {
            genesis_validators_root: Root::ZERO,
            network: "x".to_owned(),
            cluster_lock_hash: None,
        };
        // Writing is tried again when a message comes, and not before.
        let quiet_after = Duration::from_secs(3600);
        SlashingDb::open(path, &identity, Options { quiet_after, ..Options::default() }).unwrap()
    }

    fn block(slot: u64) -> Candidate {
        Candidate::Block { slot: Slot::new(slot), signing_root: Root::new([1; 32]) }
    }

    fn sign(db: &SlashingDb, slot: u64) -> Result<bool, RecordError> {
        let validator = PublicKey::new([0xa0; 48]);
        let permits = db.record(vec![Request { validator, candidate: block(slot) }])?;
        Ok(permits.iter().all(Result::is_ok))
    }

    fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
        let started = Instant::now();
        while !there() {
            assert!(started.elapsed() < SOON, "{what} did not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// After a failure `put` puts something else in the file's place: signing stays stopped and says
    /// why, until the file is back.
    fn stays_stopped(put: impl FnOnce(&Path, &[u8]), why: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        open(&path).close();
        let older = fs::read(&path).unwrap();
        let db = open(&path);
        for slot in 1..5 {
            assert!(sign(&db, slot).unwrap());
        }
        let beside = |ending: &str| directory.path().join(format!("db{ending}"));
        for ending in ["", "-wal"] {
            fs::rename(beside(ending), beside(&format!("-kept{ending}"))).unwrap();
        }
        put(&path, &older);
        let put = fs::read(&path).unwrap();
        // As a commit that fails.
        assert!(db.run(|_, _| Err::<(), _>(rusqlite::Error::InvalidQuery)).is_err());
        wait_for(why, || sign(&db, 5).unwrap_err().to_string().contains(why));
        assert!(db.health().unwrap_err().reason.contains(why));
        assert!(fs::read(&path).unwrap() == put, "what is there was changed");

        if beside("-kept-wal").exists() {
            fs::rename(beside("-kept-wal"), beside("-wal")).unwrap();
        }
        fs::rename(beside("-kept"), &path).unwrap();
        wait_for("the end of the stop", || sign(&db, 5).is_ok());
        let validator = PublicKey::new([0xa0; 48]);
        for slot in 1..6 {
            assert_eq!(db.check(&validator, &block(slot)), Ok(Safe::SameData), "slot {slot}");
        }
    }

    #[test]
    fn an_older_copy_in_place_of_the_file_that_failed_is_not_believed() {
        stays_stopped(
            |path, older| fs::write(path, older).unwrap(),
            "it counts 1 starts, there were 2",
        );
    }

    #[test]
    fn an_empty_file_in_place_of_the_one_that_failed_does_not_become_a_database() {
        stays_stopped(|path, _| fs::write(path, "").unwrap(), "there is no slashing database");
    }

    #[test]
    fn another_database_in_place_of_the_file_that_failed_is_not_believed() {
        let other = |path: &Path, _: &[u8]| {
            let directory = tempfile::tempdir().unwrap();
            let another = directory.path().join("db");
            let db = open(&another);
            assert!(sign(&db, 1000).unwrap());
            db.close();
            fs::copy(another, path).unwrap();
        };
        stays_stopped(other, "is not what was in use: it is database ");
    }

    #[test]
    fn a_copy_of_the_same_start_that_lacks_the_last_message_is_not_believed() {
        let shorter = |path: &Path, _: &[u8]| {
            let beside = |ending: &str| path.with_file_name(format!("db{ending}"));
            fs::copy(beside("-kept"), path).unwrap();
            let mut log = fs::read(beside("-kept-wal")).unwrap();
            // Half of the last frame is missing, and so is its commit.
            log.truncate(log.len() - 2048);
            fs::write(beside("-wal"), log).unwrap();
        };
        stays_stopped(shorter, "its last change is number ");
    }
}
