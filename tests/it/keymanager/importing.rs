//! Keystores that come, and what their slashing data say before they sign.

use std::fs;

use eth_types::PublicKey;
use hyper::Method;
use serde_json::{Value, json};
use tests::key_manager::{self, KEYSTORES, message};
use threshold::data_dir::files;
use threshold::keystore::{KdfCost, Keystore, Password};

use super::{PASSWORD, PATH, Signer, hex_of, keystore, secret, statuses, voted};

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
