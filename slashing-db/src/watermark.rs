//! Watermarks, shown and raised.

use std::collections::BTreeMap;

use eth_types::{Epoch, PublicKey, Slot};

use crate::db::SlashingDb;
use crate::error::TaskError;
use crate::memory::{Marks, Memory, Validator};
use crate::record::MAX_NUMBER;
use crate::store::Store;
use crate::store::validators::ValidatorRow;
use crate::writer::shared::Shared;

/// The watermarks of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermarks {
    /// Raised for all validators, those included that are not known yet.
    pub raised_for_all: Marks,
    /// At or above it no block is signed.
    pub high_slot: Option<Slot>,
    /// At or above it no attestation is signed.
    pub high_epoch: Option<Epoch>,
    /// Those of each validator, in the order in which they came to the database.
    pub validators: Vec<ValidatorWatermarks>,
}

/// The watermarks of one validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidatorWatermarks {
    /// The validator.
    pub validator: PublicKey,
    /// The earliest that is known of it: at or below it (for a source: below it) only repeats are
    /// signed.
    pub low: Marks,
    /// What was raised, for it or for all: at or below it (for a source: below it) nothing is signed.
    pub raised: Marks,
    /// The highest recorded; the two epochs may be of two attestations.
    pub highest: Marks,
}

/// The high watermark: at or above it nothing is signed, by any validator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HighWatermark {
    /// For blocks; `None` where none is set.
    pub slot: Option<Slot>,
    /// For attestations, their source and their target; `None` where none is set.
    pub epoch: Option<Epoch>,
}

/// Why a watermark was not moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatermarkError {
    /// A number beyond what is stored.
    #[error("{value} is beyond 2^63 - 1, the largest that is stored")]
    OutOfRange {
        /// The number.
        value: u64,
    },
    /// No attestation has a source after its target.
    #[error("source epoch {source_epoch} is after target epoch {target}")]
    SourceAfterTarget {
        /// The source epoch asked for.
        source_epoch: Epoch,
        /// The target epoch asked for.
        target: Epoch,
    },
    /// Nothing could be signed any more.
    #[error("{what}: low {low} is not below high {high}; nothing could be signed between them")]
    Crossed {
        /// Slots or epochs.
        what: &'static str,
        /// The low or raised watermark.
        low: u64,
        /// The high watermark.
        high: u64,
    },
    /// The database did not take it.
    #[error(transparent)]
    Database(#[from] TaskError),
}

impl SlashingDb {
    /// All watermarks; with `validators` only theirs, as far as they are known.
    ///
    /// # Errors
    /// The database is closed or has stopped.
    pub fn watermarks(&self, validators: Option<Vec<PublicKey>>) -> Result<Watermarks, TaskError> {
        self.run(move |_, shared| {
            let memory = shared.memory();
            let wanted =
                |key: &PublicKey| validators.as_ref().is_none_or(|keys| keys.contains(key));
            Ok(Watermarks {
                raised_for_all: memory.floor,
                high_slot: memory.high_slot,
                high_epoch: memory.high_epoch,
                validators: memory
                    .validators()
                    .iter()
                    .filter(|validator| wanted(&validator.public_key))
                    .map(|validator| ValidatorWatermarks {
                        validator: validator.public_key,
                        low: validator.low,
                        raised: memory.floor.max(validator.floor).max(validator.guard),
                        highest: validator.peak,
                    })
                    .collect(),
            })
        })
    }

    /// The high watermark, from memory: never waits for the disk.
    #[must_use]
    pub fn high_watermark(&self) -> HighWatermark {
        high_watermark(&self.memory())
    }

    /// Raises the watermark: from now on no block at or below the slot is signed, and no attestation
    /// with a target at or below the span's target or a source below its source; not even a repeat.
    /// For the given validators, known or not; without any for all, also those that come later. A
    /// number that is lower than what holds already changes nothing.
    ///
    /// # Errors
    /// The numbers make no sense or reach the high watermark; or the database did not take them.
    pub fn raise_watermark(
        &self,
        to: Marks,
        validators: Option<Vec<PublicKey>>,
    ) -> Result<(), WatermarkError> {
        check_numbers(&to)?;
        self.run(move |store, shared| {
            let HighWatermark { slot, epoch } = high_watermark(&shared.memory());
            if let Err(crossed) = check_high(slot, epoch, &to) {
                return Ok(Err(crossed));
            }
            match validators {
                None => raise_all(store, shared, to)?,
                Some(keys) => raise_some(store, shared, to, &keys)?,
            }
            Ok(Ok(()))
        })?
    }

    /// Sets the high watermark, or removes the part that is `None`: at or above it nothing is signed.
    ///
    /// # Errors
    /// A low or raised watermark is not below it; or the database did not take it.
    pub fn set_high_watermark(
        &self,
        slot: Option<Slot>,
        epoch: Option<Epoch>,
    ) -> Result<(), WatermarkError> {
        in_range(slot.map(Slot::as_u64))?;
        in_range(epoch.map(Epoch::as_u64))?;
        self.run(move |store, shared| {
            if let Err(crossed) = check_lows(slot, epoch, &shared.memory()) {
                return Ok(Err(crossed));
            }
            store.change(|metadata, _| {
                (metadata.high_slot, metadata.high_epoch) = (slot, epoch);
                Ok(())
            })?;
            let mut memory = shared.memory_mut();
            (memory.high_slot, memory.high_epoch) = (slot, epoch);
            Ok(Ok(()))
        })?
    }
}

const fn high_watermark(memory: &Memory) -> HighWatermark {
    HighWatermark { slot: memory.high_slot, epoch: memory.high_epoch }
}

// Memory follows the disk, so that nobody who asks it waits for the disk. Only the writer thread, on
// which these run, changes either.

fn raise_all(store: &mut Store, shared: &Shared, to: Marks) -> rusqlite::Result<()> {
    let floor = shared.memory().floor.max(to);
    store.change(|metadata, _| {
        metadata.floor = floor;
        Ok(())
    })?;
    shared.memory_mut().floor = floor;
    Ok(())
}

fn raise_some(
    store: &mut Store,
    shared: &Shared,
    to: Marks,
    keys: &[PublicKey],
) -> rusqlite::Result<()> {
    let mut validators: BTreeMap<i64, Validator> = BTreeMap::new();
    for key in keys {
        let mut memory = shared.memory_mut();
        let validator = memory.entry(key);
        validators.insert(validator.id, validator.clone());
    }
    store.change(|metadata, conn| {
        for validator in validators.values_mut() {
            validator.floor = validator.floor.max(to);
            ValidatorRow::new(validator, &mut metadata.validators_digest).write(conn)?;
        }
        Ok(())
    })?;
    shared.memory_mut().put_back(validators.into_values().collect());
    Ok(())
}

fn check_numbers(to: &Marks) -> Result<(), WatermarkError> {
    in_range(to.slot.map(Slot::as_u64))?;
    let Some(span) = to.span else { return Ok(()) };
    in_range(Some(span.target.as_u64()))?;
    if span.source > span.target {
        return Err(WatermarkError::SourceAfterTarget {
            source_epoch: span.source,
            target: span.target,
        });
    }
    Ok(())
}

fn in_range(value: Option<u64>) -> Result<(), WatermarkError> {
    match value {
        Some(value) if value > MAX_NUMBER => Err(WatermarkError::OutOfRange { value }),
        _ => Ok(()),
    }
}

/// That every low and raised watermark is below the high one.
fn check_lows(
    high_slot: Option<Slot>,
    high_epoch: Option<Epoch>,
    memory: &Memory,
) -> Result<(), WatermarkError> {
    let lows = memory.validators().iter().map(|v| v.low.max(v.floor).max(v.guard));
    lows.chain([memory.floor]).try_for_each(|low| check_high(high_slot, high_epoch, &low))
}

fn check_high(
    high_slot: Option<Slot>,
    high_epoch: Option<Epoch>,
    low: &Marks,
) -> Result<(), WatermarkError> {
    let crossed = |what, low, high| match (low, high) {
        (Some(low), Some(high)) if low >= high => Err(WatermarkError::Crossed { what, low, high }),
        _ => Ok(()),
    };
    crossed("slot watermarks", low.slot.map(Slot::as_u64), high_slot.map(Slot::as_u64))?;
    crossed(
        "epoch watermarks",
        low.span.map(|span| span.target.as_u64()),
        high_epoch.map(Epoch::as_u64),
    )
}
