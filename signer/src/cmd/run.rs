//! `synod run`: one node of a cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use threshold::cluster_file::WalletSignatures;
use threshold::data_dir::{LoadOptions, SecretPermissions};
use threshold_protocol::policy::Policy;

use crate::assemble::{Node, NodeOptions};
use crate::block_proof::BlockProofArgs;
use crate::config::{
    DataArgs, HttpArgs, KeyManagerArgs, LogArgs, MetricsArgs, NetworkArgs, P2pArgs, SlashingArgs,
};
use crate::{shutdown, telemetry};

/// Options of `synod run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    blocks: BlockProofArgs,
    #[command(flatten)]
    slashing: SlashingArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    key_manager: KeyManagerArgs,
    #[command(flatten)]
    p2p: P2pArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Options of a node that belong to no other group.
#[derive(Debug, clap::Args)]
struct NodeArgs {
    /// The node's ENR private key [default: enr-private-key in the data directory].
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,

    /// The cluster lock [default: cluster-lock.json in the data directory].
    #[arg(long, value_name = "FILE")]
    lock_file: Option<PathBuf>,

    /// What to co-sign for other operators' validator clients.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = Cosign::All)]
    cosign: Cosign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cosign {
    /// Whatever policy allows.
    All,
    /// Nothing that this node's own validator client did not ask for.
    OwnVcOnly,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log)?;
    let options = NodeOptions {
        data_dir: args.data.data_dir.clone(),
        http: args.http.clone(),
        metrics: args.metrics.clone(),
        key_manager: args.key_manager.clone(),
        p2p: args.p2p.clone(),
        network: args.network.network()?,
        policy: Policy {
            own_client_only: args.node.cosign == Cosign::OwnVcOnly,
            ..Policy::default()
        },
        load: LoadOptions {
            private_key_file: args.node.private_key_file.clone(),
            lock_file: args.node.lock_file.clone(),
            validator_keys_dir: None,
            wallets: WalletSignatures::default(),
            permissions: SecretPermissions::Refuse,
        },
        slashing: args.slashing.clone(),
        block_proofs: args.blocks,
    };
    shutdown::run_to_end(async {
        let mut node = Node::start(options).await?;
        tracing::info!(
            operator = %node.operator,
            network = node.network.name(),
            validators = node.public_keys().len(),
            http = %node.http,
            metrics = node.metrics.map(tracing::field::display),
            p2p = ?node.cluster.net().listen_addresses(),
            "signing"
        );
        let asked = shutdown::requested_or(node.ended()).await;
        tracing::info!("stopping");
        node.stop().await;
        asked.map(|()| ExitCode::SUCCESS)
    })
}
