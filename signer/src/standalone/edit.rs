//! Adding and removing keystores while the signer runs, for a key manager.
//!
//! What is added is stored as Web3Signer stores it: `KEY.yaml`, `KEY.json` and `KEY.password` in the
//! directory of key configuration files, for the owner only. It is an ordinary key from then on. The
//! YAML file is written last and removed first: with it the key is there.

mod error;
mod files;

use std::io;
use std::path::Path;
use std::sync::Arc;

use eth_types::PublicKey;
use threshold::data_dir::files::sync_dir;
use threshold::keystore::{Keystore, Password};
use threshold::share::WholeKey;

pub use self::error::{AddError, OpenKeystoreError, RemoveError};
use self::files::{NotRemoved, own_files, remove_file, write_files};
use super::load::StoredKey;
use super::needed::Needed;
use super::scan::Source;
use super::store::KeyStore;

/// A keystore that was opened and is not a key of the signer yet.
#[derive(Debug)]
pub struct OpenedKeystore {
    key: WholeKey,
    keystore: Keystore,
    text: String,
    password: Password,
}

impl OpenedKeystore {
    /// The validator, derived from the secret and not from what the keystore says.
    #[must_use]
    pub const fn validator(&self) -> PublicKey {
        self.key.validator()
    }
}

/// What became of a keystore that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is stored, and its key signs.
    Imported,
    /// The key was there already; nothing was changed.
    Duplicate,
}

impl KeyStore {
    /// Opens a keystore. Takes as long as its key derivation does, and waits for memory for it. Blocks.
    ///
    /// # Errors
    /// The keystore or the password is none, or they do not fit; or the program is being stopped.
    pub fn open_keystore(
        &self,
        text: &str,
        password: &str,
    ) -> Result<OpenedKeystore, OpenKeystoreError> {
        let password = Password::new(password)?;
        if password.expose().trim().is_empty() {
            return Err(OpenKeystoreError::BlankPassword);
        }
        let keystore = Keystore::parse(text.as_bytes())?;
        let taken = self.inner.loader.budget.take(keystore.kdf_memory_bytes());
        // Asked after waiting for memory, right before what takes long.
        if *self.inner.lock_stopped() {
            return Err(OpenKeystoreError::Stopped);
        }
        let key = WholeKey::new(keystore.decrypt(&password)?);
        drop(taken);
        Ok(OpenedKeystore { key, keystore, text: text.to_owned(), password })
    }

    /// Stores a keystore and lets its key sign. Blocks.
    ///
    /// Import the validator's slashing history first: the key signs when this returns.
    ///
    /// # Errors
    /// See [`AddError`]; nothing was changed.
    pub fn add(&self, opened: OpenedKeystore) -> Result<Added, AddError> {
        self.add_all(vec![opened]).pop().unwrap_or(Err(AddError::Loading))
    }

    /// [`KeyStore::add`] for many, in order; the key cache is written once. Blocks.
    pub fn add_all(&self, opened: Vec<OpenedKeystore>) -> Vec<Result<Added, AddError>> {
        let alone = self.inner.begin_edit();
        let stopped = self.inner.lock_stopped();
        if *stopped {
            return opened.iter().map(|_| Err(AddError::Stopped)).collect();
        }
        if alone.is_none() {
            return opened.iter().map(|_| Err(AddError::Loading)).collect();
        }
        let outcomes = opened.into_iter().map(|opened| self.add_one(opened)).collect();
        self.inner.loader.save_cache();
        self.inner.count();
        outcomes
    }

    fn add_one(&self, opened: OpenedKeystore) -> Result<Added, AddError> {
        let validator = opened.validator();
        if self.inner.active().contains_key(&validator) {
            return Ok(Added::Duplicate);
        }
        let source = write_files(&self.inner.places.config_dir, &opened, sync_dir)?;
        let OpenedKeystore { key, keystore, text, password } = opened;
        let loader = &self.inner.loader;
        let fingerprint = loader.fingerprint(text.as_bytes(), &password);
        if let Some(mut cache) = loader.cache() {
            cache.insert(&loader.cache_key, fingerprint, key.secret());
        }
        let stored = StoredKey {
            key: Arc::new(key),
            source,
            path: keystore.path().to_owned(),
            fingerprint,
            also: Vec::new(),
        };
        tracing::info!(%validator, file = %stored.source, "key added");
        self.inner.active_mut().insert(validator, Arc::new(stored));
        Ok(Added::Imported)
    }

    /// Lets a key sign no more and removes its files. Blocks.
    ///
    /// When this returns, whatever the key signed is recorded or queued to be: export the validator's
    /// slashing history after it.
    ///
    /// # Errors
    /// See [`RemoveError`], which says for each case whether the key still signs.
    pub fn remove(&self, validator: &PublicKey) -> Result<(), RemoveError> {
        self.remove_all(&[*validator]).pop().unwrap_or(Err(RemoveError::Loading))
    }

    /// [`KeyStore::remove`] for many, in order; the key cache is written once. Blocks.
    pub fn remove_all(&self, validators: &[PublicKey]) -> Vec<Result<(), RemoveError>> {
        let alone = self.inner.begin_edit();
        let stopped = self.inner.lock_stopped();
        if *stopped {
            return validators.iter().map(|_| Err(RemoveError::Stopped)).collect();
        }
        if alone.is_none() {
            return validators.iter().map(|_| Err(RemoveError::Loading)).collect();
        }
        let removed: Vec<_> =
            validators.iter().map(|validator| self.remove_one(validator, sync_dir)).collect();
        if let Some(mut cache) = self.inner.loader.cache() {
            cache.forget(removed.iter().flatten().flat_map(|stored| stored.fingerprints()));
        }
        // Once for all: it reads every key configuration file.
        let needed = Needed::by_files(&self.inner.places);
        let outcomes = removed
            .into_iter()
            .map(|removed| self.remove_secrets(removed?.as_ref(), &needed))
            .collect();
        self.inner.count();
        self.inner.loader.save_cache();
        outcomes
    }

    /// Lets a key sign no more and removes the files with which it is there.
    fn remove_one(
        &self,
        validator: &PublicKey,
        sync: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<Arc<StoredKey>, RemoveError> {
        let unknown = || RemoveError::Unknown { validator: *validator };
        let stored = self.inner.active().get(validator).cloned().ok_or_else(unknown)?;
        if let Some(place) = stored.sources().find(|source| source.is_readonly()) {
            return Err(RemoveError::ReadOnly { place: place.clone() });
        }
        self.inner.active_mut().remove(validator);
        for source in stored.sources() {
            let path = source.main_file();
            if let Err(error) = remove_file(path, &sync) {
                self.inner.active_mut().insert(*validator, Arc::clone(&stored));
                let path = path.to_owned();
                return Err(match error {
                    NotRemoved::There(source) => RemoveError::Remove { path, source },
                    NotRemoved::NotOnDisk(source) => RemoveError::NotOnDisk { path, source },
                });
            }
        }
        tracing::info!(%validator, file = %stored.source, "key removed");
        Ok(stored)
    }

    /// Removes the keystores and passwords of a removed key that are not for others to need.
    fn remove_secrets(&self, removed: &StoredKey, needed: &Needed) -> Result<(), RemoveError> {
        let mut kept = Vec::new();
        for source in removed.sources() {
            for path in source.secret_files() {
                if !needed.lets_go(path, self.is_own(source, path, &removed.validator())) {
                    // A password that others need tells nothing of this key.
                    if source.keystore() == Some(path) || !needed.is_needed(path) {
                        kept.push(path.to_owned());
                    }
                } else if let Err(error) = remove_file(path, sync_dir) {
                    let path = path.to_owned();
                    return Err(match error {
                        NotRemoved::There(source) => RemoveError::LeftOver { path, source },
                        NotRemoved::NotOnDisk(source) => {
                            RemoveError::SecretNotOnDisk { path, source }
                        }
                    });
                }
            }
        }
        if kept.is_empty() { Ok(()) } else { Err(RemoveError::Kept { paths: kept }) }
    }

    /// Whether a file was made by [`KeyStore::add`], or is the password that goes by a keystore's name.
    fn is_own(&self, source: &Source, path: &Path, validator: &PublicKey) -> bool {
        match source {
            Source::Raw { .. } => false,
            Source::Bulk { .. } => true,
            Source::Keystore { .. } => {
                let [_, keystore, password] = own_files(&self.inner.places.config_dir, validator);
                path == keystore || path == password
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;
    use threshold::data_dir::files;
    use threshold::keystore::KdfCost;
    use threshold_protocol::bls::SecretKey;

    use super::super::store::{KeyStore, Keystores, Passwords, Places, StoreOptions};
    use super::*;

    fn options(dir: &TempDir) -> StoreOptions {
        StoreOptions {
            places: Places {
                config_dir: dir.path().join("keys"),
                config_dir_required: false,
                keystores: None,
            },
            data_dir: dir.path().to_owned(),
            cache: true,
            load_memory: 1 << 30,
        }
    }

    /// A store whose first load is through.
    fn loaded(options: StoreOptions) -> KeyStore {
        let store = KeyStore::start(options, |_| {}).unwrap();
        store.wait_for_load();
        store
    }

    fn keystore(number: u8, password: &str) -> (String, PublicKey) {
        let secret = SecretKey::from_bytes(&[number; 32]).unwrap();
        let password = Password::new(password).unwrap();
        let keystore =
            Keystore::encrypt(&secret, &password, KdfCost::INSECURE, "m/12381/3600/0/0/0").unwrap();
        (keystore.to_json().unwrap(), secret.public_key())
    }

    fn keys(store: &KeyStore) -> Vec<PublicKey> {
        store.public_keys().unwrap()
    }

    #[test]
    fn an_added_keystore_signs_is_private_on_disk_and_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let (text, validator) = keystore(1, "secret word");
        let opened = store.open_keystore(&text, "secret word").unwrap();
        assert_eq!(opened.validator(), validator);
        assert_eq!(store.add(opened).unwrap(), Added::Imported);
        assert_eq!(keys(&store), [validator]);
        let again = store.open_keystore(&text, "secret word").unwrap();
        assert_eq!(store.add(again).unwrap(), Added::Duplicate);

        for entry in fs::read_dir(dir.path().join("keys")).unwrap() {
            assert_eq!(files::mode(&entry.unwrap().path()).unwrap(), 0o600);
        }
        let listed = store.list().unwrap();
        assert!(!listed[0].is_readonly());
        assert_eq!(listed[0].path(), "m/12381/3600/0/0/0");
        store.reload().unwrap();
        store.wait_for_load();
        assert_eq!(keys(&store), [validator]);
        assert_eq!(keys(&loaded(options(&dir))), [validator]);
    }

    #[test]
    fn a_removed_key_is_gone_with_its_files_and_its_cached_secret() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let mut validators = Vec::new();
        for number in [1, 2] {
            let (text, validator) = keystore(number, "word");
            store.add(store.open_keystore(&text, "word").unwrap()).unwrap();
            validators.push(validator);
        }
        let cache = dir.path().join(super::super::cache::CACHE_FILE);
        let with_both = fs::metadata(&cache).unwrap().len();
        store.remove(&validators[0]).unwrap();
        assert_eq!(keys(&store), [validators[1]]);
        assert!(fs::metadata(&cache).unwrap().len() < with_both);
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 3);
        assert!(matches!(store.remove(&validators[0]), Err(RemoveError::Unknown { .. })));
        assert_eq!(keys(&loaded(options(&dir))), [validators[1]]);
    }

    #[test]
    fn raw_keys_and_documents_that_share_a_file_are_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let (text, _) = keystore(3, "word");
        let configs = dir.path().join("keys");
        fs::create_dir(&configs).unwrap();
        let write = |name: &str, content: &str| fs::write(configs.join(name), content).unwrap();
        let raw = |byte: &str| format!("type: file-raw\nprivateKey: {}\n", byte.repeat(32));
        write("raw.yaml", &raw("01"));
        let entry = "type: file-keystore\nkeystoreFile: a.json\nkeystorePasswordFile: a.txt\n";
        write("two.yaml", &format!("{}---\n{entry}", raw("02")));
        write("a.json", &text);
        write("a.txt", "word\nsecond line");
        let store = loaded(options(&dir));
        let all = keys(&store);
        assert_eq!(all.len(), 3);
        for key in &all {
            assert!(matches!(store.remove(key), Err(RemoveError::ReadOnly { .. })), "{key}");
        }
        assert_eq!(keys(&store), all);
    }

    #[test]
    fn a_key_that_is_there_twice_is_removed_in_both_places_but_the_shared_password_stays() {
        let dir = tempfile::tempdir().unwrap();
        let bulk = dir.path().join("bulk");
        fs::create_dir(&bulk).unwrap();
        let (text, validator) = keystore(4, "word");
        let (other_text, other) = keystore(5, "word");
        fs::write(bulk.join("a.json"), &text).unwrap();
        fs::write(bulk.join("b.json"), &text).unwrap();
        fs::write(bulk.join("c.json"), &other_text).unwrap();
        fs::write(bulk.join("all.txt"), "word\n").unwrap();
        let keystores =
            Keystores { dir: bulk.clone(), passwords: Passwords::File(bulk.join("all.txt")) };
        let mut options = options(&dir);
        options.places.keystores = Some(keystores);
        let store = loaded(options);
        assert_eq!(keys(&store).len(), 2);
        store.remove(&validator).unwrap();
        store.reload().unwrap();
        store.wait_for_load();
        assert_eq!(keys(&store), [other]);
        assert!(bulk.join("all.txt").exists());
        assert!(!bulk.join("a.json").exists() && !bulk.join("b.json").exists());
    }

    #[test]
    fn a_password_that_another_key_needs_stays_even_if_that_one_does_not_open_yet() {
        let dir = tempfile::tempdir().unwrap();
        let configs = dir.path().join("keys");
        fs::create_dir(&configs).unwrap();
        let write = |name: &str, content: &str| fs::write(configs.join(name), content).unwrap();
        let entry = |keystore: &str, password: &str| {
            format!(
                "type: file-keystore\nkeystoreFile: {keystore}\nkeystorePasswordFile: {password}\n"
            )
        };
        let ((a, validator), (b, other)) = (keystore(1, "word"), keystore(2, "word"));
        write("a.json", &a);
        write("pw.txt", "word");
        write("a.yaml", &entry("a.json", "pw.txt"));
        // Its keystore is not there yet, and it names the password in another way.
        write("b.yaml", &entry("b.json", "../keys/pw.txt"));
        let store = loaded(options(&dir));
        assert_eq!(keys(&store), [validator]);
        store.remove(&validator).unwrap();
        assert!(!configs.join("a.yaml").exists() && !configs.join("a.json").exists());
        write("b.json", &b);
        store.reload().unwrap();
        store.wait_for_load();
        assert_eq!(keys(&store), [other]);
        // The last one takes it along.
        store.remove(&other).unwrap();
        assert_eq!(fs::read_dir(&configs).unwrap().count(), 0);
    }

    #[test]
    fn files_outside_the_directory_stay_when_their_key_is_removed_and_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let configs = dir.path().join("keys");
        fs::create_dir(&configs).unwrap();
        let (text, validator) = keystore(1, "word");
        let outside = dir.path().join("precious.json");
        fs::write(&outside, &text).unwrap();
        fs::write(configs.join("pw.txt"), "word").unwrap();
        let yaml = format!(
            "type: file-keystore\nkeystoreFile: {}\nkeystorePasswordFile: pw.txt\n",
            outside.display()
        );
        fs::write(configs.join("a.yaml"), yaml).unwrap();
        let store = loaded(options(&dir));
        let error = store.remove(&validator).unwrap_err();
        assert!(matches!(&error, RemoveError::Kept { paths } if *paths == [outside.clone()]));
        assert!(outside.exists());
        assert_eq!(fs::read_dir(&configs).unwrap().count(), 0);
        assert_eq!(keys(&store), []);
    }

    #[test]
    fn a_keystore_whose_directory_does_not_reach_the_disk_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let (text, _) = keystore(1, "word");
        let opened = store.open_keystore(&text, "word").unwrap();
        let configs = dir.path().join("keys");
        let broken = |_: &Path| Err(io::Error::other("broken disk"));
        let error = write_files(&configs, &opened, broken).unwrap_err();
        assert!(matches!(error, AddError::Write { path, .. } if path == configs));
        assert_eq!(fs::read_dir(&configs).unwrap().count(), 0);
    }

    #[test]
    fn a_removal_that_does_not_reach_the_disk_says_so_and_counts_when_it_did_the_second_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let (text, validator) = keystore(1, "word");
        store.add(store.open_keystore(&text, "word").unwrap()).unwrap();
        let configs = dir.path().join("keys");
        let broken = |_: &Path| Err(io::Error::other("broken disk"));
        for _ in 0..2 {
            let error = store.remove_one(&validator, broken).unwrap_err();
            assert!(error.to_string().contains("is gone now, but may be back"), "{error}");
            assert!(matches!(error, RemoveError::NotOnDisk { .. }));
            assert!(!configs.join(format!("{validator}.yaml")).exists());
            assert_eq!(keys(&store), [validator]);
        }
        let synced = RefCell::new(Vec::new());
        let sync = |path: &Path| {
            synced.borrow_mut().push(path.to_owned());
            sync_dir(path)
        };
        store.remove_one(&validator, sync).unwrap();
        assert_eq!(synced.into_inner(), [configs]);
        assert_eq!(keys(&store), []);
    }

    #[test]
    fn a_file_whose_directory_is_gone_is_removed_when_that_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let synced = RefCell::new(Vec::new());
        let sync = |path: &Path| {
            synced.borrow_mut().push(path.to_owned());
            sync_dir(path)
        };
        remove_file(&dir.path().join("gone/also/key.yaml"), sync).unwrap();
        assert_eq!(synced.into_inner().last().map(|last| last.as_path()), Some(dir.path()));
    }

    #[test]
    fn what_a_killed_import_left_is_no_key_is_in_nobodys_way_and_goes_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let (text, validator) = keystore(1, "word");
        let configs = dir.path().join("keys");
        fs::create_dir(&configs).unwrap();
        for extension in ["yaml", "json", "password"] {
            let name = format!(".{validator}.{extension}.0123456789abcdef.synod-part");
            fs::write(configs.join(name), "ha").unwrap();
        }
        store.reload().unwrap();
        store.wait_for_load();
        assert_eq!(keys(&store), []);
        assert!(store.figures().iter().all(|figure| figure.errors == 0));
        store.add(store.open_keystore(&text, "word").unwrap()).unwrap();
        assert_eq!(fs::read_dir(&configs).unwrap().count(), 6);
        assert_eq!(keys(&loaded(options(&dir))), [validator]);
        assert_eq!(fs::read_dir(&configs).unwrap().count(), 3);
    }

    #[test]
    fn nothing_is_added_or_removed_once_the_program_stops() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let ((one, validator), (two, _)) = (keystore(1, "word"), keystore(2, "word"));
        store.add(store.open_keystore(&one, "word").unwrap()).unwrap();
        let opened = store.open_keystore(&two, "word").unwrap();
        store.stop();
        let again = store.open_keystore(&two, "word");
        assert!(matches!(again, Err(OpenKeystoreError::Stopped)));
        assert!(matches!(store.add(opened), Err(AddError::Stopped)));
        assert!(matches!(store.remove(&validator), Err(RemoveError::Stopped)));
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 3);
        assert_eq!(keys(&store), [validator]);
    }

    #[test]
    fn what_does_not_open_or_is_in_the_way_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = loaded(options(&dir));
        let (text, validator) = keystore(6, "word");
        let refused = |text: &str, password: &str| {
            store.open_keystore(text, password).unwrap_err().to_string()
        };
        assert!(refused(&text, "other word").contains("checksum"));
        assert_eq!(refused(&text, "  "), "the password is blank");
        assert!(refused("{}", "word").contains("not the JSON"));

        let configs = dir.path().join("keys");
        fs::create_dir(&configs).unwrap();
        let in_the_way = configs.join(format!("{validator}.password"));
        fs::write(&in_the_way, "another").unwrap();
        let opened = store.open_keystore(&text, "word").unwrap();
        assert!(matches!(store.add(opened), Err(AddError::Exists { path }) if path == in_the_way));
        assert_eq!(keys(&store), []);
        assert_eq!(fs::read_dir(&configs).unwrap().count(), 1);

        // What was left behind by an import that was cut off is taken up.
        fs::write(&in_the_way, "word").unwrap();
        fs::set_permissions(&in_the_way, fs::Permissions::from_mode(0o644)).unwrap();
        store.add(store.open_keystore(&text, "word").unwrap()).unwrap();
        assert_eq!(keys(&store), [validator]);
        assert_eq!(files::mode(&in_the_way).unwrap(), 0o600);
    }
}
