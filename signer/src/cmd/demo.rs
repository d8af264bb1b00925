//! `synod demo`: a throwaway cluster on this machine that signs, and shows that it does.
//!
//! The nodes run in one process but are whole nodes: each has its data directory, slashing database,
//! key shares, p2p address and HTTP port, and they talk over libp2p. The chain is one of the demo's own
//! that begins when the demo does, so that no key of it is worth anything and no slot is far.

mod client;
mod duties;
mod table;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use eth_types::network::Network;
use eth_types::{ExecutionAddress, PublicKey, Root, Slot};
use threshold::data_dir::LoadOptions;
use threshold::dealer::{
    ClusterParams, CreatedCluster, DEFAULT_TARGET_GAS_LIMIT, KeySource, create_cluster,
};
use threshold::net::peer_id;
use threshold_protocol::policy::Policy;

use self::duties::Case;
use crate::assemble::{Node, NodeOptions};
use crate::block_proof::BlockProofArgs;
use crate::config::{
    HttpArgs, KeyManagerArgs, LogArgs, LogFormat, LogLevel, MetricsArgs, P2pArgs, SlashingArgs,
};
use crate::{shutdown, telemetry};

/// How long the nodes may take to find each other.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Time between the making of the cluster and the first slot: for the nodes to start.
const UNTIL_GENESIS: Duration = Duration::from_secs(2);

/// Why the demo ends badly if it is stopped early.
const STOPPED_EARLY: &str = "stopped before the checks were done";

/// Where the demo's validators say that their fees go.
const FEE_RECIPIENT: ExecutionAddress = ExecutionAddress::new([0xfe; 20]);

/// The demo's chain: all forks up to Fulu from its beginning, slots of 4 s, epochs of 8 slots.
const CHAIN: &str = "\
PRESET_BASE: minimal
CONFIG_NAME: synod-demo
SECONDS_PER_SLOT: 4
DEPOSIT_CHAIN_ID: 1337
GENESIS_FORK_VERSION: 0x5d000000
ALTAIR_FORK_VERSION: 0x5d000001
ALTAIR_FORK_EPOCH: 0
BELLATRIX_FORK_VERSION: 0x5d000002
BELLATRIX_FORK_EPOCH: 0
CAPELLA_FORK_VERSION: 0x5d000003
CAPELLA_FORK_EPOCH: 0
DENEB_FORK_VERSION: 0x5d000004
DENEB_FORK_EPOCH: 0
ELECTRA_FORK_VERSION: 0x5d000005
ELECTRA_FORK_EPOCH: 0
FULU_FORK_VERSION: 0x5d000006
FULU_FORK_EPOCH: 0
";

/// Options of `synod demo`.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Number of nodes.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=16))]
    nodes: u8,

    /// Nodes that it takes to sign [default: two thirds of them, rounded up].
    #[arg(long, short = 't', value_name = "T")]
    threshold: Option<u8>,

    /// Number of validators.
    #[arg(long, value_name = "V", default_value_t = 2)]
    validators: usize,

    /// HTTP port of the first node; the others get the next ones. 0 takes free ones.
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    http_port: u16,

    /// Folder for the cluster, which is kept; must not hold one yet [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Exit after the checks: with 0 if all went well.
    #[arg(long)]
    once: bool,

    /// What the nodes log; info shows each connection and refusal.
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log_level: LogLevel,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let log = LogArgs {
        log_level: args.log_level.clone(),
        log_format: Some(LogFormat::Console),
        logging_format: None,
    };
    telemetry::init(&log)?;
    shutdown::run_to_end(demo(args))
}

async fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    // Listened for from here on: the signal's own way to end the process would leave the folder behind.
    let mut stop = tokio::spawn(shutdown::requested());
    // Removed when it goes out of scope, whichever way that is.
    let temporary = match args.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("synod-demo-").tempdir()?),
    };
    let dir = args.dir.as_deref().or_else(|| temporary.as_ref().map(tempfile::TempDir::path));
    let dir = dir.context("no folder for the cluster")?;
    let network = chain_from(SystemTime::now() + UNTIL_GENESIS)?;
    let cluster = make_cluster(args, dir, &network)?;
    println!(
        "A cluster of {} nodes, {} of which sign, with {} validators, in {}",
        cluster.threshold.operators(),
        cluster.threshold.threshold(),
        cluster.public_keys.len(),
        dir.display()
    );
    let nodes = tokio::select! {
        nodes = start_nodes(args, &cluster, &network) => nodes?,
        stopped = &mut stop => { stopped??; bail!(STOPPED_EARLY) }
    };
    let outcome = tokio::select! {
        outcome = check(&nodes, &network, &cluster.public_keys) => outcome,
        stopped = &mut stop => { stopped??; bail!(STOPPED_EARLY) }
    };
    if outcome.is_ok() && !args.once {
        print_invitation(&nodes, &cluster.public_keys);
        stop.await??;
    }
    // All of them before the first link closes: nobody is to be told that the others are gone.
    futures::future::join_all(nodes.iter().map(|node| node.cluster.stop_signing())).await;
    futures::future::join_all(nodes.into_iter().map(Node::stop)).await;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// The demo's chain, beginning in the next full second from `genesis` on.
fn chain_from(genesis: SystemTime) -> anyhow::Result<Network> {
    let seconds = genesis.duration_since(UNIX_EPOCH)?.as_secs() + 1;
    Ok(Network::from_config_yaml(CHAIN, Root::new([0x5d; 32]), seconds)?)
}

fn make_cluster(args: &DemoArgs, dir: &Path, network: &Network) -> anyhow::Result<CreatedCluster> {
    let params = ClusterParams {
        name: "synod demo".into(),
        nodes: args.nodes,
        threshold: args.threshold,
        keys: KeySource::Generate { validators: args.validators },
        network: network.clone(),
        withdrawal_addresses: vec![FEE_RECIPIENT],
        fee_recipient_addresses: vec![FEE_RECIPIENT],
        deposit_amounts: None,
        target_gas_limit: DEFAULT_TARGET_GAS_LIMIT,
        compounding: false,
        insecure_keys: true,
        cluster_dir: dir.to_owned(),
    };
    Ok(create_cluster(&params, &|_| {})?)
}

/// Starts the nodes one after the other: each is told where those before it listen.
async fn start_nodes(
    args: &DemoArgs,
    cluster: &CreatedCluster,
    network: &Network,
) -> anyhow::Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut addresses = Vec::new();
    for (index, dir) in (0_u16..).zip(&cluster.node_dirs) {
        let http_port = match args.http_port {
            0 => 0,
            first => first.checked_add(index).context("--http-port is too high")?,
        };
        let options = node_options(dir, http_port, &addresses, network);
        let node = Node::start(options).await.with_context(|| format!("node {index}"))?;
        let identity = threshold::enr::Identity::load(&dir.join("enr-private-key"))?;
        let peer = peer_id(&identity.public_key_bytes())?;
        for address in node.cluster.net().listen_addresses() {
            addresses.push(format!("/ip4/{}/tcp/{}/p2p/{peer}", address.ip(), address.port()));
        }
        nodes.push(node);
    }
    let all = nodes.len();
    for node in &nodes {
        let mut status = node.cluster.watch_status();
        let connected = status.wait_for(|status| status.connected.len() + 1 == all);
        tokio::time::timeout(CONNECT_LIMIT, connected)
            .await
            .with_context(|| format!("node {} did not find the others", node.operator))??;
    }
    Ok(nodes)
}

fn node_options(dir: &Path, http_port: u16, peers: &[String], network: &Network) -> NodeOptions {
    let allowed = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    NodeOptions {
        data_dir: dir.to_owned(),
        http: HttpArgs {
            http_listen_port: http_port,
            http_host_allowlist: allowed.clone(),
            ..HttpArgs::default()
        },
        metrics: MetricsArgs {
            metrics_enabled: false,
            metrics_host: "127.0.0.1".into(),
            metrics_port: 0,
            metrics_host_allowlist: allowed,
        },
        key_manager: KeyManagerArgs::default(),
        p2p: P2pArgs {
            p2p_tcp_address: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)],
            p2p_external_ip: None,
            p2p_external_hostname: None,
            p2p_relays: Vec::new(),
            p2p_peers: peers.to_vec(),
        },
        network: Some(network.clone()),
        policy: Policy::default(),
        load: LoadOptions::default(),
        block_proofs: BlockProofArgs::default(),
        slashing: SlashingArgs::default(),
    }
}

/// Sends every duty through every node and verifies what comes back.
async fn check(nodes: &[Node], network: &Network, keys: &[PublicKey]) -> anyhow::Result<()> {
    let [first, ..] = keys else { bail!("the cluster has no validator") };
    // The nodes take part in slots that begin a while after their start.
    let slot = wait_for_next_slot(network).await?;
    let cases = duties::cases(slot, network)?;
    let mut rows = Vec::new();
    for case in &cases {
        rows.extend(ask_everyone(nodes, *first, case).await);
    }
    table::print(&rows);
    let failed = rows.iter().filter(|row| !row.good).count();
    ensure!(failed == 0, "{failed} of {} checks failed", rows.len());
    println!(
        "All {} checks passed: signatures verified with the validator's public key alone.",
        rows.len()
    );
    Ok(())
}

async fn wait_for_next_slot(network: &Network) -> anyhow::Result<Slot> {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let warm = now + 1_000;
    let slot = network.slot_at(warm).map_or(Slot::new(0), |slot| slot.saturating_add(1));
    let start = network.slot_start(slot);
    tokio::time::sleep(Duration::from_millis(start.saturating_sub(now) + 50)).await;
    Ok(slot)
}

/// One request through each node at the same time, as several validator clients would.
async fn ask_everyone(nodes: &[Node], key: PublicKey, case: &Case) -> Vec<table::Row> {
    let asks = nodes.iter().map(|node| async move {
        let answer = client::sign(node.http, key, &case.body).await;
        let (good, result) = case.judge(&answer, key);
        table::Row {
            node: node.operator.to_string(),
            url: format!("http://{}", node.http),
            duty: case.name.to_owned(),
            good,
            result,
            millis: answer.elapsed.as_secs_f64() * 1000.0,
        }
    });
    futures::future::join_all(asks).await
}

fn print_invitation(nodes: &[Node], keys: &[PublicKey]) {
    let ([node, ..], [key, ..]) = (nodes, keys) else { return };
    let body = duties::registration_body(*key, FEE_RECIPIENT);
    println!("\nPoint validator clients at these URLs, or try:\n");
    println!("  curl http://{}/api/v1/eth2/publicKeys", node.http);
    println!("  curl http://{}/api/v1/eth2/sign/{key} -d '{body}'", node.http);
    println!("\nCtrl-C stops the cluster.");
}
