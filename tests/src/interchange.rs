//! EIP-3076 files, read and written without the program's own code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eth_types::{PublicKey, Root};
use serde_json::{Value, json};

/// What a file says of each validator, whatever its spelling: one line for each record.
pub type Content = BTreeMap<String, BTreeSet<String>>;

/// What a file says.
///
/// # Panics
/// It is no interchange file.
#[must_use]
pub fn content(text: &str) -> Content {
    let file: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut content = Content::new();
    for entry in file["data"].as_array().unwrap() {
        let lines = content.entry(hex(&entry["pubkey"]).unwrap()).or_default();
        for block in entry["signed_blocks"].as_array().into_iter().flatten() {
            let root = hex(&block["signing_root"]);
            lines.insert(format!("block {} {root:?}", number(&block["slot"])));
        }
        for vote in entry["signed_attestations"].as_array().into_iter().flatten() {
            let root = hex(&vote["signing_root"]);
            let (source, target) = (number(&vote["source_epoch"]), number(&vote["target_epoch"]));
            lines.insert(format!("vote {source} {target} {root:?}"));
        }
    }
    content
}

/// What a file says.
///
/// # Panics
/// It cannot be read or is no interchange file.
#[must_use]
pub fn content_of(path: &Path) -> Content {
    content(&std::fs::read_to_string(path).unwrap())
}

/// Quoted or bare.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

/// Lower case without `0x`; none where nothing is said.
fn hex(value: &Value) -> Option<String> {
    let text = value.as_str()?.to_lowercase();
    let digits = text.trim_start_matches("0x");
    (!digits.is_empty()).then(|| digits.to_owned())
}

/// A file for the chain with entries of [`entry`].
#[must_use]
pub fn file(genesis_validators_root: Root, data: &[Value]) -> String {
    json!({
        "metadata": {
            "interchange_format_version": "5",
            "genesis_validators_root": genesis_validators_root,
        },
        "data": data,
    })
    .to_string()
}

/// An entry with blocks of these slots and votes of these epochs, without roots.
#[must_use]
pub fn entry(key: &PublicKey, slots: &[u64], votes: &[(u64, u64)]) -> Value {
    let blocks: Vec<_> = slots.iter().map(|slot| json!({ "slot": slot.to_string() })).collect();
    let vote = |(source, target): &(u64, u64)| json!({ "source_epoch": source.to_string(), "target_epoch": target.to_string() });
    let votes: Vec<_> = votes.iter().map(vote).collect();
    json!({ "pubkey": key, "signed_blocks": blocks, "signed_attestations": votes })
}
