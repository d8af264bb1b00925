//! The trusted dealer, end to end: what is on disk, what every node loads, and that the shares sign.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use eth_types::network::Network;
use eth_types::{ExecutionAddress, Root};
use threshold::cluster_file::{ClusterLock, FileVersion, Gwei, WalletSignatures};
use threshold::data_dir::{LoadOptions, load};
use threshold::dealer::{ClusterParams, KeySource, Progress, Step, create_cluster};
use threshold::keystore::{KdfCost, Keystore, Password, read_files};
use threshold_protocol::bls::{
    self, PartialSignature, SecretKey, SecretShare, ShareIndex, SigningShare, recover_secret,
};

use crate::support::{chain, create, mode_of, overwrite, params};

/// Names and modes of everything below a directory.
fn listing(dir: &Path, below: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        lines.push(format!("{:03o} {name}", mode_of(&path)));
        if path.is_dir() {
            lines.extend(listing(dir, &path));
        }
    }
    lines.sort_by(|a, b| a[4..].cmp(&b[4..]));
    lines
}

#[test]
fn a_cluster_has_its_files_with_their_modes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let cluster_dir = dir.path().join("new/cluster");
    create(&cluster_dir, 2);
    assert_eq!(
        fs::read_dir(&cluster_dir)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect::<BTreeSet<_>>(),
        ["node0", "node1", "node2", "node3"].map(Into::into).into()
    );
    for node in 0..4 {
        let node_dir = cluster_dir.join(format!("node{node}"));
        assert_eq!(mode_of(&node_dir), 0o700);
        assert_eq!(
            listing(&node_dir, &node_dir),
            [
                "444 cluster-definition.json",
                "444 cluster-lock.json",
                "444 deposit-data-1eth.json",
                "444 deposit-data.json",
                "600 enr-private-key",
                "700 validator_keys",
                "400 validator_keys/keystore-0.json",
                "400 validator_keys/keystore-0.txt",
                "400 validator_keys/keystore-1.json",
                "400 validator_keys/keystore-1.txt",
            ]
        );
    }
}

#[test]
fn every_node_loads_what_was_dealt_and_any_three_sign() {
    let dir = tempfile::tempdir().unwrap();
    let created = create(dir.path(), 3);
    let nodes: Vec<_> =
        created.node_dirs.iter().map(|dir| load(dir, &LoadOptions::default()).unwrap()).collect();
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node.operator.as_usize(), index);
        assert_eq!(node.lock.lock_hash(), created.lock_hash);
        assert_eq!(node.lock.name(), "test cluster");
        assert_eq!(node.lock.network().unwrap().name(), "hoodi");
        assert_eq!(node.lock.threshold(), created.threshold);
        assert_eq!(node.lock.operators().len(), 4);
        assert_eq!(node.lock.operators()[index].enr(), &node.identity.enr());
        assert_eq!(node.shares.iter().map(|(v, _)| v.as_usize()).collect::<Vec<_>>(), [0, 1, 2]);
        let keys: Vec<_> = node.lock.validators().iter().map(|v| v.public_key()).collect();
        assert_eq!(keys, created.public_keys);
        for validator in node.lock.validators() {
            assert_eq!(validator.fee_recipient(), ExecutionAddress::new([0x22; 20]));
            assert_eq!(validator.withdrawal_address(), Some(ExecutionAddress::new([0x11; 20])));
            assert_eq!(validator.gas_limit(), 60_000_000);
        }
    }
    let root = Root::new([7; 32]);
    for validator in 0..3 {
        let group = created.public_keys[validator];
        for absent in 0..4 {
            let partials: Vec<(ShareIndex, PartialSignature)> = nodes
                .iter()
                .enumerate()
                .filter(|(node, _)| *node != absent)
                .map(|(_, node)| {
                    let share = copy(&node.shares[validator].1);
                    let signing = SigningShare::new(share, created.threshold).unwrap();
                    (node.shares[validator].1.index(), signing.sign(&root))
                })
                .collect();
            let signature = bls::combine(created.threshold, &partials).unwrap();
            assert!(
                bls::verify(&group, &root, &signature),
                "validator {validator} without {absent}"
            );
        }
    }
}

fn copy(share: &SecretShare) -> SecretShare {
    SecretShare::from_bytes(share.index(), &share.to_bytes()).unwrap()
}

#[test]
fn the_lock_is_written_in_the_fields_form() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), 1);
    let text = fs::read_to_string(dir.path().join("node0/cluster-lock.json")).unwrap();
    let lock: ClusterLock = serde_json::from_str(&text).unwrap();
    assert_eq!(lock.to_json().unwrap(), text);
    let definition = &lock.cluster_definition;
    assert_eq!(definition.version, FileVersion::V1_10);
    assert_eq!(definition.deposit_amounts, Some(vec![Gwei::ETH, Gwei::new(32_000_000_000)]));
    assert_eq!(definition.uuid.to_uppercase(), definition.uuid);
    assert_eq!(
        fs::read_to_string(dir.path().join("node3/cluster-definition.json")).unwrap(),
        definition.to_json().unwrap()
    );
    // New validators' registrations are as old as the chain.
    let registration = lock.distributed_validators[0].builder_registration.message;
    assert_eq!(registration.timestamp, definition_network().genesis_time());
}

fn definition_network() -> Network {
    Network::by_name("hoodi").unwrap()
}

#[test]
fn deposit_files_hold_every_validator_in_the_order_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let params = ClusterParams {
        compounding: true,
        deposit_amounts: Some(
            [32, 2048, 32].iter().map(|eth| Gwei::from_eth(*eth).unwrap()).collect(),
        ),
        ..params(dir.path(), 5)
    };
    let created = create_cluster(&params, &|_| {}).unwrap();
    let mut keys: Vec<_> = created.public_keys.iter().map(hex::encode).collect();
    keys.sort();
    for (name, gwei) in [
        ("deposit-data.json", 32_000_000_000_u64),
        ("deposit-data-2048eth.json", 2_048_000_000_000),
    ] {
        let text = fs::read_to_string(created.node_dirs[1].join(name)).unwrap();
        let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let field =
            |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap().to_owned();
        assert_eq!(entries.iter().map(|e| field(e, "pubkey")).collect::<Vec<_>>(), keys);
        for entry in &entries {
            assert_eq!(entry["amount"], gwei);
            assert_eq!(
                field(entry, "withdrawal_credentials"),
                format!("02{}{}", "00".repeat(11), "11".repeat(20))
            );
            assert_eq!(field(entry, "fork_version"), "10000910");
            assert_eq!(field(entry, "network_name"), "hoodi");
            assert_eq!(field(entry, "deposit_cli_version"), "2.7.0");
            for root in ["deposit_message_root", "deposit_data_root"] {
                assert_eq!(field(entry, root).len(), 64);
            }
        }
    }
    assert_eq!(fs::read_dir(&created.node_dirs[1]).unwrap().count(), 6);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_done_is_left() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("node2")).unwrap();
    let error = create_cluster(&params(dir.path(), 1), &|_| {}).unwrap_err();
    assert_eq!(
        chain(&error, dir.path()),
        "DIR/node2 exists: choose another cluster directory, or move it away"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    // It appears only when the last keystore is being written.
    fs::remove_dir(dir.path().join("node2")).unwrap();
    let spoil = |progress: Progress| {
        if progress.step == Step::WriteKeystores && progress.done == progress.total {
            fs::create_dir_all(dir.path().join("node2")).unwrap();
        }
    };
    let error = create_cluster(&params(dir.path(), 1), &spoil).unwrap_err();
    assert!(chain(&error, dir.path()).starts_with("cannot write DIR/node2: "), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    // A directory that was made for the cluster goes as well.
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = create_cluster(&params(&file.join("cluster"), 1), &|_| {}).unwrap_err();
    assert!(chain(&error, dir.path()).starts_with("cannot write DIR/file/cluster"), "{error}");
}

#[test]
fn progress_counts_every_step_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Mutex::new(Vec::new());
    create_cluster(&params(dir.path(), 3), &|progress| seen.lock().unwrap().push(progress))
        .unwrap();
    let seen = seen.into_inner().unwrap();
    for (step, total) in [(Step::Split, 3), (Step::SignLock, 12), (Step::WriteKeystores, 12)] {
        let mut counts: Vec<_> = seen.iter().filter(|p| p.step == step).map(|p| p.done).collect();
        counts.sort_unstable();
        assert_eq!(counts, (1..=total).collect::<Vec<_>>(), "{step:?}");
        assert!(seen.iter().filter(|p| p.step == step).all(|p| p.total == total));
    }
}

fn key(n: u8) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[31] = n;
    SecretKey::from_bytes(&bytes).unwrap()
}

fn write_keystore(path: &Path, key: &SecretKey, password: &str) {
    let password = Password::new(password).unwrap();
    let keystore = Keystore::encrypt(key, &password, KdfCost::INSECURE, "").unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    overwrite(path, keystore.to_json().unwrap());
}

fn split(cluster_dir: &Path, keys_dir: &Path) -> ClusterParams {
    let keys = KeySource::Split { dir: keys_dir.to_owned(), validators: None };
    ClusterParams { keys, ..params(cluster_dir, 0) }
}

#[test]
fn existing_keys_are_split_and_any_three_shares_give_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let keys_dir = dir.path().join("keys");
    for n in [1, 2, 3] {
        write_keystore(&keys_dir.join(format!("keystore-{n}.json")), &key(n), "secret");
        overwrite(&keys_dir.join(format!("keystore-{n}.txt")), "secret\n");
    }
    let created = create_cluster(&split(&dir.path().join("out"), &keys_dir), &|_| {}).unwrap();
    assert_eq!(created.public_keys, [1, 2, 3].map(|n| key(n).public_key()));
    for (validator, n) in [1, 2, 3].into_iter().enumerate() {
        let shares: Vec<SecretShare> = [1_u8, 3, 4]
            .into_iter()
            .map(|index| {
                let dir = created.node_dirs[usize::from(index) - 1].join("validator_keys");
                let secret = read_files(
                    &dir.join(format!("keystore-{validator}.json")),
                    &dir.join(format!("keystore-{validator}.txt")),
                )
                .unwrap();
                SecretShare::from_bytes(ShareIndex::new(index).unwrap(), &secret.to_bytes())
                    .unwrap()
            })
            .collect();
        let recovered = recover_secret(&shares, created.threshold).unwrap();
        assert_eq!(*recovered.to_bytes(), *key(n).to_bytes());
    }
    let lock = ClusterLock::load(&created.node_dirs[0].join("cluster-lock.json")).unwrap();
    // A running validator has a registration already: a newer one replaces it.
    let registration = lock.distributed_validators[0].builder_registration.message;
    assert!(registration.timestamp > definition_network().genesis_time());
    assert!(lock.verify(WalletSignatures::Verify).is_ok());
}

#[test]
fn keys_in_a_folder_of_their_own_are_split_too() {
    let dir = tempfile::tempdir().unwrap();
    let keys_dir = dir.path().join("keys");
    for n in [1, 2] {
        let name = key(n).public_key().to_string();
        write_keystore(&keys_dir.join("keystores").join(format!("{name}.json")), &key(n), "secret");
    }
    fs::write(keys_dir.join("password.txt"), "secret").unwrap();
    let created = create_cluster(&split(&dir.path().join("out"), &keys_dir), &|_| {}).unwrap();
    assert_eq!(
        created.public_keys.iter().collect::<BTreeSet<_>>(),
        [key(1).public_key(), key(2).public_key()].iter().collect()
    );
}

#[test]
fn existing_keys_that_cannot_be_split_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let keys_dir = dir.path().join("keys");
    let refused = |params: &ClusterParams| {
        let error = create_cluster(params, &|_| {}).unwrap_err();
        assert!(!dir.path().join("out").exists());
        chain(&error, dir.path())
    };
    let split = || split(&dir.path().join("out"), &keys_dir);

    write_keystore(&keys_dir.join("keystore-0.json"), &key(1), "secret");
    overwrite(&keys_dir.join("keystore-0.txt"), "wrong");
    assert_eq!(
        refused(&split()),
        "cannot open keystore DIR/keys/keystore-0.json with the password in DIR/keys/keystore-0.txt: the \
         password is wrong or the keystore is damaged"
    );
    overwrite(&keys_dir.join("keystore-0.txt"), "secret");
    write_keystore(&keys_dir.join("keystore-1.json"), &key(1), "secret");
    overwrite(&keys_dir.join("keystore-1.txt"), "secret");
    assert_eq!(
        refused(&split()),
        format!(
            "DIR/keys/keystore-0.json and DIR/keys/keystore-1.json hold the same key {}",
            key(1).public_key()
        )
    );
    let three = KeySource::Split { dir: keys_dir.clone(), validators: Some(3) };
    assert_eq!(
        refused(&ClusterParams { keys: three, ..split() }),
        "2 keystores are in DIR/keys, but 3 validators were asked for"
    );
}
