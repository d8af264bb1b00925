//! The published EIP-3076 interchange tests, imported by the command.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::Chain;

use super::{Folder, assert_done, command, export, refusal, text};

#[test]
fn published_files_are_taken_or_refused_as_told_and_what_comes_out_goes_in_again() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let vectors = workspace.join("../shared/vectors/slashing-protection-interchange");
    let Ok(entries) = fs::read_dir(&vectors) else {
        println!("skipped: no EIP-3076 vectors at {}", vectors.display());
        return;
    };
    let chain = Chain::numbered(0);
    let mut imports = 0;
    for entry in entries {
        // Their chain has the root zero, which no chain has; any other does as well.
        let [zero, one] = ["00", "11"].map(|byte| format!("0x{}", byte.repeat(32)));
        let vector = fs::read_to_string(entry.unwrap().path()).unwrap().replace(&zero, &one);
        let vector: Value = serde_json::from_str(&vector).unwrap();
        let name = vector["name"].as_str().unwrap();
        let folder = Folder::new();
        let config = folder.path("config.yaml");
        chain.write_config(&config);
        let root = vector["genesis_validators_root"].as_str().unwrap();
        let network = [
            "--network",
            text(&config),
            "--genesis-validators-root",
            root,
            "--genesis-time",
            "1700000000",
        ];
        let (dir, copy) = (folder.path("signer"), folder.path("copy"));
        let import = |dir: &Path, file: &Path| {
            command(dir, ["import", "--from", text(file)].into_iter().chain(network))
        };
        let mut taken = false;
        for (number, step) in vector["steps"].as_array().unwrap().iter().enumerate() {
            let file = folder.file("interchange.json", &step["interchange"].to_string());
            let first = import(&dir, &file);
            imports += 1;
            if step["should_succeed"] == false {
                let line = refusal(&first);
                assert!(line.contains("genesis validators root"), "{name} step {number}: {line}");
                continue;
            }
            taken = true;
            assert_eq!(first.code, Some(0), "{name} step {number}: {}", first.stderr);
            let again = import(&dir, &file);
            let all_known = again.stdout.ends_with(" 0 records added.\n");
            assert!(all_known, "{name} step {number}: {}", again.stdout);
        }
        if taken {
            let file = folder.path("export.json");
            assert_done(&export(&dir, &file));
            assert_done(&import(&copy, &file));
        }
    }
    assert!(imports >= 38, "{imports} files are not all of them");
}
