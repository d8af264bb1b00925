//! Why there is no such network.

use super::{NETWORK_NAMES, Preset, ScheduleError};

/// Why there is no such network, or why a configuration is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No network of that name is built in.
    #[error(
        "no network {found:?} is built in, only {}: give the path of its config.yaml",
        NETWORK_NAMES.join(", ")
    )]
    UnknownName {
        /// The name asked for.
        found: String,
    },
    /// The configuration is longer than any real one.
    #[error("the network configuration has {found} bytes, at most {max} are read")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// [`MAX_CONFIG_BYTES`](super::MAX_CONFIG_BYTES).
        max: usize,
    },
    /// The configuration is not YAML.
    #[error("the network configuration is not YAML: {reason}")]
    Yaml {
        /// What the YAML parser says, with line and column.
        reason: String,
    },
    /// The configuration is YAML, but not a mapping of keys to values.
    #[error("the network configuration is not a mapping of keys to values, as a config.yaml is")]
    NotAMapping,
    /// A key is missing.
    #[error("the network configuration has no {key}")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A value cannot be read.
    #[error("{key} in the network configuration: expected {expected}, found {found:?}")]
    Value {
        /// The key.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The preset is none of those known.
    #[error("expected preset mainnet, gnosis or minimal, found {found:?}")]
    Preset {
        /// The name found.
        found: String,
    },
    /// A constant has another value than its preset, and containers of that size are not known.
    #[error("{key} is {found} in the network configuration, but {expected} in preset {preset}")]
    PresetValue {
        /// The constant.
        key: &'static str,
        /// The preset's value.
        expected: u64,
        /// The configuration's value.
        found: u64,
        /// The preset.
        preset: Preset,
    },
    /// The schedule of forks cannot be.
    #[error("the fork schedule of the network configuration cannot be")]
    Schedule(#[source] ScheduleError),
    /// The genesis validators root is zero, which no chain has.
    #[error(
        "the genesis validators root is zero: give the chain's own, which the beacon API shows \
         under /eth/v1/beacon/genesis"
    )]
    ZeroGenesisValidatorsRoot,
}
