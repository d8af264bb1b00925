//! `synod demo` and `synod create`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{cluster, program};

#[test]
fn the_demo_signs_everything_shows_it_and_ends_well() {
    let demo = program().run(["demo", "--once", "--http-port", "0"]);
    assert_eq!(demo.code, Some(0), "{}{}", demo.stdout, demo.stderr);
    for shown in ["node", "URL", "RANDAO reveal", "block", "attestation", "verified 0x"] {
        assert!(demo.stdout.contains(shown), "no {shown:?} in:\n{}", demo.stdout);
    }
    assert!(!demo.stdout.contains("FAILED"), "{}", demo.stdout);
    assert_eq!(demo.stderr, "");
}

#[test]
fn an_identity_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("node");
    let args = ["create", "enr", "--data-dir", data_dir.to_str().unwrap()];
    let made = program().run(args);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(made.stdout.lines().any(|line| line.starts_with("enr:-")), "{}", made.stdout);
    let before = contents(&data_dir);
    assert_eq!(mode(&data_dir.join("enr-private-key")), 0o600);
    assert_eq!(mode(&data_dir), 0o700);

    let again = program().run(args);
    assert_eq!(again.code, Some(1));
    assert_eq!(again.stderr.lines().count(), 1, "{}", again.stderr);
    assert!(again.stderr.contains("enr-private-key exists"), "{}", again.stderr);
    assert_eq!(contents(&data_dir), before);
}

#[test]
fn a_cluster_is_made_once_with_its_secrets_for_their_owner_alone() {
    let files = cluster().validators(2).create();
    assert_eq!(files.keys.len(), 2);
    let before = contents(&files.dir());
    let mut args: Vec<String> = ["create", "cluster", "--insecure-keys"].map(Into::into).into();
    args.extend(files.chain.options(&files.dir().with_file_name("config.yaml")));
    let address = format!("0x{}", "11".repeat(20));
    let dir = files.dir().display().to_string();
    for (option, value) in [
        ("--withdrawal-addresses", address.as_str()),
        ("--fee-recipient-addresses", &address),
        ("--cluster-dir", &dir),
    ] {
        args.extend([option.to_owned(), value.to_owned()]);
    }
    let again = program().run(args);
    assert_eq!(again.code, Some(1));
    assert_eq!(again.stderr.lines().count(), 1, "{}", again.stderr);
    assert!(again.stderr.contains(&dir), "{}", again.stderr);
    assert_eq!(contents(&files.dir()), before, "the first cluster was changed");

    for node in 0..4 {
        let dir = files.data_dir(node);
        assert_eq!(mode(&dir.join("enr-private-key")), 0o600);
        assert_eq!(mode(&dir.join("cluster-lock.json")), 0o444);
        for validator in 0..2 {
            for extension in ["json", "txt"] {
                let name = format!("validator_keys/keystore-{validator}.{extension}");
                assert_eq!(mode(&dir.join(&name)), 0o400, "{name}");
            }
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file below a folder, with what is in it.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}
