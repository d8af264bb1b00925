//! When things happen in a slot: T0, the margin D, rounds, graces and deadlines (protocol.md,
//! section 2). The figures are for 12 s slots and scale with the slot; a floor keeps short test slots
//! workable, because networks and disks do not get faster with them.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use eth_types::network::Network;
use eth_types::{Epoch, Slot};

use crate::agreement::InstanceKey;

/// A point in time: milliseconds since the Unix epoch, on the node's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// Wraps the milliseconds.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// The milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This point less a duration; stays at zero.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl Add<Duration> for UnixMillis {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The slot length for which the figures below are given.
const REFERENCE_SLOT: Duration = Duration::from_secs(12);

/// Durations of the protocol, already scaled to the network's slot. Every node of a cluster should
/// run the same ones: T0 and the rounds are how they meet without talking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// From the attestation's due time to its T0.
    pub attestation_t0: Duration,
    /// From the slot's start to the block's T0.
    pub block_t0: Duration,
    /// D: network delay plus clock skew that is still counted as no fault.
    pub margin: Duration,
    /// How long a node whose own validator client may still ask waits before it adopts.
    pub adopt_grace: Duration,
    /// How long the candidate of the leader is waited for.
    pub candidate_wait: Duration,
    /// Length of a round of an attestation.
    pub attestation_round: Duration,
    /// Length of a round of a block.
    pub block_round: Duration,
    /// How many slots after its own an attestation is still signed.
    pub attestation_lateness: u64,
    /// How long a request may take before it fails with a reason: less than the shortest time limit
    /// of a validator client (Nimbus gives 3 s for all its tries).
    pub request_limit: Duration,
    /// A node takes part only in slots that begin this much after its start.
    pub warm_up: Duration,
}

impl Timing {
    /// The figures of the protocol for a network's slots.
    #[must_use]
    pub fn for_network(network: &Network) -> Self {
        Self::for_slot(network.slot_duration())
    }

    /// The figures of the protocol for slots of this length.
    #[must_use]
    pub fn for_slot(slot: Duration) -> Self {
        let scaled = |at_reference: u64, floor: u64| {
            let scaled = Duration::from_millis(at_reference)
                .mul_f64(slot.as_secs_f64() / REFERENCE_SLOT.as_secs_f64());
            Duration::from_millis(millis(scaled).max(floor))
        };
        Self {
            attestation_t0: scaled(1000, 250),
            block_t0: scaled(2500, 500),
            margin: scaled(250, 60),
            adopt_grace: scaled(60, 20),
            candidate_wait: scaled(300, 75),
            attestation_round: scaled(1000, 300),
            block_round: scaled(500, 200),
            attestation_lateness: 1,
            request_limit: Duration::from_millis(2300),
            warm_up: scaled(1000, 250),
        }
    }
}

/// The clock of one agreement instance, all points absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The slot begins; nothing is sent before.
    pub start: UnixMillis,
    /// T0: the leaderless round ends, round 1 begins.
    pub t0: UnixMillis,
    /// D.
    pub margin: Duration,
    /// See [`Timing::adopt_grace`].
    pub adopt_grace: Duration,
    /// See [`Timing::candidate_wait`].
    pub candidate_wait: Duration,
    /// Length of a round from 1 on.
    pub round: Duration,
    /// The duty is lost: rounds end.
    pub deadline: UnixMillis,
}

impl Schedule {
    /// The clock of an instance.
    #[must_use]
    pub fn new(key: &InstanceKey, network: &Network, timing: &Timing) -> Self {
        let start = UnixMillis::new(network.slot_start(key.slot()));
        let (t0, round, end) = match key {
            InstanceKey::Attestation { slot, .. } => (
                start + network.attestation_due_at(*slot) + timing.attestation_t0,
                timing.attestation_round,
                slot.saturating_add(1 + timing.attestation_lateness),
            ),
            InstanceKey::Block { slot, .. } => {
                (start + timing.block_t0, timing.block_round, slot.saturating_add(1))
            }
        };
        Self {
            start,
            t0,
            margin: timing.margin,
            adopt_grace: timing.adopt_grace,
            candidate_wait: timing.candidate_wait,
            round,
            deadline: UnixMillis::new(network.slot_start(end)),
        }
    }

    /// The last moment at which a certificate of round 0 signs by itself: T0 - D.
    #[must_use]
    pub fn fast_until(&self) -> UnixMillis {
        self.t0.before(self.margin)
    }

    /// When round `round` ends: T0 + round x length (round 0 ends at T0).
    #[must_use]
    pub fn round_end(&self, round: u32) -> UnixMillis {
        self.t0 + self.round.saturating_mul(round)
    }

    /// The round that the clock is in; 0 before T0.
    #[must_use]
    pub fn round_at(&self, now: UnixMillis) -> u32 {
        if now < self.t0 {
            return 0;
        }
        let rounds = now.since(self.t0).as_millis() / self.round.as_millis().max(1);
        u32::try_from(rounds).unwrap_or(u32::MAX - 1).saturating_add(1)
    }
}

/// The slot that the clock is in, and the one before genesis too: slot 0 is where duties begin.
#[must_use]
pub fn current_slot(network: &Network, now: UnixMillis) -> Slot {
    network.slot_at(now.get()).unwrap_or_default()
}

/// The epoch that the clock is in; epoch 0 before genesis.
#[must_use]
pub fn current_epoch(network: &Network, now: UnixMillis) -> Epoch {
    current_slot(network, now).epoch(network.slots_per_epoch())
}
