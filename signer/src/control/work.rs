//! What can be done to a slashing database besides signing, whoever asks: a command that opened the
//! file, or one that came over the control socket.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{Read, Seek, Write};

use eth_types::PublicKey;
use slashing_db::interchange::{
    ExportError, ExportForm, ExportOptions, ImportError, ImportOutcome, ImportReport, Progress,
    ValidatorReport,
};
use slashing_db::{Marks, SlashingDb, TaskError, WatermarkError};

use super::keys::KeyMap;
use super::wire::{
    ExportRequest, ExportTotals, High, HighChange, HighReport, ImportLine, ImportTotals,
    ImportWord, Numbers, RaiseLine, RaiseReport, RaiseRequest, ShowRequest, ValidatorNumbers,
    WatermarksShown,
};

/// How many keys an error names one by one.
const NAMED_KEYS: usize = 5;

/// An open database and the keys that its records may be under.
#[derive(Debug, Clone)]
pub struct Maintenance {
    db: SlashingDb,
    keys: KeyMap,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// One for each validator of the file, in the file's order.
    pub lines: Vec<ImportLine>,
    /// Their sum.
    pub totals: ImportTotals,
}

/// Why an export, or a look at watermarks, was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Keys that are neither a validator's nor a share's.
    #[error("{} of no validator of this cluster: {}", keys(.0.len()), Names(.0))]
    NotOurs(Vec<PublicKey>),
    /// Validators without a record.
    #[error("nothing is recorded of {}", Names(.0))]
    NothingRecorded(Vec<PublicKey>),
    /// A number makes no sense, or low and high watermark would cross.
    #[error(transparent)]
    Watermark(WatermarkError),
    /// The file was not written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] TaskError),
}

impl From<WatermarkError> for WorkError {
    fn from(error: WatermarkError) -> Self {
        match error {
            WatermarkError::Database(error) => Self::Database(error),
            other => Self::Watermark(other),
        }
    }
}

impl Maintenance {
    /// Takes a database that is open, in a node or for the purpose.
    #[must_use]
    pub const fn new(db: SlashingDb, keys: KeyMap) -> Self {
        Self { db, keys }
    }

    /// The database.
    #[must_use]
    pub const fn db(&self) -> &SlashingDb {
        &self.db
    }

    /// Merges an interchange file. Blocks until it is done.
    ///
    /// # Errors
    /// The file as a whole cannot be taken. A validator that cannot is a line.
    pub fn import<R: Read + Seek>(
        &self,
        from: &mut R,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, ImportError> {
        let shares: RefCell<BTreeMap<PublicKey, BTreeSet<u8>>> = RefCell::default();
        let owner = |key: &PublicKey| {
            let owner = self.keys.owner(key)?;
            if let Some(operator) = owner.share_of {
                let mut shares = shares.borrow_mut();
                shares.entry(owner.validator).or_default().insert(operator.get());
            }
            Some(owner.validator)
        };
        let ImportReport { validators } = self.db.import(from, &owner, progress)?;
        let shares = shares.into_inner();
        let mut totals = ImportTotals::default();
        let lines = validators
            .into_iter()
            .map(|report| import_line(report, &shares))
            .inspect(|line| totals.count(line))
            .collect();
        Ok(Imported { lines, totals })
    }

    /// Whether everything that an export is asked for is there. Blocks.
    ///
    /// # Errors
    /// Validators that are not ours or of which nothing is recorded.
    pub fn exportable(&self, request: &ExportRequest) -> Result<ExportOptions, WorkError> {
        let validators = match &request.validators {
            None => None,
            Some(keys) => {
                let keys = self.validators(keys)?;
                let (_, missing) = self.known(&keys)?;
                if !missing.is_empty() {
                    return Err(WorkError::NothingRecorded(missing));
                }
                Some(keys)
            }
        };
        let form = if request.minimal { ExportForm::Minimal } else { ExportForm::Complete };
        Ok(ExportOptions { validators, form })
    }

    /// Writes an interchange file. Blocks until it is written.
    ///
    /// # Errors
    /// It could not be read or written; what was written is not to be used.
    pub fn export<W: Write>(
        &self,
        to: &mut W,
        options: &ExportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ExportTotals, WorkError> {
        let report = self.db.export(to, options, progress)?;
        Ok(ExportTotals {
            validators: report.validators,
            blocks: report.blocks,
            attestations: report.attestations,
        })
    }

    /// The watermarks. Blocks.
    ///
    /// # Errors
    /// A key is not ours, or the database does not answer.
    pub fn show(&self, request: &ShowRequest) -> Result<WatermarksShown, WorkError> {
        let wanted = request.validators.as_ref().map(|keys| self.validators(keys)).transpose()?;
        let unknown = match &wanted {
            None => Vec::new(),
            Some(keys) => self.known(keys)?.1,
        };
        let found = self.db.watermarks(wanted)?;
        Ok(WatermarksShown {
            high: High { slot: found.high_slot, epoch: found.high_epoch },
            raised_for_all: found.raised_for_all.into(),
            validators: found
                .validators
                .iter()
                .map(|validator| ValidatorNumbers {
                    validator: validator.validator,
                    low: validator.low.into(),
                    raised: validator.raised.into(),
                    highest: validator.highest.into(),
                })
                .collect(),
            unknown,
            ..WatermarksShown::of_identity(self.db.identity())
        })
    }

    /// Raises watermarks. A validator that one of the numbers would lower is refused and keeps its own;
    /// if all are asked for, one that is higher already just stays. Blocks.
    ///
    /// # Errors
    /// A key is not ours, a number makes no sense or reaches the high watermark; nothing was raised.
    pub fn raise(&self, request: &RaiseRequest) -> Result<RaiseReport, WorkError> {
        match &request.validators {
            None => self.raise_all(request.to.into()),
            Some(keys) => self.raise_some(request.to.into(), &self.validators(keys)?),
        }
    }

    /// Sets or removes the high watermark. Blocks.
    ///
    /// # Errors
    /// A low or raised watermark is not below it.
    pub fn change_high(&self, change: HighChange) -> Result<HighReport, WorkError> {
        let shown = self.db.watermarks(Some(Vec::new()))?;
        let before = High { slot: shown.high_slot, epoch: shown.high_epoch };
        let after = match change {
            HighChange::Clear => High::default(),
            HighChange::Set(new) => {
                High { slot: new.slot.or(before.slot), epoch: new.epoch.or(before.epoch) }
            }
        };
        self.db.set_high_watermark(after.slot, after.epoch)?;
        Ok(HighReport { before, after })
    }

    fn raise_all(&self, to: Marks) -> Result<RaiseReport, WorkError> {
        let before = self.db.watermarks(None)?;
        let mut lines = vec![RaiseLine {
            validator: None,
            before: before.raised_for_all.into(),
            after: before.raised_for_all.max(to).into(),
            refused: lowered(before.raised_for_all, to),
        }];
        if lines.iter().all(|line| line.refused.is_none()) {
            self.db.raise_watermark(to, None)?;
            lines.extend(before.validators.iter().map(|validator| RaiseLine {
                validator: Some(validator.validator),
                before: validator.raised.into(),
                after: validator.raised.max(to).into(),
                refused: None,
            }));
        }
        Ok(RaiseReport { lines })
    }

    fn raise_some(&self, to: Marks, keys: &[PublicKey]) -> Result<RaiseReport, WorkError> {
        let before = self.db.watermarks(Some(keys.to_vec()))?;
        let of = |key: &PublicKey| {
            let found = before.validators.iter().find(|found| found.validator == *key);
            found.map_or(before.raised_for_all, |found| found.raised)
        };
        let lines: Vec<_> = keys
            .iter()
            .map(|key| {
                let (raised, refused) = (of(key), lowered(of(key), to));
                let after = if refused.is_some() { raised } else { raised.max(to) };
                RaiseLine {
                    validator: Some(*key),
                    before: raised.into(),
                    after: after.into(),
                    refused,
                }
            })
            .collect();
        let accepted: Vec<_> = lines
            .iter()
            .filter(|line| line.refused.is_none())
            .filter_map(|line| line.validator)
            .collect();
        if !accepted.is_empty() {
            self.db.raise_watermark(to, Some(accepted))?;
        }
        Ok(RaiseReport { lines })
    }

    /// The validators that `keys` stand for, each once.
    fn validators(&self, keys: &[PublicKey]) -> Result<Vec<PublicKey>, WorkError> {
        let (mut seen, mut validators, mut strangers) = (HashSet::new(), Vec::new(), Vec::new());
        for key in keys {
            match self.keys.owner(key) {
                Some(owner) if seen.insert(owner.validator) => validators.push(owner.validator),
                Some(_) => {}
                None => strangers.push(*key),
            }
        }
        if strangers.is_empty() { Ok(validators) } else { Err(WorkError::NotOurs(strangers)) }
    }

    /// Which of `keys` the database knows, and which not.
    fn known(&self, keys: &[PublicKey]) -> Result<(Vec<PublicKey>, Vec<PublicKey>), WorkError> {
        let known = self.db.watermarks(None)?.validators;
        let known: HashSet<_> = known.into_iter().map(|validator| validator.validator).collect();
        Ok(keys.iter().partition(|key| known.contains(key)))
    }
}

fn import_line(report: ValidatorReport, shares: &BTreeMap<PublicKey, BTreeSet<u8>>) -> ImportLine {
    let (outcome, reason) = match report.outcome {
        ImportOutcome::Imported => (ImportWord::Imported, None),
        ImportOutcome::Merged => (ImportWord::Merged, None),
        ImportOutcome::Unchanged => (ImportWord::NothingNew, None),
        ImportOutcome::Refused { reason } => (ImportWord::Refused, Some(reason)),
    };
    ImportLine {
        // What the import calls an entry of nobody.
        validator: (report.validator != PublicKey::ZERO).then_some(report.validator),
        outcome,
        reason,
        blocks: report.blocks,
        attestations: report.attestations,
        added: report.added,
        contradictions: report.contradictions,
        closed_slot: report.closed.slot,
        closed_epoch: report.closed.span.map(|span| span.target),
        shares_of: shares
            .get(&report.validator)
            .map(|operators| operators.iter().copied().collect())
            .unwrap_or_default(),
    }
}

/// Why `to` is no raise above what was raised before, if one of its numbers is lower.
fn lowered(before: Marks, to: Marks) -> Option<String> {
    let (before, to) = (Numbers::from(before), Numbers::from(to));
    let numbers = [
        ("slot", before.slot.map(u64_of_slot), to.slot.map(u64_of_slot)),
        ("source epoch", before.source_epoch.map(u64_of), to.source_epoch.map(u64_of)),
        ("target epoch", before.target_epoch.map(u64_of), to.target_epoch.map(u64_of)),
    ];
    numbers.into_iter().find_map(|(what, before, to)| match (before, to) {
        (Some(before), Some(to)) if to < before => Some(format!(
            "{what} {to} is below {before}, to which it was raised before; watermarks are never lowered"
        )),
        _ => None,
    })
}

const fn u64_of(epoch: eth_types::Epoch) -> u64 {
    epoch.as_u64()
}

const fn u64_of_slot(slot: eth_types::Slot) -> u64 {
    slot.as_u64()
}

fn keys(count: usize) -> &'static str {
    if count == 1 { "this key is" } else { "these keys are" }
}

/// The first keys by name, the others by number.
struct Names<'a>(&'a [PublicKey]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, key) in self.0.iter().take(NAMED_KEYS).enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{key}")?;
        }
        match self.0.len().checked_sub(NAMED_KEYS) {
            None | Some(0) => Ok(()),
            Some(others) => write!(f, " and {others} more"),
        }
    }
}
