//! The HTTP interface of whole processes: options that do not fit, warnings, probes, reloads, figures.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;
use tests::Process;
use tests::http::{get, request};

use crate::support::{cluster, program};

/// A key that only tests use.
const RAW_KEY: &str = "type: file-raw\nkeyType: BLS\nprivateKey: \
                       \"0x3ee2224386c82ffea477e2adf28a2929f5c349165a4196158c7f3a2ecca40f35\"\n";

/// The options of a standalone signer with one key in `dir`, on free ports.
fn options(dir: &Path, more: &[&str]) -> Vec<String> {
    let keys = dir.join("keys");
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("key.yaml"), RAW_KEY).unwrap();
    let mut options = vec![
        "standalone".to_owned(),
        format!("--data-dir={}", dir.join("data").display()),
        format!("--key-config-path={}", keys.display()),
        "--http-listen-port=0".to_owned(),
        "--metrics-port=0".to_owned(),
    ];
    options.extend(more.iter().map(|option| (*option).to_owned()));
    options
}

/// Starts a standalone signer; where its interfaces listen.
async fn start(dir: &Path, more: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    listening(program().start(options(dir, more))).await
}

/// Waits until a node says where its interfaces listen.
async fn listening(mut process: Process) -> (Process, SocketAddr, SocketAddr) {
    // The log is for people, or JSON.
    let field = |line: &str, name: &str| {
        let text = line.split_once(&format!(" {name}=")).map(|(_, rest)| rest.to_owned());
        let json = line.split_once(&format!("\"{name}\":\"")).map(|(_, rest)| rest.to_owned());
        let rest = text.or(json)?;
        let end = rest.find([' ', '"', '\n']).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    let (http, metrics) = process
        .logged(|line| {
            let here = line.contains("signing").then_some(line)?;
            Some((field(here, "http")?, field(here, "metrics")?))
        })
        .await;
    (process, http, metrics)
}

#[test]
fn tls_options_that_do_not_fit_stop_the_start_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |more: &[&str]| {
        let finished = program().run(options(dir.path(), more));
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        finished.stderr.replace(&dir.path().display().to_string(), "DIR")
    };
    let pem = ["--tls-certificate-file=/nowhere.pem", "--tls-key-file=/nowhere.key"];
    insta::assert_snapshot!(refused(&pem[..1]), @"synod: --tls-certificate-file needs --tls-key-file beside it");
    insta::assert_snapshot!(refused(&pem), @"synod: TLS needs to know its clients: give --tls-known-clients-file or --tls-client-ca-file, or --tls-allow-any-client to admit clients without a certificate");
    insta::assert_snapshot!(refused(&[pem[0], pem[1], "--tls-allow-any-client"]), @"synod: cannot read /nowhere.pem: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused(&["--tls-allow-ca-clients"]), @"synod: --tls-allow-ca-clients has no effect without TLS: give --tls-certificate-file and --tls-key-file, or --tls-keystore-file and --tls-keystore-password-file");
    insta::assert_snapshot!(refused(&["--http-cors-origins=https://.*"]), @"synod: --http-cors-origins https://.*: expected origins such as https://dashboard.example:3000, without a path, or all or * for any; patterns are not understood");
}

#[tokio::test]
async fn an_address_that_other_machines_reach_is_warned_about_with_the_options_that_help() {
    let dir = tempfile::tempdir().unwrap();
    let (process, ..) = start(dir.path(), &["--http-listen-host=0.0.0.0"]).await;
    let log = process.log();
    let warning = log.lines().find(|line| line.contains("without TLS")).unwrap();
    for option in ["--tls-certificate-file", "--tls-known-clients-file", "--http-listen-host"] {
        assert!(warning.contains(option), "{option} is not in {warning}");
    }
    drop(process);
    let (process, ..) = start(dir.path(), &[]).await;
    assert!(!process.log().contains("without TLS"), "{}", process.log());
}

#[tokio::test]
async fn a_standalone_signer_answers_probes_reloads_and_shows_its_figures_from_the_start() {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let (mut process, http, metrics) = start(dir.path(), &[]).await;
    for path in ["/upcheck", "/livez", "/readyz"] {
        let answer = get(http, path).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "OK"), "{path}");
    }
    let health: Value =
        serde_json::from_str(&get(http, "/healthcheck").await.unwrap().body).unwrap();
    assert_eq!((&health["status"], &health["outcome"]), (&"UP".into(), &"UP".into()));
    assert_eq!(get(http, "/api/v1/eth2/highWatermark").await.unwrap().body, "{}");

    let accepted = request(Method::POST, http, "/reload", String::new()).await.unwrap();
    assert_eq!(accepted.status.as_u16(), 202, "{}", accepted.body);
    loop {
        let status = get(http, "/reload").await.unwrap().body;
        if status.contains("completed") {
            break;
        }
        assert!(status.contains("running"), "{status}");
    }
    process.hang_up();
    process.logged(|line| line.contains("SIGHUP").then_some(())).await;
    assert_eq!(get(http, "/upcheck").await.unwrap().status.as_u16(), 200);

    let figures = get(metrics, "/metrics").await.unwrap().body;
    for line in [
        "signing_bls_missing_identifier_count_total 0",
        "http_bls_malformed_request_count_total 0",
        "eth2_slashingprotection_permitted_signings_total 0",
        "eth2_slashingprotection_prevented_signings_total 0",
        "signing_signers_loaded_count 1",
        "signing_bls_signing_duration_count 0",
        "synod_http_shed_total{class=\"vote\"} 0",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is not in {figures}");
    }
    assert!(figures.contains("signing_bls_signing_duration{quantile=\"0.99\"}"), "{figures}");
    assert!(figures.contains("process_start_time_seconds"), "{figures}");
}

#[tokio::test]
async fn a_node_without_its_peers_is_alive_and_not_ready_and_has_fixed_keys() {
    let files = cluster().validators(1).create();
    let (_process, http, metrics) = listening(program().start(files.run_args(0))).await;
    assert_eq!(get(http, "/livez").await.unwrap().status.as_u16(), 200);
    let unready = get(http, "/readyz").await.unwrap();
    assert_eq!(unready.status.as_u16(), 503);
    assert!(unready.body.contains("[-]peers failed: 1 of 4 operators connected"), "{unready:?}");
    let fixed = request(Method::POST, http, "/reload", String::new()).await.unwrap();
    assert_eq!(fixed.status.as_u16(), 501);
    assert!(fixed.body.contains("keys of this node are fixed"), "{}", fixed.body);
    let figures = get(metrics, "/metrics").await.unwrap().body;
    assert!(figures.contains("synod_peer_links_total{operator=\"3\"} 0"), "{figures}");
}
