//! A cluster's node, whose keys are those of its lock.

use std::fs;

use hyper::Method;
use serde_json::{Value, json};
use tests::KeyManager;
use tests::key_manager::{self, KEYSTORES, REMOTE_KEYS, entry};

use super::{PASSWORD, keystore, serving, statuses, tests_mode, voted};
use crate::support::cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_node_knows_its_shares_and_says_whose_others_are() {
    let files = cluster().validators(2).create();
    let mut args = files.run_args(0);
    args.push("--key-manager-api-enabled".to_owned());
    let mut node = files.program.start(args);
    let address = serving(&mut node).await;
    let token_file = files.data_dir(0).join("api-token.txt");
    assert_eq!(tests_mode(&token_file), 0o600);
    let manager = KeyManager::new(address, &token_file);

    let mut keys = files.keys.clone();
    keys.sort_unstable();
    let local: Vec<_> =
        keys.iter().map(|key| json!({ "validating_pubkey": key, "readonly": true })).collect();
    assert_eq!(manager.list(KEYSTORES).await, local);
    let remote: Vec<_> =
        keys.iter().map(|key| json!({ "pubkey": key, "url": "", "readonly": true })).collect();
    assert_eq!(manager.list(REMOTE_KEYS).await, remote);

    let share = |node: usize, validator: usize| {
        let dir = files.data_dir(node).join("validator_keys");
        let read = |extension: &str| {
            fs::read_to_string(dir.join(format!("keystore-{validator}.{extension}"))).unwrap()
        };
        (read("json"), read("txt"))
    };
    let (own, own_password) = share(0, 0);
    let (others, others_password) = share(1, 1);
    let mut nameless: Value = serde_json::from_str(&own).unwrap();
    nameless["pubkey"] = json!("");
    let (foreign, foreign_key) = keystore(1, PASSWORD);
    let sent = [
        (own.clone(), own_password.as_str()),
        (others, others_password.as_str()),
        (foreign, PASSWORD),
        (nameless.to_string(), own_password.as_str()),
        (nameless.to_string(), "unmistakable wrong word"),
    ];
    // Records under the share's key are the validator's.
    let share_key = serde_json::from_str::<Value>(&own).unwrap()["pubkey"].clone();
    let root = files.chain.network().genesis_validators_root();
    let history = json!({
        "metadata": { "interchange_format_version": "5", "genesis_validators_root": root },
        "data": [voted(share_key.as_str().unwrap(), 50)],
    });
    let items = manager.import(&sent, Some(&history)).await;
    let expected = ["duplicate", "error", "error", "duplicate", "error"];
    assert_eq!(statuses(&items), expected, "{items:?}");
    assert!(items[1].1.contains("operator 1's share") && items[1].1.contains("is operator 0"));
    assert!(items[2].1.contains("is no key share of this cluster"), "{items:?}");
    assert!(items[4].1.contains("password is wrong"), "{items:?}");

    let asked = [files.keys[0].to_string(), format!("0x{}", share_key.as_str().unwrap())];
    let (items, export) = manager.delete(&[&asked[..], &[foreign_key.to_string()]].concat()).await;
    assert_eq!(statuses(&items), ["error", "error", "not_found"], "{items:?}");
    assert!(items[0].1.contains("not deleted one by one"), "{items:?}");
    assert_eq!(export["data"], json!([]));
    assert_eq!(manager.list(KEYSTORES).await, local);

    let remote_keys = json!([
        { "pubkey": files.keys[0], "url": "http://localhost" },
        { "pubkey": foreign_key, "url": "http://localhost" },
    ]);
    let body = json!({ "remote_keys": remote_keys }).to_string();
    let items = key_manager::items(&manager.send(Method::POST, REMOTE_KEYS, body).await);
    assert_eq!(statuses(&items), ["duplicate", "error"]);
    assert!(items[1].1.contains("asks no other signer"), "{items:?}");
    let body = json!({ "pubkeys": [files.keys[0], foreign_key, "x"] }).to_string();
    let items = key_manager::items(&manager.send(Method::DELETE, REMOTE_KEYS, body).await);
    assert_eq!(statuses(&items), ["error", "not_found", "error"]);

    node.terminate();
    assert!(node.wait().success(), "{}", node.log());
    for secret in ["unmistakable", own_password.as_str(), others_password.as_str()] {
        assert!(!node.log().contains(secret), "a password is logged");
    }
    // The records are in the database, under the validator's own key.
    let exported = files.program.run([
        "slashing-protection".to_owned(),
        "export".to_owned(),
        "--to=-".to_owned(),
        format!("--data-dir={}", files.data_dir(0).display()),
    ]);
    let exported: Value = serde_json::from_str(&exported.stdout).unwrap();
    let votes = &entry(&exported, &files.keys[0]).unwrap()["signed_attestations"];
    assert_eq!(votes[0]["target_epoch"], "50", "{exported}");
}
