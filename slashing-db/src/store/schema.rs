//! The SQLite file: how it is made, how a connection is set up, which versions there are.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::OpenError;
use crate::identity::Identity;
use crate::sidecar::Progress;
use crate::store::load;
use crate::store::log::KEPT_BYTES;
use crate::store::metadata::Metadata;
use crate::store::migrate::{MIGRATIONS, migrate};
use crate::store::row::{number, sql};

/// `SYND`: tells our files from other SQLite files.
pub(crate) const APPLICATION_ID: i32 = 0x5359_4e44;

/// The schema this program writes, kept in SQLite's `user_version`.
pub(crate) const SCHEMA_VERSION: i64 = 1 + MIGRATIONS.len() as i64;

const SCHEMA: &str = include_str!("schema.sql");

/// Page cache in KiB: two epochs of 10,000 validators stay in memory.
const CACHE_KIB: i64 = 16 * 1024;

/// How long to wait for a file lock. Our own lock is held already, so whoever has SQLite's is a
/// foreign program that looks at the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects to an existing file and makes every commit durable before it returns.
pub(crate) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let conn = connect_alone(path)?;
    conn.set_prepared_statement_cache_capacity(64);
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "write-ahead logging is not available here (journal mode {mode})"
        )));
    }
    // FULL: the commit's frames are on the disk when COMMIT returns. NORMAL would lose the last ones
    // with the power.
    conn.pragma_update(None, "synchronous", "FULL")?;
    // macOS answers a plain fsync from the drive's cache.
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    // Checkpoints run where no signature waits, see the writer.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", sql(KEPT_BYTES))?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    Ok(conn)
}

/// Connects to an existing file that nobody else may use meanwhile.
fn connect_alone(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // Exclusive before WAL: the WAL index is then in our memory, and no other program can write.
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(conn)
}

/// The identity that a file is pinned to; `None` if it holds no database yet. Changes nothing: what
/// the write-ahead log holds is read from there, and stays there.
pub(crate) fn stored_identity(path: &Path) -> Result<Option<Identity>, OpenError> {
    stored(path, |_, metadata| Ok(metadata.identity))
}

/// How far the database of a file has come; as [`stored_identity`].
pub(crate) fn stored_progress(path: &Path) -> Result<Option<Progress>, OpenError> {
    stored(path, |conn, Metadata { database_id, starts, sequence, .. }| {
        let journal = "SELECT coalesce(max(sequence), 0) FROM journal";
        let last = conn.query_row(journal, [], |row| number(row, 0))?;
        Ok(Progress { database_id, starts, sequence: sequence.max(last) })
    })
}

fn stored<T>(
    path: &Path,
    read: impl FnOnce(&Connection, Metadata) -> rusqlite::Result<T>,
) -> Result<Option<T>, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let conn = connect_alone(path).map_err(failed)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    if version(&conn, path)?.is_none() {
        return Ok(None);
    }
    let metadata = metadata(&conn, path)?;
    read(&conn, metadata).map(Some).map_err(failed)
}

/// Makes the tables of an empty file and pins the identity, in one transaction, if `new_at` says when
/// that is; or checks that the file is one that this program can use for `identity`, and brings an older
/// schema up to date.
pub(crate) fn prepare(
    mut conn: Connection,
    path: &Path,
    identity: &Identity,
    new_at: Option<u64>,
) -> Result<Connection, OpenError> {
    let Some(version) = version(&conn, path)? else {
        let new_at = new_at.ok_or_else(|| OpenError::Missing { path: path.to_owned() })?;
        create(&mut conn, identity, new_at)
            .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
        return Ok(conn);
    };
    // What belongs to somebody else is not changed.
    let found = metadata(&conn, path)?.identity;
    if found != *identity {
        return Err(OpenError::OtherIdentity {
            path: path.to_owned(),
            found: Box::new(found),
            expected: Box::new(identity.clone()),
        });
    }
    migrate(conn, path, version, MIGRATIONS)
}

fn metadata(conn: &Connection, path: &Path) -> Result<Metadata, OpenError> {
    Metadata::read(conn)
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?
        .ok_or_else(|| OpenError::Damaged {
            path: path.to_owned(),
            what: load::METADATA_CHECKSUM.to_owned(),
        })
}

/// The version of the file's schema; `None` if the file is empty.
fn version(conn: &Connection, path: &Path) -> Result<Option<i64>, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    let application_id: i32 =
        conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    if tables == 0 && application_id == 0 {
        return Ok(None);
    }
    if application_id != APPLICATION_ID {
        return Err(OpenError::NotOurs {
            path: path.to_owned(),
            found: application_id,
            expected: APPLICATION_ID,
        });
    }
    let version: i64 =
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if version > SCHEMA_VERSION {
        return Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    Ok(Some(version))
}

/// What tells a database from every other.
pub(crate) fn random_id(conn: &Connection) -> rusqlite::Result<[u8; 16]> {
    conn.query_row("SELECT randomblob(16)", [], |row| row.get(0))
}

fn create(conn: &mut Connection, identity: &Identity, now: u64) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    tx.execute_batch(SCHEMA)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    let database_id = random_id(&tx)?;
    Metadata::new(identity.clone(), database_id, now).write(&tx)?;
    tx.commit()
}
