//! What a node co-signs for its peers, and what it asks them to (protocol.md, section 4).
//!
//! A co-signed duty needs no agreement, because a second signature over another message does no harm.
//! But a signature is a signature: a peer must not collect reveals of the future, redirect fees, or
//! have any number of messages signed.

use std::ops::RangeInclusive;

use eth_types::containers::BUILDER_INDEX_SELF_BUILD;
use eth_types::duty::{Duty, DutyClass, DutyKind, Message};
use eth_types::network::Network;
use eth_types::{Epoch, ExecutionAddress, PublicKey, Slot};

use crate::message::{CosignRefusal, DutyMoment};
use crate::timing::{UnixMillis, current_slot};

/// Gas limits that a registration or a proposer's preferences may name. Mainnet's target was 30 million in 2021 and doubled by
/// 2025; the bounds only keep out what no network uses.
pub const GAS_LIMITS: RangeInclusive<u64> = 10_000_000..=1_000_000_000;

/// How far peers' clocks may be ahead of the own one, in milliseconds.
const CLOCK_SKEW_MILLIS: u64 = 1_000;

/// Subcommittees of a sync committee (consensus-specs, Altair); moments name one.
const SYNC_COMMITTEE_SUBNET_COUNT: u64 = 4;

/// Builders that one operator's client may ask for bids for one slot: each request has an auth of its
/// own. Clients are configured with a handful.
const BUILDERS_PER_SLOT: u64 = 16;

/// Preferences that one operator's client may state for one slot: they name the block that the
/// proposers follow from, which a reorganisation changes. Fee recipient and gas limit are checked.
const PREFERENCES_PER_SLOT: u64 = 4;

/// A validator of the cluster, as far as policy needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// Its public key.
    pub public_key: PublicKey,
    /// Where its fees go: the lock's address, or the operator's override.
    pub fee_recipient: ExecutionAddress,
}

/// The operator's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Sign nothing that the own validator client did not ask for.
    pub own_client_only: bool,
    /// Gas limits that a registration or a proposer's preferences may name.
    pub gas_limits: RangeInclusive<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { own_client_only: false, gas_limits: GAS_LIMITS }
    }
}

impl Policy {
    /// Whether a duty may be co-signed now, whoever asks. Says which moment it is for; how many
    /// messages an operator gets for one moment is the caller's to count.
    ///
    /// # Errors
    /// Why not.
    pub fn check(
        &self,
        duty: &Duty,
        validator: &Validator,
        network: &Network,
        now: UnixMillis,
    ) -> Result<DutyMoment, CosignRefusal> {
        if duty.class() != DutyClass::CoSigned {
            return Err(CosignRefusal::WrongClass);
        }
        let current = current_slot(network, now);
        let soonest = current_slot(network, UnixMillis::new(now.get() + CLOCK_SKEW_MILLIS));
        let slots_per_epoch = network.slots_per_epoch();
        let this_epoch = current.epoch(slots_per_epoch);
        let soonest_epoch = soonest.epoch(slots_per_epoch);
        // What is signed ahead of time: this epoch and so many to come; the last one does no harm.
        let ahead = |epoch: Epoch, epochs: u64| {
            epoch.saturating_add(1) >= this_epoch && epoch <= soonest_epoch.saturating_add(epochs)
        };
        // What is signed when its slot has come: up to an epoch ago.
        let come =
            |slot: Slot| slot <= soonest && slot.saturating_add(slots_per_epoch.get()) >= current;
        // What only counts in its slot: that slot, or the one before.
        let recent = |slot: Slot| slot <= soonest && slot.saturating_add(1) >= current;
        let kind = duty.kind();
        let moment = |slot, part| DutyMoment { kind, slot, part };
        let (moment, in_window) = match duty.message() {
            Message::RandaoReveal(epoch) => {
                (moment(epoch.start_slot(slots_per_epoch), 0), ahead(*epoch, 1))
            }
            Message::AggregationSlot(slot) => {
                (moment(*slot, 0), ahead(slot.epoch(slots_per_epoch), 1))
            }
            // Clients ask for these up to two epochs ahead.
            Message::SyncCommitteeSelectionProof(data) => (
                moment(data.slot, data.subcommittee_index),
                ahead(data.slot.epoch(slots_per_epoch), 2),
            ),
            Message::AggregateAndProof(aggregate) => {
                (moment(aggregate.slot(), 0), come(aggregate.slot()))
            }
            // Its slot is not signed, so each slot that is let in is another block root that a peer can
            // have signed: only the slot of the clock and the one before.
            Message::SyncCommitteeMessage(message) => {
                (moment(message.slot, 0), recent(message.slot))
            }
            Message::SyncCommitteeContributionAndProof(contribution) => (
                moment(contribution.slot(), contribution.subcommittee_index()),
                come(contribution.slot()),
            ),
            Message::ValidatorRegistration(registration) => {
                if registration.pubkey != validator.public_key {
                    return Err(CosignRefusal::PublicKey);
                }
                if registration.fee_recipient != validator.fee_recipient {
                    return Err(CosignRefusal::FeeRecipient);
                }
                if !self.gas_limits.contains(&registration.gas_limit) {
                    return Err(CosignRefusal::GasLimit);
                }
                let latest = now.get().saturating_add(CLOCK_SKEW_MILLIS) / 1000;
                // Before genesis a registration is stamped with genesis.
                if registration.timestamp > latest.max(network.genesis_time()) {
                    return Err(CosignRefusal::Timestamp);
                }
                // It has no slot of its own; the one it is asked in bounds how many are signed.
                (moment(current, 0), true)
            }
            Message::PayloadAttestation(data) => (moment(data.slot, 0), recent(data.slot)),
            Message::ExecutionPayloadEnvelope(envelope) => {
                // Another builder's payload is signed with that builder's key.
                if envelope.builder_index != BUILDER_INDEX_SELF_BUILD {
                    return Err(CosignRefusal::BuildersMessage);
                }
                if envelope.payload.fee_recipient != validator.fee_recipient {
                    return Err(CosignRefusal::FeeRecipient);
                }
                (moment(envelope.slot(), 0), recent(envelope.slot()))
            }
            Message::ProposerPreferences(preferences) => {
                if preferences.fee_recipient != validator.fee_recipient {
                    return Err(CosignRefusal::FeeRecipient);
                }
                if !self.gas_limits.contains(&preferences.target_gas_limit) {
                    return Err(CosignRefusal::GasLimit);
                }
                let slot = preferences.proposal_slot;
                (moment(slot, 0), ahead(slot.epoch(slots_per_epoch), 1))
            }
            Message::BuilderRequestAuth(auth) => {
                (moment(auth.slot, 0), ahead(auth.slot.epoch(slots_per_epoch), 1))
            }
            Message::Block(_)
            | Message::Attestation(_)
            | Message::Deposit(_)
            | Message::VoluntaryExit(_)
            | Message::ExecutionPayloadBid(_) => return Err(CosignRefusal::WrongClass),
        };
        // Else a peer could have any number of messages signed, each for another one.
        if moment.part >= SYNC_COMMITTEE_SUBNET_COUNT {
            return Err(CosignRefusal::Subcommittee);
        }
        if in_window { Ok(moment) } else { Err(CosignRefusal::OutOfWindow) }
    }
}

/// How many differing messages of one moment are co-signed for one operator.
#[must_use]
pub const fn messages_per_operator(kind: DutyKind) -> u64 {
    match kind {
        DutyKind::BuilderRequestAuth => BUILDERS_PER_SLOT,
        DutyKind::ProposerPreferences => PREFERENCES_PER_SLOT,
        _ => 1,
    }
}

/// Whether every validator client of a cluster asks for the same message, so that one's request can
/// be answered to all.
#[must_use]
pub const fn is_deterministic(duty: &Message) -> bool {
    matches!(
        duty,
        Message::RandaoReveal(_)
            | Message::AggregationSlot(_)
            | Message::SyncCommitteeSelectionProof(_)
    )
}
