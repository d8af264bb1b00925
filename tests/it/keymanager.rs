//! The key manager API of real processes: a signer with whole keys, and a cluster's node.
#![expect(
    clippy::indexing_slicing,
    reason = "a test's helper that cannot go on fails the test there"
)]

mod cluster;
mod deleting;
mod importing;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use eth_types::{PublicKey, Slot};
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::key_manager::{self, KEYSTORES, REMOTE_KEYS, message};
use tests::{Answer, Ask, Chain, KeyManager, Process, http};
use threshold::data_dir::files;
use threshold::keystore::{KdfCost, Keystore, Password};
use threshold_protocol::bls::SecretKey;

use crate::support::program;

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

fn tests_mode(path: &std::path::Path) -> u32 {
    files::mode(path).unwrap()
}
