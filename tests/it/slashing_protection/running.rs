//! While the signer runs: through its control socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use eth_types::network::Network;
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
    let mut cluster = cluster().validators(3).keeping_all_records().start().await;
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
    let mut cluster = cluster().validators(1).keeping_all_records().start().await;
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
        "POST /v2/slashing-protection/import HTTP/1.1\r\nhost: localhost\r\nsynod-expected: {{}}\r\ncontent-length: {}\r\n\r\n",
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
        "POST /v2/slashing-protection/import HTTP/1.1\r\nhost: localhost\r\nsynod-expected: {{}}\r\ntransfer-encoding: chunked\r\n\r\n\
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
    let mut cluster = cluster().validators(2).keeping_all_records().start().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_for_another_signer_changes_nothing_in_the_one_that_runs() {
    let mut cluster = cluster().validators(1).start().await;
    let (folder, dir) = (Folder::new(), cluster.data_dir(0));
    let (key, root) = (cluster.key(0), cluster.chain().network().genesis_validators_root());
    let from = folder.file("in.json", &file(root, &[entry(&key, &[5], &[])]));
    let to = folder.path("out.json");
    let other = crate::support::cluster().validators(1).create();
    let other_lock = other.data_dir(0).join("cluster-lock.json");
    let config = cluster.files().dir().with_file_name("config.yaml");
    let mut other_root = cluster.chain().options(&config);
    for option in &mut other_root {
        *option = option.replace(&root.to_string(), &format!("0x{}", "55".repeat(32)));
    }
    let network = Network::by_name("hoodi").unwrap();
    // Beside the network, the node's configuration file has these.
    let hoodi = [
        "--network=hoodi".to_owned(),
        format!("--genesis-validators-root={}", network.genesis_validators_root()),
        format!("--genesis-time={}", network.genesis_time()),
    ];
    let wrong = [
        (hoodi.to_vec(), "for network hoodi with"),
        (other_root, "root 0x5555"),
        (["--lock-file", text(&other_lock)].map(ToOwned::to_owned).to_vec(), "cluster lock 0x"),
    ];
    let commands: [&[&str]; 7] = [
        &["watermark", "raise", "--slot", "77", "--epoch", "7"],
        &["watermark", "high", "set", "--slot", "99"],
        &["watermark-repair", "--remove-high-watermark=true"],
        &["watermark", "show"],
        &["watermark", "high", "show"],
        &["import", "--from", text(&from)],
        &["export", "--to", text(&to)],
    ];
    for (options, expected) in &wrong {
        for args in commands {
            let all = args.iter().map(|arg| (*arg).to_owned()).chain(options.iter().cloned());
            let refused = command(&dir, all);
            let line = refusal(&refused);
            let both = line.split_once("but this command is for network ");
            let Some((found, asked)) = both else { panic!("{args:?}: {line}") };
            assert!(found.contains("slashing-protection.sqlite belongs to network synod-test-0"));
            assert!(format!("for network {asked}").contains(expected), "{line}");
            assert_eq!(refused.stdout, "");
        }
    }
    assert!(!to.exists());
    let shown = command(&dir, ["watermark", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["raised_for_all"]["slot"], Value::Null);
    assert_eq!(shown["high"]["slot"], Value::Null);
    assert_eq!(shown["validators"], Value::Array(Vec::new()), "something was imported");

    // What is true may be said. No clock is looked at, so the genesis time may be left out.
    let mut options = cluster.chain().options(&config);
    let time = options.iter().position(|option| option == "--genesis-time").unwrap();
    options.drain(time..=time + 1);
    let args = ["watermark", "raise", "--slot", "77"].map(ToOwned::to_owned).into_iter();
    assert_done(&command(&dir, args.chain(options)));
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_lock_beside_a_signer_with_whole_keys_is_refused_while_it_runs_too() {
    let mut signer = tests::Standalone::new(&program());
    signer.start().await;
    let (dir, cluster) = (signer.path(""), cluster().validators(1).create());
    fs::copy(cluster.data_dir(0).join("cluster-lock.json"), dir.join("cluster-lock.json")).unwrap();
    let refused = command(&dir, ["watermark", "raise", "--slot", "77"]);
    let line = refusal(&refused);
    assert!(line.contains("and no cluster lock, but this command is for"), "{line}");
    fs::remove_file(dir.join("cluster-lock.json")).unwrap();
    assert_done(&command(&dir, ["watermark", "raise", "--slot", "77"]));
    signer.stop();
}

/// A command of a version that says nothing, or no command at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_say_which_signer_it_is_for_is_refused() {
    let mut cluster = cluster().validators(1).start().await;
    let mut socket = UnixStream::connect(cluster.data_dir(0).join("control.sock")).unwrap();
    let request = "POST /v2/slashing-protection/watermarks/high HTTP/1.1\r\nhost: localhost\r\n\
                   content-type: application/json\r\ncontent-length: 7\r\n\r\n\"clear\"";
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("does not say which signer it is for"), "{answer}");
    cluster.stop();
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
