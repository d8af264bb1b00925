//! Files in and out while no signer runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use slashing_db::{Access, Identity, Options, SlashingDb};
use tests::interchange::{content, content_of, entry, file};
use tests::records::DATABASE;

use super::{Folder, assert_done, command, export, import, refusal, share_key, stranger, text};
use crate::support::{cluster, program};

/// A file of `tests/fixtures`.
fn fixture(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/interchange");
    PathBuf::from(folder).join(format!("{name}.json"))
}

#[test]
fn a_file_of_every_client_goes_in_and_comes_out_the_same() {
    for client in ["web3signer", "lighthouse", "teku", "prysm", "nimbus", "lodestar", "dirk"] {
        let folder = Folder::new();
        let (dir, out) = (folder.path("signer"), folder.path("out.json"));
        let from = fixture(client);
        let imported = command(&dir, ["import", "--network", "hoodi", "--from", text(&from)]);
        assert_done(&imported);
        let expected = content_of(&from);
        let validators = expected.len();
        let ends = format!(
            "{validators} imported, 0 merged, 0 with nothing new, 0 refused; {} records added.\n",
            expected.values().map(std::collections::BTreeSet::len).sum::<usize>()
        );
        assert!(imported.stdout.ends_with(&ends), "{client}: {}", imported.stdout);
        // The chain is the database's from now on.
        assert_done(&export(&dir, &out));
        assert_eq!(content_of(&out), expected, "{client}");
        let again = import(&dir, &out);
        assert_done(&again);
        assert!(again.stdout.contains(" 0 records added."), "{client}: {}", again.stdout);
    }
}

#[test]
fn all_clients_files_together_merge_validator_by_validator() {
    let folder = Folder::new();
    let dir = folder.path("signer");
    for client in ["web3signer", "lighthouse"] {
        let from = fixture(client);
        assert_done(&command(&dir, ["import", "--network", "hoodi", "--from", text(&from)]));
    }
    let json = command(&dir, ["import", "--json", "--from", text(&fixture("nimbus"))]);
    assert_done(&json);
    let lines: Vec<serde_json::Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{}", json.stdout);
    assert_eq!((&lines[0]["outcome"], &lines[0]["added"]), (&"merged".into(), &2.into()));
    assert_eq!((&lines[1]["event"], &lines[1]["merged"]), (&"done".into(), &1.into()));
}

#[test]
fn records_under_share_keys_come_to_their_validator_and_strangers_are_refused() {
    let files = cluster().validators(2).create();
    let root = files.chain.network().genesis_validators_root();
    let folder = Folder::new();
    let [own, other] = [0, 2].map(|operator| share_key(&files, 1, operator));
    let file = folder.file(
        "in.json",
        &file(
            root,
            &[
                entry(&files.keys[0], &[5, 9], &[(1, 2)]),
                entry(&own, &[], &[(3, 4)]),
                entry(&stranger(), &[1], &[]),
                entry(&other, &[7], &[(4, 5)]),
            ],
        ),
    );
    // Neither keys nor identity are there yet, only the lock.
    let dir = files.data_dir(0);
    fs::remove_dir_all(dir.join("validator_keys")).unwrap();
    fs::remove_file(dir.join("enr-private-key")).unwrap();

    let imported = import(&dir, &file);
    assert_eq!(imported.code, Some(1), "{}", imported.stderr);
    let name = |text: &str| {
        text.replace(&files.keys[0].to_string(), "FIRST")
            .replace(&files.keys[1].to_string(), "SECOND")
            .replace(&stranger().to_string(), "STRANGER")
    };
    insta::assert_snapshot!(name(&imported.stdout), @r"
    FIRST imported: 2 blocks and 1 attestation
    SECOND imported: 1 block and 2 attestations (records of the shares of operators 0, 2)
    STRANGER refused: no validator of this signer has this key
    3 validators: 2 imported, 0 merged, 0 with nothing new, 1 refused; 6 records added.
    ");
    let again = import(&dir, &file);
    insta::assert_snapshot!(name(&again.stdout), @r"
    FIRST nothing new: 2 blocks and 1 attestation
    SECOND nothing new: 1 block and 2 attestations (records of the shares of operators 0, 2)
    STRANGER refused: no validator of this signer has this key
    3 validators: 0 imported, 0 merged, 2 with nothing new, 1 refused; 0 records added.
    ");

    // Out it comes under the validator's key, asked for by whichever key.
    let minimal = command(
        &dir,
        ["export", "--to", "-", "--minimal", "--validator", &own.to_string().to_uppercase()[2..]],
    );
    assert_done(&minimal);
    let told = content(&minimal.stdout);
    let [(key, records)] = told.iter().collect::<Vec<_>>()[..] else { panic!("{told:?}") };
    assert_eq!(format!("0x{key}"), files.keys[1].to_string());
    assert_eq!(Vec::from_iter(records), ["block 7 None", "vote 4 5 None"]);
}

#[test]
fn a_file_that_cannot_be_used_says_why_and_leaves_no_database_behind() {
    let files = cluster().validators(1).create();
    let root = files.chain.network().genesis_validators_root();
    let folder = Folder::new();
    let good = file(root, &[entry(&files.keys[0], &[5], &[])]);
    let other_root = format!("0x{}", "55".repeat(32));
    let dir = files.data_dir(0);
    let cases = [
        ("other-chain", good.replace(&root.to_string(), &other_root), "this database for 0x01"),
        (
            "version-4",
            good.replace(r#""5""#, r#""4""#),
            "interchange format version `4`, expected 5",
        ),
        ("cut-off", good[..good.len() - 4].to_owned(), "EOF while parsing"),
        ("empty", String::new(), "EOF while parsing"),
        ("no-json", "records".to_owned(), "expected value at line 1"),
        (
            "null-data",
            format!("{}null}}", &good[..good.find("\"data\":").unwrap() + 7]),
            "invalid type: null, expected `data`, a list of validators",
        ),
        ("no-data", good.replace("\"data\"", "\"date\""), "missing field `data`"),
    ];
    for (name, content, expected) in cases {
        let path = folder.file(name, &content);
        let refused = import(&dir, &path);
        let line = refusal(&refused);
        assert!(line.contains(expected) && line.contains(name), "{name}: {line}");
        assert_eq!(refused.stdout, "");
    }
    assert!(refusal(&import(&dir, &folder.path("none"))).contains("No such file"));
    assert!(refusal(&import(&dir, &folder.path(""))).contains("it is a directory"));
    assert!(!dir.join(DATABASE).exists());
    // An entry that cannot be read is refused, and the others go on.
    let path = folder.file(
        "one-bad.json",
        &file(
            root,
            &[
                entry(&files.keys[0], &[5], &[]),
                serde_json::json!({"pubkey": "0x12", "signed_blocks": [], "signed_attestations": []}),
            ],
        ),
    );
    let imported = import(&dir, &path);
    assert_eq!(imported.code, Some(1));
    assert!(imported.stdout.contains("an entry without a usable key refused: public key `0x12`"));
    assert!(imported.stdout.contains("1 imported"), "{}", imported.stdout);
}

#[test]
fn an_export_overwrites_nothing_and_leaves_nothing_unfinished() {
    let files = cluster().validators(1).create();
    let root = files.chain.network().genesis_validators_root();
    let (dir, folder) = (files.data_dir(0), Folder::new());
    let out = folder.path("out.json");
    let line = export(&dir, &out);
    assert!(refusal(&line).contains("there is no slashing database in"), "{}", line.stderr);
    let line = command(&dir, ["watermark", "show"]);
    assert!(refusal(&line).contains("there is no slashing database in"), "{}", line.stderr);

    let from = folder.file("in.json", &file(root, &[entry(&files.keys[0], &[5], &[])]));
    assert_done(&import(&dir, &from));
    assert!(refusal(&export(&dir, &from)).contains("an export overwrites nothing"));
    let nowhere = folder.path("none/out.json");
    assert!(refusal(&export(&dir, &nowhere)).contains("there is no such directory"));
    let (unknown, to) = (stranger().to_string(), text(&out).to_owned());
    let strange = command(&dir, ["export", "--to", &to, "--validator", &unknown]);
    assert!(refusal(&strange).contains(&unknown), "{}", strange.stderr);
    assert_eq!(folder.names(), ["in.json"]);

    assert_done(&export(&dir, &out));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(content_of(&out), content_of(&from));
    assert_eq!(folder.names(), ["in.json", "out.json"]);
}

#[test]
fn a_validator_without_records_is_named_and_nothing_is_exported() {
    let files = cluster().validators(2).create();
    let root = files.chain.network().genesis_validators_root();
    let (dir, folder) = (files.data_dir(0), Folder::new());
    let from = folder.file("in.json", &file(root, &[entry(&files.keys[0], &[5], &[])]));
    assert_done(&import(&dir, &from));
    let both = format!("{},{}", files.keys[0], files.keys[1]);
    let to = folder.path("out.json");
    let refused = command(&dir, ["export", "--to", text(&to), "--validator", &both]);
    let expected = format!("nothing is recorded of {}", files.keys[1]);
    assert!(refusal(&refused).contains(&expected), "{}", refused.stderr);
    assert!(!to.exists());
}

#[test]
fn a_database_that_another_process_has_open_is_named_with_that_process() {
    let folder = Folder::new();
    let dir = folder.path("signer");
    let from = fixture("dirk");
    assert_done(&command(&dir, ["import", "--network", "hoodi", "--from", text(&from)]));
    let path = dir.join(DATABASE);
    let identity = Identity::stored(&path).unwrap().unwrap();
    let options = Options { access: Access::Maintain, ..Options::default() };
    let open = SlashingDb::open(&path, &identity, options).unwrap();
    let refused = import(&dir, &from);
    let line = refusal(&refused);
    let process = format!("in use by process {} since", std::process::id());
    assert!(line.contains(&process) && line.contains("nobody answers"), "{line}");
    open.close();
    assert_done(&import(&dir, &from));
}

#[test]
fn a_chain_that_is_not_known_or_another_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    let dir = folder.path("signer");
    let from = fixture("lighthouse");
    let refused = import(&dir, &from);
    assert!(refusal(&refused).contains("so the chain is not known: give --network"));
    assert!(!dir.exists());
    let refused = command(&dir, ["import", "--network", "mainnet", "--from", text(&from)]);
    assert!(refusal(&refused).contains("the file is for the chain with"), "{}", refused.stderr);
    assert!(!dir.exists());
    assert_done(&command(&dir, ["import", "--network", "hoodi", "--from", text(&from)]));
    let refused = command(&dir, ["watermark", "show", "--network", "mainnet"]);
    assert!(refusal(&refused).contains("belongs to network hoodi"), "{}", refused.stderr);
}

#[test]
fn the_database_is_found_where_web3signers_variables_say_unless_the_programs_own_say_otherwise() {
    let folder = Folder::new();
    let (dir, own) = (folder.path("signer"), folder.path("own"));
    let from = fixture("lighthouse");
    let run = |args: &[&str], own_variables: &[(&str, &std::ffi::OsStr)]| {
        let mut command = program().command();
        command
            .current_dir(folder.path(""))
            .env("WEB3SIGNER_DATA_PATH", &dir)
            .env("WEB3SIGNER_ETH2_NETWORK", "HOODI")
            .envs(own_variables.iter().copied())
            .arg("slashing-protection")
            .args(args);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said.concat())
    };
    let imported = run(&["import", "--from", text(&from)], &[]);
    assert_eq!(imported.0, Some(0), "{}", imported.1);
    assert!(dir.join(DATABASE).exists(), "{}", imported.1);
    assert_eq!(folder.names(), ["signer"], "nothing was made elsewhere");
    let shown = run(&["watermark", "high", "show"], &[]);
    assert_eq!(shown.0, Some(0), "{}", shown.1);
    let refused = run(&["watermark", "show"], &[("SYNOD_NETWORK", "mainnet".as_ref())]);
    assert!(refused.1.contains("but this command is for network mainnet"), "{}", refused.1);
    let imported = run(&["import", "--from", text(&from)], &[("SYNOD_DATA_DIR", own.as_ref())]);
    assert_eq!(imported.0, Some(0), "{}", imported.1);
    assert!(own.join(DATABASE).exists(), "{}", imported.1);
}

#[test]
fn a_database_that_was_deleted_emptied_or_damaged_is_missed_with_what_to_do() {
    let folder = Folder::new();
    let dir = folder.path("signer");
    let from = fixture("lighthouse");
    assert_done(&command(&dir, ["import", "--network", "hoodi", "--from", text(&from)]));
    let database = dir.join(DATABASE);
    let out = folder.path("out.json");
    let told = || {
        let shown = command(&dir, ["watermark", "show"]);
        let exported = export(&dir, &out);
        assert_eq!(refusal(&shown), refusal(&exported));
        assert!(!out.exists());
        refusal(&shown).replace(text(&dir), "DIR")
    };
    fs::write(&database, [0x55; 8192]).unwrap();
    insta::assert_snapshot!(told(), @r#"synod: slashing database DIR/slashing-protection.sqlite is damaged: file is not a database. Sign nothing with it: move it away together with its -wal file, if there is one, put the last backup of it in its place if there is one, and import the newest export (docs/slashing-protection.md, "A lost or restored database")"#);
    fs::write(&database, "").unwrap();
    insta::assert_snapshot!(told(), @r#"synod: there is no slashing database in DIR any more: the file is empty, but DIR/slashing-protection.sqlite.progress says that records were put into it. Sign nothing with its keys until it is back, or its last backup and the newest export are in its place (docs/slashing-protection.md, "A lost or restored database")"#);
    fs::remove_file(&database).unwrap();
    insta::assert_snapshot!(told(), @r#"synod: there is no slashing database in DIR any more: the file is missing, but DIR/slashing-protection.sqlite.progress says that records were put into it. Sign nothing with its keys until it is back, or its last backup and the newest export are in its place (docs/slashing-protection.md, "A lost or restored database")"#);

    // Without what is beside it nobody can tell.
    super::forget_database(&dir);
    insta::assert_snapshot!(told(), @"synod: there is no slashing database in DIR: no slashing-protection.sqlite, and no trace of one that was in use here; is this the right --data-dir?");
    fs::remove_file(dir.join(format!("{DATABASE}.lock"))).ok();
    fs::write(&database, "").unwrap();
    insta::assert_snapshot!(told(), @r#"synod: there is no slashing database in DIR: slashing-protection.sqlite is empty, and no file beside it tells that it ever was not; if this directory was in use, put its last backup in its place and import the newest export (docs/slashing-protection.md, "A lost or restored database")"#);
}
