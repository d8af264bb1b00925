//! What goes over the control socket, and what the commands print with `--json`.
//!
//! Slots and epochs are quoted, as everywhere in Ethereum's interfaces; counts are not.

use std::fmt;

use eth_types::{Epoch, PublicKey, Root, Slot};
use serde::{Deserialize, Serialize};
use slashing_db::{Identity, Marks, Span};

/// Paths of the control interface. It is the program's own: both ends are of one version. Every request says
/// which signer it is for, see [`super::expected`]; a signer that would not look at that (/v1) is not asked.
pub mod paths {
    /// POST an interchange file; the answer is a line of JSON for each [`super::ImportEvent`].
    pub const IMPORT: &str = "/v2/slashing-protection/import";
    /// POST an [`super::ExportRequest`]; the answer is an interchange file, with the
    /// [`super::ExportTotals`] or the error in its trailer.
    pub const EXPORT: &str = "/v2/slashing-protection/export";
    /// POST a [`super::ShowRequest`]; the answer is a [`super::WatermarksShown`].
    pub const SHOW: &str = "/v2/slashing-protection/watermarks/show";
    /// POST a [`super::RaiseRequest`]; the answer is a [`super::RaiseReport`].
    pub const RAISE: &str = "/v2/slashing-protection/watermarks/raise";
    /// POST a [`super::HighChange`]; the answer is a [`super::HighReport`].
    pub const HIGH: &str = "/v2/slashing-protection/watermarks/high";
}

/// A step of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ImportEvent {
    /// How far it is.
    Progress {
        /// Steps done.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// What became of a validator of the file. These come when all is done.
    Validator(ImportLine),
    /// The end of an import that was done, even if validators were refused.
    Done(ImportTotals),
    /// The end of an import that was not done.
    Failed {
        /// Why.
        error: String,
    },
}

/// What became of one validator of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportLine {
    /// The validator; for one that is not ours, the key in the file; `None` for an entry whose key
    /// cannot be read.
    pub validator: Option<PublicKey>,
    /// What became of it.
    pub outcome: ImportWord,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Blocks of the file.
    pub blocks: u64,
    /// Attestations of the file.
    pub attestations: u64,
    /// Records that were not here before.
    pub added: u64,
    /// Added records that contradict others.
    pub contradictions: u64,
    /// The file begins above every block that was signed here: up to this slot none is signed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_slot: Option<Slot>,
    /// The same for attestations and their targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_epoch: Option<Epoch>,
    /// The operators whose share's key the file has the records under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares_of: Vec<u8>,
}

/// What can become of a validator of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportWord {
    /// Nothing was known of it before.
    Imported,
    /// Its records were added to those already here.
    Merged,
    /// Everything was here already.
    NothingNew,
    /// None of its records was taken.
    Refused,
}

impl fmt::Display for ImportLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.validator {
            Some(validator) => write!(f, "{validator} ")?,
            None => f.write_str("an entry without a usable key ")?,
        }
        match self.outcome {
            ImportWord::Imported => f.write_str("imported: ")?,
            ImportWord::Merged => f.write_str("merged: ")?,
            ImportWord::NothingNew => f.write_str("nothing new: ")?,
            ImportWord::Refused => {
                return write!(f, "refused: {}", self.reason.as_deref().unwrap_or_default());
            }
        }
        write!(
            f,
            "{} and {}",
            counted(self.blocks, "block"),
            counted(self.attestations, "attestation")
        )?;
        if self.outcome == ImportWord::Merged {
            write!(f, ", {} of them new", self.added)?;
        }
        if let [operator] = self.shares_of[..] {
            write!(f, " (records of operator {operator}'s share)")?;
        } else if !self.shares_of.is_empty() {
            let operators: Vec<_> = self.shares_of.iter().map(u8::to_string).collect();
            write!(f, " (records of the shares of operators {})", operators.join(", "))?;
        }
        if self.contradictions > 0 {
            write!(
                f,
                "; WARNING: {} of them contradict other records: something slashable was signed with \
                 this key, unless one of the records stands for a watermark of the signer that exported it",
                self.contradictions
            )?;
        }
        if let Some(closed) = self.closed() {
            write!(f, "; {closed}")?;
        }
        Ok(())
    }
}

impl ImportLine {
    /// What is not signed any more, if the file begins above what was signed here.
    pub fn closed(&self) -> Option<String> {
        let closed = [
            self.closed_slot.map(|slot| format!("new block up to slot {slot}")),
            self.closed_epoch.map(|epoch| format!("new attestation up to epoch {epoch}")),
        ];
        let closed: Vec<_> = closed.into_iter().flatten().collect();
        (!closed.is_empty()).then(|| {
            let closed = closed.join(" and no ");
            format!("the file begins above what was signed here: no {closed} is signed any more")
        })
    }
}

/// How many validators became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportTotals {
    /// Validators of the file.
    pub validators: u64,
    /// See [`ImportWord::Imported`].
    pub imported: u64,
    /// See [`ImportWord::Merged`].
    pub merged: u64,
    /// See [`ImportWord::NothingNew`].
    pub nothing_new: u64,
    /// See [`ImportWord::Refused`].
    pub refused: u64,
    /// Records that were not here before.
    pub added: u64,
}

impl ImportTotals {
    /// Counts a line.
    pub fn count(&mut self, line: &ImportLine) {
        self.validators += 1;
        self.added += line.added;
        *match line.outcome {
            ImportWord::Imported => &mut self.imported,
            ImportWord::Merged => &mut self.merged,
            ImportWord::NothingNew => &mut self.nothing_new,
            ImportWord::Refused => &mut self.refused,
        } += 1;
    }
}

impl fmt::Display for ImportTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.validators == 0 {
            return f.write_str("The file holds no validators: there was nothing to do.");
        }
        write!(
            f,
            "{}: {} imported, {} merged, {} with nothing new, {} refused; {} added.",
            counted(self.validators, "validator"),
            self.imported,
            self.merged,
            self.nothing_new,
            self.refused,
            counted(self.added, "record")
        )
    }
}

/// What to export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Only these, by their own keys or those of shares; `None` for all.
    pub validators: Option<Vec<PublicKey>>,
    /// One block and one attestation with the highest numbers in place of the whole history.
    pub minimal: bool,
}

/// What an export holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportTotals {
    /// Validators.
    pub validators: u64,
    /// Blocks.
    pub blocks: u64,
    /// Attestations.
    pub attestations: u64,
}

impl fmt::Display for ExportTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with {} and {}",
            counted(self.validators, "validator"),
            counted(self.blocks, "block"),
            counted(self.attestations, "attestation")
        )
    }
}

/// Whose watermarks to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowRequest {
    /// Only theirs; `None` for all.
    pub validators: Option<Vec<PublicKey>>,
}

/// The watermarks of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermarksShown {
    /// The network's name.
    pub network: String,
    /// The chain.
    pub genesis_validators_root: Root,
    /// The cluster, if it is one's.
    pub cluster_lock_hash: Option<Root>,
    /// At or above it nothing is signed.
    pub high: High,
    /// Raised for all validators, those included that are not known yet.
    pub raised_for_all: Numbers,
    /// One for each.
    pub validators: Vec<ValidatorNumbers>,
    /// Validators that were asked for and of which nothing is recorded.
    pub unknown: Vec<PublicKey>,
}

impl WatermarksShown {
    /// The identity's part.
    pub(crate) fn of_identity(identity: &Identity) -> Self {
        Self {
            network: identity.network.clone(),
            genesis_validators_root: identity.genesis_validators_root,
            cluster_lock_hash: identity.cluster_lock_hash,
            high: High::default(),
            raised_for_all: Numbers::default(),
            validators: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

/// The watermarks of a validator; what they mean is said at [`slashing_db::ValidatorWatermarks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorNumbers {
    /// The validator.
    pub validator: PublicKey,
    /// The earliest known.
    pub low: Numbers,
    /// What was raised.
    pub raised: Numbers,
    /// The highest recorded.
    pub highest: Numbers,
}

/// A slot and two epochs, each of which may not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// For blocks.
    pub slot: Option<Slot>,
    /// For attestations' sources.
    pub source_epoch: Option<Epoch>,
    /// For attestations' targets.
    pub target_epoch: Option<Epoch>,
}

impl From<Marks> for Numbers {
    fn from(marks: Marks) -> Self {
        Self {
            slot: marks.slot,
            source_epoch: marks.span.map(|span| span.source),
            target_epoch: marks.span.map(|span| span.target),
        }
    }
}

impl From<Numbers> for Marks {
    /// An epoch without the other stands for both.
    fn from(numbers: Numbers) -> Self {
        let target = numbers.target_epoch.or(numbers.source_epoch);
        let span =
            target.map(|target| Span { source: numbers.source_epoch.unwrap_or(target), target });
        Self { slot: numbers.slot, span }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs = self.source_epoch.zip(self.target_epoch);
        match (self.slot, epochs) {
            (None, None) => f.write_str("none"),
            (Some(slot), None) => write!(f, "slot {slot}"),
            (None, Some((source, target))) => write!(f, "source {source}, target {target}"),
            (Some(slot), Some((source, target))) => {
                write!(f, "slot {slot}, source {source}, target {target}")
            }
        }
    }
}

/// The high watermark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct High {
    /// No block at or above it.
    pub slot: Option<Slot>,
    /// No attestation with a target at or above it.
    pub epoch: Option<Epoch>,
}

impl fmt::Display for High {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.slot, self.epoch) {
            (None, None) => f.write_str("none"),
            (Some(slot), None) => write!(f, "slot {slot}"),
            (None, Some(epoch)) => write!(f, "epoch {epoch}"),
            (Some(slot), Some(epoch)) => write!(f, "slot {slot}, epoch {epoch}"),
        }
    }
}

/// To where watermarks are to be raised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseRequest {
    /// The new watermarks; what is missing stays as it is.
    pub to: Numbers,
    /// Whose; `None` for all, also those that come later.
    pub validators: Option<Vec<PublicKey>>,
}

/// What a raise did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseReport {
    /// One for each validator, and before them one for all if all were raised.
    pub lines: Vec<RaiseLine>,
}

impl RaiseReport {
    /// How many validators were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.lines.iter().filter(|line| line.refused.is_some()).count()
    }
}

/// What a raise did to one validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseLine {
    /// The validator; `None` for what holds for all, those included that are not known yet.
    pub validator: Option<PublicKey>,
    /// The raised watermark before.
    pub before: Numbers,
    /// And after.
    pub after: Numbers,
    /// Why it was not raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl fmt::Display for RaiseLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.validator {
            Some(validator) => write!(f, "{validator} ")?,
            None => f.write_str("all validators (those to come included) ")?,
        }
        if let Some(reason) = &self.refused {
            write!(f, "refused: {reason}")
        } else if self.before == self.after {
            write!(f, "unchanged: {}", self.after)
        } else if self.before == Numbers::default() {
            write!(f, "raised to {}", self.after)
        } else {
            write!(f, "raised from {} to {}", self.before, self.after)
        }
    }
}

/// What to do with the high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HighChange {
    /// Set the parts that are given; the other stays.
    Set(High),
    /// Remove both.
    Clear,
}

/// What became of the high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighReport {
    /// Before.
    pub before: High,
    /// After.
    pub after: High,
}

/// Why a request to the control interface failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason.
    pub error: String,
}

/// A number with its noun.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
