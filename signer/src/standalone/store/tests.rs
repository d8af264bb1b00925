use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;
use threshold::keystore::{KdfCost, Keystore, Password};
use threshold_protocol::bls::SecretKey;

use super::*;

/// Longest wait for what comes in a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// A signer whose keystores are in `bulk`, all under the password in `all.txt`; YAML files in `keys`.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bulk")).unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        let fixture = Self { dir };
        fs::write(fixture.path("all.txt"), "word").unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn keystore(&self, number: u8) -> PublicKey {
        write_keystore(&self.path(&format!("bulk/{number}.json")), number)
    }

    fn options(&self) -> StoreOptions {
        let passwords = Passwords::File(self.path("all.txt"));
        StoreOptions {
            places: Places {
                config_dir: self.path("keys"),
                config_dir_required: false,
                keystores: Some(Keystores { dir: self.path("bulk"), passwords }),
            },
            data_dir: self.dir.path().to_owned(),
            cache: true,
            load_memory: 1 << 30,
        }
    }

    fn started(&self) -> KeyStore {
        let store = KeyStore::start(self.options(), |_| {}).unwrap();
        store.wait_for_load();
        store
    }
}

fn write_keystore(path: &Path, number: u8) -> PublicKey {
    let secret = SecretKey::from_bytes(&[number; 32]).unwrap();
    let word = Password::new("word").unwrap();
    let keystore = Keystore::encrypt(&secret, &word, KdfCost::INSECURE, "").unwrap();
    fs::write(path, keystore.to_json().unwrap()).unwrap();
    secret.public_key()
}

fn reload(store: &KeyStore) -> ReloadState {
    store.reload().unwrap();
    store.wait_for_load();
    store.reload_status().state
}

fn derived(store: &KeyStore) -> usize {
    store.inner.loader.derived.load(Ordering::Relaxed)
}

fn sorted<const N: usize>(mut keys: [PublicKey; N]) -> [PublicKey; N] {
    keys.sort_unstable();
    keys
}

/// Lets a path be there and fail to be read, whoever reads it: a link to itself.
fn make_unreadable(path: &Path) {
    fs::rename(path, path.with_extension("away")).unwrap();
    symlink(path, path).unwrap();
}

fn make_readable(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::rename(path.with_extension("away"), path).unwrap();
}

#[test]
fn a_password_that_is_not_there_for_one_start_or_reload_costs_no_derivation_afterwards() {
    let fixture = Fixture::new();
    let keys = sorted([fixture.keystore(1), fixture.keystore(2)]);
    assert_eq!(derived(&fixture.started()), 2);
    let (password, away) = (fixture.path("all.txt"), fixture.path("away"));

    fs::rename(&password, &away).unwrap();
    let store = fixture.started();
    assert_eq!(store.public_keys().unwrap(), []);
    assert_eq!(reload(&store), ReloadState::CompletedWithErrors);
    fs::rename(&away, &password).unwrap();
    assert_eq!(reload(&store), ReloadState::Completed);
    assert_eq!(store.public_keys().unwrap(), keys);
    assert_eq!(derived(&store), 0);

    let restarted = fixture.started();
    assert_eq!((restarted.public_keys().unwrap(), derived(&restarted)), (keys.to_vec(), 0));
}

#[test]
fn a_keystore_that_is_not_there_for_one_start_costs_no_derivation_afterwards() {
    let fixture = Fixture::new();
    fixture.keystore(1);
    let yaml = "type: file-keystore\nkeystoreFile: a.json\nkeystorePasswordFile: ../all.txt\n";
    fs::write(fixture.path("keys/a.yaml"), yaml).unwrap();
    write_keystore(&fixture.path("keys/a.json"), 2);
    assert_eq!(derived(&fixture.started()), 2);
    let (keystore, away) = (fixture.path("keys/a.json"), fixture.path("away"));
    fs::rename(&keystore, &away).unwrap();
    assert_eq!(fixture.started().public_keys().unwrap().len(), 1);
    fs::rename(&away, &keystore).unwrap();
    let store = fixture.started();
    assert_eq!((store.public_keys().unwrap().len(), derived(&store)), (2, 0));
}

#[test]
fn a_start_that_finds_no_key_file_at_all_leaves_the_cache_and_a_reload_clears_it() {
    let fixture = Fixture::new();
    fixture.keystore(1);
    fixture.started();
    let (keystores, away) = (fixture.path("bulk"), fixture.path("away"));
    // The directory on which they are mounted is there, and empty.
    fs::rename(&keystores, &away).unwrap();
    fs::create_dir(&keystores).unwrap();
    let store = fixture.started();
    fs::rename(&away, &keystores).unwrap();
    assert_eq!((reload(&store), derived(&store)), (ReloadState::Completed, 0));
    assert_eq!(store.public_keys().unwrap().len(), 1);
    fs::remove_file(fixture.path("bulk/1.json")).unwrap();
    assert_eq!(reload(&store), ReloadState::Completed);
    fixture.keystore(1);
    assert_eq!(derived(&fixture.started()), 1);
}

#[test]
fn a_secret_leaves_the_cache_only_by_a_load_without_errors_or_by_a_removal() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.keystore(1), fixture.keystore(2));
    let cached = |store: &KeyStore| {
        let cache = fs::metadata(fixture.path(super::super::cache::CACHE_FILE)).unwrap().len();
        (store.public_keys().unwrap(), cache)
    };
    let store = fixture.started();
    let (_, both) = cached(&store);
    let bad = fixture.path("keys/bad.yaml");
    fs::write(&bad, "nonsense").unwrap();
    let (keystore, away) = (fixture.path("bulk/1.json"), fixture.path("away"));
    fs::rename(&keystore, &away).unwrap();
    assert_eq!(reload(&store), ReloadState::CompletedWithErrors);
    assert_eq!(cached(&store), (vec![second], both));
    fs::rename(&away, &keystore).unwrap();
    reload(&store);
    store.remove(&first).unwrap();
    let (keys, one) = cached(&store);
    assert_eq!(keys, [second]);
    assert!(one < both);
    fs::remove_file(&bad).unwrap();
    fs::remove_file(fixture.path("bulk/2.json")).unwrap();
    assert_eq!(reload(&store), ReloadState::Completed);
    assert!(cached(&store).1 < one);
}

#[test]
fn a_key_whose_files_are_there_and_cannot_be_read_stays_over_a_reload_and_not_over_a_restart() {
    let fixture = Fixture::new();
    let bulk = fixture.keystore(1);
    let raw = format!("type: file-raw\nprivateKey: {}\n", "02".repeat(32));
    fs::write(fixture.path("keys/raw.yaml"), raw).unwrap();
    let keys = sorted([bulk, SecretKey::from_bytes(&[2; 32]).unwrap().public_key()]);
    let store = fixture.started();
    for name in ["all.txt", "bulk/1.json", "keys/raw.yaml"] {
        let path = fixture.path(name);
        make_unreadable(&path);
        for _ in 0..2 {
            assert_eq!(reload(&store), ReloadState::CompletedWithErrors, "{name}");
            assert_eq!(store.public_keys().unwrap(), keys, "{name}");
            let errors: usize = store.figures().iter().map(|figure| figure.errors).sum();
            assert_eq!(errors, 1, "{name}");
        }
        assert_eq!(fixture.started().public_keys().unwrap().len(), 1, "{name}");
        make_readable(&path);
        assert_eq!(reload(&store), ReloadState::Completed, "{name}");
    }
    assert_eq!(derived(&store), 1);
}

#[test]
fn a_key_whose_file_is_gone_for_a_moment_comes_back() {
    let fixture = Fixture::new();
    let key = fixture.keystore(1);
    let store = fixture.started();
    let away = fixture.path("away");
    for name in ["all.txt", "bulk/1.json"] {
        let path = fixture.path(name);
        fs::rename(&path, &away).unwrap();
        reload(&store);
        assert_eq!(store.public_keys().unwrap(), [], "{name}");
        fs::rename(&away, &path).unwrap();
        assert_eq!(reload(&store), ReloadState::Completed);
        assert_eq!(store.public_keys().unwrap(), [key], "{name}");
    }
}

#[test]
fn a_keystore_that_does_not_open_is_derived_again_only_when_it_or_its_password_changed() {
    let fixture = Fixture::new();
    let key = fixture.keystore(1);
    fs::write(fixture.path("all.txt"), "wrong").unwrap();
    let store = fixture.started();
    assert_eq!(store.public_keys().unwrap(), []);

    // Whoever derives a key waits for memory, of which there is none.
    let all = store.inner.loader.budget.take(u64::MAX);
    for _ in 0..3 {
        store.reload().unwrap();
        let begun = Instant::now();
        while store.inner.is_loading() && begun.elapsed() < PATIENCE {
            thread::yield_now();
        }
        let running = store.inner.is_loading();
        if running {
            drop(all);
            panic!("the keystore is derived again");
        }
        assert_eq!(store.reload_status().state, ReloadState::CompletedWithErrors);
    }
    drop(all);
    fs::write(fixture.path("all.txt"), "word").unwrap();
    assert_eq!(reload(&store), ReloadState::Completed);
    assert_eq!(store.public_keys().unwrap(), [key]);
}

#[test]
fn an_edit_waits_for_the_reload_that_runs() {
    let fixture = Fixture::new();
    let key = fixture.keystore(1);
    let store = fixture.started();
    // Whoever reads a pipe waits for the other end.
    let pipe = fixture.path("keys/pipe.yaml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    store.reload().unwrap();
    let mut end = fs::File::options().write(true).open(&pipe).unwrap();
    thread::scope(|scope| {
        let removed = scope.spawn(|| store.remove(&key));
        while store.inner.turns.waiting() == 0 && !removed.is_finished() {
            thread::yield_now();
        }
        // Read again when it is removed, so it must not be there any more.
        fs::remove_file(&pipe).unwrap();
        let raw = format!("type: file-raw\nprivateKey: {}\n", "02".repeat(32));
        std::io::Write::write_all(&mut end, raw.as_bytes()).unwrap();
        drop(end);
        removed.join().unwrap().unwrap();
    });
    store.wait_for_load();
    assert!(!store.public_keys().unwrap().contains(&key));
    assert!(!fixture.path("bulk/1.json").exists());
}

#[test]
fn edits_get_their_turn_while_reloads_are_asked_for_without_a_pause() {
    let fixture = Fixture::new();
    let store = fixture.started();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = store.reload();
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 1..=20 {
                let path = fixture.path("sent.json");
                let key = write_keystore(&path, number);
                let text = fs::read_to_string(&path).unwrap();
                store.add(store.open_keystore(&text, "word").unwrap()).unwrap();
                store.remove(&key).unwrap();
            }
        }));
        done.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

#[test]
fn an_edit_before_the_first_load_is_through_is_refused_at_once() {
    let fixture = Fixture::new();
    let key = fixture.keystore(1);
    let store = fixture.started();
    store.inner.status().complete = false;
    let removed = store.remove(&key);
    assert!(matches!(removed, Err(crate::standalone::edit::RemoveError::Loading)));
}

#[test]
fn a_load_that_ends_by_a_fault_of_the_program_does_not_keep_the_next_one_away() {
    let fixture = Fixture::new();
    let key = fixture.keystore(1);
    let faults = AtomicUsize::new(0);
    let store = KeyStore::start(fixture.options(), move |_| {
        assert!(faults.fetch_add(1, Ordering::Relaxed) > 0, "the first load does not end well");
    })
    .unwrap();
    let begun = Instant::now();
    while store.inner.is_loading() {
        assert!(begun.elapsed() < PATIENCE, "the load is said to run for ever");
        thread::yield_now();
    }
    assert!(store.public_keys().unwrap_err().reason.contains("could not be loaded"));
    assert_eq!(store.reload_status().state, ReloadState::Failed);
    assert_eq!(reload(&store), ReloadState::Completed);
    assert_eq!(store.public_keys().unwrap(), [key]);
    store.remove(&key).unwrap();
}
