//! The key cache: secrets of keystores that were opened once, sealed under a key of this node's own, so
//! that a restart does not pay their key derivations again.
//!
//! Two files in the data directory, for the owner only:
//! * `key-cache.key`: 32 random bytes, the node's key.
//! * `key-cache.bin`: [`MAGIC`], then for each keystore its fingerprint (32 bytes), a nonce (24) and the
//!   secret sealed with XChaCha20-Poly1305 (48), bound to the magic and the fingerprint.
//!
//! A fingerprint is an HMAC-SHA-256 over the keystore's bytes and its password, under the node's key. It
//! is keyed because a bare hash of a password would undo the keystore's slow key derivation. Whatever
//! changes a keystore or its password changes the fingerprint, so an entry never outlives what it was
//! made from.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use threshold::data_dir::files;
use threshold_protocol::bls::SecretKey;
use zeroize::Zeroizing;

/// Name of the cache in the data directory.
pub(super) const CACHE_FILE: &str = "key-cache.bin";
/// Name of its key in the data directory.
pub(super) const CACHE_KEY_FILE: &str = "key-cache.key";

/// What the cache begins with; another format gets another one.
const MAGIC: &[u8; 16] = b"synod key cache1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// A secret and its tag.
const SEALED_BYTES: usize = 32 + 16;
const FINGERPRINT_BYTES: usize = 32;
const ENTRY_BYTES: usize = FINGERPRINT_BYTES + NONCE_BYTES + SEALED_BYTES;
/// Largest cache that is read: room for half a million keystores.
const MAX_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// The block of SHA-256.
const HMAC_BLOCK_BYTES: usize = 64;
const FILE_MODE: u32 = 0o600;

/// What identifies a keystore and its password, or a raw key, without telling anything about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; FINGERPRINT_BYTES]);

/// The node's key: makes fingerprints, seals secrets.
pub(super) struct CacheKey {
    cipher: XChaCha20Poly1305,
    fingerprints: Hmac<Sha256>,
}

impl CacheKey {
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        // One key for each use.
        let derive = |label: &[u8]| -> Zeroizing<[u8; KEY_BYTES]> {
            let derived = keyed(bytes).chain_update(label).finalize().into_bytes();
            Zeroizing::new(derived.into())
        };
        Self {
            cipher: XChaCha20Poly1305::new((&*derive(b"seal")).into()),
            fingerprints: keyed(&derive(b"fingerprint")),
        }
    }

    /// A key that nothing is stored under, for fingerprints that live as long as the process.
    pub(super) fn fresh() -> Self {
        Self::new(&Zeroizing::new(rand::random()))
    }

    /// The fingerprint of parts whose order and lengths count.
    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut mac = self.fingerprints.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey(..)")
    }
}

/// HMAC fills shorter keys up with zeros.
fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; HMAC_BLOCK_BYTES]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::new((&*block).into())
}

/// The cache, in memory as it is on disk.
#[derive(Debug)]
pub(super) struct KeyCache {
    path: PathBuf,
    entries: HashMap<Fingerprint, [u8; NONCE_BYTES + SEALED_BYTES]>,
    changed: bool,
}

impl KeyCache {
    /// Reads the cache in a data directory, and its key. What is missing, damaged, or was readable by
    /// others is not used and made anew; the log says why.
    ///
    /// # Errors
    /// A file that is there cannot be read now, or the key cannot be stored. There is no cache then, and
    /// nothing was changed: what took hours to make is there when it can be read again.
    pub(super) fn open(data_dir: &Path) -> io::Result<(CacheKey, Self)> {
        let path = data_dir.join(CACHE_FILE);
        let key_path = data_dir.join(CACHE_KEY_FILE);
        let empty = Self { path, entries: HashMap::new(), changed: false };
        let key = match read_key(&key_path) {
            Ok(Some(key)) => key,
            Ok(None) => return Ok((new_key(&key_path)?, empty)),
            Err(Unusable::Unreadable(error)) => return Err(error),
            Err(Unusable::Bad(reason)) => {
                tracing::warn!(file = %key_path.display(), "key cache not used and made anew: {reason}");
                return Ok((new_key(&key_path)?, empty));
            }
        };
        let key = CacheKey::new(&key);
        match read_entries(&empty.path) {
            Ok(entries) => Ok((key, Self { entries, ..empty })),
            Err(Unusable::Unreadable(error)) => Err(error),
            Err(Unusable::Bad(reason)) => {
                let file = empty.path.display();
                tracing::warn!(%file, "key cache not used and made anew: {reason}");
                Ok((key, empty))
            }
        }
    }

    /// The secret that was stored under a fingerprint; `None` also for an entry that was tampered with.
    pub(super) fn get(&self, key: &CacheKey, fingerprint: &Fingerprint) -> Option<SecretKey> {
        let entry = self.entries.get(fingerprint)?;
        let (nonce, sealed) = entry.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let payload = Payload { msg: sealed, aad: &aad(fingerprint) };
        let secret = Zeroizing::new(key.cipher.decrypt(&nonce, payload).ok()?);
        SecretKey::from_bytes(secret.as_slice().try_into().ok()?).ok()
    }

    /// Stores a secret under a fingerprint, until [`KeyCache::save`] in memory only.
    pub(super) fn insert(&mut self, key: &CacheKey, fingerprint: Fingerprint, secret: &SecretKey) {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let secret = secret.to_bytes();
        let payload = Payload { msg: secret.as_slice(), aad: &aad(&fingerprint) };
        // Fails for messages of gigabytes only.
        let Ok(sealed) = key.cipher.encrypt(&XNonce::from(nonce), payload) else { return };
        let mut entry = [0; NONCE_BYTES + SEALED_BYTES];
        for (to, from) in entry.iter_mut().zip(nonce.iter().chain(&sealed)) {
            *to = *from;
        }
        self.entries.insert(fingerprint, entry);
        self.changed = true;
    }

    /// Forgets everything else.
    pub(super) fn retain(&mut self, wanted: &HashSet<Fingerprint>) {
        let before = self.entries.len();
        self.entries.retain(|fingerprint, _| wanted.contains(fingerprint));
        self.changed |= self.entries.len() != before;
    }

    /// Forgets these.
    pub(super) fn forget(&mut self, fingerprints: impl IntoIterator<Item = Fingerprint>) {
        for fingerprint in fingerprints {
            self.changed |= self.entries.remove(&fingerprint).is_some();
        }
    }

    /// Writes the cache, if it changed, in the place of the old one, in one step.
    ///
    /// # Errors
    /// It cannot be written; the old one is still there.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut content = Vec::with_capacity(MAGIC.len() + self.entries.len() * ENTRY_BYTES);
        content.extend_from_slice(MAGIC);
        for (fingerprint, entry) in &self.entries {
            content.extend_from_slice(&fingerprint.0);
            content.extend_from_slice(entry);
        }
        replace(&self.path, &content)?;
        self.changed = false;
        Ok(())
    }
}

fn aad(fingerprint: &Fingerprint) -> Vec<u8> {
    [MAGIC.as_slice(), &fingerprint.0].concat()
}

/// Why a stored file is not used.
enum Unusable {
    /// What is in it is of no use: it is made anew.
    Bad(String),
    /// It cannot be read, perhaps for a passing reason: it stays.
    Unreadable(io::Error),
}

impl From<files::ReadError> for Unusable {
    fn from(error: files::ReadError) -> Self {
        match error {
            files::ReadError::Io(error) => Self::Unreadable(error),
            error @ files::ReadError::TooLarge { .. } => Self::Bad(error.to_string()),
        }
    }
}

/// The stored key; `None` if there is none.
fn read_key(path: &Path) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, Unusable> {
    match files::mode(path) {
        Ok(mode) if mode & 0o077 != 0 => {
            let reason = format!("others on this machine can use its key (mode {mode:o})");
            return Err(Unusable::Bad(reason));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unusable::Unreadable(error)),
    }
    let content = files::read_bounded(path, KEY_BYTES as u64)?;
    match <[u8; KEY_BYTES]>::try_from(content.as_slice()) {
        Ok(key) => Ok(Some(Zeroizing::new(key))),
        Err(_) => {
            let length = content.len();
            Err(Unusable::Bad(format!("its key has {length} bytes, expected {KEY_BYTES}")))
        }
    }
}

fn new_key(path: &Path) -> io::Result<CacheKey> {
    let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
    replace(path, key.as_slice())?;
    Ok(CacheKey::new(&key))
}

fn read_entries(
    path: &Path,
) -> Result<HashMap<Fingerprint, [u8; NONCE_BYTES + SEALED_BYTES]>, Unusable> {
    let content = match files::read_bounded(path, MAX_CACHE_BYTES) {
        Err(files::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(HashMap::new());
        }
        read => read?,
    };
    let entries = content
        .strip_prefix(MAGIC.as_slice())
        .ok_or_else(|| Unusable::Bad("it is not of this format".to_owned()))?;
    let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(Unusable::Bad("its last entry is cut off".to_owned()));
    }
    let parsed = entries.iter().filter_map(|entry| {
        let (fingerprint, sealed) = entry.split_first_chunk::<FINGERPRINT_BYTES>()?;
        Some((
            Fingerprint(*fingerprint),
            <[u8; NONCE_BYTES + SEALED_BYTES]>::try_from(sealed).ok()?,
        ))
    });
    Ok(parsed.collect())
}

/// Writes a file beside and moves it into its place, for the owner only, and waits until that is on
/// disk. The cache and its key are this program's own: nothing of the user's is overwritten.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    files::replace(path, content, FILE_MODE)?;
    match path.parent() {
        Some(parent) => files::sync_dir(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn secret() -> SecretKey {
        SecretKey::from_bytes(&[7; 32]).unwrap()
    }

    /// A stored cache with one entry, and its fingerprint.
    fn stored() -> (TempDir, Fingerprint) {
        let dir = tempfile::tempdir().unwrap();
        let (key, mut cache) = KeyCache::open(dir.path()).unwrap();
        let fingerprint = key.fingerprint(&[b"keystore", b"password"]);
        cache.insert(&key, fingerprint, &secret());
        cache.save().unwrap();
        (dir, fingerprint)
    }

    fn get(dir: &TempDir, fingerprint: &Fingerprint) -> Option<SecretKey> {
        let (key, cache) = KeyCache::open(dir.path()).unwrap();
        cache.get(&key, fingerprint)
    }

    #[test]
    fn a_secret_comes_back_after_a_restart_and_both_files_are_private() {
        let (dir, fingerprint) = stored();
        let found = get(&dir, &fingerprint).unwrap();
        assert_eq!(found.public_key(), secret().public_key());
        for name in [CACHE_FILE, CACHE_KEY_FILE] {
            assert_eq!(files::mode(&dir.path().join(name)).unwrap(), 0o600);
        }
        // Neither the secret nor its fingerprint's inputs are in the file.
        let content = fs::read(dir.path().join(CACHE_FILE)).unwrap();
        assert!(!content.windows(32).any(|window| window == [7; 32]));
    }

    #[test]
    fn fingerprints_tell_every_change_and_every_node_apart() {
        let key = CacheKey::new(&[1; 32]);
        let parts: [&[&[u8]]; 5] =
            [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"ab", b"d"], &[b"ab", b"c", b""]];
        let prints: HashSet<_> = parts.iter().map(|parts| key.fingerprint(parts)).collect();
        assert_eq!(prints.len(), parts.len());
        assert_eq!(key.fingerprint(parts[0]), key.fingerprint(parts[0]));
        assert_ne!(key.fingerprint(parts[0]), CacheKey::new(&[2; 32]).fingerprint(parts[0]));
    }

    #[test]
    fn every_changed_byte_of_the_cache_loses_its_entry_and_gives_no_other_secret() {
        let (dir, fingerprint) = stored();
        let path = dir.path().join(CACHE_FILE);
        let sound = fs::read(&path).unwrap();
        for position in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[position] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(get(&dir, &fingerprint).is_none(), "byte {position}");
        }
        for length in [0, 1, MAGIC.len(), MAGIC.len() + 1, sound.len() - 1] {
            fs::write(&path, &sound[..length]).unwrap();
            assert!(get(&dir, &fingerprint).is_none(), "{length} bytes");
        }
        fs::write(&path, &sound).unwrap();
        assert!(get(&dir, &fingerprint).is_some());
    }

    #[test]
    fn another_nodes_cache_and_a_key_that_others_can_read_are_not_used() {
        let (dir, fingerprint) = stored();
        let (other, _) = stored();
        fs::copy(other.path().join(CACHE_FILE), dir.path().join(CACHE_FILE)).unwrap();
        assert!(get(&dir, &fingerprint).is_none());

        let (dir, fingerprint) = stored();
        let key = dir.path().join(CACHE_KEY_FILE);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::read(&key).unwrap();
        assert!(get(&dir, &fingerprint).is_none());
        assert_ne!(fs::read(&key).unwrap(), before, "the exposed key is not used again");
        assert_eq!(files::mode(&key).unwrap(), 0o600);
    }

    #[test]
    fn a_cut_off_key_is_made_anew() {
        let (dir, fingerprint) = stored();
        fs::write(dir.path().join(CACHE_KEY_FILE), [1; 31]).unwrap();
        assert!(get(&dir, &fingerprint).is_none());
        assert_eq!(fs::read(dir.path().join(CACHE_KEY_FILE)).unwrap().len(), 32);
    }

    #[test]
    fn what_cannot_be_read_for_now_is_not_made_anew() {
        for name in [CACHE_KEY_FILE, CACHE_FILE] {
            let (dir, fingerprint) = stored();
            let (path, away) = (dir.path().join(name), dir.path().join("away"));
            fs::rename(&path, &away).unwrap();
            // A link to itself fails to be read whoever reads it.
            std::os::unix::fs::symlink(&path, &path).unwrap();
            assert!(KeyCache::open(dir.path()).is_err(), "{name}");
            assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "{name} was replaced");
            fs::rename(&away, &path).unwrap();
            assert!(get(&dir, &fingerprint).is_some());
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten() {
        let (dir, fingerprint) = stored();
        let (key, mut cache) = KeyCache::open(dir.path()).unwrap();
        let other = key.fingerprint(&[b"other"]);
        cache.insert(&key, other, &secret());
        cache.retain(&HashSet::from([other]));
        cache.save().unwrap();
        assert!(get(&dir, &fingerprint).is_none());
        assert!(get(&dir, &other).is_some());
    }
}
