//! Logs: to stderr, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogArgs, LogFormat};

/// Sets up logging for the whole process; call it once, before anything is logged.
///
/// Lines go to stderr, in colour only if that is a terminal and `NO_COLOR` is not set.
///
/// # Errors
/// Logging is set up already.
pub fn init(args: &LogArgs) -> Result<(), TryInitError> {
    // The option was checked when it was parsed.
    let filter = EnvFilter::new(directives(args.log_level.as_str()));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match args.format() {
        LogFormat::Console => {
            let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colour = std::io::stderr().is_terminal() && !no_colour;
            registry.with(lines.with_ansi(colour).with_target(false)).try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
}

/// The libraries' own lines at level info say nothing to an operator; who asks for debug gets all.
fn directives(level: &str) -> String {
    match level.to_ascii_lowercase().as_str() {
        "info" => "info,libp2p_swarm=warn".to_owned(),
        _ => level.to_owned(),
    }
}
