//! Which keys are there: files of every name and kind, many of them, and ones that cannot be used.

use std::fs;
use std::path::Path;

use eth_types::{Epoch, PublicKey};
use serde_json::{Value, json};
use tests::standalone::{Loaded, secret, write_keystore_config, write_raw};
use tests::{Ask, Reply, Standalone};
use threshold::keystore::{KdfCost, Keystore, Password};

use super::{PUBLIC_KEYS, staged_chain};
use crate::support::program;

/// Cheap to open.
const COST: KdfCost = KdfCost::Pbkdf2 { rounds: 10 };

fn signer() -> Standalone {
    Standalone::on(&program(), staged_chain())
}

fn write_keystore(path: &Path, number: u8, password: &str) -> PublicKey {
    let password = Password::new(password).unwrap();
    let keystore = Keystore::encrypt(&secret(number), &password, COST, "").unwrap();
    fs::write(path, keystore.to_json().unwrap()).unwrap();
    secret(number).public_key()
}

/// The list of keys, which is sorted.
#[track_caller]
fn listed(reply: &Reply) -> Vec<PublicKey> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    serde_json::from_str(&reply.body).unwrap()
}

fn sorted(mut keys: Vec<PublicKey>) -> Vec<PublicKey> {
    keys.sort_unstable();
    keys
}

/// The check of a way in which keys are given.
fn check(health: &Value, id: &str) -> Value {
    let keys = &health["checks"][1];
    assert_eq!(keys["id"], "keys-check");
    let ways = keys["checks"].as_array().unwrap();
    ways.iter().find(|way| way["id"] == id).unwrap_or_else(|| panic!("no {id}: {health}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_list_is_empty_and_the_node_is_up() {
    let mut signer = signer();
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    assert_eq!(listed(&connection.ask("GET", PUBLIC_KEYS, &[], "").await), []);
    let health = connection.ask("GET", "/healthcheck", &[], "").await;
    assert_eq!(health.status, 200);
    assert_eq!(
        health.json(),
        json!({
            "status": "UP",
            "checks": [
                { "id": "default-check", "status": "UP" },
                {
                    "id": "keys-check",
                    "status": "UP",
                    "checks": [{
                        "id": "config-files-loading",
                        "status": "UP",
                        "data": { "keys-loaded": 0, "error-count": 0 },
                    }],
                },
                { "id": "slashing-protection-db-health-check", "status": "UP" },
            ],
            "outcome": "UP",
        })
    );
    let path = format!("/api/v1/eth2/sign/{}", secret(1).public_key());
    let body = Ask::randao(signer.chain(), Epoch::new(61)).text();
    let _ = connection.ask("POST", &path, &[], &body).await.refusal(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_under_any_file_name_and_listed_whatever_accept_says() {
    let signer = &mut signer();
    let names = ["UPPER.YAML", "short.yml", "with space.yaml", "0x12.34.yaml", "ключ.yaml"];
    let expected = sorted(
        (1..).zip(names).map(|(number, name)| write_raw(&signer.keys(name), number)).collect(),
    );
    // None of these is a key configuration file.
    for name in [".hidden.yaml", "key.txt", "key.yaml.bak", "yaml"] {
        write_raw(&signer.keys(name), 99);
    }
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    for accept in [&[][..], &["Accept:"], &["Accept: */*"], &["Accept: application/json"]] {
        let reply = connection.ask("GET", PUBLIC_KEYS, accept, "").await;
        assert_eq!(listed(&reply), expected, "{accept:?}");
        let quoted: Vec<String> = expected.iter().map(|key| format!("\"{key}\"")).collect();
        assert_eq!(reply.body, format!("[{}]", quoted.join(",")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_used_are_not_listed_and_the_others_sign() {
    let mut signer = signer();
    let bulk = signer.path("bulk");
    fs::create_dir(&bulk).unwrap();
    signer.option(format!("--keystores-path={}", bulk.display()));
    signer.option(format!("--keystores-passwords-path={}", bulk.display()));
    let mut good = Vec::new();
    for number in 1..=8 {
        let name = format!("k{number}");
        good.push(write_keystore(&bulk.join(format!("{name}.json")), number, "right"));
        fs::write(bulk.join(format!("{name}.txt")), "right").unwrap();
    }
    good.push(write_raw(&signer.keys("raw.yaml"), 9));

    // A wrong password, a flipped bit, a file that was cut off: in both ways of giving keys.
    let mut bad = Vec::new();
    let flipped = |path: &Path| {
        let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let cipher = json["crypto"]["cipher"]["message"].as_str().unwrap();
        let first = if cipher.starts_with('0') { "1" } else { "0" };
        let changed = format!("{first}{}", &cipher[1..]);
        json["crypto"]["cipher"]["message"] = changed.into();
        fs::write(path, json.to_string()).unwrap();
    };
    let cut = |path: &Path| {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
    };
    for (dir, first) in [(bulk.clone(), 20), (signer.path("keys"), 30)] {
        for (number, name) in (first..).zip(["wrong", "flipped", "cut"]) {
            let keystore = dir.join(format!("{name}.json"));
            bad.push(write_keystore(&keystore, number, "right"));
            let password = if name == "wrong" { "left" } else { "right" };
            fs::write(dir.join(format!("{name}.txt")), password).unwrap();
            match name {
                "flipped" => flipped(&keystore),
                "cut" => cut(&keystore),
                _ => {}
            }
            if dir != bulk {
                let config = dir.join(format!("{name}.yaml"));
                write_keystore_config(&config, &format!("{name}.json"), &format!("{name}.txt"));
            }
        }
    }
    let Loaded { keys, errors, .. } = signer.start_loaded().await;
    assert_eq!((keys, errors), (9, 6), "{}", signer.log());

    let mut connection = signer.connect().await;
    assert_eq!(listed(&connection.ask("GET", PUBLIC_KEYS, &[], "").await), sorted(good.clone()));
    let health = connection.ask("GET", "/healthcheck", &[], "").await;
    assert_eq!(health.status, 503);
    let health = health.json();
    assert_eq!((&health["status"], &health["outcome"]), (&json!("DOWN"), &json!("DOWN")));
    for (id, loaded) in [("config-files-loading", 1), ("keystores-bulk-loading", 8)] {
        let data = json!({ "keys-loaded": loaded, "error-count": 3 });
        assert_eq!(check(&health, id), json!({ "id": id, "status": "DOWN", "data": data }));
    }
    // Lodestar asks for selection proofs one after the other; one that fails stops it.
    let chain = signer.chain();
    let slot = Epoch::new(61).start_slot(chain.network().slots_per_epoch());
    let proof = Ask::aggregation_slot(chain, slot);
    for key in &good {
        let vote = Ask::attestation(chain, slot, 1);
        for ask in [&proof, &vote] {
            let _ = signer.ask(key, ask).await.signature(key, &ask.root());
        }
    }
    for key in &bad {
        let _ = signer.ask(key, &proof).await.refusal(404);
    }
    let log = signer.log();
    for password in ["right", "left"] {
        assert!(!log.contains(password), "a password is logged: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_keystores_has_a_password_for_each_or_one_for_all() {
    let mut signer = signer();
    let (each, all) = (signer.path("each"), signer.path("all.txt"));
    fs::create_dir(&each).unwrap();
    let mut keys = Vec::new();
    for number in 1..=3 {
        keys.push(write_keystore(&each.join(format!("{number}.json")), number, "one for all"));
        fs::write(each.join(format!("{number}.txt")), "one for all\n").unwrap();
    }
    fs::write(&all, "one for all\n").unwrap();
    signer.option(format!("--keystores-path={}", each.display()));
    let passwords = [
        format!("--keystores-passwords-path={}", each.display()),
        format!("--keystores-password-file={}", all.display()),
    ];
    // Without its cache, so that the passwords are what opens them.
    signer.option("--key-cache=false");
    for option in passwords {
        signer.option(option);
        let Loaded { keys: loaded, errors, .. } = signer.start_loaded().await;
        assert_eq!((loaded, errors), (3, 0), "{}", signer.log());
        assert_eq!(signer.public_keys().await, sorted(keys.clone()));
        signer.stop();
        signer.drop_option();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identifier_is_read_in_any_case_with_and_without_its_prefix() {
    let mut signer = signer();
    let key = write_raw(&signer.keys("key.yaml"), 1);
    signer.start_loaded().await;
    let ask = Ask::randao(signer.chain(), Epoch::new(61));
    let hex = key.to_string().trim_start_matches("0x").to_owned();
    let upper = hex.to_uppercase();
    let mut connection = signer.connect().await;
    for identifier in [format!("0x{hex}"), hex.clone(), format!("0x{upper}"), format!("0X{upper}")]
    {
        let path = format!("/api/v1/eth2/sign/{identifier}");
        let reply = connection.ask("POST", &path, &[], &ask.text()).await;
        assert_eq!(reply.status, 200, "{identifier}: {}", reply.body);
    }
    for identifier in ["0x", "nonsense", &hex[1..], &format!("{hex}00")] {
        let path = format!("/api/v1/eth2/sign/{identifier}");
        let reason = connection.ask("POST", &path, &[], &ask.text()).await.refusal(400);
        assert!(reason.contains("identifier"), "{reason}");
    }
}
