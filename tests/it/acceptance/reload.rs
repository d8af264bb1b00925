//! `/reload`, case by case.

use std::fs::{self, File};
use std::io::Write;

use eth_types::Epoch;
use rustix::fs::{CWD, FileType, Mode};
use serde_json::{Value, json};
use tests::standalone::{secret, write_keystore_config, write_raw};
use tests::{Ask, Connection, Standalone};
use threshold::keystore::{KdfCost, Keystore, Password};

use super::staged_chain;
use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_accepted_and_its_state_can_be_asked_for() {
    let mut signer = Standalone::on(&program(), staged_chain());
    write_raw(&signer.keys("a.yaml"), 1);
    signer.start_loaded().await;
    let mut connection = signer.connect().await;

    // Before the first one.
    assert_eq!(status(&mut connection).await, json!({ "status": "idle" }));

    // Accepted, and over some time later.
    let reply = connection.ask("POST", "/reload", &[], "").await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(
        reply.json(),
        json!({
            "status": "accepted",
            "message": "Reload operation accepted and is running in the background. Use GET /reload \
                        to check status.",
        })
    );
    let first = ended(&mut connection).await;
    assert_eq!(first["status"], "completed");
    assert_eq!(first.get("lastError"), None);
    let time = first["lastOperationTime"].as_str().unwrap().to_owned();
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");

    // A file that gives no key: the others are there, and the count is in the error.
    fs::write(signer.keys("bad.yaml"), "type: file-raw\n").unwrap();
    let second = signer.reload().await;
    assert_eq!(second["status"], "completed_with_errors");
    assert_eq!(second["lastError"], "Reload completed with 1 signer loading error(s)");
    assert!(second["lastOperationTime"].as_str().unwrap() > time.as_str());
    assert_eq!(signer.public_keys().await, [secret(1).public_key()]);
    assert_eq!(connection.ask("GET", "/healthcheck", &[], "").await.status, 503);

    // Mended: the error is gone, and so it stays over any number of reloads.
    fs::remove_file(signer.keys("bad.yaml")).unwrap();
    for _ in 0..5 {
        let status = signer.reload().await;
        assert_eq!((&status["status"], status.get("lastError")), (&json!("completed"), None));
    }
    assert_eq!(connection.ask("GET", "/healthcheck", &[], "").await.status, 200);
    assert_eq!(signer.public_keys().await, [secret(1).public_key()]);

    // Other methods.
    for method in ["PUT", "DELETE", "PATCH"] {
        let reply = connection.ask(method, "/reload", &[], "").await;
        assert_eq!(reply.header("allow"), Some("GET,HEAD,POST"), "{method}");
        assert!(reply.refusal(405).contains(method));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_go_and_change_with_their_files() {
    let mut signer = Standalone::on(&program(), staged_chain());
    let stays = write_raw(&signer.keys("stays.yaml"), 1);
    let goes = write_raw(&signer.keys("goes.yaml"), 2);
    let changes = write_raw(&signer.keys("changes.yaml"), 3);
    signer.start_loaded().await;
    let mut all = vec![stays, goes, changes];
    all.sort_unstable();
    assert_eq!(signer.public_keys().await, all);

    fs::remove_file(signer.keys("goes.yaml")).unwrap();
    let came = write_raw(&signer.keys("came.yaml"), 4);
    let changed = write_raw(&signer.keys("changes.yaml"), 5);
    // Nothing happens by itself.
    assert_eq!(signer.public_keys().await, all);

    assert_eq!(signer.reload().await["status"], "completed");
    let mut now = vec![stays, came, changed];
    now.sort_unstable();
    assert_eq!(signer.public_keys().await, now);
    let ask = Ask::randao(signer.chain(), Epoch::new(61));
    for key in &now {
        let _ = signer.ask(key, &ask).await.signature(key, &ask.root());
    }
    for key in [goes, changes] {
        let _ = signer.ask(&key, &ask).await.refusal(404);
        let log = signer.log();
        let named = |line: &str| line.contains("signs no more") && line.contains(&key.to_string());
        assert!(log.lines().any(named), "{key} is not named: {log}");
    }
    assert!(!signer.log().contains("there are no key files"));

    // All gone, and all back: none is disabled for good.
    let (keys, away) = (signer.path("keys"), signer.path("away"));
    fs::rename(&keys, &away).unwrap();
    fs::create_dir(&keys).unwrap();
    assert_eq!(signer.reload().await["status"], "completed");
    assert_eq!(signer.public_keys().await, []);
    assert!(signer.log().contains("there are no key files"), "{}", signer.log());
    fs::remove_dir(&keys).unwrap();
    fs::rename(&away, &keys).unwrap();
    assert_eq!(signer.reload().await["status"], "completed");
    assert_eq!(signer.public_keys().await, now);
    let vote = Ask::attestation(signer.chain(), 481.into(), 1);
    let _ = signer.ask(&stays, &vote).await.signature(&stays, &vote.root());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reload_runs_at_a_time_and_keys_sign_meanwhile() {
    let mut signer = Standalone::on(&program(), staged_chain());
    let ready = write_raw(&signer.keys("ready.yaml"), 1);
    signer.start_loaded().await;
    let mut connection = signer.connect().await;

    // Whoever opens a pipe waits for the other end, so that this reload lasts until then.
    let keystore = Keystore::encrypt(
        &secret(2),
        &Password::new("word").unwrap(),
        KdfCost::Pbkdf2 { rounds: 10 },
        "",
    );
    fs::write(signer.keys("late.json"), keystore.unwrap().to_json().unwrap()).unwrap();
    write_keystore_config(&signer.keys("late.yaml"), "late.json", "pipe");
    let pipe = signer.keys("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

    assert_eq!(connection.ask("POST", "/reload", &[], "").await.status, 202);
    assert_eq!(status(&mut connection).await["status"], "running");
    for _ in 0..3 {
        let refused = connection.ask("POST", "/reload", &[], "").await;
        assert_eq!(refused.status, 409);
        assert_eq!(
            refused.json(),
            json!({
                "status": "error",
                "message": "A reload operation is already in progress. Please try again later.",
            })
        );
    }
    let ask = Ask::randao(signer.chain(), Epoch::new(61));
    let _ = signer.ask(&ready, &ask).await.signature(&ready, &ask.root());
    assert_eq!(signer.public_keys().await, [ready]);

    File::options().write(true).open(&pipe).unwrap().write_all(b"word\n").unwrap();
    assert_eq!(ended(&mut connection).await["status"], "completed");
    let late = secret(2).public_key();
    let _ = signer.ask(&late, &ask).await.signature(&late, &ask.root());

    // The pipe would make the next one wait.
    fs::remove_file(&pipe).unwrap();
    fs::write(&pipe, "word\n").unwrap();
    assert_eq!(signer.reload().await["status"], "completed");
    assert_eq!(signer.public_keys().await.len(), 2);
}

async fn status(connection: &mut Connection) -> Value {
    let reply = connection.ask("GET", "/reload", &[], "").await;
    assert_eq!(reply.status, 200);
    reply.json()
}

/// The state when no reload runs any more.
async fn ended(connection: &mut Connection) -> Value {
    loop {
        let status = status(connection).await;
        if status["status"] != "running" {
            return status;
        }
        tokio::task::yield_now().await;
    }
}
