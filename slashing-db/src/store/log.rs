//! The write-ahead log: how long it may become, and its way into the main file.
//!
//! Once everything in it has been copied, SQLite begins it anew from its first byte. The log's file is
//! not shortened then: what is written over what is there costs the disk one flush, what lengthens a
//! file costs a change of the file system's own records as well.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;

use crate::store::Store;

/// Frames, of one page each, at which the log is copied while nothing else is to do: a slot of 10,000
/// validators is six.
const WORTH_SETTLING: usize = 64;

/// Frames at which the log is copied although somebody may wait: 4 MiB, some milliseconds of work. One
/// transaction comes on top, so the log is at most this and the largest transaction.
const FULL: usize = 1024;

/// What one page is in the log: SQLite's page with the frame's head.
const FRAME_BYTES: u64 = 4096 + 24;

/// The file is made as long as this before it is needed.
const RESERVED_BYTES: u64 = 256 * FRAME_BYTES;

/// A file that a large transaction made longer than this is cut when the log begins anew.
pub(crate) const KEPT_BYTES: u64 = 2 * FULL as u64 * FRAME_BYTES;

/// What is known of the log.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    /// Frames since the log began anew, as of the last commit.
    frames: Arc<AtomicUsize>,
    reserved: bool,
}

impl Log {
    /// Counts the frames of a connection whose log is empty.
    pub(crate) fn watch(conn: &mut Connection, database: &Path) -> rusqlite::Result<Self> {
        let frames = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&frames);
        conn.wal_hook(Some(move |_: &mut _, pages| {
            counter.store(usize::try_from(pages).unwrap_or(usize::MAX), Ordering::Relaxed);
            Ok(())
        }))?;
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Ok(Self { path: path.into(), frames, reserved: false })
    }

    fn frames(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }
}

impl Store {
    /// Whether it is time to copy the log, if nothing else is to do.
    pub(crate) fn log_is_worth_settling(&self) -> bool {
        self.log.frames() >= WORTH_SETTLING
    }

    /// Whether the log must not become longer.
    pub(crate) fn log_is_full(&self) -> bool {
        self.log.frames() >= FULL
    }

    /// Copies the log into the main file and begins it anew.
    pub(crate) fn settle_log(&mut self) -> rusqlite::Result<()> {
        checkpoint(&self.conn, "PASSIVE")?;
        // The first commit of a log that begins anew waits for the disk twice; no signature has to.
        self.probe()
    }

    /// Makes the log's file as long as it usually gets, once. Zeros are no frames: what SQLite reads of
    /// the log ends before them.
    pub(crate) fn reserve_log(&mut self) {
        if !self.log.reserved {
            self.log.reserved = true;
            if let Err(error) = lengthen(&self.log.path) {
                tracing::debug!(%error, "no room was reserved for the slashing database's log");
            }
        }
    }
}

/// Copies the log into the main file, durably, and makes it empty.
pub(crate) fn empty(conn: &Connection) -> rusqlite::Result<()> {
    checkpoint(conn, "TRUNCATE")
}

/// Runs a checkpoint of the given mode; one that could not finish is an error.
fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    let busy: i64 =
        conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))?;
    if busy == 0 {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
        Some("the write-ahead log could not be copied into the database".to_owned()),
    ))
}

fn lengthen(path: &Path) -> io::Result<()> {
    // SQLite made it, with the database's own mode.
    let mut file = OpenOptions::new().write(true).open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    let missing = RESERVED_BYTES.saturating_sub(len);
    io::copy(&mut io::Read::take(io::repeat(0), missing), &mut file)?;
    file.flush()?;
    file.sync_all()
}
