//! The program's options, in groups that commands flatten, and where their values come from.
//!
//! An option `--http-listen-port` is read from, in this order: the command line; the environment
//! variable `SYNOD_HTTP_LISTEN_PORT`; the key `http-listen-port` of the configuration file; its default.
//! `synod standalone` and `synod slashing-protection` also read Web3Signer's variables,
//! `WEB3SIGNER_HTTP_LISTEN_PORT` and `WEB3SIGNER_ETH2_NETWORK`. The file is the one of `--config-file`, in TOML or in Web3Signer's YAML,
//! or `synod.toml` in the data directory. [`parse`] does that for every option of a command that has
//! [`DataArgs`], so the groups here only name, type and explain the options.
//!
//! Names are Web3Signer's on the HTTP side and Charon's on the cluster side.

mod key_manager;
mod network;
mod slashing;
mod source;
mod tls;
mod yaml;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use eth_types::Root;

pub use self::key_manager::KeyManagerArgs;
pub use self::network::NetworkArgsError;
pub use self::slashing::SlashingArgs;
pub use self::source::{CONFIG_FILE_NAME, ConfigError, parse};
pub use self::tls::{TlsArgs, TlsArgsError};
use crate::server::{IDLE_TIMEOUT, MAX_CONNECTIONS};

/// Where the HTTP interface listens, and for whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArgs {
    /// Host on which signing requests are taken; other machines reach it only if it is not the loopback.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub http_listen_host: String,

    /// Port on which signing requests are taken; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    pub http_listen_port: u16,

    /// Host names that requests may be addressed to, separated by commas; * for any.
    #[arg(
        long,
        value_name = "HOSTS",
        value_delimiter = ',',
        default_values = ["localhost", "127.0.0.1"],
        alias = "http-host-whitelist"
    )]
    pub http_host_allowlist: Vec<String>,

    /// Origins whose web pages may use the interface, separated by commas: `https://dashboard.example:3000`,
    /// or * for any [default: none].
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub http_cors_origins: Vec<String>,

    /// Connections at once; above, an idle one is closed for each new one.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX),
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub http_max_connections: u32,

    /// Seconds after which an idle connection is closed; longer than clients keep theirs, which is up to
    /// 90 s.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = IDLE_TIMEOUT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=MAX_IDLE_SECONDS)
    )]
    pub idle_connection_timeout_seconds: u64,

    /// Whether every request is logged.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub access_logs_enabled: bool,

    /// HTTPS.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// A day: longer than anything else lasts.
const MAX_IDLE_SECONDS: u64 = 86_400;

/// As the options are without being given.
impl Default for HttpArgs {
    fn default() -> Self {
        Self {
            http_listen_host: "127.0.0.1".to_owned(),
            http_listen_port: 9000,
            http_host_allowlist: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            http_cors_origins: Vec::new(),
            http_max_connections: u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX),
            idle_connection_timeout_seconds: IDLE_TIMEOUT.as_secs(),
            access_logs_enabled: false,
            tls: TlsArgs::default(),
        }
    }
}

/// Where figures for Prometheus are served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Whether figures are served.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub metrics_enabled: bool,

    /// Host on which figures are served.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub metrics_host: String,

    /// Port on which figures are served; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 9001)]
    pub metrics_port: u16,

    /// Host names that requests for figures may be addressed to, separated by commas; * for any.
    #[arg(
        long,
        value_name = "HOSTS",
        value_delimiter = ',',
        default_values = ["localhost", "127.0.0.1"],
        alias = "metrics-host-whitelist"
    )]
    pub metrics_host_allowlist: Vec<String>,
}

/// Where the node keeps its files. A command with this group takes a configuration file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files")]
pub struct DataArgs {
    /// Directory of the node: keys, cluster lock, slashing database.
    #[arg(long, value_name = "DIR", default_value = ".synod", alias = "data-path")]
    pub data_dir: PathBuf,

    /// TOML file with options, such as `http-listen-port = 9000`, or Web3Signer's YAML file (*.yaml,
    /// *.yml) [default: synod.toml in the data directory, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
}

/// How the operators of the cluster reach each other.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub struct P2pArgs {
    /// Addresses (IP and port) on which other operators are listened to, separated by commas; without
    /// any, this node only connects to others.
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    pub p2p_tcp_address: Vec<SocketAddr>,

    /// The IP address under which other operators reach this node.
    #[arg(long, value_name = "IP")]
    pub p2p_external_ip: Option<IpAddr>,

    /// The DNS name under which other operators reach this node.
    #[arg(long, value_name = "NAME")]
    pub p2p_external_hostname: Option<String>,

    /// Relays for nodes behind NAT: multiaddresses that end with /p2p/ and the relay's identity,
    /// separated by commas.
    #[arg(long, value_name = "RELAYS", value_delimiter = ',')]
    pub p2p_relays: Vec<String>,

    /// Multiaddresses of other operators, separated by commas.
    #[arg(long, value_name = "MULTIADDRS", value_delimiter = ',')]
    pub p2p_peers: Vec<String>,
}

/// Which chain duties are signed for. [`NetworkArgs::network`] makes a network of it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// mainnet, hoodi, sepolia, gnosis, chiado, or the path of a consensus-specs config.yaml.
    #[arg(long, value_name = "NAME|FILE")]
    pub network: Option<String>,

    /// Genesis validators root of the chain, which a config.yaml does not hold.
    #[arg(long, value_name = "ROOT")]
    pub genesis_validators_root: Option<Root>,

    /// Genesis time of the chain in unix seconds, which a config.yaml does not hold.
    #[arg(long, value_name = "SECONDS")]
    pub genesis_time: Option<u64>,
}

/// What is logged, and how. [`crate::telemetry::init`] takes it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// off, error, warn, info, debug or trace, or by module: info,threshold=debug. Log4j's ALL is trace,
    /// its FATAL is error.
    #[arg(long, short = 'l', value_name = "LEVEL", default_value = "info", alias = "logging")]
    pub log_level: LogLevel,

    /// How log lines look [default: console].
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,

    /// Web3Signer's option for it, whose forms in JSON are all the one that there is here.
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true, hide = true)]
    pub logging_format: Option<Web3SignerLogFormat>,
}

impl LogArgs {
    /// The form of log lines; without an option for it they are for people.
    #[must_use]
    pub fn format(&self) -> LogFormat {
        let asked = self.log_format.or_else(|| self.logging_format.map(LogFormat::from));
        asked.unwrap_or(LogFormat::Console)
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Console,
    /// One JSON object a line.
    Json,
}

/// The form of log lines as Web3Signer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Web3SignerLogFormat {
    /// Lines for people.
    Plain,
    /// JSON for Elastic.
    Ecs,
    /// JSON for Logstash.
    Logstash,
    /// JSON for Graylog.
    Gelf,
    /// JSON for Google Cloud.
    Gcp,
}

impl From<Web3SignerLogFormat> for LogFormat {
    fn from(format: Web3SignerLogFormat) -> Self {
        match format {
            Web3SignerLogFormat::Plain => Self::Console,
            Web3SignerLogFormat::Ecs
            | Web3SignerLogFormat::Logstash
            | Web3SignerLogFormat::Gelf
            | Web3SignerLogFormat::Gcp => Self::Json,
        }
    }
}

/// A level, or directives by module, that the logging library understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The level or the directives.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is neither a level nor directives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected off, error (or fatal), warn, info, debug, trace (or all), or directives like \
     info,threshold=debug"
)]
pub struct LogLevelError;

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Log4j's levels, which Web3Signer takes.
        let text = match text.to_ascii_lowercase().as_str() {
            "all" => "trace",
            "fatal" => "error",
            _ => text,
        };
        // A bare word that is no level would be taken for the name of a module.
        let bare = !text.contains(['=', ',', '[']);
        let is_level = text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
        let understood = tracing_subscriber::EnvFilter::try_new(text).is_ok();
        if text.is_empty() || (bare && !is_level) || !understood {
            return Err(LogLevelError);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_options_are_what_they_are_without_being_given() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            http: HttpArgs,
            #[command(flatten)]
            slashing: SlashingArgs,
        }
        let Command { http, slashing } = <Command as clap::Parser>::parse_from(["synod"]);
        assert_eq!(format!("{http:?}"), format!("{:?}", HttpArgs::default()));
        assert_eq!(format!("{slashing:?}"), format!("{:?}", SlashingArgs::default()));
    }

    #[test]
    fn web3signers_forms_of_log_lines_count_where_there_is_no_other_option() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            log: LogArgs,
        }
        for (options, format) in [
            ("", LogFormat::Console),
            ("--logging-format=PLAIN", LogFormat::Console),
            ("--logging-format=ecs", LogFormat::Json),
            ("--logging-format=LOGSTASH", LogFormat::Json),
            ("--logging-format=GELF", LogFormat::Json),
            ("--logging-format=GCP", LogFormat::Json),
            ("--logging-format=GCP --log-format=console", LogFormat::Console),
        ] {
            let words = std::iter::once("synod").chain(options.split_whitespace());
            let Command { log } = <Command as clap::Parser>::parse_from(words);
            assert_eq!(log.format(), format, "{options}");
        }
    }

    #[test]
    fn log_levels_are_levels_or_directives() {
        for good in ["info", "WARN", "off", "info,threshold=debug", "signer=trace"] {
            assert_eq!(good.parse::<LogLevel>().unwrap().as_str(), good);
        }
        for (log4j, level) in
            [("ALL", "trace"), ("all", "trace"), ("Fatal", "error"), ("OFF", "OFF")]
        {
            assert_eq!(log4j.parse::<LogLevel>().unwrap().as_str(), level);
        }
        for bad in ["", "verbose", "info,threshold=loud"] {
            assert_eq!(bad.parse::<LogLevel>(), Err(LogLevelError), "{bad}");
        }
    }
}
