//! The lock file beside a database: one process at a time, and a name for the one that has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::OpenError;
use crate::files;

/// Held as long as the database is open. The operating system lets go of it when the process ends,
/// however it ends.
///
/// The file says in its first line who has it, and in its second, which stays, which database was used
/// last: a database that is gone together with its progress file is missed.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    /// The id of the database that was used last.
    database: Option<String>,
}

/// The most that is read of a lock file.
const MAX_TEXT: u64 = 256;

/// How the second line begins.
const DATABASE: &str = "database ";

impl Lock {
    /// Takes the lock.
    pub(crate) fn take(database: &Path) -> Result<Self, OpenError> {
        let path = lock_path(database);
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
        let database = last_database(&text(&mut file));
        let mut lock = Self { file, path, database };
        lock.write()?;
        Ok(lock)
    }

    /// The id of the database that was used here last.
    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Notes which database is used.
    pub(crate) fn note_database(&mut self, id: &[u8; 16]) -> Result<(), OpenError> {
        let id = Some(files::hex(id));
        if self.database == id {
            return Ok(());
        }
        self.database = id;
        self.write()?;
        // A power loss must not bring the database before back to mind.
        self.file.sync_all().map_err(|source| self.failed(source))
    }

    fn write(&mut self) -> Result<(), OpenError> {
        let mut text =
            format!("process {} since {}\n", std::process::id(), files::utc(SystemTime::now()));
        if let Some(id) = &self.database {
            text.push_str(&format!("{DATABASE}{id}\n"));
        }
        self.file
            .rewind()
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.set_len(text.len() as u64))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OpenError {
        OpenError::File { action: "write lock file", path: self.path.clone(), source }
    }
}

/// As [`Lock::database`], without taking the lock.
pub(crate) fn noted_database(database: &Path) -> io::Result<Option<String>> {
    match File::open(lock_path(database)) {
        Ok(mut file) => Ok(last_database(&text(&mut file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn last_database(text: &str) -> Option<String> {
    text.lines().nth(1).and_then(|line| line.strip_prefix(DATABASE)).map(ToOwned::to_owned)
}

/// What the other process wrote; its first line.
fn holder(file: &mut File) -> String {
    match text(file).lines().next() {
        Some(line) if !line.is_empty() => line.to_owned(),
        _ => "another process".to_owned(),
    }
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    // What cannot be read says nothing.
    let _ = file.take(MAX_TEXT).read_to_string(&mut text);
    text
}

/// The lock file's place, for messages and tests.
#[must_use]
pub fn lock_path(database: &Path) -> PathBuf {
    files::beside(database, "lock")
}
