//! A signer with whole keys in a process: key files of every kind, reloads, the key cache, kills, start
//! scripts of Web3Signer.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use eth_types::{Epoch, PublicKey, Slot};
use hyper::Method;
use rustix::fs::{CWD, FileType, Mode};
use tests::standalone::{Loaded, secret, write_keystore_config, write_raw};
use tests::{Ask, Standalone, http};
use threshold::keystore::{KdfCost, Keystore, Password};

use crate::support::program;

/// Cheap forms of both key derivations.
const SCRYPT: KdfCost = KdfCost::Scrypt { log_n: 10, r: 8, p: 1 };
const PBKDF2: KdfCost = KdfCost::Pbkdf2 { rounds: 100 };

fn write_keystore(path: &Path, number: u8, password: &str, cost: KdfCost) -> PublicKey {
    let password = Password::new(password).unwrap();
    let keystore = Keystore::encrypt(&secret(number), &password, cost, "").unwrap();
    fs::write(path, keystore.to_json().unwrap()).unwrap();
    secret(number).public_key()
}

fn sorted(mut keys: Vec<PublicKey>) -> Vec<PublicKey> {
    keys.sort_unstable();
    keys
}

/// A vote of an epoch long past, or far ahead: there is no window.
fn vote(signer: &Standalone, epoch: u64, head: u8) -> Ask {
    let slot = Slot::new(epoch * signer.chain().network().slots_per_epoch().get());
    Ask::attestation(signer.chain(), slot, head)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_sign_and_bad_files_do_not_stop_the_start() {
    let mut signer = Standalone::new(&program());
    let bulk = signer.path("bulk");
    fs::create_dir(&bulk).unwrap();
    let mut expected = vec![write_raw(&signer.keys("raw.yaml"), 1)];
    fs::create_dir(signer.keys("store")).unwrap();
    expected.push(write_keystore(&signer.keys("store/a.json"), 2, "scrypt word", SCRYPT));
    fs::write(signer.keys("store/a.txt"), "scrypt word\nnot the password\n").unwrap();
    write_keystore_config(&signer.keys("a.yml"), "store/a.json", "store/a.txt");
    expected.push(write_keystore(&signer.keys("b.json"), 3, "pbkdf2 word", PBKDF2));
    fs::write(signer.path("b.txt"), "pbkdf2 word\n").unwrap();
    let absolute = signer.path("b.txt").display().to_string();
    write_keystore_config(&signer.keys("b.yaml"), "b.json", &absolute);
    expected.push(write_keystore(&bulk.join("c.json"), 4, "bulk word", PBKDF2));
    fs::write(bulk.join("c.txt"), "bulk word\r\n").unwrap();

    // Each of these is one error.
    let bad = |name: &str, text: &str| fs::write(signer.keys(name), text).unwrap();
    bad(
        "secp.yaml",
        &format!("type: file-raw\nkeyType: SECP256K1\nprivateKey: {}", "05".repeat(32)),
    );
    bad("vault.yaml", "type: hashicorp\nserverHost: localhost\nkeyPath: /v1/secret\n");
    bad("text.yaml", "hello");
    bad("zero.yaml", &format!("type: file-raw\nprivateKey: {}", "00".repeat(32)));
    bad("wrong.txt", "another word");
    write_keystore_config(&signer.keys("wrong.yaml"), "b.json", "wrong.txt");
    bad("blank.txt", "\nscrypt word\n");
    write_keystore_config(&signer.keys("blank.yaml"), "store/a.json", "blank.txt");
    write_keystore_config(&signer.keys("gone.yaml"), "gone.json", "wrong.txt");
    let mut lying: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(signer.keys("b.json")).unwrap()).unwrap();
    lying["pubkey"] = expected[0].to_string().into();
    bad("lying.json", &lying.to_string());
    write_keystore_config(&signer.keys("lying.yaml"), "lying.json", &absolute);
    write_keystore(&bulk.join("no-password.json"), 6, "word", PBKDF2);
    // The same key once more is no error.
    write_raw(&signer.keys("zz-again.yaml"), 1);

    signer.option(format!("--keystores-path={}", bulk.display()));
    signer.option(format!("--keystores-passwords-path={}", bulk.display()));
    let loaded = signer.start_loaded().await;
    assert_eq!(loaded, Loaded { keys: 4, errors: 9, derived: 3 }, "{}", signer.log());

    assert_eq!(signer.public_keys().await, sorted(expected.clone()));
    for key in &expected {
        for ask in [
            vote(&signer, 3, 1),
            vote(&signer, 900_000, 1),
            Ask::block(signer.chain(), Slot::new(5), 1),
            Ask::randao(signer.chain(), Epoch::new(900_000)),
        ] {
            let _ = signer.ask(key, &ask).await.signature(key, &ask.root());
        }
    }
    let stranger = secret(77).public_key();
    assert!(signer.ask(&stranger, &vote(&signer, 3, 1)).await.refusal(404).contains("unknown"));

    let health = signer.get_json("/healthcheck").await;
    assert_eq!(health["outcome"], "DOWN");
    let keys_check = &health["checks"][1];
    assert_eq!(keys_check["id"], "keys-check");
    let data = |way: usize| keys_check["checks"][way]["data"].clone();
    assert_eq!(data(0), serde_json::json!({ "keys-loaded": 3, "error-count": 8 }));
    assert_eq!(data(1), serde_json::json!({ "keys-loaded": 1, "error-count": 1 }));

    let log = signer.log();
    for name in ["secp", "vault", "text", "zero", "wrong", "blank", "gone", "lying", "no-password"]
    {
        let named =
            |line: &&str| line.contains("no key from") && line.contains(&format!("/{name}."));
        assert_eq!(log.lines().filter(named).count(), 1, "{name}: {log}");
    }
    assert!(log.contains("zz-again.yaml has the same key as"), "{log}");
    assert!(!log.contains(&"05".repeat(32)), "a secret is logged");
    assert!(!log.contains("another word"), "a password is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_keys_sign_while_others_load_and_the_list_waits_for_all() {
    let mut signer = Standalone::new(&program());
    let ready = write_raw(&signer.keys("ready.yaml"), 1);
    let late = write_keystore(&signer.keys("late.json"), 2, "word", PBKDF2);
    write_keystore_config(&signer.keys("late.yaml"), "late.json", "pipe");
    // Whoever opens a pipe waits for the other end.
    let pipe = signer.keys("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    signer.start().await;

    let ask = vote(&signer, 3, 1);
    let signed = loop {
        // It is loaded at some time after the start, which nothing announces.
        let answer = signer.ask(&ready, &ask).await;
        if answer.is_signed() {
            break answer;
        }
        assert!(answer.refusal(503).contains("keys are being loaded"));
    };
    let _ = signed.signature(&ready, &ask.root());
    let reason = signer.get("/api/v1/eth2/publicKeys").await.refusal(503);
    assert!(reason.contains("keys are being loaded, 1 of 2"), "{reason}");
    let reason = signer.ask(&late, &ask).await.refusal(503);
    assert!(reason.contains("keys are being loaded, 1 of 2"), "{reason}");
    assert_eq!(signer.get("/healthcheck").await.status.as_u16(), 503);
    let reload =
        http::request(Method::POST, signer.http(), "/reload", String::new()).await.unwrap();
    assert_eq!(reload.status.as_u16(), 409);

    let mut end = File::options().write(true).open(&pipe).unwrap();
    end.write_all(b"word\n").unwrap();
    drop(end);
    assert_eq!(signer.loaded().await, Loaded { keys: 2, errors: 0, derived: 1 });
    while !signer.get("/api/v1/eth2/publicKeys").await.is_signed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(signer.public_keys().await, sorted(vec![ready, late]));
    assert_eq!(signer.get("/healthcheck").await.status.as_u16(), 200);
    let _ = signer.ask(&late, &ask).await.signature(&late, &ask.root());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_follows_the_files_and_a_key_that_comes_back_has_its_history() {
    let mut signer = Standalone::new(&program());
    let steady = write_raw(&signer.keys("steady.yaml"), 1);
    let fickle_file = signer.keys("fickle.yaml");
    let fickle = write_raw(&fickle_file, 2);
    signer.start_loaded().await;
    assert_eq!(signer.get_json("/reload").await, serde_json::json!({ "status": "idle" }));
    let (first, second) = (vote(&signer, 3, 1), vote(&signer, 3, 2));
    let _ = signer.ask(&fickle, &first).await.signature(&fickle, &first.root());

    // Gone.
    let away = signer.path("fickle.away");
    fs::rename(&fickle_file, &away).unwrap();
    let status = signer.reload().await;
    assert_eq!(status["status"], "completed");
    assert_eq!(status.get("lastError"), None);
    assert_eq!(signer.public_keys().await, [steady]);
    let _ = signer.ask(&fickle, &first).await.refusal(404);

    // Back, with one more.
    fs::rename(&away, &fickle_file).unwrap();
    let third = write_raw(&signer.keys("third.yaml"), 3);
    signer.reload().await;
    assert_eq!(signer.public_keys().await, sorted(vec![steady, fickle, third]));
    let _ = signer.ask(&fickle, &first).await.signature(&fickle, &first.root());
    let _ = signer.ask(&fickle, &second).await.refusal(412);

    // Changed to what gives no key, and to another key.
    fs::write(&fickle_file, "type: file-raw\n").unwrap();
    let fourth = write_raw(&signer.keys("third.yaml"), 4);
    let status = signer.reload().await;
    assert_eq!(status["status"], "completed_with_errors");
    assert_eq!(status["lastError"], "Reload completed with 1 signer loading error(s)");
    assert_eq!(signer.public_keys().await, sorted(vec![steady, fourth]));
    assert_eq!(signer.get("/healthcheck").await.status.as_u16(), 503);

    // The directory is not there for a moment: nothing is known, nothing changes.
    let (keys, moved) = (signer.path("keys"), signer.path("moved"));
    write_raw(&fickle_file, 2);
    for explicit in [false, true] {
        if explicit {
            signer.option(format!("--key-config-path={}", keys.display()));
        }
        signer.stop();
        signer.start_loaded().await;
        fs::rename(&keys, &moved).unwrap();
        let status = signer.reload().await;
        assert_eq!(status["status"], "failed");
        assert!(status["lastError"].as_str().unwrap().contains("cannot list"), "{status}");
        assert_eq!(signer.public_keys().await.len(), 3);
        fs::rename(&moved, &keys).unwrap();
        assert_eq!(signer.reload().await["status"], "completed");
    }
    let _ = signer.ask(&fickle, &second).await.refusal(412);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_derives_no_key_again_unless_its_keystore_or_password_changed() {
    let mut signer = Standalone::new(&program());
    let mut keys = Vec::new();
    for (number, name) in [(1, "a"), (2, "b")] {
        keys.push(write_keystore(&signer.keys(&format!("{name}.json")), number, "word", SCRYPT));
        fs::write(signer.keys(&format!("{name}.txt")), "word").unwrap();
        let (keystore, password) = (format!("{name}.json"), format!("{name}.txt"));
        write_keystore_config(&signer.keys(&format!("{name}.yaml")), &keystore, &password);
    }
    let loaded = |keys, errors, derived| Loaded { keys, errors, derived };
    assert_eq!(signer.start_loaded().await, loaded(2, 0, 2));
    assert_eq!(signer.reload().await["status"], "completed");
    signer.stop();
    assert_eq!(signer.start_loaded().await, loaded(2, 0, 0));
    let ask = vote(&signer, 3, 1);
    for key in &keys {
        let _ = signer.ask(key, &ask).await.signature(key, &ask.root());
    }
    signer.stop();

    // A wrong password is not made good by the cache.
    fs::write(signer.keys("a.txt"), "another word").unwrap();
    assert_eq!(signer.start_loaded().await, loaded(1, 1, 0));
    signer.stop();
    // The same key under another password.
    write_keystore(&signer.keys("a.json"), 1, "another word", SCRYPT);
    assert_eq!(signer.start_loaded().await, loaded(2, 0, 1));
    signer.stop();
    // Killed, and the cache is there all the same.
    signer.start_loaded().await;
    signer.kill();
    assert_eq!(signer.start_loaded().await, loaded(2, 0, 0));
    signer.stop();
    // Damaged, then without.
    let cache = signer.path("key-cache.bin");
    let mut content = fs::read(&cache).unwrap();
    let end = content.len() - 1;
    content[end] ^= 1;
    fs::write(&cache, &content).unwrap();
    assert_eq!(signer.start_loaded().await, loaded(2, 0, 1));
    signer.stop();
    signer.option("--key-cache=false");
    assert_eq!(signer.start_loaded().await, loaded(2, 0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_signer_repeats_what_it_signed_and_signs_nothing_else() {
    let mut signer = Standalone::new(&program());
    let key = write_raw(&signer.keys("key.yaml"), 1);
    signer.start_loaded().await;
    let votes: Vec<Ask> = (3..20).map(|epoch| vote(&signer, epoch, 1)).collect();
    let block = Ask::block(signer.chain(), Slot::new(40), 1);
    let asks: Vec<&Ask> = votes.iter().chain([&block]).collect();
    // The first one sets the low watermark; the others may come in any order.
    let _ = signer.ask(&key, asks[0]).await.signature(&key, &asks[0].root());
    let answers = futures::future::join_all(asks.iter().map(|ask| signer.ask(&key, ask))).await;
    for (ask, answer) in asks.iter().zip(&answers) {
        let _ = answer.signature(&key, &ask.root());
    }
    signer.kill();

    signer.start_loaded().await;
    for (ask, answer) in asks.iter().zip(&answers) {
        assert_eq!(signer.ask(&key, ask).await.body, answer.body);
    }
    for epoch in 3..20 {
        let reason = signer.ask(&key, &vote(&signer, epoch, 2)).await.refusal(412);
        assert!(reason.contains("EIP-3076"), "{reason}");
    }
    let _ = signer.ask(&key, &Ask::block(signer.chain(), Slot::new(40), 2)).await.refusal(412);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_raw_keys_are_loaded_and_listed() {
    let mut signer = Standalone::new(&program());
    for number in 0..10_000_u32 {
        let path = signer.keys(&format!("{number}.yaml"));
        let yaml = format!("type: file-raw\nprivateKey: {}{number:08x}\n", "11".repeat(28));
        fs::write(path, yaml).unwrap();
    }
    assert_eq!(signer.start_loaded().await, Loaded { keys: 10_000, errors: 0, derived: 0 });
    let keys = signer.public_keys().await;
    assert_eq!(keys.len(), 10_000);
    assert!(keys.is_sorted());
    let ask = vote(&signer, 3, 1);
    let _ = signer.ask(&keys[7777], &ask).await.signature(&keys[7777], &ask.root());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_script_of_web3signer_needs_only_another_name() {
    let mut signer = Standalone::new(&program());
    let key = write_raw(&signer.keys("key.yaml"), 1);
    let options = signer.options();
    let chain = &options[4..];
    let config = signer.path("config.yml");
    fs::write(
        &config,
        format!(
            "http-listen-port: 0\nmetrics-enabled: false\nhttp-host-allowlist: [\"*\"]\n\
             eth2.slashing-protection-enabled: true\nkey-store-path: {}\n",
            signer.path("keys").display()
        ),
    )
    .unwrap();
    let mut command = program().command();
    command
        .arg("standalone")
        .arg(format!("--config-file={}", config.display()))
        .args(["--vertx-worker-pool-size", "30", "--logging", "INFO", "eth2"])
        .args(["--slashing-protection-db-health-check-interval-milliseconds=1000"])
        .args(chain)
        .env("WEB3SIGNER_DATA_PATH", signer.path("data"))
        .env("WEB3SIGNER_ETH2_KEYSTORES_PATH", signer.path("keys"))
        .env("WEB3SIGNER_ETH2_KEYSTORES_PASSWORDS_PATH", signer.path("keys"));
    signer.start_command(command).await;
    signer.loaded().await;
    assert_eq!(signer.public_keys().await, [key]);
    let log = signer.log();
    assert!(log.contains("--vertx-worker-pool-size means nothing here"), "{log}");
    assert!(signer.path("data/slashing-protection.sqlite").exists());
    let ports = fs::read_to_string(signer.path("data/web3signer.ports")).unwrap();
    assert_eq!(ports, format!("http-port={}\n", signer.http().port()));
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let signer = Standalone::new(&program());
    let refused = |option: &str| {
        let mut options = signer.options();
        options.extend(option.split(' ').map(ToOwned::to_owned));
        let finished = program().run(options);
        assert_ne!(finished.code, Some(0), "{option}");
        let path = signer.path("").display().to_string();
        // What was logged before the error does not matter.
        let lines = finished.stderr.lines().filter(|line| !line.contains(" WARN "));
        let error = lines.collect::<Vec<_>>().join("\n");
        error.replace(path.trim_end_matches('/'), "DIR").trim_end().to_owned()
    };
    insta::assert_snapshot!(refused("--slashing-protection-enabled=false"), @"synod: --slashing-protection-enabled is not supported: nothing is signed without slashing protection; its database is a file in the data directory and needs no setting up");
    insta::assert_snapshot!(refused("eth2 --slashing-protection-db-url jdbc:postgresql://localhost/web3signer"), @"synod: --slashing-protection-db-url is not supported: slashing protection is in a file of the data directory here, not in PostgreSQL: export with `web3signer eth2 export --to FILE`, import with `synod slashing-protection import`, and leave this option out");
    insta::assert_snapshot!(refused("--azure-vault-enabled"), @"synod: --azure-vault-enabled is not supported: keys are not fetched from vaults; store them as EIP-2335 keystores and give --key-config-path or --keystores-path");
    insta::assert_snapshot!(refused("--keystores-path=DIR"), @"synod: --keystores-path needs one of --keystores-passwords-path and --keystores-password-file");
    insta::assert_snapshot!(refused("--key-config-path=/does/not/exist"), @"synod: cannot list the key configuration files (--key-config-path) in /does/not/exist: No such file or directory (os error 2)");
    let both =
        refused("--keystores-path=a --keystores-passwords-path=b --keystores-password-file=c");
    assert!(both.contains("cannot be used with"), "{both}");
}

#[test]
fn web3signers_other_commands_and_forms_of_options_are_told_what_to_use() {
    let signer = Standalone::new(&program());
    let run = |options: &str| {
        let data = format!("--data-path={}", signer.path("").display());
        let finished =
            program().run(["standalone", &data].into_iter().chain(options.split_whitespace()));
        let last = finished.stderr.lines().last().unwrap_or_default().to_owned();
        (finished.code, finished.stdout, last)
    };
    let refused = |options: &str| {
        let (code, _, line) = run(options);
        assert_eq!(code, Some(1), "{options}: {line}");
        line
    };
    for (options, told) in [
        ("eth2 export", "use `synod slashing-protection export`"),
        ("eth2 export --to=history.json", "use `synod slashing-protection export`"),
        ("eth2 import --from=history.json", "use `synod slashing-protection import`"),
        ("eth2 watermark-repair --slot=9", "use `synod slashing-protection watermark-repair`"),
        ("eth1 --chain-id=1", "there is no `eth1` mode here"),
        (
            "eth2 --network https://example.org/config.yaml",
            "URLs are not fetched: download the file",
        ),
    ] {
        let line = refused(options);
        assert!(line.contains(told), "{options}: {line}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let same = refused(&format!("--http-listen-port={port} --metrics-port={port}"));
    assert!(same.contains(&format!("both name port {port}")), "{same}");

    let (code, version, _) = run("--version");
    assert_eq!((code, version), (Some(0), format!("synod {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, help, _) = run("--help");
    assert_eq!(code, Some(0));
    assert!(help.contains("[default: mainnet]"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn web3signers_values_of_options_are_taken() {
    let signer = Standalone::new(&program());
    let data = format!("--data-path={}", signer.path("").display());
    let options = "--http-listen-port=0 --metrics-enabled=false --network=HOODI --logging=ALL \
                   --logging-format=ECS --idle-connection-timeout-seconds=30 eth2";
    let options = ["standalone", &data].into_iter().chain(options.split_whitespace());
    let mut process = program().start(options);
    let signing = process.logged(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["message"] == "signing").then_some(line)
    });
    assert_eq!(signing.await["network"], "hoodi");
    let log = process.log();
    assert!(log.contains("clients keep idle connections for up to 90 s"), "{log}");
    assert!(!log.contains("--logging-format means nothing"), "{log}");
}
