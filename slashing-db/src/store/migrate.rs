//! Older schemas, brought up to date: a copy is kept, then all steps run in one transaction.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::pack_journal::pack_journal;
use crate::error::OpenError;
use crate::files;
use crate::store::log;

mod pack_journal;

/// One step: from the version before to the next.
pub(crate) type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The steps of this program: the first leads from version 1 to 2.
pub(crate) const MIGRATIONS: &[Migration] = &[pack_journal];

/// Brings a file of schema `version` to `1 + migrations.len()`.
pub(crate) fn migrate(
    conn: &mut Connection,
    path: &Path,
    version: i64,
    migrations: &[Migration],
) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let done = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    let Some(steps) = done.and_then(|done| migrations.get(done..)) else {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            what: format!("its schema version is {version}"),
        });
    };
    if steps.is_empty() {
        return Ok(());
    }
    // Everything is in the main file then, so the copy is whole without the log.
    log::empty(conn).map_err(failed)?;
    let copy = keep_copy(path, version).map_err(|source| OpenError::File {
        action: "keep a copy before the schema changes of",
        path: path.to_owned(),
        source,
    })?;
    tracing::info!(copy = %copy.display(), version, "the slashing database gets a newer schema");
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
    for (at, step) in (version + 1..).zip(steps) {
        step(&tx).and_then(|()| tx.pragma_update(None, "user_version", at)).map_err(failed)?;
    }
    tx.commit().map_err(failed)
}

/// Copies the file beside itself; an earlier copy of the same version is not touched.
fn keep_copy(path: &Path, version: i64) -> io::Result<PathBuf> {
    let mut number = 0_u32;
    loop {
        let ending = match number {
            0 => format!("schema-{version}"),
            _ => format!("schema-{version}.{number}"),
        };
        let copy = files::beside(path, &ending);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        files::private(&mut options);
        match options.open(&copy) {
            Ok(mut to) => {
                io::copy(&mut fs::File::open(path)?, &mut to)?;
                to.sync_all()?;
                files::sync_directory(&copy)?;
                return Ok(copy);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

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
        let mut conn = schema::connect(&path).unwrap();
        let identity = crate::Identity {
            genesis_validators_root: eth_types::Root::ZERO,
            network: "x".to_owned(),
            cluster_lock_hash: None,
        };
        schema::prepare(&mut conn, &path, &identity, 0).unwrap();
        // As if it were the first of these tests' own steps' versions.
        conn.pragma_update(None, "user_version", 1).unwrap();
        (directory, path, conn)
    }

    #[test]
    fn each_missing_step_runs_once_and_a_copy_of_the_old_file_stays() {
        let (_directory, path, mut conn) = database();
        migrate(&mut conn, &path, 1, &[]).unwrap();
        assert!(!files::beside(&path, "schema-1").exists());
        migrate(&mut conn, &path, 1, &[add_column]).unwrap();
        assert_eq!(version(&conn), 2);
        conn.execute("UPDATE journal SET note = 'x'", []).unwrap();
        let copy = Connection::open(files::beside(&path, "schema-1")).unwrap();
        assert_eq!(version(&copy), 1);
        assert!(copy.execute("UPDATE journal SET note = 'x'", []).is_err());
        migrate(&mut conn, &path, 2, &[add_column]).unwrap();
        assert_eq!(version(&conn), 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_schema() {
        let (_directory, path, mut conn) = database();
        assert!(migrate(&mut conn, &path, 1, &[add_column, fail]).is_err());
        assert_eq!(version(&conn), 1);
        conn.execute("UPDATE journal SET chain = 1", []).unwrap();
        assert!(conn.execute("UPDATE journal SET note = 'x'", []).is_err());
        // The next try keeps its own copy.
        migrate(&mut conn, &path, 1, &[add_column]).unwrap();
        assert!(files::beside(&path, "schema-1.1").exists());
    }

    #[test]
    fn a_version_that_never_was_is_damage() {
        let (_directory, path, mut conn) = database();
        let error = migrate(&mut conn, &path, 0, &[add_column]).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}
