//! The lock file beside a database: one process at a time, and a name for the one that has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::OpenError;
use crate::files;

/// Held as long as the database is open. The operating system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The most that is read of another process's lock file.
const MAX_HOLDER: u64 = 256;

impl Lock {
    /// Takes the lock.
    pub(crate) fn take(database: &Path) -> Result<Self, OpenError> {
        let path = files::beside(database, "lock");
        let failed = |action| {
            let path = path.clone();
            move |source| OpenError::File { action, path, source }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        files::private(&mut options);
        let mut file = options.open(&path).map_err(failed("open lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: database.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        // Only now: the text has to name the process that holds the lock.
        let text =
            format!("process {} since {}\n", std::process::id(), files::utc(SystemTime::now()));
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(failed("write lock file"))?;
        Ok(Self { _file: file })
    }
}

/// What the other process wrote; its first line.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(MAX_HOLDER).read_to_string(&mut text);
    match (read, text.lines().next()) {
        (Ok(_), Some(line)) if !line.is_empty() => line.to_owned(),
        _ => "another process".to_owned(),
    }
}

/// The lock file's place, for messages and tests.
#[must_use]
pub fn lock_path(database: &Path) -> PathBuf {
    files::beside(database, "lock")
}
