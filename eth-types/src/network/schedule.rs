//! A network's forks: which version from which epoch on.

use crate::fork::{FAR_FUTURE_EPOCH, ForkName};
use crate::primitives::{Epoch, ForkVersion};

/// Why a list of forks is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A fork begins before the fork it follows.
    #[error("{later} begins at epoch {later_epoch}, before {earlier} at epoch {earlier_epoch}")]
    Order {
        /// The fork that has to come first.
        earlier: ForkName,
        /// Its epoch.
        earlier_epoch: Epoch,
        /// The fork that has to come second.
        later: ForkName,
        /// Its epoch.
        later_epoch: Epoch,
    },
    /// A fork is scheduled and the one before it is not.
    #[error("{later} is scheduled at epoch {later_epoch}, but {earlier} before it is not")]
    Gap {
        /// The fork without an epoch.
        earlier: ForkName,
        /// The fork with one.
        later: ForkName,
        /// Its epoch.
        later_epoch: Epoch,
    },
    /// Two forks have one version, so their signatures would be valid for one another.
    #[error("{first} and {second} have one version, {version}")]
    SameVersion {
        /// One fork.
        first: ForkName,
        /// The other.
        second: ForkName,
        /// The version of both.
        version: ForkVersion,
    },
    /// A fork that is not known by name has the version of another.
    #[error("{name} has the version of another fork, {version}")]
    UnknownSameVersion {
        /// The name, cut if it is long.
        name: String,
        /// The version of both.
        version: ForkVersion,
    },
}

/// A version that is not the one of the epoch it was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionError {
    /// The version that the schedule has.
    pub(crate) expected: ForkVersion,
}

/// A fork with its version, and the epoch it begins at ([`FAR_FUTURE_EPOCH`] if not scheduled).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForkEntry {
    pub(crate) fork: ForkName,
    pub(crate) version: ForkVersion,
    pub(crate) epoch: Epoch,
}

/// The forks of a network, oldest first. Phase 0 is always there, at epoch 0; then come the scheduled
/// forks, then those which have a version but no date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForkSchedule {
    genesis: ForkEntry,
    /// After genesis, in order of their epochs, which may be equal.
    scheduled: Vec<ForkEntry>,
    unscheduled: Vec<ForkEntry>,
}

impl ForkSchedule {
    /// Takes the forks after phase 0, oldest first.
    pub(super) fn new(
        genesis_version: ForkVersion,
        forks: impl IntoIterator<Item = ForkEntry>,
    ) -> Result<Self, ScheduleError> {
        let genesis =
            ForkEntry { fork: ForkName::Phase0, version: genesis_version, epoch: Epoch::new(0) };
        let mut schedule = Self { genesis, scheduled: Vec::new(), unscheduled: Vec::new() };
        for later in forks {
            if let Some(same) = schedule.entries().find(|entry| entry.version == later.version) {
                return Err(ScheduleError::SameVersion {
                    first: same.fork,
                    second: later.fork,
                    version: later.version,
                });
            }
            if later.epoch == FAR_FUTURE_EPOCH {
                schedule.unscheduled.push(later);
                continue;
            }
            if let Some(earlier) = schedule.unscheduled.last() {
                return Err(ScheduleError::Gap {
                    earlier: earlier.fork,
                    later: later.fork,
                    later_epoch: later.epoch,
                });
            }
            let earlier = schedule.last();
            if later.epoch < earlier.epoch {
                return Err(ScheduleError::Order {
                    earlier: earlier.fork,
                    earlier_epoch: earlier.epoch,
                    later: later.fork,
                    later_epoch: later.epoch,
                });
            }
            schedule.scheduled.push(later);
        }
        Ok(schedule)
    }

    /// Adds a scheduled fork that is not known by name. Its duties have the form of the fork before it,
    /// which is the nearest thing known.
    pub(super) fn with_unknown(
        mut self,
        name: String,
        version: ForkVersion,
        epoch: Epoch,
    ) -> Result<Self, ScheduleError> {
        if self.entries().any(|entry| entry.version == version) {
            let name = name.chars().take(32).collect();
            return Err(ScheduleError::UnknownSameVersion { name, version });
        }
        let fork = self.at(epoch).fork;
        let position = self.scheduled.partition_point(|entry| entry.epoch <= epoch);
        self.scheduled.insert(position, ForkEntry { fork, version, epoch });
        Ok(self)
    }

    pub(super) fn genesis_version(&self) -> ForkVersion {
        self.genesis.version
    }

    /// The scheduled fork that `epoch` is in.
    pub(super) fn at(&self, epoch: Epoch) -> &ForkEntry {
        self.scheduled.iter().rev().find(|entry| entry.epoch <= epoch).unwrap_or(&self.genesis)
    }

    pub(super) fn epoch_of(&self, fork: ForkName) -> Option<Epoch> {
        std::iter::once(&self.genesis)
            .chain(&self.scheduled)
            .find(|entry| entry.fork == fork)
            .map(|entry| entry.epoch)
    }

    pub(super) fn version_of(&self, fork: ForkName) -> Option<ForkVersion> {
        self.entries().find(|entry| entry.fork == fork).map(|entry| entry.version)
    }

    /// The fork whose rules a message of `epoch` under `version` follows.
    ///
    /// Up to the last scheduled fork the version has to be the schedule's. In the epochs of that fork
    /// and after it the chain may have moved on without this program: there a version that belongs to
    /// no scheduled fork is taken from the request.
    pub(super) fn resolve(
        &self,
        epoch: Epoch,
        version: ForkVersion,
    ) -> Result<ForkName, VersionError> {
        let expected = self.at(epoch);
        if version == expected.version {
            return Ok(expected.fork);
        }
        let is_scheduled = version == self.genesis.version
            || self.scheduled.iter().any(|entry| entry.version == version);
        if is_scheduled || !self.is_open_ended(epoch) {
            return Err(VersionError { expected: expected.version });
        }
        Ok(self.fork_of(version))
    }

    /// The fork of a version, whatever the epoch. One that is not named counts as a fork after the
    /// last one named, which is the nearest thing known.
    pub(super) fn fork_of(&self, version: ForkVersion) -> ForkName {
        let latest = self.unscheduled.last().unwrap_or_else(|| self.last());
        self.entries().find(|entry| entry.version == version).unwrap_or(latest).fork
    }

    /// Whether `epoch` is in the last scheduled fork or after it.
    pub(super) fn is_open_ended(&self, epoch: Epoch) -> bool {
        epoch >= self.last().epoch
    }

    /// The last scheduled fork.
    fn last(&self) -> &ForkEntry {
        self.scheduled.last().unwrap_or(&self.genesis)
    }

    fn entries(&self) -> impl Iterator<Item = &ForkEntry> {
        std::iter::once(&self.genesis).chain(&self.scheduled).chain(&self.unscheduled)
    }
}
