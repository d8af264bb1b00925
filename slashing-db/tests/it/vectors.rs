//! The interchange tests of eth-clients (v5.3.0): every import and every signing, exactly as told,
//! with complete records and in the minimal form.

use std::fs;
use std::path::{Path, PathBuf};

use eth_types::{Epoch, PublicKey, Root, Slot};
use serde::Deserialize;
use slashing_db::{Candidate, Identity, SlashingDb, Strategy};

use crate::common::{Place, content, export, import, options, record};

#[derive(Deserialize)]
struct Vector {
    name: String,
    genesis_validators_root: Root,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    should_succeed: bool,
    interchange: serde_json::Value,
    blocks: Vec<Block>,
    attestations: Vec<Attestation>,
}

#[derive(Deserialize)]
struct Block {
    pubkey: PublicKey,
    slot: Slot,
    signing_root: Root,
    should_succeed: bool,
    should_succeed_complete: bool,
}

#[derive(Deserialize)]
struct Attestation {
    pubkey: PublicKey,
    source_epoch: Epoch,
    target_epoch: Epoch,
    signing_root: Root,
    should_succeed: bool,
    should_succeed_complete: bool,
}

/// All vectors; `None` with a printed line where they are not at hand.
fn vectors() -> Option<Vec<Vector>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = workspace.join("../shared/vectors/slashing-protection-interchange");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("skipped: no EIP-3076 vectors at {}", folder.display());
        return None;
    };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    Some(paths.iter().map(read).collect())
}

fn run(vector: &Vector, strategy: Strategy) -> Place {
    let place = Place::new();
    let identity = Identity {
        genesis_validators_root: vector.genesis_validators_root,
        network: "vector".to_owned(),
        cluster_lock_hash: None,
    };
    let mut options = options();
    options.strategy = strategy;
    // Most of the history in the archive, some in the journal.
    options.journal_rows = 1;
    let db = SlashingDb::open(&place.path(), &identity, options).unwrap();
    let told = |minimal, complete| if strategy == Strategy::Minimal { minimal } else { complete };
    for (number, step) in vector.steps.iter().enumerate() {
        let name = format!("{} step {number} {strategy:?}", vector.name);
        let imported = import(&db, &step.interchange.to_string());
        assert_eq!(imported.is_ok(), step.should_succeed, "{name}: {imported:?}");
        if let Ok(report) = imported {
            assert_eq!(report.refused(), 0, "{name}: {report:?}");
        }
        for block in &step.blocks {
            let candidate = Candidate::Block { slot: block.slot, signing_root: block.signing_root };
            let checked = db.check(&block.pubkey, &candidate);
            let outcome = record(&db, block.pubkey, candidate);
            let expected = told(block.should_succeed, block.should_succeed_complete);
            assert_eq!(outcome.is_ok(), expected, "{name}: {candidate:?} {outcome:?}");
            assert_eq!(checked.is_ok(), expected, "{name}: {candidate:?} {checked:?}");
        }
        for attestation in &step.attestations {
            let candidate = Candidate::Attestation {
                source: attestation.source_epoch,
                target: attestation.target_epoch,
                signing_root: attestation.signing_root,
            };
            let checked = db.check(&attestation.pubkey, &candidate);
            let outcome = record(&db, attestation.pubkey, candidate);
            let expected = told(attestation.should_succeed, attestation.should_succeed_complete);
            assert_eq!(outcome.is_ok(), expected, "{name}: {candidate:?} {outcome:?}");
            assert_eq!(checked.is_ok(), expected, "{name}: {candidate:?} {checked:?}");
        }
    }

    // What it says of itself is importable, and the same again.
    let said = export(&db);
    db.close();
    let again = Place::new();
    let copy = SlashingDb::open(&again.path(), &identity, crate::common::options()).unwrap();
    import(&copy, &said).unwrap();
    assert_eq!(content(&export(&copy)), content(&said), "{}", vector.name);
    place
}

#[test]
fn every_vector_holds_with_complete_records() {
    let Some(vectors) = vectors() else { return };
    assert_eq!(vectors.len(), 38);
    for vector in &vectors {
        run(vector, Strategy::Complete);
    }
}

#[test]
fn every_vector_holds_in_the_minimal_form() {
    let Some(vectors) = vectors() else { return };
    assert_eq!(vectors.len(), 38);
    for vector in &vectors {
        run(vector, Strategy::Minimal);
    }
}
