//! The networks that are built in.
//!
//! Sources: consensus-specs `configs/mainnet.yaml`, eth-clients `hoodi` and `sepolia`,
//! gnosischain `configs`; genesis validators roots and times as the beacon API of each network gives
//! them. A fork without a date has [`FAR_FUTURE_EPOCH`]: its version is known, its epoch is not.

use std::num::NonZeroU64;

use super::schedule::{ForkEntry, ForkSchedule};
use super::{DueTime, Inner, Network, NetworkError, Preset};
use crate::fork::{FAR_FUTURE_EPOCH, ForkName};
use crate::primitives::{Epoch, ForkVersion, Root};

/// Names for [`Network::by_name`].
pub const NETWORK_NAMES: [&str; 5] = ["mainnet", "hoodi", "sepolia", "gnosis", "chiado"];

/// One network as a table.
struct Table {
    name: &'static str,
    preset: Preset,
    genesis_validators_root: &'static str,
    genesis_time: u64,
    seconds_per_slot: u64,
    chain_id: u64,
    genesis_fork_version: u32,
    /// Altair and the forks after it: version and first epoch.
    forks: [(u32, u64); 7],
}

/// Not scheduled.
const NEVER: u64 = FAR_FUTURE_EPOCH.as_u64();

const NETWORKS: [Table; 5] = [
    Table {
        name: "mainnet",
        preset: Preset::Mainnet,
        genesis_validators_root: "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
        genesis_time: 1_606_824_023,
        seconds_per_slot: 12,
        chain_id: 1,
        genesis_fork_version: 0x0000_0000,
        forks: [
            (0x0100_0000, 74_240),
            (0x0200_0000, 144_896),
            (0x0300_0000, 194_048),
            (0x0400_0000, 269_568),
            (0x0500_0000, 364_032),
            (0x0600_0000, 411_392),
            (0x0700_0000, NEVER),
        ],
    },
    Table {
        name: "hoodi",
        preset: Preset::Mainnet,
        genesis_validators_root: "212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
        genesis_time: 1_742_213_400,
        seconds_per_slot: 12,
        chain_id: 560_048,
        genesis_fork_version: 0x1000_0910,
        forks: [
            (0x2000_0910, 0),
            (0x3000_0910, 0),
            (0x4000_0910, 0),
            (0x5000_0910, 0),
            (0x6000_0910, 2_048),
            (0x7000_0910, 50_688),
            (0x8000_0910, NEVER),
        ],
    },
    Table {
        name: "sepolia",
        preset: Preset::Mainnet,
        genesis_validators_root: "d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078",
        genesis_time: 1_655_733_600,
        seconds_per_slot: 12,
        chain_id: 11_155_111,
        genesis_fork_version: 0x9000_0069,
        forks: [
            (0x9000_0070, 50),
            (0x9000_0071, 100),
            (0x9000_0072, 56_832),
            (0x9000_0073, 132_608),
            (0x9000_0074, 222_464),
            (0x9000_0075, 272_640),
            (0x9000_0076, 353_024),
        ],
    },
    Table {
        name: "gnosis",
        preset: Preset::Gnosis,
        genesis_validators_root: "f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47",
        genesis_time: 1_638_993_340,
        seconds_per_slot: 5,
        chain_id: 100,
        genesis_fork_version: 0x0000_0064,
        forks: [
            (0x0100_0064, 512),
            (0x0200_0064, 385_536),
            (0x0300_0064, 648_704),
            (0x0400_0064, 889_856),
            (0x0500_0064, 1_337_856),
            (0x0600_0064, 1_714_688),
            (0x0700_0064, NEVER),
        ],
    },
    Table {
        name: "chiado",
        preset: Preset::Gnosis,
        genesis_validators_root: "9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e",
        genesis_time: 1_665_396_300,
        seconds_per_slot: 5,
        chain_id: 10_200,
        genesis_fork_version: 0x0000_006f,
        forks: [
            (0x0100_006f, 90),
            (0x0200_006f, 180),
            (0x0300_006f, 244_224),
            (0x0400_006f, 516_608),
            (0x0500_006f, 948_224),
            (0x0600_006f, 1_353_216),
            (0x0700_006f, NEVER),
        ],
    },
];

/// When attestations are due from Gloas on, in ten-thousandths of a slot
/// (`ATTESTATION_DUE_BPS_GLOAS`).
pub(super) const ATTESTATION_DUE_GLOAS: DueTime = DueTime::BasisPoints(2_500);

pub(super) fn by_name(name: &str) -> Result<Network, NetworkError> {
    let unknown = || NetworkError::UnknownName { found: name.to_owned() };
    let table = NETWORKS.iter().find(|table| table.name == name).ok_or_else(unknown)?;
    table.build().ok_or_else(unknown)
}

impl Table {
    /// `None` for a table that contradicts itself, which none of them does: a test builds them all.
    fn build(&self) -> Option<Network> {
        let version = |number: u32| ForkVersion::new(number.to_be_bytes());
        let later = ForkName::ALL.into_iter().skip(1).zip(self.forks);
        let forks = later.map(|(fork, (number, epoch))| ForkEntry {
            fork,
            version: version(number),
            epoch: Epoch::new(epoch),
        });
        Some(Network::new(Inner {
            name: self.name.to_owned(),
            preset: self.preset,
            slots_per_epoch: self.preset.slots_per_epoch(),
            genesis_validators_root: self.genesis_validators_root.parse::<Root>().ok()?,
            genesis_time: self.genesis_time,
            slot_millis: NonZeroU64::new(self.seconds_per_slot.checked_mul(1000)?)?,
            attestation_due: DueTime::Third,
            attestation_due_gloas: ATTESTATION_DUE_GLOAS,
            chain_id: self.chain_id,
            schedule: ForkSchedule::new(version(self.genesis_fork_version), forks).ok()?,
        }))
    }
}
