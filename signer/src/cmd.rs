//! The commands of the program. Each takes its options and runs to its end.

mod create_cluster;
mod create_enr;
mod demo;
mod run;
mod slashing_protection;
mod standalone;
mod web3signer;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An Ethereum remote signer whose key exists nowhere.
///
/// Validator clients talk to it as they talk to Web3Signer. Behind that, the nodes of several operators
/// agree on one message per duty, each checks its own slashing database and signs with its share of the
/// key.
#[derive(Debug, Parser)]
#[command(name = "synod", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node of a cluster.
    #[command(version, display_name = "synod")]
    Run(Box<run::RunArgs>),
    /// Run a signer with whole keys, in place of Web3Signer.
    #[command(version, display_name = "synod")]
    Standalone(Box<standalone::StandaloneArgs>),
    /// Make a throwaway cluster on this machine, sign with it, and serve until Ctrl-C.
    Demo(demo::DemoArgs),
    /// Make keys and clusters.
    Create {
        #[command(subcommand)]
        what: Create,
    },
    /// Import, export and look at slashing protection, whether the signer runs or not.
    SlashingProtection {
        #[command(subcommand)]
        what: slashing_protection::SlashingProtection,
    },
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, made once")]
enum Create {
    /// Make a node's identity and print its ENR.
    Enr(create_enr::CreateEnrArgs),
    /// Make a whole cluster on this machine, from new keys or by splitting existing ones.
    Cluster(create_cluster::CreateClusterArgs),
}

/// What to use instead of a command of Web3Signer's that a refused command line asks for, if it does: its
/// options would be told as unknown otherwise. `args` begins with the program's name.
#[must_use]
pub fn hint(args: &[OsString]) -> Option<String> {
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    match words.split_first() {
        Some((&"standalone", words)) => web3signer::hint(words),
        _ => None,
    }
}

/// Runs the command.
///
/// # Errors
/// What went wrong, to be shown in one line; the program's exit code is 1 then.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Standalone(args) => standalone::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Create { what: Create::Enr(args) } => create_enr::run(&args),
        Command::Create { what: Create::Cluster(args) } => create_cluster::run(&args),
        Command::SlashingProtection { what } => slashing_protection::run(&what),
    }
}
