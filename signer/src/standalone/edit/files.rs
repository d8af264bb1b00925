//! The files of a key that was added: a YAML file that names its keystore and its password.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use eth_types::PublicKey;
use threshold::data_dir::files;
use zeroize::Zeroizing;

use super::{AddError, OpenedKeystore};
use crate::standalone::scan::Source;

const FILE_MODE: u32 = 0o600;

/// The files of an added key: YAML, keystore, password.
pub(super) fn own_files(dir: &Path, validator: &PublicKey) -> [PathBuf; 3] {
    ["yaml", "json", "password"].map(|extension| dir.join(format!("{validator}.{extension}")))
}

/// Writes the three files, the YAML file last, and puts them on the disk with `sync`. On an error what
/// was written is removed again.
pub(super) fn write_files(
    dir: &Path,
    opened: &OpenedKeystore,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> Result<Source, AddError> {
    let at = |path: &Path, source| AddError::Write { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| at(dir, source))?;
    let name = opened.validator().to_string();
    let [config, keystore, password] = own_files(dir, &opened.validator());
    let yaml = format!(
        "type: file-keystore\nkeyType: BLS\nkeystoreFile: {name}.json\n\
         keystorePasswordFile: {name}.password\n"
    );
    let secret = Zeroizing::new(opened.password.expose().to_owned());
    let contents = [(&keystore, opened.text.as_str()), (&password, &secret), (&config, &yaml)];
    let mut written = Vec::new();
    for (path, content) in contents {
        // What the YAML file names is on disk before it is.
        let ready =
            if path == &config { sync(dir).map_err(|source| at(dir, source)) } else { Ok(()) };
        match ready.and_then(|()| write_one(path, content.as_bytes())) {
            Ok(true) => written.push(path),
            Ok(false) => {}
            Err(error) => {
                take_back(dir, &written, sync);
                return Err(error);
            }
        }
    }
    if let Err(error) = sync(dir) {
        take_back(dir, &written, sync);
        return Err(at(dir, error));
    }
    Ok(Source::Keystore { config, document: 0, alone: true, keystore, password })
}

/// Whether it was written; otherwise it was there already, left behind by an import or a removal that was
/// cut off.
fn write_one(path: &Path, content: &[u8]) -> Result<bool, AddError> {
    let outcome = match files::write_new(path, content, FILE_MODE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !has_content(path, content) {
                return Err(AddError::Exists { path: path.to_owned() });
            }
            if files::mode(path).is_ok_and(|mode| mode != FILE_MODE) {
                tracing::warn!("{} was there with other permissions; it gets 0600", path.display());
            }
            files::take_over(path, FILE_MODE).map(|()| false)
        }
        other => other.map(|()| true),
    };
    outcome.map_err(|source| AddError::Write { path: path.to_owned(), source })
}

/// Removes files that were written, the YAML file first: with it the key would be there after a restart.
fn take_back(dir: &Path, written: &[&PathBuf], sync: impl Fn(&Path) -> io::Result<()>) {
    for path in written.iter().rev() {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, "{} could not be taken back: remove it by hand", path.display());
        }
    }
    if !written.is_empty()
        && let Err(error) = sync(dir)
    {
        tracing::error!(
            %error,
            "files of a key that was not added were removed from {}, but may be back after a power failure: \
             look before the next start",
            dir.display()
        );
    }
}

fn has_content(path: &Path, expected: &[u8]) -> bool {
    files::read_bounded(path, expected.len() as u64)
        .is_ok_and(|content| content.as_slice() == expected)
}

/// Why a file is not removed, or not for certain.
#[derive(Debug)]
pub(super) enum NotRemoved {
    /// It is still there.
    There(io::Error),
    /// It is gone, but may be back after a power failure.
    NotOnDisk(io::Error),
}

/// Removes a file and waits with `sync` until that is on disk. One that is not there is removed, but perhaps
/// not on disk, if it was tried before.
pub(super) fn remove_file(
    path: &Path,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), NotRemoved> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(NotRemoved::There(error));
        }
        _ => {}
    }
    // If its directory is gone, too, that is what has to be on disk.
    for dir in path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
        match sync(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => return synced.map_err(NotRemoved::NotOnDisk),
        }
    }
    Ok(())
}
