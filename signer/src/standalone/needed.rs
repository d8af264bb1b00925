//! Which files go with a key that is removed: never one that another key may need, and none that is
//! outside the directories of keys. The files themselves are asked, not the keys that sign: a keystore
//! that did not open yet needs its password all the same.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::scan::{Places, Source, scan};

/// What the key files that are there now need.
#[derive(Debug)]
pub(super) struct Needed {
    /// Without links and `..`.
    config_dir: Option<PathBuf>,
    /// Likewise.
    files: HashSet<PathBuf>,
    /// Every key configuration file could be read, so nothing else is needed.
    complete: bool,
}

impl Needed {
    /// Reads the key configuration files. Blocks.
    pub(super) fn by_files(places: &Places) -> Self {
        let config_dir = fs::canonicalize(&places.config_dir).ok();
        let Ok(found) = scan(places) else {
            return Self { config_dir, files: HashSet::new(), complete: false };
        };
        let sources = found.candidates.iter().map(|candidate| &candidate.source);
        let files = sources.flat_map(Source::files).filter_map(|path| fs::canonicalize(path).ok());
        Self { config_dir, files: files.collect(), complete: found.bad.is_empty() }
    }

    /// Whether a file that remains is needed by another key.
    pub(super) fn is_needed(&self, path: &Path) -> bool {
        fs::canonicalize(path).is_ok_and(|path| self.files.contains(&path))
    }

    /// Whether a secret file of a removed key may be removed with it. `own` says that it is one that this
    /// program made, or that goes by the name of the keystore.
    pub(super) fn lets_go(&self, path: &Path, own: bool) -> bool {
        match fs::canonicalize(path) {
            Ok(path) if self.files.contains(&path) => false,
            Ok(path) => own || (self.complete && self.is_inside(&path)),
            // There is nothing to keep.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn is_inside(&self, path: &Path) -> bool {
        self.config_dir.as_ref().is_some_and(|dir| path.starts_with(dir))
    }
}
