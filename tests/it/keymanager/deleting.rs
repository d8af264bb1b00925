//! Keystores that go, with their history.

use std::collections::BTreeSet;
use std::fs;

use eth_types::PublicKey;
use futures::future::join_all;
use serde_json::{Value, json};
use tests::key_manager::{KEYSTORES, entry};
use tokio::sync::Semaphore;

use super::{Signer, hex_of, keystore, secret, statuses};

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
