//! `synod slashing-protection`: every kind of file in, out again, and what is refused; with the signer
//! stopped, and while it runs.

mod files;
mod running;
mod vectors;
mod watermarks;

use std::path::{Path, PathBuf};

use eth_types::PublicKey;
use tempfile::TempDir;
use tests::Finished;
use tests::cluster::ClusterFiles;
use tests::records::DATABASE;

use crate::support::program;

/// Runs `synod slashing-protection` with a data directory.
fn command<S: AsRef<str>>(data_dir: &Path, args: impl IntoIterator<Item = S>) -> Finished {
    let mut all: Vec<String> = vec!["slashing-protection".into()];
    all.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    all.extend(["--data-dir".into(), data_dir.display().to_string()]);
    program().run(all)
}

/// Imports a file into a data directory.
fn import(data_dir: &Path, file: &Path) -> Finished {
    command(data_dir, ["import", "--from", text(file)])
}

/// Exports a data directory into a new file.
fn export(data_dir: &Path, file: &Path) -> Finished {
    command(data_dir, ["export", "--to", text(file)])
}

#[track_caller]
fn assert_done(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
}

/// The last line of what was said of why a command did nothing.
#[track_caller]
fn refusal(finished: &Finished) -> &str {
    assert_eq!(finished.code, Some(1), "{}{}", finished.stdout, finished.stderr);
    let line = finished.stderr.lines().last().unwrap_or_default();
    assert!(line.starts_with("synod: "), "{}", finished.stderr);
    line
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of a test, with paths in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with a text.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The names of everything in it.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A key that is in no cluster.
fn stranger() -> PublicKey {
    PublicKey::new([0xa7; 48])
}

/// The public key of an operator's share of a validator, from the lock.
fn share_key(files: &ClusterFiles, validator: usize, operator: usize) -> PublicKey {
    let lock = std::fs::read_to_string(files.data_dir(0).join("cluster-lock.json")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let path = format!("/distributed_validators/{validator}/public_shares/{operator}");
    lock.pointer(&path).unwrap().as_str().unwrap().parse().unwrap()
}

/// Takes a node's database away, with everything that remembers it.
fn forget_database(data_dir: &Path) {
    for entry in std::fs::read_dir(data_dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(DATABASE) {
            std::fs::remove_file(path).unwrap();
        }
    }
}
