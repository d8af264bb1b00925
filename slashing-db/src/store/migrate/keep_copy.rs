//! The copy of the file as it was before its schema changes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::files;

/// How much of two files is compared at a time.
const BUFFER: usize = 64 * 1024;

/// Copies a file that nobody has open beside itself, for its owner alone. An earlier copy of the same
/// version is not touched; if it is the very same, there is no other.
///
/// # Errors
/// There is no room, or a file cannot be read; an unfinished copy does not stay.
pub(super) fn keep_copy(path: &Path, version: i64) -> io::Result<PathBuf> {
    let mut number = 0_u32;
    let copy = loop {
        let ending = match number {
            0 => format!("schema-{version}"),
            _ => format!("schema-{version}.{number}"),
        };
        let copy = files::beside(path, &ending);
        if !fs::exists(&copy)? {
            break copy;
        }
        if is_same(path, &copy)? {
            return Ok(copy);
        }
        number += 1;
    };
    let partial = files::beside(path, "schema-copy.partial");
    let copied = copy_to(path, &partial).and_then(|()| fs::rename(&partial, &copy));
    if let Err(error) = copied {
        // It may not even have been made.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    files::sync_directory(&copy)?;
    Ok(copy)
}

fn copy_to(path: &Path, partial: &Path) -> io::Result<()> {
    match fs::remove_file(partial) {
        // Left by a process that was killed.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    files::private(&mut options);
    let mut to = options.open(partial)?;
    io::copy(&mut File::open(path)?, &mut to)?;
    to.sync_all()
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let mut one = BufReader::with_capacity(BUFFER, one);
    let mut other = BufReader::with_capacity(BUFFER, other);
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let len = left.len().min(right.len());
        if left.get(..len) != right.get(..len) {
            return Ok(false);
        }
        if len == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        one.consume(len);
        other.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_fails_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        // A directory can be opened, but not read as a file.
        let path = directory.path().join("db");
        fs::create_dir(&path).unwrap();
        assert!(keep_copy(&path, 1).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_no_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        fs::write(&path, [7; 3 * BUFFER + 1]).unwrap();
        fs::write(files::beside(&path, "schema-copy.partial"), [7; 10]).unwrap();
        let copy = keep_copy(&path, 1).unwrap();
        assert_eq!(copy, files::beside(&path, "schema-1"));
        assert!(is_same(&path, &copy).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        // The same content needs no other copy, another content does.
        assert_eq!(keep_copy(&path, 1).unwrap(), copy);
        fs::write(&path, [8; 3 * BUFFER + 1]).unwrap();
        assert_eq!(keep_copy(&path, 1).unwrap(), files::beside(&path, "schema-1.1"));
    }
}
