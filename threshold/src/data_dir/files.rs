//! Small file operations with the care that secrets and finished clusters need: created with their
//! mode, complete from the moment they have their name, never overwritten, on disk before anybody relies on
//! them, read within a bound.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::partial::{self, Partial};

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system's error.
    #[error("cannot read it")]
    Io(#[source] io::Error),
    /// Longer than any such file is.
    #[error("it has more than the {limit} bytes that are read")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
}

/// Reads a whole file of at most `limit` bytes. The buffer is erased when dropped and is made at its
/// full length at once, so that no copy of a secret stays behind.
///
/// # Errors
/// It cannot be read, or is longer.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let file = File::open(path).map_err(ReadError::Io)?;
    let metadata = file.metadata().map_err(ReadError::Io)?;
    if metadata.is_dir() {
        return Err(ReadError::Io(io::ErrorKind::IsADirectory.into()));
    }
    if metadata.len() > limit {
        return Err(ReadError::TooLarge { limit });
    }
    // One byte more than the length, so that the end is found without growing.
    let capacity = usize::try_from(metadata.len().min(limit)).unwrap_or(0).saturating_add(1);
    let mut content = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(ReadError::Io)?;
    if content.len() as u64 > limit {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(content)
}

/// Writes a new file and waits until its content is on disk; call [`sync_dir`] for its name. All of it is
/// there or nothing is, also after a kill or a power failure. The mode is there from the first byte,
/// whatever the umask; a file of that name is left as it is and is an error.
///
/// # Errors
/// The file exists or cannot be written. Nothing was made.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // Also where nothing can be written, such as a directory that is mounted read-only.
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Partial::write(path, content, mode)?.publish()
}

/// Like [`write_new`], in the place of a file of that name, in one step.
///
/// # Errors
/// It cannot be written; what was there before still is.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    Partial::write(path, content, mode)?.replace()
}

/// Takes a file over that somebody else made: gives it a mode and waits until it is on disk.
///
/// # Errors
/// The operating system's.
pub fn take_over(path: &Path, mode: u32) -> io::Result<()> {
    let file = File::open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Removes what [`write_new`] and [`replace`] left in a directory when they were killed, which may be secret.
/// Nobody may be writing files there meanwhile. How many there were.
///
/// # Errors
/// The directory cannot be listed, or such a file not be removed.
pub fn remove_unfinished(dir: &Path) -> io::Result<usize> {
    partial::remove_all(dir)
}

/// Makes a new directory; one of that name is an error.
///
/// # Errors
/// The directory exists or cannot be made.
pub fn create_dir_new(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

/// Waits until the directory's entries are on disk.
///
/// # Errors
/// The operating system's.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The permission bits of a file.
///
/// # Errors
/// The file cannot be looked at.
pub fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_its_mode_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_new(&path, b"one", 0o400).unwrap();
        assert_eq!(mode(&path).unwrap(), 0o400);
        let error = write_new(&path, b"two", 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(*read_bounded(&path, 3).unwrap(), b"one");
    }

    #[test]
    fn a_file_above_the_bound_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        write_new(&path, &[0; 11], 0o600).unwrap();
        let error = read_bounded(&path, 10).unwrap_err();
        assert_eq!(error.to_string(), "it has more than the 10 bytes that are read");
        // A file whose length the file system does not tell is bounded too.
        assert!(matches!(
            read_bounded(Path::new("/dev/zero"), 10),
            Err(ReadError::TooLarge { limit: 10 })
        ));
        assert!(matches!(read_bounded(dir.path(), 10), Err(ReadError::Io(_))));
    }
}
