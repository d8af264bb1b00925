//! Files that are complete or not there: written beside their place under a name of their own, on disk
//! before they get their name.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// What the name of an unfinished file ends with. It begins with a dot, then the name it is to get.
const SUFFIX: &str = ".synod-part";

/// A file without its name, removed when dropped.
#[derive(Debug)]
pub(super) struct Partial<'a> {
    path: PathBuf,
    target: &'a Path,
}

impl<'a> Partial<'a> {
    /// Writes what `target` is to hold and waits until it is on disk.
    pub(super) fn write(target: &'a Path, content: &[u8], mode: u32) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut hidden = OsStr::new(".").to_owned();
        hidden.push(name);
        // Nobody else writes to it, not even another process that makes the same file.
        hidden.push(format!(".{:016x}{SUFFIX}", rand::random::<u64>()));
        let path = target.with_file_name(hidden);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode & 0o600).open(&path)?;
        let partial = Self { path, target };
        file.write_all(content)?;
        // Opened with no more than the owner's rights, then given what the caller asked for.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        Ok(partial)
    }

    /// Gives it its name; a file of that name stays and is an error.
    pub(super) fn publish(self) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, self.target, RenameFlags::NOREPLACE) {
            // Some file systems cannot do that, such as NFS.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => self.link(),
            renamed => Ok(renamed?),
        }
    }

    /// [`Partial::publish`] where files are not renamed without overwriting. The other name goes when this is
    /// dropped.
    fn link(&self) -> io::Result<()> {
        fs::hard_link(&self.path, self.target)
    }

    /// Gives it its name in the place of a file that has it.
    pub(super) fn replace(self) -> io::Result<()> {
        fs::rename(&self.path, self.target)
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        // It is gone if it got its name. What is left behind is hidden and found by `remove_all`.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the unfinished files of a directory; how many there were.
pub(super) fn remove_all(dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if is_partial(&entry.file_name()) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    if removed > 0 {
        File::open(dir)?.sync_all()?;
    }
    Ok(removed)
}

fn is_partial(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_has_the_name_before_all_of_it_is_there_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let partial = Partial::write(&path, b"whole", 0o400).unwrap();
        assert!(!path.exists());
        let [name] = names(dir.path()).try_into().unwrap();
        // Neither a scan for keys nor one for keystores takes it for one.
        assert!(name.starts_with(".key.json.") && !name.ends_with(".json"), "{name}");
        assert_eq!(super::super::files::mode(&dir.path().join(name)).unwrap(), 0o400);
        partial.publish().unwrap();
        assert_eq!(names(dir.path()), ["key.json"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");

        let second = Partial::write(&path, b"second", 0o600).unwrap();
        assert_eq!(second.publish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        Partial::write(&path, b"third", 0o600).unwrap().replace().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(names(dir.path()), ["key.json"]);
    }

    #[test]
    fn where_nothing_is_renamed_without_overwriting_the_name_is_a_link_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let partial = Partial::write(&path, b"whole", 0o600).unwrap();
        partial.link().unwrap();
        drop(partial);
        let second = Partial::write(&path, b"second", 0o600).unwrap();
        assert_eq!(second.link().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(second);
        assert_eq!(names(dir.path()), ["key.json"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn what_a_killed_process_left_is_in_nobodys_way_and_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        std::mem::forget(Partial::write(&path, b"ha", 0o600).unwrap());
        for other in [".hidden", "a.synod-part"] {
            fs::write(dir.path().join(other), "").unwrap();
        }
        Partial::write(&path, b"whole", 0o600).unwrap().publish().unwrap();
        assert_eq!(remove_all(dir.path()).unwrap(), 1);
        assert_eq!(names(dir.path()), [".hidden", "a.synod-part", "key.json"]);
        assert!(remove_all(&dir.path().join("none")).is_err());
    }
}
