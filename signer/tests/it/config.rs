//! Where option values come from. Environment variables belong to a process, so the cases that need
//! them run this test program again.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::{Parser, Subcommand};
use signer::config::{
    ConfigError, DataArgs, HttpArgs, LogArgs, LogFormat, MetricsArgs, NetworkArgs, P2pArgs, parse,
};

/// A program like `synod`.
#[derive(Debug, Parser)]
#[command(name = "synod")]
struct Cli {
    #[command(subcommand)]
    command: Chosen,
}

#[derive(Debug, Subcommand)]
enum Chosen {
    Run(Box<Run>),
    Export(Export),
    Version,
}

/// A command that has the file, and few of its options.
#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    p2p: P2pArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn run(args: &[&str]) -> Result<Run, ConfigError> {
    let args = ["synod", "run"].iter().chain(args).map(OsString::from);
    match parse::<Cli>(args)?.command {
        Chosen::Run(run) => Ok(*run),
        Chosen::Export(_) | Chosen::Version => unreachable!("the arguments say run"),
    }
}

fn with_file(toml: &str, args: &[&str]) -> Result<Run, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("synod.toml"), toml).unwrap();
    let data_dir = dir.path().to_str().unwrap().to_owned();
    let mut all = vec!["--data-dir", &data_dir];
    all.extend(args);
    run(&all)
}

/// The message with its file's directory left out.
fn message(error: &ConfigError) -> String {
    let text = error.to_string();
    match text.split_once("synod.toml") {
        Some((_, rest)) => rest.trim_start_matches(": ").to_owned(),
        None => text,
    }
}

#[test]
fn defaults_are_web3signers_and_charons() {
    let run = run(&["--data-dir", "/nonexistent"]).unwrap();
    assert_eq!(run.http.http_listen_host, "127.0.0.1");
    assert_eq!(run.http.http_listen_port, 9000);
    assert_eq!(run.http.http_host_allowlist, ["localhost", "127.0.0.1"]);
    assert!(run.metrics.metrics_enabled);
    assert_eq!(run.metrics.metrics_port, 9001);
    assert!(run.p2p.p2p_tcp_address.is_empty());
    assert_eq!(run.network.network, None);
    assert_eq!(run.log.log_level.as_str(), "info");
    assert_eq!(run.log.format(), LogFormat::Console);
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let toml = "http-listen-port = 9100\nlog-format = \"json\"\nmetrics-enabled = false\n\
                p2p-tcp-address = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n\
                http-host-allowlist = \"a,b\"\n";
    let run = with_file(toml, &["--http-listen-port", "9200"]).unwrap();
    assert_eq!(run.http.http_listen_port, 9200);
    assert_eq!(run.log.format(), LogFormat::Json);
    assert!(!run.metrics.metrics_enabled);
    assert_eq!(run.p2p.p2p_tcp_address.len(), 2);
    assert_eq!(run.http.http_host_allowlist, ["a", "b"]);
    assert_eq!(run.http.http_listen_host, "127.0.0.1");
}

#[test]
fn lists_of_the_command_line_replace_those_of_the_file() {
    let toml = "p2p-peers = [\"/ip4/10.0.0.1/tcp/1\", \"/ip4/10.0.0.2/tcp/1\"]";
    let run = with_file(toml, &["--p2p-peers", "/ip4/10.0.0.3/tcp/1"]).unwrap();
    assert_eq!(run.p2p.p2p_peers, ["/ip4/10.0.0.3/tcp/1"]);
}

#[test]
fn web3signers_boolean_forms_are_read() {
    for (args, enabled) in [
        (&["--metrics-enabled"][..], true),
        (&["--metrics-enabled=true"], true),
        (&["--metrics-enabled=false"], false),
        (&["--metrics-enabled", "true"], true),
        (&["--metrics-enabled", "false"], false),
        (&["--metrics-enabled", "false", "--access-logs-enabled", "true"], false),
    ] {
        assert_eq!(run(args).unwrap().metrics.metrics_enabled, enabled, "{args:?}");
    }
}

#[test]
fn mistakes_in_the_file_are_named() {
    for (toml, text) in [
        (
            "http-listen-prot = 1",
            "unknown key `http-listen-prot`; keys are the names of options, without the leading \
             dashes, as `synod run --help` shows them",
        ),
        ("config-file = \"x\"", "unknown key `config-file`; keys are"),
        ("help = true", "unknown key `help`; keys are"),
        ("data-dir = \"x\"", "key `data-dir`: the file was found in the data directory"),
        ("http-listen-port = 70000", "key `http-listen-port`: invalid value '70000'"),
        ("http-listen-port = \"\"", "key `http-listen-port`: "),
        ("log-level = \"loud\"", "key `log-level`: invalid value 'loud'"),
        ("log-format = \"xml\"", "key `log-format`: invalid value 'xml'"),
        ("[http]\nlisten-port = 1", "key `http`: expected a string"),
        ("p2p-peers = [[\"x\"]]", "key `p2p-peers`: expected a string"),
        ("http-listen-port = 1979-05-27", "key `http-listen-port`: expected a string"),
        ("http-listen-port 9000", " is not TOML: "),
        ("log-level = \"info\"\nlog-level = \"debug\"", " is not TOML: "),
    ] {
        let error = with_file(toml, &[]).unwrap_err();
        let message = message(&error);
        assert!(message.starts_with(text), "{toml}: {message}");
    }
}

#[test]
fn options_of_other_commands_may_be_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("synod.toml"), "http-listen-port = 9100\nlog-level = \"debug\"\n")
        .unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let args = ["synod", "export", "--data-dir", data_dir].map(OsString::from);
    let Chosen::Export(export) = parse::<Cli>(args).unwrap().command else { unreachable!() };
    assert_eq!(export.data.data_dir, dir.path());
    assert_eq!(export.log.log_level.as_str(), "debug");
}

#[test]
fn a_file_is_also_found_by_name_and_has_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    let path_text = path.to_str().unwrap();
    let error = run(&["--config-file", path_text]).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }), "{error}");

    fs::write(&path, "data-dir = \"/elsewhere\"\nhttp-listen-port = 9300\n").unwrap();
    let run = run(&["--config-file", path_text]).unwrap();
    assert_eq!(run.data.data_dir, Path::new("/elsewhere"));
    assert_eq!(run.http.http_listen_port, 9300);
}

#[test]
fn mistakes_on_the_command_line_stay_claps() {
    for args in [&["--http-listen-port", "x"][..], &["--no-such-option"], &["--help"]] {
        let error = run(args).unwrap_err();
        assert!(matches!(error, ConfigError::CommandLine(_)), "{args:?}: {error}");
    }
    let other = parse::<Cli>(["synod", "version"].map(OsString::from)).unwrap();
    assert!(matches!(other.command, Chosen::Version));
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("synod.toml"),
        "http-listen-host = \"file\"\nmetrics-host = \"file\"\nnetwork = \"file\"\n",
    )
    .unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "config::in_a_process_of_its_own", "--ignored", "--nocapture"])
        .env("SYNOD_DATA_DIR", dir.path())
        .env("SYNOD_HTTP_LISTEN_HOST", "environment")
        .env("SYNOD_METRICS_HOST", "environment")
        .env("SYNOD_P2P_PEERS", "/a,/b")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find_map(|line| line.split_once("values: ")).unwrap().1;
    assert_eq!(line, r#"http flag, metrics environment, network Some("file"), peers ["/a", "/b"]"#);
}

#[test]
#[ignore = "run by the test of the environment, with variables set"]
fn in_a_process_of_its_own() {
    let run = run(&["--http-listen-host", "flag"]).unwrap();
    println!(
        "values: http {}, metrics {}, network {:?}, peers {:?}",
        run.http.http_listen_host, run.metrics.metrics_host, run.network.network, run.p2p.p2p_peers
    );
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "config::with_a_mistake_in_the_environment", "--ignored", "--nocapture"])
        .env("SYNOD_HTTP_LISTEN_PORT", "x")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "error: environment variable SYNOD_HTTP_LISTEN_PORT: invalid value 'x'";
    assert!(text.contains(expected), "{text}");
}

#[test]
#[ignore = "run by the test of the environment, with variables set"]
fn with_a_mistake_in_the_environment() {
    println!("error: {}", run(&[]).unwrap_err());
}
