//! Everything that keeps a node from starting: one line that says what, where and what to do, and exit
//! code 1.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::Chain;
use tests::cluster::{ClusterFiles, copy_dir};
use tests::records::DATABASE;

use crate::support::{cluster, program};

#[test]
fn share_keystores_that_do_not_fit_stop_the_start() {
    let files = cluster().validators(2).create();
    let keys = files.data_dir(0).join("validator_keys");
    let original = files.dir().join("original");
    copy_dir(&keys, &original);
    let refused = |files: &ClusterFiles| {
        let line = refusal(files, &[]);
        fs::remove_dir_all(&keys).unwrap();
        copy_dir(&original, &keys);
        line
    };

    for extension in ["json", "txt"] {
        let name = format!("validator_keys/keystore-1.{extension}");
        replace(&files.data_dir(1).join(&name), &files.data_dir(0).join(&name));
    }
    insta::assert_snapshot!(refused(&files), @"synod: keystore DIR/node0/validator_keys/keystore-1.json belongs to operator 1, not to this node, which is operator 0");

    let stranger = cluster().validators(2).create();
    for extension in ["json", "txt"] {
        let name = format!("validator_keys/keystore-1.{extension}");
        replace(&stranger.data_dir(0).join(&name), &files.data_dir(0).join(&name));
    }
    insta::assert_snapshot!(refused(&files), @"synod: keystore DIR/node0/validator_keys/keystore-1.json with public key KEY is not in the lock");

    overwrite(&keys.join("keystore-0.txt"), b"not the password");
    insta::assert_snapshot!(refused(&files), @"synod: cannot open keystore DIR/node0/validator_keys/keystore-0.json with the password in DIR/node0/validator_keys/keystore-0.txt: the password is wrong or the keystore is damaged");

    fs::remove_file(keys.join("keystore-0.txt")).unwrap();
    insta::assert_snapshot!(refused(&files), @"synod: cannot use password file DIR/node0/validator_keys/keystore-0.txt: cannot read it: No such file or directory (os error 2)");

    fs::remove_file(keys.join("keystore-0.json")).unwrap();
    insta::assert_snapshot!(refused(&files), @"synod: 1 of 2 share keystores are missing in DIR/node0/validator_keys: validator 0 (KEY); copy this operator's keystore files there");

    overwrite(&keys.join("keystore-0.json"), b"{}");
    insta::assert_snapshot!(refused(&files), @"synod: cannot use keystore DIR/node0/validator_keys/keystore-0.json: not the JSON of an EIP-2335 keystore: missing field `version` at line 1 column 2");

    fs::remove_dir_all(&keys).unwrap();
    fs::create_dir(&keys).unwrap();
    insta::assert_snapshot!(refused(&files), @"synod: 2 of 2 share keystores are missing in DIR/node0/validator_keys: validator 0 (KEY), validator 1 (KEY); copy this operator's keystore files there");
}

#[test]
fn a_damaged_lock_stops_the_start_whichever_field_it_is() {
    let files = cluster().validators(1).create();
    let path = files.data_dir(0).join("cluster-lock.json");
    let sound = fs::read_to_string(&path).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&sound).unwrap();
    for field in [
        "/lock_hash",
        "/cluster_definition/config_hash",
        "/cluster_definition/definition_hash",
        "/cluster_definition/fork_version",
        "/cluster_definition/validators/0/fee_recipient_address",
        "/distributed_validators/0/distributed_public_key",
        "/distributed_validators/0/public_shares/1",
        "/signature_aggregate",
        "/node_signatures/2",
    ] {
        let value = lock.pointer(field).and_then(serde_json::Value::as_str).unwrap();
        // Any digit will do; one in the middle belongs to no prefix.
        let at = value.len() / 2;
        let digit = if value.as_bytes()[at] == b'0' { "1" } else { "0" };
        let mut damaged = lock.clone();
        let flipped = format!("{}{digit}{}", &value[..at], &value[at + 1..]);
        *damaged.pointer_mut(field).unwrap() = flipped.into();
        overwrite(&path, damaged.to_string().as_bytes());
        let line = refusal(&files, &[]);
        assert!(line.contains("DIR/node0/cluster-lock.json is refused"), "{field}: {line}");
        println!("{field}: {line}");
    }
    overwrite(&path, &sound.as_bytes()[..sound.len() / 2]);
    let line = refusal(&files, &[]);
    assert!(line.contains("DIR/node0/cluster-lock.json"), "{line}");
    overwrite(&path, sound.as_bytes());
}

#[test]
fn an_identity_that_is_missing_foreign_or_open_to_all_stops_the_start() {
    let files = cluster().validators(1).create();
    let key = files.data_dir(0).join("enr-private-key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    insta::assert_snapshot!(refusal(&files, &[]), @"synod: everybody on this machine can read DIR/node0/enr-private-key (mode 644): run `chmod 600 DIR/node0/enr-private-key`");

    let other = files.dir().join("other");
    let made = program().run(["create", "enr", "--data-dir", other.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    replace(&other.join("enr-private-key"), &key);
    insta::assert_snapshot!(refusal(&files, &[]), @"synod: the ENR private key DIR/node0/enr-private-key is not that of any of the 4 operators in DIR/node0/cluster-lock.json: its ENR is ENR");

    fs::remove_file(&key).unwrap();
    insta::assert_snapshot!(refusal(&files, &[]), @"synod: no ENR private key in DIR/node0: expected enr-private-key or charon-enr-private-key (make one with `synod create enr`, or take the directory of a created cluster)");
}

#[test]
fn a_port_in_use_stops_the_start() {
    let files = cluster().validators(1).create();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let in_use = |option: &str| {
        refusal(&files, &[format!("{option}={port}")]).replace(&port.to_string(), "PORT")
    };
    insta::assert_snapshot!(in_use("--http-listen-port"), @"synod: 127.0.0.1:PORT is in use by another program: stop that, or choose another port with --http-listen-port");
    insta::assert_snapshot!(in_use("--metrics-port"), @"synod: 127.0.0.1:PORT is in use by another program: stop that, or choose another port with --metrics-port");

    let port = files.p2p_port;
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    insta::assert_snapshot!(refusal(&files, &[]).replace(&port.to_string(), "PORT"), @"synod: cannot listen on 127.0.0.1:PORT (TCP); another program may use it, see --p2p-tcp-address: Address already in use (os error 98)");
    drop(taken);
    let _taken = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    insta::assert_snapshot!(refusal(&files, &[]).replace(&port.to_string(), "PORT"), @"synod: cannot listen on 127.0.0.1:PORT (UDP for QUIC); another program may use it, see --p2p-tcp-address: Address already in use (os error 98)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slashing_database_of_another_cluster_or_in_use_stops_the_start() {
    let mut cluster = cluster().validators(1).start().await;
    let files = crate::support::cluster().validators(1).create();
    let line = refusal(cluster.files(), &["--p2p-tcp-address=127.0.0.1:0".to_owned()]);
    let (before, after) = line.split_once("process ").unwrap();
    let (_, after) = after.split_once(';').unwrap();
    insta::assert_snapshot!(format!("{before}process PID since TIME;{after}"), @"synod: slashing database DIR/node0/slashing-protection.sqlite is in use by process PID since TIME; two signers on one database are never safe, stop the other first");

    cluster.stop();
    for suffix in ["", ".progress", "-progress"] {
        let name = format!("{DATABASE}{suffix}");
        let from = cluster.data_dir(0).join(&name);
        if from.exists() {
            fs::copy(from, files.data_dir(0).join(&name)).unwrap();
        }
    }
    insta::assert_snapshot!(refusal(&files, &[]), @"synod: slashing database DIR/node0/slashing-protection.sqlite belongs to network synod-test-0 with genesis validators root ROOT and cluster lock ROOT, but this command is for network synod-test-0 with genesis validators root ROOT and cluster lock ROOT; point --data-dir at the right directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_database_is_logged_with_what_was_found_and_an_option_too_many_is_named() {
    const ACCEPT: &str = "--accept-restored-database";
    let not_needed = "--accept-restored-database was not needed";
    let mut signer = tests::Standalone::new(&program());
    signer.start().await;
    assert!(!signer.log().contains(ACCEPT), "{}", signer.log());
    signer.stop();
    fs::remove_file(signer.path(DATABASE)).unwrap();
    signer.option(ACCEPT);
    signer.start().await;
    let log = signer.log();
    let line =
        log.lines().find(|line| line.contains("signing with a slashing database that looks"));
    let line = line.expect(&log);
    assert!(line.contains("WARN"), "{line}");
    assert!(line.contains("the file is missing, but "), "{line}");
    assert!(line.contains("says that a signer has started on it once"), "{line}");
    assert!(!log.contains(not_needed), "{log}");
    signer.stop();

    // Left on, it says so at every start.
    signer.start().await;
    let log = signer.log();
    let line = log.lines().find(|line| line.contains(not_needed)).expect(&log);
    assert!(line.contains("WARN") && line.contains("remove it"), "{line}");
    assert!(!log.contains("that looks restored"), "{log}");
    signer.stop();

    // And of a file beside it that cannot be read.
    let progress = signer.path(&format!("{DATABASE}.progress"));
    fs::write(&progress, "junk").unwrap();
    signer.drop_option();
    let refused = program().run(signer.options());
    assert_eq!(refused.code, Some(1));
    let line = refused.stderr.lines().last().unwrap();
    assert!(line.contains(".progress is damaged: the line in it"), "{line}");
    assert!(line.contains("start once with --accept-restored-database"), "{line}");
    signer.option(ACCEPT);
    signer.start().await;
    assert!(signer.log().contains(".progress is damaged (the line in it"), "{}", signer.log());
    signer.stop();
}

#[test]
fn options_that_cannot_be_used_stop_the_start() {
    let files = cluster().validators(1).create();
    insta::assert_snapshot!(refusal(&files, &["--network=prater".to_owned()]), @"synod: --network prater: neither a built-in network (mainnet, hoodi, sepolia, gnosis, chiado) nor a file that can be read: No such file or directory (os error 2)");

    let hoodi = ["--network=hoodi".to_owned()];
    insta::assert_snapshot!(refusal(&files, &hoodi), @"synod: --genesis-validators-root is ROOT, but hoodi has ROOT");

    let config = files.dir().join("other.yaml");
    let other = Chain::numbered(9);
    other.write_config(&config);
    insta::assert_snapshot!(refusal(&files, &other.options(&config)), @"synod: the cluster lock is for a network with genesis fork version 0x7e000000, but --network synod-test-9 has 0x7e090000");

    let peer = ["--p2p-peers=127.0.0.1:3610".to_owned()];
    insta::assert_snapshot!(refusal(&files, &peer), @"synod: --p2p-peers 127.0.0.1:3610: expected a multiaddress such as /ip4/1.2.3.4/tcp/3610/p2p/16U..: invalid multiaddr");

    let options = files.data_dir(0).join("synod.toml");
    let text = fs::read_to_string(&options).unwrap();
    fs::write(&options, format!("http-listen-prot = 9000\n{text}")).unwrap();
    insta::assert_snapshot!(refusal(&files, &[]), @"synod: configuration file DIR/node0/synod.toml: unknown key `http-listen-prot`; keys are the names of options, without the leading dashes, as `synod run --help` shows them");

    fs::write(&options, format!("metrics-port = \"many\"\n{}", text.replace("metrics-port", "#")))
        .unwrap();
    let mut args = files.run_args(0);
    args.retain(|arg| !arg.starts_with("--metrics-port"));
    insta::assert_snapshot!(refusal_of(&files, &args), @"synod: configuration file DIR/node0/synod.toml: key `metrics-port`: invalid value 'many' for '--metrics-port <PORT>': invalid digit found in string");
}

/// What `synod run` says of why node 0 does not start; options given twice are the later ones.
#[track_caller]
fn refusal(files: &ClusterFiles, options: &[String]) -> String {
    let name = |option: &str| option.split('=').next().map(ToOwned::to_owned);
    let mut args = files.run_args(0);
    args.retain(|arg| !options.iter().any(|option| name(option) == name(arg)));
    args.extend_from_slice(options);
    refusal_of(files, &args)
}

#[track_caller]
fn refusal_of(files: &ClusterFiles, args: &[String]) -> String {
    let ended = program().run(args);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    // A first start announces its new database in the log, before what goes wrong later.
    let announced = "a new slashing database is made";
    let said: Vec<_> = ended.stderr.lines().filter(|line| !line.contains(announced)).collect();
    let line = said.join("\n").replace(&files.dir().display().to_string(), "DIR");
    assert_eq!(line.lines().count(), 1, "not one line: {line}");
    redact(&line)
}

/// Keys, roots and node records without what differs from run to run.
fn redact(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("0x").into_iter().chain(rest.find("enr:")).min() {
        let (before, found) = rest.split_at(at);
        let body = if found.starts_with("0x") { 2 } else { 4 };
        let in_token = |c: char| {
            if body == 2 {
                c.is_ascii_hexdigit()
            } else {
                c.is_ascii_alphanumeric() || c == '-' || c == '_'
            }
        };
        let end = found[body..].find(|c| !in_token(c)).map_or(found.len(), |end| body + end);
        let (token, after) = found.split_at(end);
        text.push_str(before);
        text.push_str(match (body, token.len()) {
            (4, _) => "ENR",
            (_, 66) => "ROOT",
            (_, 98) => "KEY",
            _ => token,
        });
        rest = after;
    }
    text + rest
}

/// Puts a copy of a file in the place of a read-only one.
fn replace(from: &Path, to: &Path) {
    fs::remove_file(to).unwrap();
    fs::copy(from, to).unwrap();
}

/// Puts other content in the place of a read-only file, for its owner alone.
fn overwrite(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
