//! What slashing protection refuses, and its commands.

use std::fs;
use std::path::Path;
use std::time::Duration;

use eth_types::{Epoch, Root};
use serde_json::{Value, json};
use tests::{Ask, Connection, Finished, Standalone, interchange};

use super::samples::slot_of;
use super::{KEY, key, sign_path, signer_on, staged_chain, started_on};
use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_signed_once_for_each_slot_and_never_below_the_first() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let mut connection = signer.connect().await;
    let block = |slot: u64, proposal| Ask::block(chain, slot.into(), proposal);
    let first = signed(&mut connection, &block(520, 1)).await;
    assert_eq!(signed(&mut connection, &block(520, 1)).await, first);
    let reason = refused(&mut connection, &block(520, 2)).await;
    for part in ["520", &block(520, 1).root().to_string(), &block(520, 2).root().to_string()] {
        assert!(reason.contains(part), "no {part} in {reason}");
    }
    let _ = signed(&mut connection, &block(530, 1)).await;
    let _ = signed(&mut connection, &block(525, 1)).await;
    let reason = refused(&mut connection, &block(519, 1)).await;
    assert!(reason.contains("watermark"), "{reason}");
    // Far ahead: there is no clock here.
    let _ = signed(&mut connection, &block(1_000_000, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_are_signed_once_for_each_target_and_never_surround() {
    let signer = started_on(staged_chain()).await;
    let chain = signer.chain();
    let mut connection = signer.connect().await;
    let first = signed(&mut connection, &vote(&signer, 64, 65, 1)).await;
    assert_eq!(signed(&mut connection, &vote(&signer, 64, 65, 1)).await, first);

    let double = refused(&mut connection, &vote(&signer, 64, 65, 2)).await;
    assert!(double.contains("double vote") && double.contains("65"), "{double}");
    let _ = signed(&mut connection, &vote(&signer, 67, 70, 1)).await;
    let surrounds = refused(&mut connection, &vote(&signer, 66, 71, 1)).await;
    assert!(surrounds.contains("surrounds"), "{surrounds}");
    let surrounded = refused(&mut connection, &vote(&signer, 68, 69, 1)).await;
    assert!(surrounded.contains("is surrounded by"), "{surrounded}");
    let low = refused(&mut connection, &vote(&signer, 62, 64, 1)).await;
    assert!(low.contains("watermark"), "{low}");

    // Source and target may be the same epoch, once; never the wrong way round.
    let _ = signed(&mut connection, &vote(&signer, 80, 80, 1)).await;
    let backwards = refused(&mut connection, &vote(&signer, 91, 90, 1)).await;
    assert!(backwards.contains("after target"), "{backwards}");

    // Duties that cannot be slashed are not its business.
    for head in [1, 2] {
        let _ = signed(&mut connection, &Ask::sync_message(chain, 520.into(), head)).await;
    }
    // Another chain is told apart before; Web3Signer answers 412.
    let mut foreign = vote(&signer, 94, 95, 1).body;
    foreign["fork_info"]["genesis_validators_root"] = json!(Root::new([9; 32]));
    let reply = connection.ask("POST", &sign_path(), &[], &foreign.to_string()).await;
    assert!(reply.refusal(400).contains("genesis validators root"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_moves_by_export_and_import_and_is_kept_over_restarts() {
    let mut signer = started_on(staged_chain()).await;
    let vote_1 = vote(&signer, 64, 65, 1);
    let block_1 = Ask::block(signer.chain(), 520.into(), 1);
    let mut connection = signer.connect().await;
    for ask in [&vote_1, &block_1] {
        let _ = signed(&mut connection, ask).await;
    }
    // While it runs, and when it is stopped: the same.
    let (running, stopped) = (signer.path("running.json"), signer.path("stopped.json"));
    assert_ended(&protection(&signer, &["export", "--to", running.to_str().unwrap()]));
    signer.stop();
    assert_ended(&protection(&signer, &["export", "--to", stopped.to_str().unwrap()]));
    let exported = read(&stopped);
    assert_eq!(exported, read(&running));
    assert_eq!(
        exported,
        json!({
            "metadata": {
                "interchange_format_version": "5",
                "genesis_validators_root": signer.chain().network().genesis_validators_root(),
            },
            "data": [{
                "pubkey": KEY,
                "signed_blocks": [{ "slot": "520", "signing_root": block_1.root() }],
                "signed_attestations": [{
                    "source_epoch": "64",
                    "target_epoch": "65",
                    "signing_root": vote_1.root(),
                }],
            }],
        })
    );

    // Elsewhere: what was signed here is repeated there, and nothing that contradicts it.
    let mut other = signer_on(staged_chain());
    assert_ended(&protection(&other, &["import", "--from", stopped.to_str().unwrap()]));
    other.start_loaded().await;
    let mut connection = other.connect().await;
    assert_history(&mut connection, &other).await;
    // Once more, into the running signer, changes nothing.
    assert_ended(&protection(&other, &["import", "--from", stopped.to_str().unwrap()]));
    assert_history(&mut connection, &other).await;
    // Killed at once, it knows all the same.
    other.kill();
    other.start_loaded().await;
    assert_history(&mut other.connect().await, &other).await;
}

/// What was signed is signed again, what contradicts it is not, and what follows is.
async fn assert_history(connection: &mut Connection, signer: &Standalone) {
    let block = |proposal| Ask::block(signer.chain(), 520.into(), proposal);
    // The lowest that is known is refused by EIP-3076's conditions 2 and 5 unless it is on record.
    let _ = signed(connection, &block(1)).await;
    let _ = signed(connection, &vote(signer, 64, 65, 1)).await;
    for ask in [block(2), vote(signer, 64, 65, 2), vote(signer, 63, 66, 1), vote(signer, 63, 64, 1)]
    {
        let _ = refused(connection, &ask).await;
    }
    let _ = signed(connection, &Ask::block(signer.chain(), 521.into(), 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_another_chain_or_version_is_refused_as_a_whole() {
    let signer = signer_on(staged_chain());
    let from = signer.path("import.json");
    let import = |file: &Value| {
        fs::write(&from, file.to_string()).unwrap();
        protection(&signer, &["import", "--from", from.to_str().unwrap()])
    };
    let root = signer.chain().network().genesis_validators_root();
    let file = |version: &str, root: Root| {
        json!({
            "metadata": {
                "interchange_format_version": version,
                "genesis_validators_root": root,
            },
            "data": [{ "pubkey": KEY, "signed_blocks": [{ "slot": "520" }], "signed_attestations": [] }],
        })
    };
    for bad in [file("4", root), file("5", Root::new([9; 32])), json!({}), json!("text")] {
        let finished = import(&bad);
        assert_eq!(finished.code, Some(1), "{bad}: {}", finished.stderr);
    }
    assert_ended(&import(&file("5", root)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_options_are_taken_and_no_pruning_lets_anything_through() {
    let mut signer = signer_on(staged_chain());
    for option in [
        "--slashing-protection-pruning-enabled=true",
        "--slashing-protection-pruning-epochs-to-keep=1",
        "--slashing-protection-pruning-at-boot-enabled=true",
        "--slashing-protection-pruning-interval=1",
    ] {
        signer.option(option);
    }
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    for epoch in 64..72 {
        let _ = signed(&mut connection, &vote(&signer, epoch, epoch + 1, 1)).await;
        let slot = slot_of(signer.chain(), epoch);
        let _ = signed(&mut connection, &Ask::block(signer.chain(), slot, 1)).await;
    }
    signer.stop();
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    for epoch in 64..72 {
        let _ = refused(&mut connection, &vote(&signer, epoch, epoch + 1, 2)).await;
        let slot = slot_of(signer.chain(), epoch);
        let _ = refused(&mut connection, &Ask::block(signer.chain(), slot, 2)).await;
    }
    let _ = signed(&mut connection, &vote(&signer, 72, 73, 1)).await;
}

/// Signed on another machine meanwhile, whose export has only the end of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_put_back_with_a_later_minimal_export_signs_nothing_between_the_two() {
    let mut signer = started_on(staged_chain()).await;
    let mut connection = signer.connect().await;
    let chain = signer.chain().clone();
    let _ = signed(&mut connection, &Ask::block(&chain, 520.into(), 1)).await;
    let _ = signed(&mut connection, &vote(&signer, 64, 65, 1)).await;
    signer.stop();
    let database = signer.path("slashing-protection.sqlite");
    let old = fs::read(&database).unwrap();

    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    for epoch in [70, 80, 90] {
        let slot = slot_of(&chain, epoch);
        let _ = signed(&mut connection, &Ask::block(&chain, slot, 1)).await;
        let _ = signed(&mut connection, &vote(&signer, epoch - 1, epoch, 1)).await;
    }
    let newest = signer.path("newest.json");
    let newest = newest.to_str().unwrap();
    assert_ended(&protection(&signer, &["export", "--minimal", "--to", newest]));
    signer.stop();

    fs::write(&database, old).unwrap();
    assert_eq!(program().run(signer.options()).code, Some(1), "the old copy is not noticed");
    let imported = protection(&signer, &["import", "--from", newest]);
    assert_ended(&imported);
    let slot = slot_of(&chain, 90);
    let closed = format!("no new block up to slot {slot} and no new attestation up to epoch 90 is");
    assert!(imported.stdout.contains(&closed), "{}", imported.stdout);
    signer.option("--accept-restored-database");
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    for epoch in [70, 75, 80, 90] {
        let _ = refused(&mut connection, &Ask::block(&chain, slot_of(&chain, epoch), 2)).await;
        let _ = refused(&mut connection, &vote(&signer, epoch - 1, epoch, 2)).await;
    }
    let _ = signed(&mut connection, &Ask::block(&chain, slot_of(&chain, 91), 1)).await;
    let _ = signed(&mut connection, &vote(&signer, 90, 91, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_much_history_is_kept_as_the_options_say() {
    const VOTES: u64 = 600;
    const KEPT: usize = 20;
    let mut signer = signer_on(staged_chain());
    let votes: Vec<_> = (1..=VOTES).map(|target| (target - 1, target)).collect();
    let root = signer.chain().network().genesis_validators_root();
    let from = signer.path("history.json");
    fs::write(&from, interchange::file(root, &[interchange::entry(&key(), &[], &votes)])).unwrap();
    assert_ended(&protection(&signer, &["import", "--from", from.to_str().unwrap()]));
    // Exports overwrite nothing: each has a file of its own.
    let kept = |signer: &Standalone, number: u32| {
        let to = signer.path(&format!("export-{number}.json"));
        assert_ended(&protection(signer, &["export", "--to", to.to_str().unwrap()]));
        read(&to)["data"][0]["signed_attestations"].as_array().unwrap().len()
    };

    signer.option("--slashing-protection-pruning-enabled=false");
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    let _ = signed(&mut connection, &vote(&signer, VOTES, VOTES + 1, 1)).await;
    // Several times what the background work waits for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(kept(&signer, 0), 601);
    signer.stop();
    signer.drop_option();

    signer.option(format!("--slashing-protection-pruning-epochs-to-keep={KEPT}"));
    signer.start_loaded().await;
    for number in 1.. {
        assert!(number < 60, "nothing is pruned");
        // Nothing is pruned while it is exported: there has to be time between.
        tokio::time::sleep(Duration::from_secs(1)).await;
        // And a watermark where history is cut.
        if kept(&signer, number) <= KEPT + 1 {
            break;
        }
    }
    let mut connection = signer.connect().await;
    for target in [2, VOTES / 2, VOTES + 1] {
        let _ = refused(&mut connection, &vote(&signer, target - 1, target, 2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_later_version_is_not_touched() {
    let mut signer = started_on(staged_chain()).await;
    signer.stop();
    let path = signer.path("slashing-protection.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 1000).unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    let finished = program().run(signer.options());
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let last = finished.stderr.lines().last().unwrap();
    assert!(last.contains("1000") && last.contains("slashing-protection.sqlite"), "{last}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn watermarks_are_moved_under_web3signers_options() {
    let mut signer = started_on(staged_chain()).await;
    let chain = signer.chain().clone();
    let block = |slot: u64| Ask::block(&chain, slot.into(), 1);
    let mut connection = signer.connect().await;
    let _ = signed(&mut connection, &block(520)).await;
    let _ = signed(&mut connection, &vote(&signer, 64, 65, 1)).await;
    assert_eq!(high(&mut connection).await, json!({}));

    // High: while the signer runs, for blocks and votes.
    let set = ["watermark-repair", "--slot=600", "--epoch=75", "--set-high-watermark=true"];
    assert_ended(&protection(&signer, &set));
    assert_eq!(high(&mut connection).await, json!({ "epoch": "75", "slot": "600" }));
    for ask in [block(600), block(601), vote(&signer, 70, 75, 1), vote(&signer, 75, 76, 1)] {
        let reason = refused(&mut connection, &ask).await;
        assert!(reason.contains("high watermark"), "{reason}");
    }
    let _ = signed(&mut connection, &block(599)).await;
    let _ = signed(&mut connection, &vote(&signer, 65, 74, 1)).await;
    // It outlives a restart, and can be removed.
    signer.stop();
    signer.start_loaded().await;
    let mut connection = signer.connect().await;
    assert_eq!(high(&mut connection).await, json!({ "epoch": "75", "slot": "600" }));
    assert_ended(&protection(&signer, &["watermark-repair", "--remove-high-watermark=true"]));
    assert_eq!(high(&mut connection).await, json!({}));
    let _ = signed(&mut connection, &block(600)).await;

    // Low: for all validators, while the signer runs, upwards only.
    assert_ended(&protection(&signer, &["watermark-repair", "--slot=700", "--epoch=90"]));
    for ask in [block(700), block(650), vote(&signer, 89, 91, 1), vote(&signer, 90, 90, 1)] {
        let _ = refused(&mut connection, &ask).await;
    }
    let lower = protection(&signer, &["watermark-repair", "--slot=1", "--epoch=1"]);
    assert_eq!(lower.code, Some(1), "{}", lower.stderr);
    let said = format!("{}{}", lower.stdout, lower.stderr);
    assert!(said.contains("never lowered"), "{said}");
    let _ = refused(&mut connection, &block(650)).await;
    let _ = signed(&mut connection, &block(701)).await;
    let _ = signed(&mut connection, &vote(&signer, 90, 91, 1)).await;
}

/// A vote with both epochs as they are said.
fn vote(signer: &Standalone, source: u64, target: u64, head: u8) -> Ask {
    let chain = signer.chain();
    let like = Ask::attestation(chain, slot_of(chain, target), head);
    let mut data: eth_types::containers::AttestationData =
        serde_json::from_value(like.body["attestation"].clone()).unwrap();
    data.source.epoch = Epoch::new(source);
    let message = eth_types::duty::Message::Attestation(data);
    Ask::new(chain, "ATTESTATION", json!({ "attestation": data }), message)
}

async fn high(connection: &mut Connection) -> Value {
    let reply = connection.ask("GET", "/api/v1/eth2/highWatermark", &[], "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

/// The signature, which has to be right.
async fn signed(connection: &mut Connection, ask: &Ask) -> String {
    let reply = connection.ask("POST", &sign_path(), &[], &ask.text()).await;
    assert_eq!(reply.status, 200, "{}: {}", ask.body, reply.body);
    let right = threshold_protocol::bls::verify(&key(), &ask.root(), &reply.body.parse().unwrap());
    assert!(right, "{}", reply.body);
    reply.body
}

/// The reason of a 412.
async fn refused(connection: &mut Connection, ask: &Ask) -> String {
    connection.ask("POST", &sign_path(), &[], &ask.text()).await.refusal(412)
}

/// Runs `synod slashing-protection` on the signer's data directory, whether the signer runs or not.
fn protection(signer: &Standalone, args: &[&str]) -> Finished {
    let mut all: Vec<String> = vec!["slashing-protection".into()];
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    all.push(format!("--data-dir={}", signer.path("").display()));
    all.extend(signer.chain().options(&signer.path("chain.yaml")));
    program().run(all)
}

#[track_caller]
fn assert_ended(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
}

#[track_caller]
fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
