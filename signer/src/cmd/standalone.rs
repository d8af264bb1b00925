//! `synod standalone`: a signer with whole keys, under Web3Signer's options.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use eth_types::ExecutionAddress;

use super::web3signer::{self, Web3SignerOptions};
use crate::block_proof::{BlockProofArgs, BlockRule};
use crate::config::{
    DataArgs, HttpArgs, KeyManagerArgs, LogArgs, MetricsArgs, NetworkArgs, SlashingArgs,
};
use crate::standalone::node::{StandaloneNode, StandaloneOptions};
use crate::standalone::store::{DEFAULT_LOAD_MEMORY, Keystores, Passwords, Places, StoreOptions};
use crate::{shutdown, telemetry};

/// Directory of key configuration files in the data directory, unless told otherwise.
const KEYS_DIR: &str = "keys";
const MIB: u64 = 1024 * 1024;

/// Options of `synod standalone`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("network", |network| network.default_value("mainnet")))]
pub(super) struct StandaloneArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    blocks: BlockArgs,
    #[command(flatten)]
    slashing: SlashingArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    key_manager: KeyManagerArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Web3Signer's subcommand; it may be there and changes nothing. What comes after it has commands
    /// of its own here.
    #[arg(value_name = "eth2", hide = true, num_args = 0..)]
    subcommands: Vec<String>,
    // Last: it leaves out what the groups above have.
    #[command(flatten)]
    web3signer: Web3SignerOptions,
}

/// Where the keys are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
struct KeyArgs {
    /// Directory of key configuration files, *.yaml and *.yml [default: keys in the data directory].
    #[arg(long, value_name = "DIR", alias = "key-store-path")]
    key_config_path: Option<PathBuf>,

    /// Directory of EIP-2335 keystores, *.json, that have no key configuration files.
    #[arg(long, value_name = "DIR")]
    keystores_path: Option<PathBuf>,

    /// Directory of the keystores' passwords: NAME.txt for NAME.json.
    #[arg(long, value_name = "DIR", requires = "keystores_path")]
    keystores_passwords_path: Option<PathBuf>,

    /// File of the password of all keystores.
    #[arg(
        long,
        value_name = "FILE",
        requires = "keystores_path",
        conflicts_with = "keystores_passwords_path"
    )]
    keystores_password_file: Option<PathBuf>,

    /// Whether keystores that were opened are kept, sealed, in the data directory, so that the next
    /// start does not derive their keys again.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = true,
        default_missing_value = "true"
    )]
    key_cache: bool,

    /// Memory for opening keystores, in MiB. A scrypt keystore takes 256; one is always opened.
    #[arg(long, value_name = "MIB", default_value_t = DEFAULT_LOAD_MEMORY / MIB)]
    key_load_memory: u64,
}

/// What blocks have to prove.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Blocks")]
struct BlockArgs {
    #[command(flatten)]
    proofs: BlockProofArgs,

    /// Whom blocks have to pay, if their requests prove it (Nimbus's verifying signer sends proofs).
    #[arg(long, value_name = "ADDRESS")]
    expected_fee_recipient: Option<ExecutionAddress>,
}

impl BlockArgs {
    fn rule(&self) -> anyhow::Result<BlockRule> {
        let rule = BlockRule {
            fee_recipient: self.expected_fee_recipient,
            proof_required: self.proofs.require_fee_recipient_proof,
        };
        anyhow::ensure!(
            rule.fee_recipient.is_some() || !rule.proof_required,
            "--require-fee-recipient-proof needs --expected-fee-recipient ADDRESS"
        );
        Ok(rule)
    }
}

impl KeyArgs {
    fn places(&self, data_dir: &std::path::Path) -> anyhow::Result<Places> {
        let keystores = match &self.keystores_path {
            None => None,
            Some(dir) => Some(Keystores { dir: dir.clone(), passwords: self.passwords()? }),
        };
        Ok(Places {
            config_dir: self.key_config_path.clone().unwrap_or_else(|| data_dir.join(KEYS_DIR)),
            config_dir_required: self.key_config_path.is_some(),
            keystores,
        })
    }

    fn passwords(&self) -> anyhow::Result<Passwords> {
        match (&self.keystores_passwords_path, &self.keystores_password_file) {
            (Some(dir), None) => Ok(Passwords::Dir(dir.clone())),
            (None, Some(file)) => Ok(Passwords::File(file.clone())),
            _ => anyhow::bail!(
                "--keystores-path needs one of --keystores-passwords-path and --keystores-password-file"
            ),
        }
    }
}

pub(super) fn run(args: &StandaloneArgs) -> anyhow::Result<ExitCode> {
    refuse_subcommands(&args.subcommands)?;
    args.web3signer.refuse_unsupported()?;
    telemetry::init(&args.log)?;
    args.web3signer.warn_of_ignored();
    let data_dir = &args.data.data_dir;
    let options = StandaloneOptions {
        data_dir: data_dir.clone(),
        network: network(&args.network)?,
        http: args.http.clone(),
        metrics: args.metrics.clone(),
        key_manager: args.key_manager.clone(),
        keys: StoreOptions {
            places: args.keys.places(data_dir)?,
            data_dir: data_dir.clone(),
            cache: args.keys.key_cache,
            load_memory: args.keys.key_load_memory.saturating_mul(MIB),
        },
        slashing: args.slashing.clone(),
        block_rule: args.blocks.rule()?,
    };
    shutdown::run_to_end(async {
        let mut node = StandaloneNode::start(options).await?;
        tracing::info!(
            network = node.network.name(),
            http = %node.http,
            metrics = node.metrics.map(tracing::field::display),
            "signing"
        );
        let asked = shutdown::requested_or(node.ended()).await;
        tracing::info!("stopping");
        node.stop().await;
        asked.map(|()| ExitCode::SUCCESS)
    })
}

/// `eth2` is the one of Web3Signer's subcommands that runs a signer.
fn refuse_subcommands(given: &[String]) -> anyhow::Result<()> {
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    if matches!(given.as_slice(), [] | ["eth2"]) {
        return Ok(());
    }
    match web3signer::hint(&given) {
        Some(hint) => anyhow::bail!(hint),
        None => anyhow::bail!(
            "unexpected `{}`: of Web3Signer's subcommands only `eth2` is known here",
            given.join(" ")
        ),
    }
}

/// The network of the options; mainnet without any, as in Web3Signer. Nothing here looks at the clock,
/// so a file needs no genesis time beside it.
fn network(args: &NetworkArgs) -> anyhow::Result<eth_types::network::Network> {
    let mut args = args.clone();
    if args.is_file() {
        args.genesis_time.get_or_insert(0);
    }
    args.network()?.context("no network")
}
