//! The chain of a test: all forks up to Fulu from its beginning, short slots, and a past, so that no test
//! waits for genesis or meets the first epoch's special cases.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eth_types::fork::{Fork, ForkInfo};
use eth_types::network::Network;
use eth_types::{Epoch, Root, Slot};

/// Epochs before the test begins.
const PAST_EPOCHS: u64 = 10;

/// The length of a slot. The protocol's figures scale with it and have floors for short ones; four seconds
/// leave a loaded machine of two cores room to run four nodes that are not optimised.
const SECONDS_PER_SLOT: u64 = 4;

/// How far into a slot requests are sent: clients' clocks are never exact.
const INTO_SLOT: Duration = Duration::from_millis(50);

/// How long before the beginning of a slot a node may have started and still take part in it, with room:
/// the protocol's warm-up for such slots is a third of a second.
const WARM_UP: Duration = Duration::from_millis(600);

/// A chain of a test's own.
#[derive(Debug, Clone)]
pub struct Chain {
    network: Network,
    /// Nothing for a network that the program knows by name.
    config: Option<String>,
}

impl Chain {
    /// A chain that began ten epochs ago. Chains with another `number` are foreign to each other: they
    /// differ in fork versions and genesis validators root.
    ///
    /// # Panics
    /// The clock is before 1970.
    #[must_use]
    pub fn numbered(number: u8) -> Self {
        Self::with_forks_at(number, [0; 6])
    }

    /// As [`Self::numbered`], with the forks from Altair to Fulu at these epochs.
    ///
    /// # Panics
    /// The clock is before 1970, or a fork is before the one that it follows.
    #[must_use]
    pub fn with_forks_at(number: u8, epochs: [u64; 6]) -> Self {
        let mut config = format!(
            "PRESET_BASE: minimal\n\
             CONFIG_NAME: synod-test-{number}\n\
             SECONDS_PER_SLOT: {SECONDS_PER_SLOT}\n\
             DEPOSIT_CHAIN_ID: 1337\n\
             GENESIS_FORK_VERSION: 0x7e{number:02x}0000\n"
        );
        let forks = ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"];
        for ((fork, epoch), version) in forks.into_iter().zip(epochs).zip(1..) {
            config.push_str(&format!(
                "{fork}_FORK_VERSION: 0x7e{number:02x}{version:04x}\n{fork}_FORK_EPOCH: {epoch}\n"
            ));
        }
        let root = Root::new([number.wrapping_add(1); 32]);
        // Minimal's epochs have eight slots.
        let genesis = unix().as_secs() - PAST_EPOCHS * 8 * SECONDS_PER_SLOT;
        let network = Network::from_config_yaml(&config, root, genesis).unwrap();
        Self { network, config: Some(config) }
    }

    /// A network that the program knows.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn built_in(name: &str) -> Self {
        Self { network: Network::by_name(name).unwrap(), config: None }
    }

    /// The network, as the program sees it.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Writes the configuration file that `--network` takes, unless the program knows the network.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write_config(&self, path: &Path) {
        if let Some(config) = &self.config {
            std::fs::write(path, config).unwrap();
        }
    }

    /// `--network`, with the file that was written, and what goes with it.
    #[must_use]
    pub fn options(&self, config: &Path) -> Vec<String> {
        if self.config.is_none() {
            return vec!["--network".into(), self.network.name().into()];
        }
        vec![
            "--network".into(),
            config.display().to_string(),
            "--genesis-validators-root".into(),
            self.network.genesis_validators_root().to_string(),
            "--genesis-time".into(),
            self.network.genesis_time().to_string(),
        ]
    }

    /// The fork as a validator client sends it.
    #[must_use]
    pub fn fork_info(&self, epoch: Epoch) -> ForkInfo {
        let version = self.network.fork_version_at(epoch).unwrap();
        ForkInfo {
            fork: Fork {
                previous_version: version,
                current_version: version,
                epoch: Epoch::new(0),
            },
            genesis_validators_root: self.network.genesis_validators_root(),
        }
    }

    /// The slot of the clock.
    ///
    /// # Panics
    /// The clock is before the chain's beginning.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.network.slot_at(unix_millis()).unwrap()
    }

    /// The epoch of a slot.
    #[must_use]
    pub fn epoch_of(&self, slot: Slot) -> Epoch {
        slot.epoch(self.network.slots_per_epoch())
    }

    /// Waits for the beginning of a slot in which nodes that are up now take part, and returns it.
    pub async fn next_slot(&self) -> Slot {
        let warm = unix_millis() + millis(WARM_UP);
        let slot = self.network.slot_at(warm).unwrap_or_default().saturating_add(1);
        self.until(slot, INTO_SLOT).await;
        slot
    }

    /// As [`Self::next_slot`], with the next `slots` slots all in one epoch.
    pub async fn next_slots_of_one_epoch(&self, slots: u64) -> Slot {
        loop {
            let first = self.next_slot().await;
            if self.epoch_of(first) == self.epoch_of(first.saturating_add(slots - 1)) {
                return first;
            }
        }
    }

    /// Waits until the clock is `into` the slot; returns at once if it is past that.
    pub async fn until(&self, slot: Slot, into: Duration) {
        let then = self.network.slot_start(slot) + millis(into);
        tokio::time::sleep(Duration::from_millis(then.saturating_sub(unix_millis()))).await;
    }
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn unix_millis() -> u64 {
    millis(unix())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
