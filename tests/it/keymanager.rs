//! The key manager API of real processes: a signer with whole keys, and a cluster's node.
#![expect(
    clippy::indexing_slicing,
    reason = "a test's helper that cannot go on fails the test there"
)]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use eth_types::{PublicKey, Slot};
use futures::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::key_manager::{self, KEYSTORES, REMOTE_KEYS, entry, message};
use tests::{Answer, Ask, Chain, KeyManager, Process, http};
use threshold::data_dir::files;
use threshold::keystore::{KdfCost, Keystore, Password};
use threshold_protocol::bls::SecretKey;
use tokio::sync::Semaphore;

use crate::support::{cluster, program};

const PATH: &str = "m/12381/3600/0/0/0";
/// A password that no other text of these tests holds.
const PASSWORD: &str = "unmistakable \"horse\" \\ battery";

/// A signer with whole keys that serves the key manager API.
struct Signer {
    dir: TempDir,
    chain: Chain,
    process: Option<Process>,
    http: Option<SocketAddr>,
    /// What all its processes so far logged.
    log: String,
}

impl Signer {
    async fn started() -> Self {
        let dir = tempfile::tempdir_in(tests::scratch_dir()).unwrap();
        let chain = Chain::numbered(11);
        chain.write_config(&dir.path().join("chain.yaml"));
        let mut signer = Self { dir, chain, process: None, http: None, log: String::new() };
        signer.start(&["--key-manager-api-enabled"]).await;
        signer
    }

    async fn start(&mut self, options: &[&str]) {
        let mut args: Vec<String> =
            ["standalone", "--http-listen-port=0", "--metrics-enabled=false", "--log-format=json"]
                .map(Into::into)
                .into();
        args.push(format!("--data-dir={}", self.dir.path().display()));
        args.extend(self.chain.options(&self.path("chain.yaml")));
        args.extend(options.iter().map(|option| (*option).to_owned()));
        let mut process = program().start(args);
        self.http = Some(serving(&mut process).await);
        process.logged(|line| line.contains("keys loaded").then_some(())).await;
        self.process = Some(process);
    }

    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.terminate();
        assert!(process.wait().success(), "{}", process.log());
        self.log.push_str(&process.log());
    }

    async fn restart(&mut self) {
        self.stop();
        self.start(&["--key-manager-api-enabled"]).await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn http(&self) -> SocketAddr {
        self.http.unwrap()
    }

    fn manager(&self) -> KeyManager {
        KeyManager::new(self.http(), &self.path("api-token.txt"))
    }

    /// A vote; another `head` makes another message.
    fn vote(&self, epoch: u64, head: u8) -> Ask {
        let slot = Slot::new(epoch * self.chain.network().slots_per_epoch().get());
        Ask::attestation(&self.chain, slot, head)
    }

    async fn ask(&self, key: &PublicKey, ask: &Ask) -> Answer {
        http::sign(self.http(), key, ask.text()).await.unwrap()
    }

    async fn listed(&self) -> Vec<PublicKey> {
        let answer = http::get(self.http(), "/api/v1/eth2/publicKeys").await.unwrap();
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The history of a validator, spelled as given, that voted for one epoch.
    fn history(&self, spelled: &str, epoch: u64) -> Value {
        let mut history = self.interchange();
        history["data"] = json!([voted(spelled, epoch)]);
        history
    }

    fn interchange(&self) -> Value {
        json!({
            "metadata": {
                "interchange_format_version": "5",
                "genesis_validators_root": self.chain.network().genesis_validators_root(),
            },
            "data": [],
        })
    }
}

/// An entry of an interchange.
fn voted(spelled: &str, epoch: u64) -> Value {
    let (source, target) = ((epoch - 1).to_string(), epoch.to_string());
    let votes = json!([{ "source_epoch": source, "target_epoch": target }]);
    json!({ "pubkey": spelled, "signed_blocks": [], "signed_attestations": votes })
}

/// Waits until a process takes requests.
async fn serving(process: &mut Process) -> SocketAddr {
    process
        .logged(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "signing").then_some(())?;
            line["http"].as_str()?.parse().ok()
        })
        .await
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).unwrap()
}

fn keystore(number: u8, password: &str) -> (String, PublicKey) {
    let (secret, password) = (secret(number), Password::new(password).unwrap());
    let keystore = Keystore::encrypt(&secret, &password, KdfCost::INSECURE, PATH).unwrap();
    (keystore.to_json().unwrap(), secret.public_key())
}

fn statuses(items: &[(String, String)]) -> Vec<&str> {
    items.iter().map(|(status, _)| status.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_private_stays_and_opens_and_nothing_else_does() {
    let mut signer = Signer::started().await;
    let file = signer.path("api-token.txt");
    assert_eq!(files::mode(&file).unwrap(), 0o600);
    let token = fs::read_to_string(&file).unwrap();
    assert!(token.starts_with("api-token-0x") && token.len() == 76, "another form");

    for path in [KEYSTORES, REMOTE_KEYS] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let ask = async |headers: &[(&str, &str)]| {
                let body = String::new();
                http::request_with(method.clone(), signer.http(), path, headers, body)
                    .await
                    .unwrap()
            };
            for headers in [
                &[][..],
                &[("authorization", "Basic dXNlcjpwYXNz")],
                &[("authorization", "Bearer ")],
                &[("authorization", token.as_str())],
            ] {
                assert!(message(&ask(headers).await, 401).contains("no bearer token"));
            }
            for wrong in ["Bearer api-token-0x00", "bearer x", &format!("Bearer {token}0")] {
                let answer = ask(&[("authorization", wrong)]).await;
                assert!(message(&answer, 403).contains("not that of the node"));
            }
        }
    }
    let lower = format!("bearer {token}");
    let headers = [("authorization", lower.as_str())];
    let answer = http::request_with(Method::GET, signer.http(), KEYSTORES, &headers, String::new());
    assert_eq!(answer.await.unwrap().body, r#"{"data":[]}"#);

    signer.restart().await;
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    assert!(signer.manager().list(REMOTE_KEYS).await.is_empty());

    // A file of one's own, and the other spelling of the option.
    signer.stop();
    fs::write(signer.path("own"), "a-token-of-my-own\n").unwrap();
    fs::set_permissions(signer.path("own"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let option = format!("--key-manager-token-file={}", signer.path("own").display());
    signer.start(&["--enable-key-manager-api=true", &option]).await;
    let own = KeyManager::with_token(signer.http(), "a-token-of-my-own");
    assert!(own.list(KEYSTORES).await.is_empty());
    let refused = signer.manager().send(Method::GET, KEYSTORES, String::new()).await;
    let _ = message(&refused, 403);

    signer.stop();
    signer.start(&[]).await;
    let off = own_of(&signer).send(Method::GET, KEYSTORES, String::new()).await;
    assert!(message(&off, 404).contains("--key-manager-api-enabled"));
    signer.stop();
    assert!(!signer.log.contains(token.trim_start_matches("api-token-0x")), "the token is logged");
    assert!(!signer.log.contains("a-token-of-my-own"), "the token is logged");
}

fn own_of(signer: &Signer) -> KeyManager {
    KeyManager::with_token(signer.http(), "a-token-of-my-own")
}

#[tokio::test(flavor = "multi_thread")]
async fn keystores_are_imported_one_by_one_and_stay_over_a_restart() {
    let mut signer = Signer::started().await;
    let manager = signer.manager();
    let (first, first_key) = keystore(1, PASSWORD);
    let (second, second_key) = keystore(2, "second word");
    let (third, _) = keystore(3, "third word");
    let mut lying: Value = serde_json::from_str(&third).unwrap();
    lying["pubkey"] = json!(hex_of(&secret(4).public_key()));
    let mut nameless: Value = serde_json::from_str(&second).unwrap();
    nameless["pubkey"] = json!("");
    let sent = [
        (first.clone(), PASSWORD),
        (first.clone(), PASSWORD),
        (third, "unmistakable wrong word"),
        (lying.to_string(), "third word"),
        ("{\"unmistakable\": \"text\"}".to_owned(), "third word"),
        (nameless.to_string(), "second word"),
        (second, "second word"),
    ];
    let items = manager.import(&sent, None).await;
    assert_eq!(
        statuses(&items),
        ["imported", "duplicate", "error", "error", "error", "imported", "duplicate"],
        "{items:?}"
    );
    assert!(items[2].1.contains("password is wrong"), "{items:?}");
    assert!(items[3].1.contains("public key"), "{items:?}");
    assert!(items[4].1.contains("not the JSON of an EIP-2335 keystore"), "{items:?}");
    assert!(manager.import(&[], None).await.is_empty());
    // A known key's keystore is not opened again.
    let items = manager.import(&[(first, "any word")], None).await;
    assert_eq!(statuses(&items), ["duplicate"], "{items:?}");

    let mut keys = [first_key, second_key];
    keys.sort_unstable();
    for _ in 0..2 {
        assert_eq!(signer.listed().await, keys);
        let expected: Vec<_> = keys
            .iter()
            .map(|key| json!({ "validating_pubkey": key, "derivation_path": PATH, "readonly": false }))
            .collect();
        assert_eq!(signer.manager().list(KEYSTORES).await, expected);
        let ask = signer.vote(7, 1);
        let _ = signer.ask(&first_key, &ask).await.signature(&first_key, &ask.root());
        signer.restart().await;
    }

    for entry in fs::read_dir(signer.path("keys")).unwrap() {
        assert_eq!(files::mode(&entry.unwrap().path()).unwrap(), 0o600);
    }
    signer.stop();
    for secret in ["unmistakable", "second word", "third word", "any word"] {
        assert!(!signer.log.contains(secret), "{secret} is logged: {}", signer.log);
    }
}

/// The keys that the answer calls imported are there, and no others, however far the stop let it come.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_long_import_leaves_what_the_answer_says() {
    const KEYS: u8 = 110;
    let mut signer = Signer::started().await;
    let password = Password::new(PASSWORD).unwrap();
    // The first round of 64 is quick, the second one takes long enough to be met by the stop.
    let slow = KdfCost::Pbkdf2 { rounds: 1 << 18 };
    let sent: Vec<_> = (1..=KEYS)
        .map(|number| {
            let cost = if number <= 64 { KdfCost::INSECURE } else { slow };
            let keystore = Keystore::encrypt(&secret(number), &password, cost, PATH).unwrap();
            (keystore.to_json().unwrap(), PASSWORD)
        })
        .collect();
    let manager = signer.manager();
    let importing = tokio::spawn(async move { manager.import(&sent, None).await });
    let keys_dir = signer.path("keys");
    let begun = std::time::Instant::now();
    while fs::read_dir(&keys_dir).map_or(0, Iterator::count) == 0 {
        assert!(begun.elapsed() < tests::PATIENCE, "no key is imported");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    signer.stop();

    let items = importing.await.unwrap();
    assert_eq!(items.len(), usize::from(KEYS));
    let mut imported: Vec<_> = (1..=KEYS)
        .zip(&items)
        .filter(|(_, (status, _))| status == "imported")
        .map(|(number, _)| secret(number).public_key())
        .collect();
    assert!(!imported.is_empty(), "{items:?}");
    if imported.len() == usize::from(KEYS) {
        // What is said of all of them has to be so even then.
        println!("not stopped in the middle: the import was through before the signal came");
    }
    for (status, message) in &items {
        assert!(status == "imported" || message.contains("being stopped"), "{status}: {message}");
    }
    imported.sort_unstable();
    signer.start(&[]).await;
    assert_eq!(signer.listed().await, imported);
    signer.stop();
}

fn hex_of(key: &PublicKey) -> String {
    key.to_string().trim_start_matches("0x").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_read_are_refused_without_quoting_them() {
    let mut signer = Signer::started().await;
    let manager = signer.manager();
    let (text, _) = keystore(1, PASSWORD);
    for body in [
        String::new(),
        "unmistakable".to_owned(),
        r#"["unmistakable"]"#.to_owned(),
        r#"{"keystores":["{}"],"passwords":"unmistakable"}"#.to_owned(),
        r#"{"keystores":[],"passwords":["unmistakable"]}"#.to_owned(),
        r#"{"passwords":["unmistakable"]}"#.to_owned(),
        r#"{"keystores":["{}"],"passwords":["unmistakable"#.to_owned(),
        key_manager::import_body(&[(text.clone(), PASSWORD)], Some(&json!("unmistakable"))),
        key_manager::import_body(
            &[(text.clone(), PASSWORD)],
            Some(&json!({ "metadata": "unmistakable", "data": [] })),
        ),
    ] {
        let refused = message(&manager.send(Method::POST, KEYSTORES, body).await, 400);
        assert!(!refused.contains("unmistakable"), "{refused}");
    }
    for body in ["{}", r#"{"pubkeys":7}"#] {
        let _ = message(&manager.send(Method::DELETE, KEYSTORES, body.to_owned()).await, 400);
    }
    assert!(signer.listed().await.is_empty());
    signer.stop();
    assert!(!signer.log.contains("unmistakable"), "{}", signer.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn slashing_data_count_before_the_key_signs_however_the_key_is_spelled() {
    let signer = Signer::started().await;
    let manager = signer.manager();
    let spellings: [fn(&PublicKey) -> String; 4] = [
        ToString::to_string,
        hex_of,
        |key| hex_of(key).to_uppercase(),
        |key| format!("0x{}", hex_of(key).to_uppercase()),
    ];
    for (spelled, number) in spellings.into_iter().zip(1..) {
        let (text, key) = keystore(number, "word");
        let history = signer.history(&spelled(&key), 50);
        let items = manager.import(&[(text, "word")], Some(&history)).await;
        assert_eq!(statuses(&items), ["imported"], "{items:?}");
        let reason = signer.ask(&key, &signer.vote(50, 1)).await.refusal(412);
        assert!(reason.contains("slashing protection"), "{reason}");
        let next = signer.vote(51, 1);
        let _ = signer.ask(&key, &next).await.signature(&key, &next.root());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_slashing_data_are_not_taken_is_not_taken_either() {
    let signer = Signer::started().await;
    let manager = signer.manager();
    let (bad, bad_key) = keystore(1, "word");
    let (good, good_key) = keystore(2, "word");
    let (later, later_key) = keystore(3, "word");
    let sent = [(bad.clone(), "word"), (good.clone(), "word")];

    // Of another chain, of another version, none at all: nothing is taken.
    let mut other_chain = signer.history(&bad_key.to_string(), 50);
    other_chain["metadata"]["genesis_validators_root"] = json!(format!("0x{}", "77".repeat(32)));
    let mut other_version = signer.history(&bad_key.to_string(), 50);
    other_version["metadata"]["interchange_format_version"] = json!("4");
    for (history, reason) in [
        (other_chain, "genesis validators root"),
        (other_version, "version `4`"),
        (json!({}), "not an EIP-3076"),
        (json!([]), "not an EIP-3076"),
    ] {
        let body = key_manager::import_body(&sent, Some(&history));
        let refused = message(&manager.send(Method::POST, KEYSTORES, body).await, 400);
        assert!(refused.contains(reason) && refused.contains("nothing is imported"), "{refused}");
        assert!(signer.listed().await.is_empty());
    }

    // One validator's records cannot be read: that key is refused, the other one taken.
    let mut history = signer.interchange();
    let mut unreadable = voted(&hex_of(&bad_key), 50);
    unreadable["signed_attestations"][0]["target_epoch"] = json!("soon");
    history["data"] =
        json!([unreadable, voted(&good_key.to_string(), 50), voted(&later_key.to_string(), 60)]);
    let items = manager.import(&sent, Some(&history)).await;
    assert_eq!(statuses(&items), ["error", "imported"], "{items:?}");
    assert!(items[0].1.contains("slashing protection data are not imported"), "{items:?}");
    assert_eq!(signer.listed().await, [good_key]);
    let _ = signer.ask(&bad_key, &signer.vote(70, 1)).await.refusal(404);

    // What the file had of a key that was not in the request protects it when it comes.
    let items = manager.import(&[(later, "word")], None).await;
    assert_eq!(statuses(&items), ["imported"], "{items:?}");
    let _ = signer.ask(&later_key, &signer.vote(60, 1)).await.refusal(412);

    // An entry whose key cannot be read may be that of the key without one.
    let mut history = signer.interchange();
    history["data"] = json!([voted("0x1234", 50)]);
    let items = manager.import(&[(bad.clone(), "word")], Some(&history)).await;
    assert_eq!(statuses(&items), ["error"], "{items:?}");
    assert!(items[0].1.contains("whose key cannot be read"), "{items:?}");

    let history = signer.history(&hex_of(&bad_key), 50);
    let items = manager.import(&[(bad, "word")], Some(&history)).await;
    assert_eq!(statuses(&items), ["imported"], "{items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_keys_sign_no_more_and_move_with_their_history() {
    let mut signer = Signer::started().await;
    fs::create_dir_all(signer.path("keys")).unwrap();
    let raw = format!("type: file-raw\nprivateKey: 0x{}\n", "05".repeat(32));
    fs::write(signer.path("keys/raw.yaml"), raw).unwrap();
    let raw_key = secret(5).public_key();
    signer.restart().await;
    let manager = signer.manager();

    let (one, key) = keystore(1, "word");
    let (two, fresh) = keystore(2, "word");
    let (three, stays) = keystore(3, "word");
    let sent = [(one.clone(), "word"), (two, "word"), (three, "word")];
    assert_eq!(statuses(&manager.import(&sent, None).await), ["imported"; 3]);
    for (epoch, validator) in [(20, key), (21, key), (20, stays)] {
        let ask = signer.vote(epoch, 1);
        let _ = signer.ask(&validator, &ask).await.signature(&validator, &ask.root());
    }

    let asked = [
        hex_of(&key).to_uppercase(),
        key.to_string(),
        fresh.to_string(),
        raw_key.to_string(),
        secret(9).public_key().to_string(),
        "0x1234".to_owned(),
    ];
    let (items, export) = manager.delete(&asked).await;
    let expected = ["deleted", "not_active", "deleted", "error", "not_found", "error"];
    assert_eq!(statuses(&items), expected, "{items:?}");
    assert!(items[3].1.contains("read-only"), "{items:?}");
    assert!(items[5].1.contains("not a public key"), "{items:?}");
    let root = signer.chain.network().genesis_validators_root();
    assert_eq!(export["metadata"]["genesis_validators_root"], json!(root));
    assert_eq!(export["data"].as_array().unwrap().len(), 1, "{export}");
    let votes = entry(&export, &key).unwrap()["signed_attestations"].as_array().unwrap();
    let targets: BTreeSet<_> = votes.iter().map(|vote| vote["target_epoch"].as_str()).collect();
    assert_eq!(targets, BTreeSet::from([Some("20"), Some("21")]), "{export}");

    // The same again.
    let (items, again) = manager.delete(&[key.to_string()]).await;
    assert_eq!(statuses(&items), ["not_active"]);
    assert_eq!(again["data"], export["data"]);
    let (items, nothing) = manager.delete(&[]).await;
    assert!(items.is_empty() && nothing["data"] == json!([]), "{nothing}");

    // Gone for good, also with a reload and a restart; the others are there.
    let _ = signer.ask(&key, &signer.vote(30, 1)).await.refusal(404);
    let mut left = [raw_key, stays];
    left.sort_unstable();
    signer.restart().await;
    assert_eq!(signer.listed().await, left);
    let listed = signer.manager().list(KEYSTORES).await;
    let readonly = |key: &PublicKey| {
        let found = listed.iter().find(|item| item["validating_pubkey"] == json!(key)).unwrap();
        (found["readonly"].clone(), found.get("derivation_path").is_some())
    };
    assert_eq!(readonly(&raw_key), (json!(true), false));
    assert_eq!(readonly(&stays), (json!(false), true));

    // Elsewhere, with what was exported, it signs nothing that contradicts.
    let other = Signer::started().await;
    let items = other.manager().import(&[(one.clone(), "word")], Some(&export)).await;
    assert_eq!(statuses(&items), ["imported"], "{items:?}");
    let _ = other.ask(&key, &other.vote(21, 2)).await.refusal(412);
    let next = other.vote(22, 1);
    let _ = other.ask(&key, &next).await.signature(&key, &next.root());

    // And back home, without it, it is protected by what was signed here.
    let items = signer.manager().import(&[(one, "word")], None).await;
    assert_eq!(statuses(&items), ["imported"], "{items:?}");
    let _ = signer.ask(&key, &signer.vote(21, 2)).await.refusal(412);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_while_a_key_is_deleted_is_in_the_export() {
    let signer = Signer::started().await;
    let manager = signer.manager();
    let (text, key) = keystore(1, "word");
    for round in 0..3_u64 {
        let items = manager.import(&[(text.clone(), "word")], None).await;
        assert_eq!(statuses(&items), ["imported"], "{items:?}");
        // The first ones are signed for sure, and the last ones not.
        let first = 100 + 1000 * round;
        let ask = signer.vote(first, 1);
        let _ = signer.ask(&key, &ask).await.signature(&key, &ask.root());
        let signatures = Semaphore::new(0);
        let signing = (1..=8).map(|client| {
            let (signer, key, signatures) = (&signer, &key, &signatures);
            async move {
                let mut signed = Vec::new();
                for step in 0.. {
                    let epoch = first + 8 * step + client;
                    let answer = signer.ask(key, &signer.vote(epoch, 1)).await;
                    match answer.status.as_u16() {
                        200 => {
                            signed.push(epoch);
                            signatures.add_permits(1);
                        }
                        // Another client is ahead with a source that is later than this one's.
                        412 => {}
                        404 => break,
                        _ => panic!("{answer:?}"),
                    }
                }
                signed
            }
        });
        let deleting = async {
            // In the middle of it.
            let _ = signatures.acquire_many(16).await.unwrap();
            manager.delete(&[key.to_string()]).await
        };
        let (signed, (items, export)) = tokio::join!(join_all(signing), deleting);
        assert_eq!(statuses(&items), ["deleted"]);
        let votes = entry(&export, &key).unwrap()["signed_attestations"].as_array().unwrap();
        let target = |vote: &Value| vote["target_epoch"].as_str().unwrap().parse::<u64>().unwrap();
        let exported: BTreeSet<u64> = votes.iter().map(target).collect();
        let signed: BTreeSet<u64> = signed.into_iter().flatten().chain([first]).collect();
        assert!(signed.len() > 16 && signed.is_subset(&exported), "{signed:?}, but {exported:?}");
    }
}

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

fn tests_mode(path: &std::path::Path) -> u32 {
    files::mode(path).unwrap()
}
