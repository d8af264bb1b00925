//! The file beside a database that remembers how far it had come: a database that has come less far
//! is an old copy, or has lost commits.
//!
//! One line of fixed length: the database's id, its start counter, the number of its last change.
//! The start counter is on the disk before anything is signed. The change number is written after
//! each commit without waiting for the disk: it survives a killed process, and after a power loss it
//! can only be too low, which accuses nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::files;

/// What the line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) database_id: [u8; 16],
    pub(crate) starts: u64,
    pub(crate) sequence: u64,
}

impl Progress {
    /// What shows that a database which has come as far as `self` is not the one that had come as far as
    /// `last`, or not all of it; `None` if it is.
    pub(crate) fn falls_short_of(&self, last: &Self) -> Option<String> {
        if self.database_id != last.database_id {
            let (found, expected) = (files::hex(&self.database_id), files::hex(&last.database_id));
            return Some(format!("it is database {found}, not {expected}"));
        }
        if self.starts < last.starts {
            let (found, expected) = (self.starts, last.starts);
            return Some(format!("it counts {found} starts, there were {expected}"));
        }
        (self.sequence < last.sequence).then(|| {
            let (found, expected) = (self.sequence, last.sequence);
            format!("its last change is number {found}, there was number {expected}")
        })
    }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Sidecar {
    file: File,
    path: PathBuf,
    /// What was written last.
    noted: Option<Progress>,
}

/// Far above the line's 93 bytes; a longer file is not ours.
const MAX_LEN: u64 = 256;

impl Sidecar {
    /// Where the file is.
    pub(crate) fn path_of(database: &Path) -> PathBuf {
        files::beside(database, "progress")
    }

    /// What the file says; `None` if there is none. A file that cannot be understood is an error.
    pub(crate) fn read(database: &Path) -> io::Result<Option<Progress>> {
        let file = match File::open(Self::path_of(database)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_LEN).read_to_string(&mut text)?;
        parse(&text).map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the line in it is not one this program wrote",
            )
        })
    }

    /// Writes the file anew and makes it durable.
    pub(crate) fn begin(database: &Path, progress: &Progress) -> io::Result<Self> {
        let path = Self::path_of(database);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        files::private(&mut options);
        let file = options.open(&path)?;
        let mut sidecar = Self { file, path, noted: None };
        sidecar.note(progress)?;
        sidecar.file.set_len(line(progress).len() as u64)?;
        sidecar.file.sync_all()?;
        files::sync_directory(&sidecar.path)?;
        Ok(sidecar)
    }

    /// Writes the line in place: one small write, which no crash of the process can split.
    pub(crate) fn note(&mut self, progress: &Progress) -> io::Result<()> {
        if self.noted == Some(*progress) {
            return Ok(());
        }
        self.noted = None;
        self.file.rewind()?;
        self.file.write_all(line(progress).as_bytes())?;
        self.noted = Some(*progress);
        Ok(())
    }
}

fn line(progress: &Progress) -> String {
    let id = files::hex(&progress.database_id);
    format!("database {id} starts {:020} changes {:020}\n", progress.starts, progress.sequence)
}

fn parse(text: &str) -> Option<Progress> {
    let mut words = text.split_ascii_whitespace();
    let mut value = |name: &str| (words.next()? == name).then(|| words.next())?;
    let id = value("database")?;
    let starts = number(value("starts")?)?;
    let sequence = number(value("changes")?)?;
    if id.len() != 32 || !id.is_ascii() {
        return None;
    }
    let mut database_id = [0; 16];
    for (at, byte) in database_id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(id.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Progress { database_id, starts, sequence })
}

/// A number in full length: one that was cut short must not pass for a smaller one.
fn number(digits: &str) -> Option<u64> {
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_reads_back_and_a_cut_line_does_not() {
        let progress = Progress { database_id: [0xab; 16], starts: 7, sequence: u64::MAX };
        let text = line(&progress);
        assert_eq!(parse(&text), Some(progress));
        for cut in 2..text.len() {
            assert_eq!(parse(&text[..text.len() - cut]), None, "{cut} characters cut off");
        }
        assert_eq!(parse(""), None);
    }
}
