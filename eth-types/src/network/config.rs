//! Reads a consensus-specs `config.yaml`.
//!
//! The parser's events are used, not its values: fork versions are written as hexadecimal integers
//! there (`0x00000064`), whose text is what counts. JSON is YAML, so the same reader takes both.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use saphyr_parser::{Event, Parser};

use super::builtin::ATTESTATION_DUE_GLOAS;
use super::schedule::{ForkEntry, ForkSchedule};
use super::{BASIS_POINTS, DueTime, Inner, Network, NetworkError, Preset};
use crate::fork::{FAR_FUTURE_EPOCH, ForkName};
use crate::primitives::{Epoch, ForkVersion, Root};

/// The longest configuration that is read. Real ones have 5 to 20 KiB.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;

/// The slot duration of preset mainnet, for a configuration that does not say, in milliseconds.
const DEFAULT_SLOT_MILLIS: u64 = 12_000;
/// The name of a configuration that has none.
const DEFAULT_NAME: &str = "custom";

pub(super) fn parse(
    text: &str,
    genesis_validators_root: Root,
    genesis_time: u64,
) -> Result<Network, NetworkError> {
    let config = Config::read(text)?;
    let preset: Preset = config.text("PRESET_BASE").unwrap_or("mainnet").parse()?;
    config.expect("MAX_COMMITTEES_PER_SLOT", preset.max_committees_per_slot(), preset)?;
    config.expect("SYNC_COMMITTEE_SIZE", preset.sync_committee_size(), preset)?;
    // Configurations from before presets have it; the epoch's length changes no container.
    let slots_per_epoch = match config.number("SLOTS_PER_EPOCH")? {
        Some(slots) => positive("SLOTS_PER_EPOCH", slots)?,
        None => preset.slots_per_epoch(),
    };
    let due = |key| Ok::<_, NetworkError>(config.basis_points(key)?.map(DueTime::BasisPoints));
    Ok(Network::new(Inner {
        name: config.text("CONFIG_NAME").unwrap_or(DEFAULT_NAME).to_owned(),
        preset,
        slots_per_epoch,
        genesis_validators_root,
        genesis_time,
        slot_millis: config.slot_millis()?,
        attestation_due: due("ATTESTATION_DUE_BPS")?.unwrap_or(DueTime::Third),
        attestation_due_gloas: due("ATTESTATION_DUE_BPS_GLOAS")?.unwrap_or(ATTESTATION_DUE_GLOAS),
        chain_id: config.number("DEPOSIT_CHAIN_ID")?.unwrap_or_default(),
        schedule: config.schedule()?,
    }))
}

/// The scalar values of the top-level mapping, as text.
struct Config(BTreeMap<String, String>);

impl Config {
    fn read(text: &str) -> Result<Self, NetworkError> {
        if text.len() > MAX_CONFIG_BYTES {
            return Err(NetworkError::TooLong { found: text.len(), max: MAX_CONFIG_BYTES });
        }
        let mut values = BTreeMap::new();
        let mut key: Option<String> = None;
        // How many mappings and lists are open; only what is directly in the first mapping counts.
        let mut depth = 0_usize;
        for event in Parser::new_from_str(text) {
            let (event, _) =
                event.map_err(|error| NetworkError::Yaml { reason: error.to_string() })?;
            match event {
                Event::MappingStart(..) => depth += 1,
                Event::SequenceStart(..) if depth == 0 => return Err(NetworkError::NotAMapping),
                Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => {
                    depth = depth.saturating_sub(1);
                    if depth == 1 {
                        // The value of a key was a list or a mapping: nothing here is read from one.
                        key = None;
                    }
                }
                Event::Scalar(..) if depth == 0 => return Err(NetworkError::NotAMapping),
                Event::Scalar(text, ..) if depth == 1 => match key.take() {
                    None => key = Some(text.into_owned()),
                    Some(key) => {
                        values.insert(key, text.into_owned());
                    }
                },
                Event::Alias(_) if depth == 1 => key = None,
                _ => {}
            }
        }
        if values.is_empty() { Err(NetworkError::NotAMapping) } else { Ok(Self(values)) }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, NetworkError> {
        self.text(key)
            .map(|text| text.parse().map_err(|_| wrong(key, "a whole number", text)))
            .transpose()
    }

    fn version(&self, key: &str) -> Result<Option<ForkVersion>, NetworkError> {
        self.text(key)
            .map(|text| text.parse().map_err(|_| wrong(key, "a fork version of 4 bytes", text)))
            .transpose()
    }

    /// Fails if a constant is there and has another value than the preset's.
    fn expect(&self, key: &'static str, expected: u64, preset: Preset) -> Result<(), NetworkError> {
        match self.number(key)? {
            Some(found) if found != expected => {
                Err(NetworkError::PresetValue { key, expected, found, preset })
            }
            _ => Ok(()),
        }
    }

    /// `SLOT_DURATION_MS`, or the older `SECONDS_PER_SLOT`.
    fn slot_millis(&self) -> Result<NonZeroU64, NetworkError> {
        if let Some(millis) = self.number("SLOT_DURATION_MS")? {
            return positive("SLOT_DURATION_MS", millis);
        }
        match self.number("SECONDS_PER_SLOT")? {
            Some(seconds) => positive("SECONDS_PER_SLOT", seconds.saturating_mul(1000)),
            None => positive("SLOT_DURATION_MS", DEFAULT_SLOT_MILLIS),
        }
    }

    fn basis_points(&self, key: &str) -> Result<Option<u64>, NetworkError> {
        match self.number(key)? {
            Some(points) if points > BASIS_POINTS => {
                Err(wrong(key, "at most 10000 basis points", &points.to_string()))
            }
            points => Ok(points),
        }
    }

    fn schedule(&self) -> Result<ForkSchedule, NetworkError> {
        const GENESIS: &str = "GENESIS_FORK_VERSION";
        let genesis = self
            .version(GENESIS)?
            .ok_or_else(|| NetworkError::MissingKey { key: GENESIS.to_owned() })?;
        let mut forks = Vec::new();
        for fork in ForkName::ALL.into_iter().skip(1) {
            let version_key = format!("{fork}_FORK_VERSION");
            let epoch = self.number(&format!("{fork}_FORK_EPOCH"))?.map(Epoch::new);
            match (self.version(&version_key)?, epoch) {
                (Some(version), epoch) => forks.push(ForkEntry {
                    fork,
                    version,
                    epoch: epoch.unwrap_or(FAR_FUTURE_EPOCH),
                }),
                (None, Some(epoch)) if epoch != FAR_FUTURE_EPOCH => {
                    return Err(NetworkError::MissingKey { key: version_key });
                }
                (None, _) => {}
            }
        }
        let schedule = ForkSchedule::new(genesis, forks).map_err(NetworkError::Schedule)?;
        self.forks_to_come()?
            .into_iter()
            .try_fold(schedule, |schedule, (name, version, epoch)| {
                schedule.with_unknown(name, version, epoch)
            })
            .map_err(NetworkError::Schedule)
    }

    /// Forks with a date that this crate does not know by name: pairs of `NAME_FORK_EPOCH` and
    /// `NAME_FORK_VERSION`. Features without a date have such pairs too, some with one version; they do
    /// not matter.
    fn forks_to_come(&self) -> Result<Vec<(String, ForkVersion, Epoch)>, NetworkError> {
        let mut forks = Vec::new();
        for key in self.0.keys() {
            let Some(name) = key.strip_suffix("_FORK_EPOCH") else { continue };
            if ForkName::ALL.iter().any(|known| known.as_str() == name) {
                continue;
            }
            let Some(epoch) = self.number(key)?.map(Epoch::new) else { continue };
            if epoch == FAR_FUTURE_EPOCH {
                continue;
            }
            let version_key = format!("{name}_FORK_VERSION");
            let version =
                self.version(&version_key)?.ok_or(NetworkError::MissingKey { key: version_key })?;
            forks.push((name.to_owned(), version, epoch));
        }
        // Keys come in the order of the alphabet.
        forks.sort_by_key(|(_, _, epoch)| *epoch);
        Ok(forks)
    }
}

fn positive(key: &str, number: u64) -> Result<NonZeroU64, NetworkError> {
    NonZeroU64::new(number).ok_or_else(|| wrong(key, "a number above zero", "0"))
}

fn wrong(key: &str, expected: &'static str, found: &str) -> NetworkError {
    // A value may be as long as the file; the error shows its beginning.
    let found = found.chars().take(80).collect();
    NetworkError::Value { key: key.to_owned(), expected, found }
}
