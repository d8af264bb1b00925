//! `synod slashing-protection watermark`, and Web3Signer's `watermark-repair`.

use std::process::ExitCode;

use clap::Subcommand;
use eth_types::{Epoch, Slot};

use super::database::{Database, Need};
use super::output::Output;
use super::{PlaceArgs, ValidatorArgs};
use crate::control::wire::{High, HighChange, Numbers, RaiseRequest, ShowRequest, WatermarksShown};

/// What can be done with watermarks.
#[derive(Debug, Subcommand)]
pub(in crate::cmd) enum Watermark {
    /// Show the watermarks of validators and what they signed highest.
    Show(ShowArgs),
    /// From now on sign nothing at or below a slot and an epoch. There is no way back.
    ///
    /// To slot N: no block of slot N or before is signed, not even one that was signed already. To epoch N: no
    /// attestation with a target of N or before, or with a source before N (--source-epoch chooses another).
    /// Without --validator it holds for all validators, those included that come later.
    Raise(RaiseArgs),
    /// The high watermark: at or above it nothing is signed, by any validator.
    High {
        #[command(subcommand)]
        what: HighCommand,
    },
}

/// What can be done with the high watermark.
#[derive(Debug, Subcommand)]
pub(in crate::cmd) enum HighCommand {
    /// Show it.
    Show(HighShowArgs),
    /// Set its slot, its epoch, or both; the other stays as it is.
    Set(HighSetArgs),
    /// Remove it.
    Clear(HighClearArgs),
}

/// Options of `watermark show`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct ShowArgs {
    #[command(flatten)]
    validators: ValidatorArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `watermark raise`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("to").required(true).multiple(true).args(["slot", "epoch"]))]
pub(in crate::cmd) struct RaiseArgs {
    /// The last slot of which no block is signed any more.
    #[arg(long, value_name = "N")]
    slot: Option<Slot>,

    /// The last target epoch of which no attestation is signed any more.
    #[arg(long, value_name = "N")]
    epoch: Option<Epoch>,

    /// The first source epoch of which attestations are signed still [default: that of --epoch].
    #[arg(long, value_name = "N", requires = "epoch")]
    source_epoch: Option<Epoch>,

    #[command(flatten)]
    validators: ValidatorArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `watermark high show`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct HighShowArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `watermark high set`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("to").required(true).multiple(true).args(["slot", "epoch"]))]
pub(in crate::cmd) struct HighSetArgs {
    /// The first slot of which no block is signed.
    #[arg(long, value_name = "N")]
    slot: Option<Slot>,

    /// The first epoch that no attestation may have as its source or target.
    #[arg(long, value_name = "N")]
    epoch: Option<Epoch>,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `watermark high clear`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct HighClearArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `watermark-repair`.
#[derive(Debug, clap::Args)]
pub(in crate::cmd) struct RepairArgs {
    /// The slot.
    #[arg(long, value_name = "N", required_unless_present = "remove_high_watermark")]
    slot: Option<Slot>,

    /// The epoch, for sources and targets.
    #[arg(long, value_name = "N", required_unless_present = "remove_high_watermark")]
    epoch: Option<Epoch>,

    /// Set the high watermark to --slot and --epoch. Without this the low watermarks of all validators are
    /// raised, as `watermark raise` does.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = false,
        default_missing_value = "true"
    )]
    set_high_watermark: bool,

    /// Remove the high watermark.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = false,
        default_missing_value = "true",
        conflicts_with = "set_high_watermark"
    )]
    remove_high_watermark: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

pub(super) fn run(what: &Watermark) -> anyhow::Result<ExitCode> {
    match what {
        Watermark::Show(args) => show(args),
        Watermark::Raise(args) => {
            let source_epoch = args.source_epoch.or(args.epoch);
            let to = Numbers { slot: args.slot, source_epoch, target_epoch: args.epoch };
            raise(&args.place, RaiseRequest { to, validators: args.validators.keys() })
        }
        Watermark::High { what: HighCommand::Show(args) } => show_high(&args.place),
        Watermark::High { what: HighCommand::Set(args) } => {
            let high = High { slot: args.slot, epoch: args.epoch };
            change_high(&args.place, HighChange::Set(high))
        }
        Watermark::High { what: HighCommand::Clear(args) } => {
            change_high(&args.place, HighChange::Clear)
        }
    }
}

pub(super) fn repair(args: &RepairArgs) -> anyhow::Result<ExitCode> {
    if args.remove_high_watermark {
        return change_high(&args.place, HighChange::Clear);
    }
    if args.set_high_watermark {
        let high = High { slot: args.slot, epoch: args.epoch };
        return change_high(&args.place, HighChange::Set(high));
    }
    let to = Numbers { slot: args.slot, source_epoch: args.epoch, target_epoch: args.epoch };
    raise(&args.place, RaiseRequest { to, validators: None })
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let request = ShowRequest { validators: args.validators.keys() };
    let shown = look(&args.place, &request)?;
    let output = Output::new(args.place.json);
    if output.is_json() {
        output.line(&"", &shown)?;
    } else {
        output.text(&identity(&shown))?;
        output.text(&format!("High watermark (nothing at or above it): {}", shown.high))?;
        output.text(&format!(
            "Raised for all (no block or target at or below it, no source below it): {}",
            shown.raised_for_all
        ))?;
        if shown.validators.is_empty() && request.validators.is_none() {
            output.text(&"Nothing is recorded of any validator.")?;
        }
        for validator in &shown.validators {
            output.text(&format!(
                "{}\n  earliest known  {}\n  raised to       {}\n  highest signed  {}",
                validator.validator, validator.low, validator.raised, validator.highest
            ))?;
        }
    }
    for key in &shown.unknown {
        eprintln!("Nothing is recorded of {key}.");
    }
    Ok(if shown.unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn identity(shown: &WatermarksShown) -> String {
    let cluster = shown
        .cluster_lock_hash
        .map_or_else(|| "no cluster".to_owned(), |hash| format!("cluster lock {hash}"));
    format!(
        "Network {}, genesis validators root {}, {cluster}",
        shown.network, shown.genesis_validators_root
    )
}

fn show_high(place: &PlaceArgs) -> anyhow::Result<ExitCode> {
    let shown = look(place, &ShowRequest { validators: Some(Vec::new()) })?;
    let text = format!("High watermark: {}", shown.high);
    Output::new(place.json).line(&text, &shown.high)?;
    Ok(ExitCode::SUCCESS)
}

fn look(place: &PlaceArgs, request: &ShowRequest) -> anyhow::Result<WatermarksShown> {
    Ok(match Database::open(place, Need::Read)? {
        Database::Running(client) => client.show(request)?,
        Database::Stopped(work) => work.show(request)?,
    })
}

fn raise(place: &PlaceArgs, request: RaiseRequest) -> anyhow::Result<ExitCode> {
    let report = match Database::open(place, Need::Fill)? {
        Database::Running(client) => client.raise(&request)?,
        Database::Stopped(work) => work.raise(&request)?,
    };
    let output = Output::new(place.json);
    for line in &report.lines {
        output.line(line, line)?;
    }
    Ok(if report.refused() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn change_high(place: &PlaceArgs, change: HighChange) -> anyhow::Result<ExitCode> {
    let report = match Database::open(place, Need::Fill)? {
        Database::Running(client) => client.change_high(change)?,
        Database::Stopped(work) => work.change_high(change)?,
    };
    let text = if report.before == report.after {
        format!("High watermark unchanged: {}", report.after)
    } else {
        format!("High watermark: {} (before: {})", report.after, report.before)
    };
    Output::new(place.json).line(&text, &report)?;
    Ok(ExitCode::SUCCESS)
}
