//! `synod create cluster`: a trusted dealer.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use eth_types::ExecutionAddress;
use threshold::cluster_file::Gwei;
use threshold::dealer::{
    ClusterParams, CreatedCluster, DEFAULT_TARGET_GAS_LIMIT, KeySource, Progress, Step,
    create_cluster, parse_address,
};
use threshold::enr::{ENR_KEY_FILES, Identity};
use threshold::net::peer_id;
use threshold_protocol::Quorum;

use crate::config::{CONFIG_FILE_NAME, NetworkArgs};

/// Options of `synod create cluster`.
#[derive(Debug, clap::Args)]
pub(super) struct CreateClusterArgs {
    /// Name of the cluster, for people.
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,

    /// Number of nodes.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=16))]
    nodes: u8,

    /// Nodes that it takes to sign [default: two thirds of them, rounded up].
    #[arg(long, short = 't', value_name = "T")]
    threshold: Option<u8>,

    /// Number of validators [default: 1, or as many as there are keys to split].
    #[arg(long, value_name = "V")]
    num_validators: Option<usize>,

    #[command(flatten)]
    network: NetworkArgs,

    /// Where stake and rewards go: one address, or one for each validator, separated by commas.
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', required = true, value_parser = address)]
    withdrawal_addresses: Vec<ExecutionAddress>,

    /// Where tips and MEV go: one address, or one for each validator, separated by commas.
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', required = true, value_parser = address)]
    fee_recipient_addresses: Vec<ExecutionAddress>,

    /// Split the keys in --split-keys-dir instead of making new ones. Whoever ran them before must have
    /// stopped two finalised epochs ago.
    #[arg(long, requires = "split_keys_dir")]
    split_existing_keys: bool,

    /// Folder with keystore*.json files and their passwords (.txt).
    #[arg(long, value_name = "DIR", requires = "split_existing_keys")]
    split_keys_dir: Option<PathBuf>,

    /// Deposits to prepare for each validator, in whole ETH, separated by commas [default: 1,32].
    #[arg(long, value_name = "ETH", value_delimiter = ',')]
    deposit_amounts: Vec<u64>,

    /// Gas limit that registrations vote for.
    #[arg(long, value_name = "GAS", default_value_t = DEFAULT_TARGET_GAS_LIMIT)]
    target_gas_limit: u64,

    /// The validators compound their rewards (0x02 withdrawal credentials).
    #[arg(long)]
    compounding: bool,

    /// Keystores that anybody can open, for throwaway clusters on test networks.
    #[arg(long)]
    insecure_keys: bool,

    /// Folder that gets node0, node1 and so on.
    #[arg(long, value_name = "DIR", default_value = "./")]
    cluster_dir: PathBuf,

    /// All nodes run on this machine: their synod.toml files get HTTP ports from this one on.
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    http_base_port: u16,

    /// As --http-base-port, for the ports on which the nodes talk to each other.
    #[arg(long, value_name = "PORT", default_value_t = 3610)]
    p2p_base_port: u16,

    /// As --http-base-port, for metrics.
    #[arg(long, value_name = "PORT", default_value_t = 9100)]
    metrics_base_port: u16,
}

fn address(text: &str) -> Result<ExecutionAddress, String> {
    parse_address(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &CreateClusterArgs) -> anyhow::Result<ExitCode> {
    let network = args.network.network()?.context(
        "--network is missing: mainnet, hoodi, sepolia, gnosis, chiado, or a config.yaml",
    )?;
    let keys = match &args.split_keys_dir {
        Some(dir) => KeySource::Split { dir: dir.clone(), validators: args.num_validators },
        None => KeySource::Generate { validators: args.num_validators.unwrap_or(1) },
    };
    if matches!(keys, KeySource::Split { .. }) {
        eprintln!(
            "Warning: whoever signs with these keys now must have stopped for at least two finalised \
             epochs before the cluster starts; two signers of one key get it slashed."
        );
    }
    let deposits = (!args.deposit_amounts.is_empty()).then(|| {
        let amounts = args.deposit_amounts.iter();
        amounts.map(|eth| Gwei::new(eth.saturating_mul(1_000_000_000))).collect()
    });
    let params = ClusterParams {
        name: args.name.clone(),
        nodes: args.nodes,
        threshold: args.threshold,
        keys,
        network,
        withdrawal_addresses: args.withdrawal_addresses.clone(),
        fee_recipient_addresses: args.fee_recipient_addresses.clone(),
        deposit_amounts: deposits,
        target_gas_limit: args.target_gas_limit,
        compounding: args.compounding,
        insecure_keys: args.insecure_keys,
        cluster_dir: args.cluster_dir.clone(),
    };
    let created = create_cluster(&params, &show_progress())?;
    write_node_options(args, &created)?;
    report(&created);
    Ok(ExitCode::SUCCESS)
}

/// A line on a terminal that counts; nothing elsewhere.
fn show_progress() -> impl Fn(Progress) + Sync {
    let terminal = std::io::stderr().is_terminal();
    move |progress: Progress| {
        if !terminal {
            return;
        }
        let step = match progress.step {
            Step::OpenKeystores => "opening keystores",
            Step::Split => "splitting keys",
            Step::SignLock => "signing the lock",
            Step::WriteKeystores => "writing share keystores",
        };
        let mut line = format!("\r\x1b[K{step}: {} of {}", progress.done, progress.total);
        if progress.done == progress.total && progress.step == Step::WriteKeystores {
            line.push('\n');
        }
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Writes each node's `synod.toml`, with which the nodes find each other on this machine.
fn write_node_options(args: &CreateClusterArgs, created: &CreatedCluster) -> anyhow::Result<()> {
    let address = |index: u16| -> anyhow::Result<SocketAddr> {
        let port = args.p2p_base_port.checked_add(index).context("--p2p-base-port is too high")?;
        Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    };
    let mut peers = Vec::new();
    for (index, dir) in (0..).zip(&created.node_dirs) {
        let [name, ..] = ENR_KEY_FILES;
        let identity = Identity::load(&dir.join(name))?;
        let peer = peer_id(&identity.public_key_bytes())?;
        peers.push(format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", address(index)?.port()));
    }
    for (index, dir) in (0_u16..).zip(&created.node_dirs) {
        let mut text = String::from(
            "# Options of this node; the command line and SYNOD_* variables go before them.\n",
        );
        let http =
            args.http_base_port.checked_add(index).context("--http-base-port is too high")?;
        let metrics =
            args.metrics_base_port.checked_add(index).context("--metrics-base-port is too high")?;
        writeln!(text, "http-listen-port = {http}")?;
        writeln!(text, "metrics-port = {metrics}")?;
        writeln!(text, "p2p-tcp-address = [\"{}\"]", address(index)?)?;
        let others = peers.iter().enumerate().filter(|(peer, _)| *peer != usize::from(index));
        writeln!(text, "p2p-peers = [")?;
        for (_, peer) in others {
            writeln!(text, "    \"{peer}\",")?;
        }
        writeln!(text, "]")?;
        if let Some(name) = &args.network.network {
            write_network(&mut text, name, &args.network)?;
        }
        let path = dir.join(CONFIG_FILE_NAME);
        write_new(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn write_network(text: &mut String, name: &str, args: &NetworkArgs) -> anyhow::Result<()> {
    let file = Path::new(name);
    let name = if file.exists() { file.canonicalize()?.display().to_string() } else { name.into() };
    writeln!(text, "network = {}", toml::Value::String(name))?;
    if let Some(root) = args.genesis_validators_root {
        writeln!(text, "genesis-validators-root = \"{root}\"")?;
    }
    if let Some(time) = args.genesis_time {
        writeln!(text, "genesis-time = {time}")?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn report(created: &CreatedCluster) {
    let (n, t) = (created.threshold.operators(), created.threshold.threshold());
    println!("Cluster lock {}", created.lock_hash);
    println!("{n} nodes, {t} of them sign:");
    for dir in &created.node_dirs {
        println!("  synod run --data-dir {}", dir.display());
    }
    if let Ok(quorum) = Quorum::new(n.into(), t.into()) {
        println!(
            "Signs with up to {} nodes silent; safe with up to {} nodes lying.",
            quorum.live_silent(),
            quorum.safe_liars()
        );
        if quorum.safe_liars() == 0 && n > 1 {
            eprintln!(
                "Warning: this cluster tolerates no lying node. Four nodes with threshold 3 tolerate one."
            );
        }
    }
    println!("{} validators:", created.public_keys.len());
    for key in &created.public_keys {
        println!("  {key}");
    }
}
