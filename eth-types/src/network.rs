//! The networks a validator can be on: which chain, which fork when, and when each slot begins.
//!
//! Five networks are [built in](Network::by_name); any other is read from a consensus-specs
//! `config.yaml` with [`Network::from_config_yaml`].

mod builtin;
mod config;
mod error;
mod preset;
mod schedule;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

pub use self::builtin::NETWORK_NAMES;
pub use self::config::MAX_CONFIG_BYTES;
pub use self::error::NetworkError;
pub use self::preset::Preset;
use self::schedule::ForkSchedule;
pub use self::schedule::ScheduleError;
pub(crate) use self::schedule::VersionError;
use crate::fork::ForkName;
use crate::primitives::{Epoch, ForkVersion, Root, Slot};

/// A network. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Network(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    name: String,
    preset: Preset,
    slots_per_epoch: NonZeroU64,
    genesis_validators_root: Root,
    /// Unix seconds.
    genesis_time: u64,
    slot_millis: NonZeroU64,
    attestation_due: DueTime,
    /// From Gloas on.
    attestation_due_gloas: DueTime,
    chain_id: u64,
    schedule: ForkSchedule,
}

/// A moment within a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DueTime {
    /// Counted from the slot's start, in ten-thousandths of the slot.
    BasisPoints(u64),
    /// A third of the slot, which was the rule before it could be configured.
    Third,
}

/// Ten-thousandths in a whole.
const BASIS_POINTS: u64 = 10_000;

impl Network {
    /// A network that is built in; [`NETWORK_NAMES`] has the names.
    ///
    /// # Errors
    /// [`NetworkError::UnknownName`].
    pub fn by_name(name: &str) -> Result<Self, NetworkError> {
        builtin::by_name(name)
    }

    /// Reads a consensus-specs `config.yaml`, or the same keys as a JSON object. It holds neither the
    /// genesis validators root nor the genesis time (unix seconds), so they come beside it.
    ///
    /// # Errors
    /// The text is no such configuration; the error names the key.
    pub fn from_config_yaml(
        text: &str,
        genesis_validators_root: Root,
        genesis_time: u64,
    ) -> Result<Self, NetworkError> {
        if genesis_validators_root.is_zero() {
            return Err(NetworkError::ZeroGenesisValidatorsRoot);
        }
        config::parse(text, genesis_validators_root, genesis_time)
    }

    fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The name: `CONFIG_NAME` of the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The preset that the containers have the sizes of.
    #[must_use]
    pub fn preset(&self) -> Preset {
        self.0.preset
    }

    /// `SLOTS_PER_EPOCH`.
    #[must_use]
    pub fn slots_per_epoch(&self) -> NonZeroU64 {
        self.0.slots_per_epoch
    }

    /// What tells this chain from every other.
    #[must_use]
    pub fn genesis_validators_root(&self) -> Root {
        self.0.genesis_validators_root
    }

    /// The start of slot 0, in unix seconds.
    #[must_use]
    pub fn genesis_time(&self) -> u64 {
        self.0.genesis_time
    }

    /// How long a slot is.
    #[must_use]
    pub fn slot_duration(&self) -> Duration {
        Duration::from_millis(self.0.slot_millis.get())
    }

    /// The fork version of phase 0, which deposits and validator registrations are signed with.
    #[must_use]
    pub fn genesis_fork_version(&self) -> ForkVersion {
        self.0.schedule.genesis_version()
    }

    /// The chain id of the execution layer.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.0.chain_id
    }

    /// The fork that an epoch is in, as far as the schedule knows.
    #[must_use]
    pub fn fork_at(&self, epoch: Epoch) -> ForkName {
        self.0.schedule.at(epoch).fork
    }

    /// The fork version of an epoch, as far as the schedule knows. `None` for
    /// [`FAR_FUTURE_EPOCH`](crate::fork::FAR_FUTURE_EPOCH), which is no epoch.
    #[must_use]
    pub fn fork_version_at(&self, epoch: Epoch) -> Option<ForkVersion> {
        (epoch != crate::fork::FAR_FUTURE_EPOCH).then(|| self.0.schedule.at(epoch).version)
    }

    /// The first epoch of a fork; `None` if it is not scheduled.
    #[must_use]
    pub fn fork_epoch(&self, fork: ForkName) -> Option<Epoch> {
        self.0.schedule.epoch_of(fork)
    }

    /// The version of a fork, scheduled or not; `None` if the configuration does not name it.
    #[must_use]
    pub fn fork_version(&self, fork: ForkName) -> Option<ForkVersion> {
        self.0.schedule.version_of(fork)
    }

    /// When a slot begins, in unix milliseconds; saturating.
    #[must_use]
    pub fn slot_start(&self, slot: Slot) -> u64 {
        let since_genesis = slot.as_u64().saturating_mul(self.0.slot_millis.get());
        self.genesis_millis().saturating_add(since_genesis)
    }

    /// The slot of a moment in unix milliseconds; `None` before genesis.
    #[must_use]
    pub fn slot_at(&self, unix_millis: u64) -> Option<Slot> {
        let since_genesis = unix_millis.checked_sub(self.genesis_millis())?;
        Some(Slot::new(since_genesis / self.0.slot_millis))
    }

    /// When attestations are due, from the start of a slot before Gloas.
    #[must_use]
    pub fn attestation_due(&self) -> Duration {
        self.due(self.0.attestation_due)
    }

    /// When attestations are due, from the start of `slot`: earlier from Gloas on.
    #[must_use]
    pub fn attestation_due_at(&self, slot: Slot) -> Duration {
        let gloas = self.fork_at(slot.epoch(self.slots_per_epoch())) >= ForkName::Gloas;
        self.due(if gloas { self.0.attestation_due_gloas } else { self.0.attestation_due })
    }

    fn due(&self, due: DueTime) -> Duration {
        let slot = self.0.slot_millis.get();
        Duration::from_millis(match due {
            DueTime::BasisPoints(points) => slot.saturating_mul(points) / BASIS_POINTS,
            DueTime::Third => slot / 3,
        })
    }

    fn genesis_millis(&self) -> u64 {
        self.0.genesis_time.saturating_mul(1000)
    }

    /// The fork of a version; the latest one known if the version is not.
    pub(crate) fn fork_of_version(&self, version: ForkVersion) -> ForkName {
        self.0.schedule.fork_of(version)
    }

    /// Whether `epoch` is in the last scheduled fork or after it, where the chain may have moved on
    /// without this program.
    pub(crate) fn is_open_ended(&self, epoch: Epoch) -> bool {
        self.0.schedule.is_open_ended(epoch)
    }

    /// The fork that a message of `epoch` under `version` belongs to; see
    /// [`ForkSchedule::resolve`].
    pub(crate) fn resolve_fork(
        &self,
        epoch: Epoch,
        version: ForkVersion,
    ) -> Result<ForkName, VersionError> {
        self.0.schedule.resolve(epoch, version)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
