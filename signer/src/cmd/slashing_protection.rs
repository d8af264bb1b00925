//! `synod slashing-protection`: the slashing database's records and watermarks, while the signer is
//! stopped (the command opens the file) and while it runs (the signer does it, over its control socket).

mod database;
mod export;
mod import;
mod output;
mod watermark;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use eth_types::PublicKey;

use crate::config::{DataArgs, NetworkArgs};

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum SlashingProtection {
    /// Merge an EIP-3076 file of any signer or validator client into the slashing database.
    ///
    /// Records are added and none is changed, so a second import of the same file does nothing, and no
    /// import ever allows what was refused before it. Each validator of the file is taken wholly or refused
    /// with a reason. In a cluster, records under the public key of any operator's share (Charon's
    /// validator clients, Dirk's distributed accounts) come to the validator. Exits with 1 if anything was
    /// refused.
    Import(import::ImportArgs),
    /// Write an EIP-3076 file that other signers and validator clients can import.
    ///
    /// Before keys move elsewhere, stop the signer, export, and never start it with these keys again: an
    /// export of a running signer is out of date as soon as it signs.
    Export(export::ExportArgs),
    /// Show and move watermarks.
    Watermark {
        #[command(subcommand)]
        what: watermark::Watermark,
    },
    /// `watermark raise` and `watermark high` under the names and options of Web3Signer's command.
    WatermarkRepair(watermark::RepairArgs),
}

/// Runs the command.
pub(super) fn run(command: &SlashingProtection) -> anyhow::Result<ExitCode> {
    match command {
        SlashingProtection::Import(args) => import::run(args),
        SlashingProtection::Export(args) => export::run(args),
        SlashingProtection::Watermark { what } => watermark::run(what),
        SlashingProtection::WatermarkRepair(args) => watermark::repair(args),
    }
}

/// Where the database is, and whose it is.
#[derive(Debug, clap::Args)]
struct PlaceArgs {
    #[command(flatten)]
    data: DataArgs,

    /// The cluster lock [default: cluster-lock.json in the data directory, if there is one].
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    lock_file: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,

    /// Print one JSON object a line instead of text.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Which validators.
#[derive(Debug, clap::Args)]
struct ValidatorArgs {
    /// Only this validator, by its public key or, in a cluster, that of one of its shares; may be
    /// repeated, or several separated by commas [default: all].
    #[arg(long, value_name = "PUBKEY", value_delimiter = ',')]
    validator: Vec<PublicKey>,
}

impl ValidatorArgs {
    /// The keys; `None` for all.
    fn keys(&self) -> Option<Vec<PublicKey>> {
        (!self.validator.is_empty()).then(|| self.validator.clone())
    }
}
