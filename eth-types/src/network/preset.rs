//! The sets of constants that change the shape of containers.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use super::NetworkError;

/// The sets of constants that change the shape of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Ethereum mainnet and its test networks: 32 slots an epoch.
    Mainnet,
    /// Gnosis Chain and Chiado: mainnet's container sizes, 16 slots an epoch.
    Gnosis,
    /// Local test chains: 8 slots an epoch, sync committees of 32, 4 committees a slot.
    Minimal,
}

impl Preset {
    /// The name that a configuration's `PRESET_BASE` has.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Gnosis => "gnosis",
            Self::Minimal => "minimal",
        }
    }

    /// `SLOTS_PER_EPOCH`.
    #[must_use]
    pub const fn slots_per_epoch(self) -> NonZeroU64 {
        // The fallback cannot be reached: the numbers are not zero.
        match NonZeroU64::new(match self {
            Self::Mainnet => 32,
            Self::Gnosis => 16,
            Self::Minimal => 8,
        }) {
            Some(slots) => slots,
            None => NonZeroU64::MIN,
        }
    }

    /// `MAX_COMMITTEES_PER_SLOT`, the length of `committee_bits`.
    #[must_use]
    pub const fn max_committees_per_slot(self) -> u64 {
        match self {
            Self::Mainnet | Self::Gnosis => 64,
            Self::Minimal => 4,
        }
    }

    /// `SYNC_COMMITTEE_SIZE`; a contribution covers a quarter of it.
    #[must_use]
    pub const fn sync_committee_size(self) -> u64 {
        match self {
            Self::Mainnet | Self::Gnosis => 512,
            Self::Minimal => 32,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Mainnet, Self::Gnosis, Self::Minimal]
            .into_iter()
            .find(|preset| preset.as_str() == text)
            .ok_or_else(|| NetworkError::Preset { found: text.to_owned() })
    }
}
