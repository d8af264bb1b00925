//! Older schemas, brought up to date: a copy is kept, then all steps run in one transaction.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::keep_copy::keep_copy;
use self::note_signed::note_signed;
use self::pack_journal::pack_journal;
use crate::error::OpenError;
use crate::store::{log, schema};

mod keep_copy;
mod note_signed;
mod pack_journal;

/// One step: from the version before to the next.
pub(crate) type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The steps of this program: the first leads from version 1 to 2.
pub(crate) const MIGRATIONS: &[Migration] = &[pack_journal, note_signed];

/// Brings a file of schema `version` to `1 + migrations.len()`.
pub(crate) fn migrate(
    conn: Connection,
    path: &Path,
    version: i64,
    migrations: &[Migration],
) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let done = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    let Some(steps) = done.and_then(|done| migrations.get(done..)) else {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            what: format!("its schema version is {version}"),
        });
    };
    if steps.is_empty() {
        return Ok(conn);
    }
    // Everything is in the main file then, so the copy is whole without the log. The connection is closed
    // meanwhile: whoever else in a process opens and closes a file drops SQLite's locks on it.
    log::empty(&conn).map_err(failed)?;
    conn.close().map_err(|(_, source)| failed(source))?;
    let copy = keep_copy(path, version).map_err(|source| OpenError::File {
        action: "keep a copy before the schema changes of",
        path: path.to_owned(),
        source,
    })?;
    tracing::info!(copy = %copy.display(), version, "the slashing database gets a newer schema");
    let mut conn = schema::connect(path).map_err(failed)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
    for (at, step) in (version + 1..).zip(steps) {
        step(&tx).and_then(|()| tx.pragma_update(None, "user_version", at)).map_err(failed)?;
    }
    tx.commit().map_err(failed)?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::files;

    fn version(conn: &Connection) -> i64 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    fn add_column(tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.execute_batch("ALTER TABLE journal ADD COLUMN note TEXT")
    }

    fn fail(tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.execute_batch("DROP TABLE journal; SELECT nonsense")
    }

    fn database() -> (tempfile::TempDir, PathBuf, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        fs::write(&path, "").unwrap();
        let conn = schema::connect(&path).unwrap();
        let identity = crate::Identity {
            genesis_validators_root: eth_types::Root::ZERO,
            network: "x".to_owned(),
            cluster_lock_hash: None,
        };
        let conn = schema::prepare(conn, &path, &identity, Some(0)).unwrap();
        // As if it were the first of these tests' own steps' versions.
        conn.pragma_update(None, "user_version", 1).unwrap();
        (directory, path, conn)
    }

    #[test]
    fn each_missing_step_runs_once_and_a_copy_of_the_old_file_stays() {
        let (_directory, path, conn) = database();
        let conn = migrate(conn, &path, 1, &[]).unwrap();
        assert!(!files::beside(&path, "schema-1").exists());
        let conn = migrate(conn, &path, 1, &[add_column]).unwrap();
        assert_eq!(version(&conn), 2);
        conn.execute("UPDATE journal SET note = 'x'", []).unwrap();
        let copy = Connection::open(files::beside(&path, "schema-1")).unwrap();
        assert_eq!(version(&copy), 1);
        assert!(copy.execute("UPDATE journal SET note = 'x'", []).is_err());
        let conn = migrate(conn, &path, 2, &[add_column]).unwrap();
        assert_eq!(version(&conn), 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_schema() {
        let (_directory, path, conn) = database();
        assert!(migrate(conn, &path, 1, &[add_column, fail]).is_err());
        let conn = schema::connect(&path).unwrap();
        assert_eq!(version(&conn), 1);
        assert!(conn.execute("UPDATE journal SET note = 'x'", []).is_err());
        // The next try has no need of another copy.
        let conn = migrate(conn, &path, 1, &[fail]).err().map(|_| schema::connect(&path).unwrap());
        let conn = conn.unwrap();
        assert!(!files::beside(&path, "schema-1.1").exists());
        // Unless something was changed since.
        conn.execute("UPDATE metadata SET starts = 9", []).unwrap();
        migrate(conn, &path, 1, &[add_column]).unwrap();
        assert!(files::beside(&path, "schema-1.1").exists());
        assert!(!files::beside(&path, "schema-1.2").exists());
    }

    #[test]
    fn a_version_that_never_was_is_damage() {
        let (_directory, path, conn) = database();
        let error = migrate(conn, &path, 0, &[add_column]).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}
