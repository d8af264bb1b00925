//! SIGTERM: what runs is finished, and what was kept can be used again.

use std::time::Duration;

use slashing_db::{Access, Identity, Options, SlashingDb};
use tests::records::{self, DATABASE};
use tests::{Ask, Process, http};

use crate::support::{ALL, ask_all, cluster, program};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_told_to_stop_answers_what_runs_ends_well_and_starts_again() {
    let mut cluster = cluster().start().await;
    let chain = cluster.chain().clone();
    let slot = chain.next_slot().await;
    // Something on record.
    let ask = Ask::block(&chain, slot, 1);
    for answer in ask_all(&cluster, &ALL, 0, &ask).await {
        let _ = answer.signature(&cluster.key(0), &ask.root());
    }

    // A request that takes its time, because too few nodes are there.
    cluster.kill(2);
    cluster.kill(3);
    cluster.until_connected().await;
    let slot = chain.next_slot().await;
    let ask = Ask::block(&chain, slot, 2);
    let (node, key, text) = (cluster.http(0), cluster.key(1), ask.text());
    let running = tokio::spawn(async move { http::sign(node, &key, text).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!running.is_finished(), "the request is not running any more");
    cluster.terminate(0);
    let answer = running.await.unwrap().expect("the running request is answered");
    assert!(answer.refusal(500).contains("2 of 4"), "{answer:?}");
    let (status, log) = cluster.wait(0);
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("stopping"), "{log}");
    assert!(http::get(node, "/upcheck").await.is_err(), "something still listens");

    // The database is closed: nothing waits in a log beside it, and it opens without complaint.
    let path = cluster.data_dir(0).join(DATABASE);
    let wal = std::fs::metadata(path.with_extension("sqlite-wal")).map(|file| file.len());
    assert!(wal.is_err() || wal.unwrap() == 0, "the write-ahead log is not empty");
    assert_eq!(records::read(&cluster.data_dir(0)).len(), 1);
    let lock: serde_json::Value = serde_json::from_slice(
        &std::fs::read(cluster.data_dir(0).join("cluster-lock.json")).unwrap(),
    )
    .unwrap();
    let identity = Identity {
        genesis_validators_root: chain.network().genesis_validators_root(),
        network: chain.network().name().to_owned(),
        cluster_lock_hash: Some(lock["lock_hash"].as_str().unwrap().parse().unwrap()),
    };
    let options = Options { access: Access::Maintain, ..Options::default() };
    SlashingDb::open(&path, &identity, options).unwrap().close();

    cluster.launch(0);
    cluster.until_serving(0).await;
    let log = cluster.log(0).to_lowercase();
    for word in ["recover", "damaged", "restored", "panic"] {
        assert!(!log.contains(word), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_told_to_stop_ends_in_good_order_whatever_it_is_doing() {
    let mut demo: Process = program().start(["demo", "--http-port", "0", "--log-level", "info"]);
    demo.logged(|line| line.contains("peer connected").then_some(())).await;
    demo.terminate();
    // Before its checks are done, which it says; or after, which is how it always ends.
    let status = demo.wait();
    let stopped = demo.log().contains("stopped before the checks were done");
    let code = if stopped { 1 } else { 0 };
    assert_eq!(status.code(), Some(code), "{status}: {}", demo.log());
}
