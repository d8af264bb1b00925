//! One error type per operation; both sides of every comparison are in the text.

use std::path::PathBuf;
use std::time::SystemTime;

use eth_types::{Epoch, Root, Slot};

use crate::identity::Identity;
use crate::record::Span;

/// Why a message must not be signed. The number is EIP-3076's condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Condition 1: another block of the slot is on record.
    #[error(
        "double block proposal at slot {slot}: {existing} is recorded, {new} was asked for (EIP-3076 condition 1)"
    )]
    DoubleBlock {
        /// The slot of both.
        slot: Slot,
        /// The root on record.
        existing: Root,
        /// The root asked for.
        new: Root,
    },
    /// Condition 1: a block of the slot is on record without its root.
    #[error(
        "a block of slot {slot} is recorded without a signing root, so {new} may be another one (EIP-3076 condition 1)"
    )]
    BlockWithoutRoot {
        /// The slot of both.
        slot: Slot,
        /// The root asked for.
        new: Root,
    },
    /// Condition 2: the history does not reach back to this slot.
    #[error("slot {slot} is not above the low watermark, slot {watermark} (EIP-3076 condition 2)")]
    BlockBelowWatermark {
        /// The slot asked for.
        slot: Slot,
        /// The earliest slot known.
        watermark: Slot,
    },
    /// The operator raised the watermark.
    #[error("slot {slot} is not above slot {watermark}, to which an operator raised the watermark")]
    BlockBelowRaisedWatermark {
        /// The slot asked for.
        slot: Slot,
        /// The raised watermark.
        watermark: Slot,
    },
    /// The operator set a high watermark.
    #[error("slot {slot} is not below the high watermark, slot {watermark}")]
    BlockAboveHighWatermark {
        /// The slot asked for.
        slot: Slot,
        /// The high watermark.
        watermark: Slot,
    },
    /// Condition 3: another vote for the target epoch is on record.
    #[error("double vote for target epoch {}: {existing} with root {existing_root} is recorded, {new} with root {new_root} was asked for (EIP-3076 condition 3)", new.target)]
    DoubleVote {
        /// The vote on record.
        existing: Span,
        /// Its root.
        existing_root: Root,
        /// The vote asked for.
        new: Span,
        /// Its root.
        new_root: Root,
    },
    /// Condition 3: a vote for the target epoch is on record without its root.
    #[error(
        "a vote for target epoch {target} is recorded without a signing root, so {new} may be another one (EIP-3076 condition 3)"
    )]
    VoteWithoutRoot {
        /// The target epoch of both.
        target: Epoch,
        /// The root asked for.
        new: Root,
    },
    /// Condition 3: the vote surrounds one on record.
    #[error("vote {new} surrounds the recorded vote {existing} (EIP-3076 condition 3)")]
    SurroundsExisting {
        /// The vote on record.
        existing: Span,
        /// The vote asked for.
        new: Span,
    },
    /// Condition 3: a vote on record surrounds this one.
    #[error("vote {new} is surrounded by the recorded vote {existing} (EIP-3076 condition 3)")]
    SurroundedByExisting {
        /// The vote on record.
        existing: Span,
        /// The vote asked for.
        new: Span,
    },
    /// Condition 4: the history does not reach back to this source.
    #[error(
        "source epoch {source_epoch} is below the low watermark, epoch {watermark} (EIP-3076 condition 4)"
    )]
    SourceBelowWatermark {
        /// The source epoch asked for.
        source_epoch: Epoch,
        /// The earliest source known.
        watermark: Epoch,
    },
    /// Condition 5: the history does not reach back to this target.
    #[error(
        "target epoch {target} is not above the low watermark, epoch {watermark} (EIP-3076 condition 5)"
    )]
    TargetBelowWatermark {
        /// The target epoch asked for.
        target: Epoch,
        /// The earliest target known.
        watermark: Epoch,
    },
    /// The operator raised the watermark.
    #[error(
        "vote {new} is below {watermark}, to which an operator raised the watermark (a lower source, or a target not above it)"
    )]
    AttestationBelowRaisedWatermark {
        /// The vote asked for.
        new: Span,
        /// The raised watermark.
        watermark: Span,
    },
    /// The operator set a high watermark.
    #[error("vote {new} is not below the high watermark, epoch {watermark}")]
    AttestationAboveHighWatermark {
        /// The vote asked for.
        new: Span,
        /// The high watermark.
        watermark: Epoch,
    },
    /// No valid attestation has its source after its target.
    #[error("source epoch {source_epoch} is after target epoch {target}")]
    SourceAfterTarget {
        /// The source epoch asked for.
        source_epoch: Epoch,
        /// The target epoch asked for.
        target: Epoch,
    },
    /// The number cannot be stored.
    #[error("{what} {value} is beyond 2^63 - 1, the largest that is stored")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// The database cannot record at present.
    #[error(transparent)]
    Stopped(#[from] FailStop),
}

impl Refusal {
    /// A short fixed word for logs and metric labels.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::DoubleBlock { .. } => "double_block",
            Self::BlockWithoutRoot { .. } => "block_without_root",
            Self::BlockBelowWatermark { .. } => "block_below_watermark",
            Self::BlockBelowRaisedWatermark { .. } => "block_below_raised_watermark",
            Self::BlockAboveHighWatermark { .. } => "block_above_high_watermark",
            Self::DoubleVote { .. } => "double_vote",
            Self::VoteWithoutRoot { .. } => "vote_without_root",
            Self::SurroundsExisting { .. } => "surrounds_existing",
            Self::SurroundedByExisting { .. } => "surrounded_by_existing",
            Self::SourceBelowWatermark { .. } => "source_below_watermark",
            Self::TargetBelowWatermark { .. } => "target_below_watermark",
            Self::AttestationBelowRaisedWatermark { .. } => "attestation_below_raised_watermark",
            Self::AttestationAboveHighWatermark { .. } => "attestation_above_high_watermark",
            Self::SourceAfterTarget { .. } => "source_after_target",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Stopped(_) => "stopped",
        }
    }

    /// EIP-3076's condition number; `None` for rules beyond the EIP.
    #[must_use]
    pub const fn condition(&self) -> Option<u8> {
        match self {
            Self::DoubleBlock { .. } | Self::BlockWithoutRoot { .. } => Some(1),
            Self::BlockBelowWatermark { .. } => Some(2),
            Self::DoubleVote { .. }
            | Self::VoteWithoutRoot { .. }
            | Self::SurroundsExisting { .. }
            | Self::SurroundedByExisting { .. } => Some(3),
            Self::SourceBelowWatermark { .. } => Some(4),
            Self::TargetBelowWatermark { .. } => Some(5),
            Self::BlockBelowRaisedWatermark { .. }
            | Self::BlockAboveHighWatermark { .. }
            | Self::AttestationBelowRaisedWatermark { .. }
            | Self::AttestationAboveHighWatermark { .. }
            | Self::SourceAfterTarget { .. }
            | Self::OutOfRange { .. }
            | Self::Stopped(_) => None,
        }
    }
}

/// The database could not make a record durable: until it can, nothing is signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signing has stopped: the slashing database at {} cannot record ({reason}); it goes on by itself once writing works again", path.display())]
pub struct FailStop {
    /// What failed.
    pub reason: String,
    /// The database.
    pub path: PathBuf,
    /// When it failed.
    pub since: SystemTime,
}

/// Why a batch was not recorded. No permit was given; nothing of it may be signed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The commit failed, or an earlier one did and writing does not work yet.
    #[error(transparent)]
    Stopped(#[from] FailStop),
    /// The database has been closed.
    #[error("the slashing database is closed")]
    Closed,
    /// Too many batches wait for the writer.
    #[error("{bound} batches already wait for the slashing database")]
    QueueFull {
        /// The queue's bound.
        bound: usize,
    },
    /// The batch is larger than any slot needs.
    #[error("a batch of {found} records is above the bound of {bound}")]
    BatchTooLarge {
        /// Records in the batch.
        found: usize,
        /// The bound.
        bound: usize,
    },
    /// The database was opened for import and export only.
    #[error("the slashing database was opened for maintenance, not for signing")]
    Maintenance,
}

/// Why something other than a record was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It failed on the disk, or an earlier commit did and writing does not work yet.
    #[error(transparent)]
    Stopped(#[from] FailStop),
    /// The database has been closed.
    #[error("the slashing database is closed")]
    Closed,
}

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("slashing database {} is in use by {holder}; two signers on one database are never safe, stop the other first", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// What the lock file says of the other process.
        holder: String,
    },
    /// The file that was in use is gone, or empty.
    #[error("there is no slashing database in {} any more", path.display())]
    Missing {
        /// Where it was.
        path: PathBuf,
    },
    /// Another file is in the place of the one that was in use.
    #[error("{} is not what was in use: {what}; put the right file back, or stop the signer and see what was lost", path.display())]
    Replaced {
        /// The database.
        path: PathBuf,
        /// What shows it.
        what: String,
    },
    /// A file could not be made, opened or locked.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("cannot open slashing database {}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is SQLite, but not ours.
    #[error("{} is not a Synod slashing database (application id {found:#x}, expected {expected:#x})", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The id found.
        found: i32,
        /// Ours.
        expected: i32,
    },
    /// A newer program made the schema.
    #[error("slashing database {} has schema version {found}, this program knows versions up to {known}; use the newer program", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// It belongs to another chain or cluster.
    #[error("slashing database {} belongs to {found}, but this command is for {expected}; point --data-dir at the right directory", path.display())]
    OtherIdentity {
        /// The database.
        path: PathBuf,
        /// What the database is pinned to.
        found: Box<Identity>,
        /// What it was to be opened for.
        expected: Box<Identity>,
    },
    /// SQLite cannot make sense of the file, or the content contradicts its own checksums.
    #[error("slashing database {} is damaged: {what}. Sign nothing with it: move it away together with its -wal file, if there is one, put the last backup of it in its place if there is one, and import the newest export (docs/slashing-protection.md, \"A lost or restored database\")", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// What remembers how far the database had come cannot be understood.
    #[error("{} is damaged: {what}, so nothing tells whether slashing database {} is an old copy. Signing with an old one could contradict what was signed since. Import the newest export, or keep the signer stopped for two epochs, then start once with --accept-restored-database, which writes the file anew (docs/slashing-protection.md, \"A lost or restored database\")", progress.display(), path.display())]
    ProgressDamaged {
        /// The database.
        path: PathBuf,
        /// The file beside it.
        progress: PathBuf,
        /// What is wrong with the file.
        what: String,
    },
    /// The database is older than the last one used here.
    #[error("slashing database {} looks restored from an older copy: {what}. Signing with it could contradict what was signed since. Import a newer export, or keep the signer stopped for two epochs, then start once with --accept-restored-database", path.display())]
    Restored {
        /// The database.
        path: PathBuf,
        /// What the two counters say.
        what: String,
    },
}

impl OpenError {
    /// The error, as [`OpenError::Damaged`] if it is SQLite's way to say that.
    pub(crate) fn or_damaged(self) -> Self {
        match self {
            Self::Sqlite { path, source } if is_damage(&source) => {
                Self::Damaged { path, what: source.to_string() }
            }
            other => other,
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}
