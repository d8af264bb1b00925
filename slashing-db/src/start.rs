//! What is looked at before a database may sign: that its file is where it was, and has come as far
//! as it had.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use crate::error::OpenError;
use crate::files;
use crate::lock::{Lock, lock_path, noted_database};
use crate::memory::Memory;
use crate::options::Options;
use crate::sidecar::{Progress, Sidecar};
use crate::store::Store;

/// What a database was made instead of, or is used in spite of: why the one that was in use last is not
/// there, or may not be all there.
pub(crate) type Found = Option<String>;

/// What the file beside a database says. If it cannot be understood and that is accepted, why.
pub(crate) fn read_progress(
    path: &Path,
    options: &Options,
) -> Result<(Option<Progress>, Found), OpenError> {
    match progress_of(path) {
        Ok(progress) => Ok((progress, None)),
        Err(OpenError::ProgressDamaged { progress, what, .. }) if options.accept_restored => {
            Ok((None, Some(unreadable(&progress, &what))))
        }
        Err(error) => Err(error),
    }
}

fn progress_of(path: &Path) -> Result<Option<Progress>, OpenError> {
    Sidecar::read(path).map_err(|source| {
        let progress = Sidecar::path_of(path);
        if source.kind() != io::ErrorKind::InvalidData {
            return file_error("read", &progress, source);
        }
        OpenError::ProgressDamaged { path: path.to_owned(), progress, what: source.to_string() }
    })
}

fn unreadable(progress: &Path, what: &str) -> String {
    format!("{} is damaged ({what})", progress.display())
}

/// Why a database should be at `path`, where there is none or an empty one. Changes nothing.
pub(crate) fn missed(path: &Path) -> Result<Found, OpenError> {
    let witness = match progress_of(path) {
        Err(OpenError::ProgressDamaged { progress, what, .. }) => {
            Some(unreadable(&progress, &what))
        }
        progress => {
            let noted = noted_database(path)
                .map_err(|source| file_error("read", &lock_path(path), source))?;
            witness(path, progress?.as_ref(), noted.as_deref())
        }
    };
    Ok(witness.map(|witness| gone(path.exists(), &witness)))
}

/// Where and how a database should be that `witness` knows of.
fn gone(is_file: bool, witness: &str) -> String {
    format!("the file is {}, but {witness}", if is_file { "empty" } else { "missing" })
}

/// Makes an empty file where there is none, and says so; unless the files beside it know of a database
/// that was there. If that is accepted, what they know.
pub(crate) fn create_file(
    path: &Path,
    progress: Option<&Progress>,
    lock: &Lock,
    options: &Options,
) -> Result<Found, OpenError> {
    let len = match std::fs::metadata(path) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(file_error("look at", path, source)),
    };
    if len.is_some_and(|len| len > 0) {
        return Ok(None);
    }
    let found = witness(path, progress, lock.database()).map(|known| gone(len.is_some(), &known));
    if let Some(what) = &found
        && !options.accept_restored
    {
        return Err(OpenError::Restored { path: path.to_owned(), what: what.clone() });
    }
    tracing::warn!(
        path = %path.display(),
        "a new slashing database is made: it knows nothing of what its keys may have signed elsewhere"
    );
    if len.is_some() {
        return Ok(found);
    }
    let mut create = OpenOptions::new();
    create.write(true).create_new(true);
    files::private(&mut create);
    create
        .open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| files::sync_directory(path))
        .map_err(|source| file_error("create", path, source))?;
    Ok(found)
}

/// What the files beside a database that is not there say of it.
fn witness(path: &Path, progress: Option<&Progress>, last: Option<&str>) -> Option<String> {
    if let Some(progress) = progress {
        let sidecar = Sidecar::path_of(path);
        let what = match progress.starts {
            0 => "records were put into it".to_owned(),
            1 => "a signer has started on it once".to_owned(),
            starts => format!("a signer has started on it {starts} times"),
        };
        return Some(format!("{} says that {what}", sidecar.display()));
    }
    let lock_path = lock_path(path);
    last.map(|id| format!("{} says that database {id} was in use here", lock_path.display()))
}

/// Refuses a database that is behind its sidecar, or has none although it was used; and one that is not
/// the one that was used here last.
pub(crate) fn compare(
    store: &Store,
    memory: &Memory,
    progress: Option<&Progress>,
    lock: &Lock,
) -> Result<(), OpenError> {
    let metadata = store.metadata();
    let restored = |what| OpenError::Restored { path: store.path().to_owned(), what };
    let sidecar = Sidecar::path_of(store.path());
    let id = files::hex(&metadata.database_id);
    if let Some(last) = lock.database()
        && last != id
    {
        let lock = lock_path(store.path());
        return Err(restored(format!(
            "it is database {id}, but {} says that database {last} was in use here",
            lock.display()
        )));
    }
    let Some(progress) = progress else {
        // The first start may have ended between the files; nothing was signed in it.
        if metadata.starts <= 1 && store.is_blank(memory) && lock.database().is_none() {
            return Ok(());
        }
        return Err(restored(format!(
            "{} is missing, though the database has been started {} times",
            sidecar.display(),
            metadata.starts
        )));
    };
    if progress.database_id != metadata.database_id {
        return Err(restored(format!("{} belongs to another database", sidecar.display())));
    }
    // The database counts first: it is ahead after a start that ended between the two files.
    if metadata.starts < progress.starts {
        return Err(restored(format!(
            "it counts {} starts, {} counts {}",
            metadata.starts,
            sidecar.display(),
            progress.starts
        )));
    }
    if store.sequence() < progress.sequence {
        return Err(restored(format!(
            "its last change is number {}, but {} has seen number {}",
            store.sequence(),
            sidecar.display(),
            progress.sequence
        )));
    }
    Ok(())
}

/// As [`compare`], of a database that is used all the same: why it should not be.
pub(crate) fn accept(
    store: &Store,
    memory: &Memory,
    progress: Option<&Progress>,
    lock: &Lock,
) -> Result<Found, OpenError> {
    match compare(store, memory, progress, lock) {
        Ok(()) => Ok(None),
        Err(OpenError::Restored { what, .. }) => Ok(Some(what)),
        Err(error) => Err(error),
    }
}

/// As [`compare`], before maintenance, which goes on in any case: the sidecar to keep up, or why the
/// database looks restored. Then it stays refused for signing, whatever is imported into it; and so it does if
/// it is `suspect` for something that was found before.
pub(crate) fn maintain(
    store: &mut Store,
    memory: &Memory,
    progress: Option<&Progress>,
    lock: &Lock,
    suspect: bool,
) -> Result<(Option<Sidecar>, Option<String>), OpenError> {
    let what = accept(store, memory, progress, lock)?;
    if what.is_some() {
        set_apart(store, progress)?;
    }
    let sidecar = if what.is_none() && !suspect { Some(start_sidecar(store)?) } else { None };
    Ok((sidecar, what))
}

/// Gives a database that is behind its sidecar another id: what is imported into it counts as changes,
/// with which it would catch up.
fn set_apart(store: &mut Store, progress: Option<&Progress>) -> Result<(), OpenError> {
    if progress.is_none_or(|progress| progress.database_id != store.metadata().database_id) {
        return Ok(());
    }
    store.rename().map_err(|source| OpenError::Sqlite { path: store.path().to_owned(), source })
}

pub(crate) fn start_sidecar(store: &Store) -> Result<Sidecar, OpenError> {
    Sidecar::begin(store.path(), &store.progress())
        .map_err(|source| file_error("write", &Sidecar::path_of(store.path()), source))
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::File { action, path: path.to_owned(), source }
}
