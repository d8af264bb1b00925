//! Which keys there are after a load, and which files gave none: [`settle`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use eth_types::PublicKey;
use threshold::data_dir::files;

use super::load::{Outcome, StoredKey};
use super::scan::{BadFile, Scan, Source, Way};

/// Bad files that are named in the log one by one; the rest are counted.
const NAMED_BAD_FILES: usize = 100;

/// What a load comes to.
#[derive(Debug)]
pub(super) struct Settled {
    /// The keys that there are now.
    pub(super) keys: BTreeMap<PublicKey, Arc<StoredKey>>,
    /// All that gave none.
    pub(super) bad: Vec<BadFile>,
    /// How many of the bad ones have their key from before.
    pub(super) kept: usize,
}

/// Puts the outcomes together, which are in the order of the candidates. Of a key that is there twice the
/// first counts. `before` are the keys from before by place: what cannot be read for now stays as it was.
pub(super) fn settle(
    found: &Scan,
    outcomes: Vec<Outcome>,
    before: &HashMap<Source, Arc<StoredKey>>,
) -> Settled {
    let mut settled = Settled { keys: BTreeMap::new(), bad: found.bad.clone(), kept: 0 };
    for (candidate, outcome) in found.candidates.iter().zip(outcomes) {
        match outcome {
            Ok(stored) => settled.take(stored),
            Err(no_key) => {
                if no_key.may_pass
                    && let Some(stored) = before.get(&candidate.source)
                {
                    settled.keep(stored);
                }
                settled.bad.push(BadFile { way: candidate.source.way(), reason: no_key.reason });
            }
        }
    }
    if !found.unread.is_empty() {
        let unread = |source: &Source| {
            source.way() == Way::ConfigFiles
                && found.unread.iter().any(|path| path == source.main_file())
        };
        before
            .values()
            .filter(|stored| unread(&stored.source))
            .for_each(|stored| settled.keep(stored));
    }
    settled
}

impl Settled {
    fn keep(&mut self, stored: &Arc<StoredKey>) {
        self.kept += 1;
        self.take(Arc::clone(stored));
    }

    fn take(&mut self, stored: Arc<StoredKey>) {
        match self.keys.entry(stored.validator()) {
            Entry::Vacant(entry) => {
                entry.insert(stored);
            }
            Entry::Occupied(mut entry) => {
                let first = entry.get();
                tracing::warn!(
                    validator = %stored.validator(),
                    "{} has the same key as {}, which is used",
                    stored.source,
                    first.source
                );
                let first = first.with_also(&stored);
                entry.insert(Arc::new(first));
            }
        }
    }
}

/// Names the files that gave no key, within a bound.
pub(super) fn log_bad(bad: &[BadFile]) {
    for file in bad.iter().take(NAMED_BAD_FILES) {
        tracing::error!("no key from {}", file.reason);
    }
    if let Some(more) = bad.len().checked_sub(NAMED_BAD_FILES).filter(|more| *more > 0) {
        tracing::error!("no key from {more} more files");
    }
}

/// Names the keys that a load did not find any more, of those from before.
pub(super) fn log_gone(gone: &[&StoredKey]) {
    for stored in gone.iter().take(NAMED_BAD_FILES) {
        tracing::warn!(
            validator = %stored.validator(),
            file = %stored.source,
            "a key signs no more: its file is gone"
        );
    }
    if let Some(more) = gone.len().checked_sub(NAMED_BAD_FILES).filter(|more| *more > 0) {
        tracing::warn!("{more} more keys sign no more: their files are gone");
    }
}

/// Only a warning: Web3Signer takes such files, and whoever comes from it has them.
pub(super) fn warn_of_exposed<'a>(sources: impl Iterator<Item = &'a Source>) {
    let exposed = exposed(sources);
    if let [first, more @ ..] = exposed.as_slice() {
        tracing::warn!(
            files = exposed.len(),
            "others than their owner can use files of keys or passwords: {}{}; run `chmod 600` on them",
            first.display(),
            if more.is_empty() { "" } else { " and more" }
        );
    }
}

/// The files of raw keys and of passwords that not only their owner can use.
fn exposed<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<&'a Path> {
    // Some are for many keys.
    let files: BTreeSet<_> = sources.map(Source::bare_secret).collect();
    let wide = |path: &&Path| files::mode(path).is_ok_and(|mode| mode & 0o077 != 0);
    files.into_iter().filter(wide).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn raw_keys_and_passwords_that_others_can_read_are_found_once_and_keystores_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let raw = |config: &PathBuf| Source::Raw { config: config.clone(), document: 0 };
        let (private, group) = (file("private", 0o600), file("group", 0o640));
        let (all, keystore) = (file("all", 0o604), file("keystore", 0o644));
        let bulk = |password: &PathBuf| Source::Bulk {
            keystore: keystore.clone(),
            password: password.clone(),
            shared_password: true,
        };
        let sources = [raw(&private), raw(&group), bulk(&all), bulk(&all), bulk(&private)];
        assert_eq!(exposed(sources.iter()), [all.as_path(), group.as_path()]);
    }
}
