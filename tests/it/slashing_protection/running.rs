//! While the signer runs: through its control socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use tests::interchange::{content_of, entry, file};
use tests::{Ask, Record, RecordedDuty, records};

use super::{Folder, assert_done, command, export, forget_database, import, refusal, text};
use crate::support::{ALL, ask_all, assert_one_signature, cluster, program};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_node_signed_comes_out_and_binds_whoever_imports_it() {
    let mut cluster = cluster().validators(2).start().await;
    let chain = cluster.chain().clone();
    let slot = chain.next_slot().await;
    let (key, block) = (cluster.key(0), Ask::block(&chain, slot, 1));
    let vote = Ask::attestation(&chain, slot, 1);
    for ask in [&block, &vote] {
        assert_one_signature(&key, &ask.root(), &ask_all(&cluster, &ALL, 0, ask).await);
    }
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    assert_eq!(mode(&dir.join("control.sock")), 0o600);

    let running = folder.path("running.json");
    let exported = export(&dir, &running);
    assert_done(&exported);
    assert!(exported.stderr.contains("Through the signer that runs"), "{}", exported.stderr);
    assert!(exported.stderr.contains("out of date as soon as it signs"), "{}", exported.stderr);
    let told = content_of(&running);
    let roots: Vec<_> = [&block, &vote].map(|ask| ask.root().to_string()[2..].to_owned()).into();
    let lines = &told[&key.to_string()[2..]];
    for root in &roots {
        assert!(lines.iter().any(|line| line.contains(root)), "no {root} in {lines:?}");
    }

    // Stopped the file says the same.
    cluster.kill(0);
    let stopped = folder.path("stopped.json");
    let exported = export(&dir, &stopped);
    assert_done(&exported);
    assert!(exported.stderr.starts_with("No signer runs"), "{}", exported.stderr);
    assert_eq!(content_of(&stopped), told);

    // A new machine that imports it refuses what the old one would have.
    forget_database(&dir);
    let config = cluster.files().dir().with_file_name("config.yaml");
    let args = ["import", "--from", text(&running)].map(ToOwned::to_owned);
    assert_done(&command(&dir, args.into_iter().chain(chain.options(&config))));
    cluster.restart(0).await;
    let other = Ask::block(&chain, slot, 2);
    let reason = cluster.ask(0, 0, &other).await.refusal(412);
    let both = [&block, &other].map(|ask| ask.root().to_string());
    assert!(both.iter().all(|root| reason.contains(root)), "{reason}");

    // And signs on.
    let slot = chain.next_slot().await;
    let next = Ask::block(&chain, slot, 1);
    assert_one_signature(&key, &next.root(), &ask_all(&cluster, &ALL, 0, &next).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_imported_or_raised_while_a_node_runs_holds_at_once() {
    let mut cluster = cluster().validators(3).start().await;
    let chain = cluster.chain().clone();
    let slot = chain.next_slot().await;
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    let later: Vec<_> = (0..500).map(|n| slot.as_u64() + n).collect();
    let root = chain.network().genesis_validators_root();
    let file = folder.file("in.json", &file(root, &[entry(&cluster.key(0), &later, &[])]));
    let imported = import(&dir, &file);
    assert_done(&imported);
    assert!(imported.stdout.contains("imported: 500 blocks"), "{}", imported.stdout);
    let slot = chain.next_slot().await;
    let reason = cluster.ask(0, 0, &Ask::block(&chain, slot, 1)).await.refusal(412);
    assert!(reason.contains("recorded without a signing root"), "{reason}");

    let (far, key) = ((slot.as_u64() + 400).to_string(), cluster.key(1).to_string());
    assert_done(&command(&dir, ["watermark", "raise", "--slot", &far, "--validator", &key]));
    let reason = cluster.ask(0, 1, &Ask::block(&chain, slot, 1)).await.refusal(412);
    assert!(reason.contains("to which an operator raised the watermark"), "{reason}");
    let shown = command(&dir, ["watermark", "show", "--json", "--validator", &key]);
    assert_done(&shown);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["validators"][0]["raised"]["slot"], far.as_str());

    let high = (slot.as_u64() + 900).to_string();
    assert_done(&command(&dir, ["watermark", "high", "set", "--slot", &high]));
    let finished = command(&dir, ["watermark", "high", "set", "--slot", &far]);
    assert!(refusal(&finished).contains("is not below high"), "{}", finished.stderr);
    assert_done(&command(&dir, ["watermark", "high", "clear"]));

    // The others are not concerned.
    let slot = chain.next_slot().await;
    let ask = Ask::block(&chain, slot, 1);
    assert_one_signature(&cluster.key(2), &ask.root(), &ask_all(&cluster, &ALL, 2, &ask).await);
    cluster.stop();
    assert!(!dir.join("control.sock").exists(), "the socket outlives the node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_dies_half_way_takes_nothing_with_it() {
    let mut cluster = cluster().validators(1).start().await;
    let chain = cluster.chain().clone();
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    let root = chain.network().genesis_validators_root();
    // Far away from what is signed here, and long enough that the command says how far it is.
    let slots: Vec<_> = (1..=50_000).map(|n| 1_000_000_000 + n).collect();
    let stranger = super::stranger();
    let [own, other] = [cluster.key(0), stranger].map(|key| with_roots(entry(&key, &slots, &[])));
    let text = file(root, &[own, other]);

    // Half a file, as a killed command leaves it.
    let mut socket = UnixStream::connect(dir.join("control.sock")).unwrap();
    let head = format!(
        "POST /v1/slashing-protection/import HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(&text.as_bytes()[..text.len() / 2]).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    let not_taken = "an import by command was not taken";
    until_logged(&cluster, |log| log.matches(not_taken).count() == 1).await;

    // A command that is really killed, somewhere between its first byte and its last.
    let big = folder.file("big.json", &text);
    let mut command = program().start([
        "slashing-protection",
        "import",
        "--from",
        super::text(&big),
        "--data-dir",
        super::text(&dir),
    ]);
    command.logged(|line| line.starts_with("sending: ").then_some(())).await;
    command.kill();
    until_logged(&cluster, |log| {
        log.contains("imported by command") || log.matches(not_taken).count() == 2
    })
    .await;

    // The node signs on, and has all of the second file or nothing of it.
    let slot = chain.next_slot().await;
    let ask = Ask::attestation(&chain, slot, 1);
    let key = cluster.key(0);
    assert_one_signature(&key, &ask.root(), &ask_all(&cluster, &ALL, 0, &ask).await);
    cluster.stop();
    let recorded = records::read(&dir);
    assert!(recorded.iter().all(|record| record.validator == key), "the stranger is on record");
    let is_block = |record: &&Record| matches!(record.duty, RecordedDuty::Block(_));
    let blocks = recorded.iter().filter(is_block).count();
    assert!(blocks == 0 || blocks == slots.len(), "{blocks} of {} blocks", slots.len());
    // Done again it is complete, and the database is one that opens.
    let again = import(&dir, &big);
    assert_eq!(again.code, Some(1), "the stranger is refused: {}", again.stderr);
    assert!(again.stdout.contains("50000 blocks"), "{}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_its_length_is_not_taken_and_the_next_one_is() {
    let mut cluster = cluster().validators(1).start().await;
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    let root = cluster.chain().network().genesis_validators_root();
    let text = file(root, &[with_roots(entry(&cluster.key(0), &[1_000_000_000], &[]))]);
    let mut socket = UnixStream::connect(dir.join("control.sock")).unwrap();
    let chunked = format!(
        "POST /v1/slashing-protection/import HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{text}\r\n0\r\n\r\n",
        text.len()
    );
    socket.write_all(chunked.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
    assert!(answer.contains("has to come with its length"), "{answer}");
    assert_done(&import(&dir, &folder.file("in.json", &text)));
    cluster.stop();
    assert_eq!(records::read(&dir).len(), 1);
}

/// What is sent while it is refused must not hide why.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_long_is_refused_with_the_reason_while_it_is_still_sent() {
    let mut cluster = cluster().validators(1).start().await;
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    let endless = folder.file("endless.json", "");
    // It takes no room on the disk.
    fs::OpenOptions::new().write(true).open(&endless).unwrap().set_len(65 << 30).unwrap();
    for _ in 0..10 {
        let finished = import(&dir, &endless);
        let reason = refusal(&finished);
        assert!(reason.contains("has more than the 68719476736 bytes"), "{reason}");
    }
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_come_at_once_are_taken_one_after_the_other_and_all_count() {
    const FILES: u64 = 6;
    const BLOCKS: u64 = 2_000;
    let mut cluster = cluster().validators(2).start().await;
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    let root = cluster.chain().network().genesis_validators_root();
    let commands = (0..FILES).map(|number| {
        // Half of each file is in the next one as well, and of both validators.
        let from = 1_000_000_000 + number * BLOCKS / 2;
        let slots: Vec<_> = (from..from + BLOCKS).collect();
        let entries = [0, 1].map(|key| with_roots(entry(&cluster.key(key), &slots, &[])));
        let path = folder.file(&format!("{number}.json"), &file(root, &entries));
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || import(&dir, &path))
    });
    for finished in futures::future::join_all(commands).await {
        assert_done(&finished.unwrap());
    }
    cluster.stop();
    let recorded = records::read(&dir);
    assert_eq!(recorded.len() as u64, 2 * (FILES + 1) * BLOCKS / 2);
}

/// The entry with a root of its own for every block.
fn with_roots(mut entry: Value) -> Value {
    for block in entry.pointer_mut("/signed_blocks").unwrap().as_array_mut().unwrap() {
        let slot: u64 = block["slot"].as_str().unwrap().parse().unwrap();
        block["signing_root"] = format!("0x{slot:064x}").into();
    }
    entry
}

/// Waits until node 0 has logged something.
async fn until_logged(cluster: &tests::Cluster, found: impl Fn(&str) -> bool) {
    let begun = std::time::Instant::now();
    while !found(&cluster.log(0)) {
        assert!(begun.elapsed() < tests::PATIENCE, "what was waited for is not logged");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
