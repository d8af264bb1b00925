//! Data directories that a node refuses, each with one clear line.

use std::fs;
use std::path::{Path, PathBuf};

use threshold::cluster_file::ClusterLock;
use threshold::data_dir::{LoadOptions, SecretPermissions, load};
use threshold::enr::Identity;

use crate::support::{chain, create, overwrite, set_mode};

/// A cluster of four nodes with three validators, and the directory of its second node.
fn node1() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), 3);
    let node1 = dir.path().join("node1");
    (dir, node1)
}

/// The whole error of loading `node`, the cluster's directory shown as DIR.
fn refused(dir: &Path, node: &Path) -> String {
    chain(&load(node, &LoadOptions::default()).unwrap_err(), dir)
}

fn keystore(node: &Path, n: usize) -> (PathBuf, PathBuf) {
    let keys = node.join("validator_keys");
    (keys.join(format!("keystore-{n}.json")), keys.join(format!("keystore-{n}.txt")))
}

fn move_file(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_file(to).unwrap();
    }
    fs::rename(from, to).unwrap();
}

#[test]
fn a_directory_with_charons_names_is_read_as_it_stands() {
    let (_dir, node) = node1();
    fs::rename(node.join("enr-private-key"), node.join("charon-enr-private-key")).unwrap();
    for n in 0..3 {
        set_mode(&keystore(&node, n).0, 0o444);
    }
    assert_eq!(load(&node, &LoadOptions::default()).unwrap().operator.get(), 1);
}

#[test]
fn files_may_be_elsewhere() {
    let (dir, node) = node1();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(node.join("enr-private-key"), elsewhere.join("key")).unwrap();
    fs::rename(node.join("cluster-lock.json"), elsewhere.join("lock")).unwrap();
    fs::rename(node.join("validator_keys"), elsewhere.join("keys")).unwrap();
    let options = LoadOptions {
        private_key_file: Some(elsewhere.join("key")),
        lock_file: Some(elsewhere.join("lock")),
        validator_keys_dir: Some(elsewhere.join("keys")),
        ..LoadOptions::default()
    };
    assert_eq!(load(&node, &options).unwrap().shares.len(), 3);
}

#[test]
fn keystores_are_matched_by_key_and_not_by_name() {
    let (_dir, node) = node1();
    let expected: Vec<_> = load(&node, &LoadOptions::default())
        .unwrap()
        .shares
        .iter()
        .map(|(_, s)| s.public_share())
        .collect();
    let ((json0, txt0), (json2, txt2)) = (keystore(&node, 0), keystore(&node, 2));
    for (a, b) in [(&json0, &json2), (&txt0, &txt2)] {
        let aside = node.join("aside");
        move_file(a, &aside);
        move_file(b, a);
        move_file(&aside, b);
    }
    let shares = load(&node, &LoadOptions::default()).unwrap().shares;
    assert_eq!(shares.iter().map(|(_, s)| s.public_share()).collect::<Vec<_>>(), expected);
    assert_eq!(shares.iter().map(|(v, _)| v.get()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_identity_that_is_missing_doubled_or_unusable_is_named() {
    let (dir, node) = node1();
    let (ours, charons) = (node.join("enr-private-key"), node.join("charon-enr-private-key"));
    fs::copy(&ours, &charons).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        "DIR/node1/enr-private-key and DIR/node1/charon-enr-private-key are both there: remove the one \
         that is not this node's"
    );
    fs::remove_file(&charons).unwrap();
    overwrite(&ours, "no hex");
    assert_eq!(
        refused(dir.path(), &node),
        "cannot use the ENR private key DIR/node1/enr-private-key: expected 64 hex digits"
    );
    fs::remove_file(&ours).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        "no ENR private key in DIR/node1: expected enr-private-key or charon-enr-private-key (make one \
         with `synod create enr`, or take the directory of a created cluster)"
    );
    let stranger = Identity::generate().unwrap();
    stranger.save_new(&ours).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        format!(
            "the ENR private key DIR/node1/enr-private-key is not that of any of the 4 operators in \
             DIR/node1/cluster-lock.json: its ENR is {}",
            stranger.enr()
        )
    );
}

#[test]
fn secrets_that_everybody_can_read_are_refused_unless_allowed() {
    let (dir, node) = node1();
    let (_, password) = keystore(&node, 2);
    set_mode(&password, 0o644);
    assert_eq!(
        refused(dir.path(), &node),
        "everybody on this machine can read DIR/node1/validator_keys/keystore-2.txt (mode 644): run \
         `chmod 600 DIR/node1/validator_keys/keystore-2.txt`"
    );
    let options = LoadOptions { permissions: SecretPermissions::Warn, ..LoadOptions::default() };
    assert!(load(&node, &options).is_ok());
    // The group is the operator's business.
    set_mode(&password, 0o640);
    assert!(load(&node, &LoadOptions::default()).is_ok());
    set_mode(&node.join("enr-private-key"), 0o604);
    assert_eq!(
        refused(dir.path(), &node),
        "everybody on this machine can read DIR/node1/enr-private-key (mode 604): run `chmod 600 \
         DIR/node1/enr-private-key`"
    );
}

#[test]
fn a_lock_that_is_missing_or_damaged_is_named() {
    let (dir, node) = node1();
    let path = node.join("cluster-lock.json");
    let lock = ClusterLock::load(&path).unwrap();
    let text = lock.to_json().unwrap();
    overwrite(&path, text.replace("\"test cluster\"", "\"best cluster\""));
    let changed: ClusterLock =
        serde_json::from_str(&text.replace("\"test cluster\"", "\"best cluster\"")).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        format!(
            "cluster lock DIR/node1/cluster-lock.json is refused: config_hash is stated as {}, but the \
             content hashes to {}: the file was changed or damaged, take it from a backup or from another \
             operator",
            lock.cluster_definition.config_hash,
            changed.cluster_definition.computed_config_hash().unwrap()
        )
    );
    overwrite(&path, &text[..text.len() / 2]);
    let error = refused(dir.path(), &node);
    assert!(
        error.starts_with("cannot use cluster file DIR/node1/cluster-lock.json: EOF while parsing"),
        "{error}"
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        "cannot use cluster file DIR/node1/cluster-lock.json: cannot read it: No such file or directory \
         (os error 2)"
    );
}

#[test]
fn another_operators_keystore_is_refused_by_whose_it_is() {
    let (dir, node) = node1();
    let (json, txt) = keystore(&node, 1);
    let (other_json, other_txt) = keystore(&dir.path().join("node3"), 1);
    move_file(&other_json, &json);
    move_file(&other_txt, &txt);
    assert_eq!(
        refused(dir.path(), &node),
        "keystore DIR/node1/validator_keys/keystore-1.json belongs to operator 3, not to this node, which \
         is operator 1"
    );
}

#[test]
fn a_keystore_of_another_cluster_is_refused_even_if_it_hides_its_key() {
    let (dir, node) = node1();
    let other = tempfile::tempdir().unwrap();
    create(other.path(), 1);
    let (json, txt) = keystore(&node, 1);
    let (other_json, other_txt) = keystore(&other.path().join("node1"), 0);
    move_file(&other_txt, &txt);
    let text = fs::read_to_string(&other_json).unwrap();
    overwrite(&json, &text);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    let key = shown["pubkey"].as_str().unwrap();
    let expected = format!(
        "keystore DIR/node1/validator_keys/keystore-1.json with public key 0x{key} is not in the lock"
    );
    assert_eq!(refused(dir.path(), &node), expected);
    overwrite(&json, text.replace(key, ""));
    assert_eq!(refused(dir.path(), &node), expected);
}

#[test]
fn missing_doubled_and_unreadable_keystores_are_named() {
    let (dir, node) = node1();
    let (json0, txt0) = keystore(&node, 0);
    let lock = ClusterLock::load(&node.join("cluster-lock.json")).unwrap();
    let key = |n: usize| lock.distributed_validators[n].public_key;

    let copy = node.join("validator_keys/keystore-copy.json");
    fs::copy(&json0, &copy).unwrap();
    fs::copy(&txt0, copy.with_extension("txt")).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        "keystores DIR/node1/validator_keys/keystore-0.json and \
         DIR/node1/validator_keys/keystore-copy.json both hold the share of validator 0"
    );
    fs::remove_file(&copy).unwrap();

    move_file(&txt0, &node.join("aside"));
    assert_eq!(
        refused(dir.path(), &node),
        "cannot use password file DIR/node1/validator_keys/keystore-0.txt: cannot read it: No such file \
         or directory (os error 2)"
    );
    overwrite(&txt0, "wrong");
    assert_eq!(
        refused(dir.path(), &node),
        "cannot open keystore DIR/node1/validator_keys/keystore-0.json with the password in \
         DIR/node1/validator_keys/keystore-0.txt: the password is wrong or the keystore is damaged"
    );

    fs::remove_file(keystore(&node, 0).0).unwrap();
    fs::remove_file(keystore(&node, 2).0).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        format!(
            "2 of 3 share keystores are missing in DIR/node1/validator_keys: validator 0 ({}), validator 2 \
             ({}); copy this operator's keystore files there",
            key(0),
            key(2)
        )
    );
    fs::remove_dir_all(node.join("validator_keys")).unwrap();
    assert_eq!(
        refused(dir.path(), &node),
        "cannot list the share keystores in DIR/node1/validator_keys: No such file or directory (os error 2)"
    );
}
