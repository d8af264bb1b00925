//! Slashing protection: what a validator key signed, durably, and whether it may sign one thing more.
//!
//! The norm is [EIP-3076](https://eips.ethereum.org/EIPS/eip-3076); [`rules`] has its conditions, one
//! by one. [`SlashingDb`] is the database: [`check`](SlashingDb::check) refuses early,
//! [`record`](SlashingDb::record) makes a message durable and gives the [`Permit`] without which
//! nothing signs.
//!
//! What holds:
//! * **Recorded, then signed.** `record` returns after the commit is on the disk. A whole batch is one
//!   transaction, and batches that come at the same time share one.
//! * **One message per duty.** One thread writes; each message is judged against everything recorded
//!   before it, the batch's own earlier messages included.
//! * **No record, no signature.** A commit that fails stops all signing ([`FailStop`]) until writing
//!   works again and the memory has been read anew from the disk.
//! * **One user.** A lock beside the file; a pinned identity; a progress file that gives an old copy away.
//!
//! A low watermark is set by a validator's first record or import and is never lowered. An import
//! therefore never makes signable what was refused before it.
#![forbid(unsafe_code)]

mod checksum;
mod db;
mod error;
mod files;
mod identity;
pub mod interchange;
mod lock;
mod memory;
mod observe;
mod options;
mod permit;
mod record;
pub mod rules;
mod sidecar;
mod start;
mod store;
mod watermark;
mod writer;

pub use db::{SlashingDb, Status};
pub use error::{FailStop, OpenError, RecordError, Refusal, TaskError};
pub use identity::Identity;
pub use lock::lock_path;
pub use memory::{Marks, Strategy};
pub use observe::Answered;
pub use options::{Access, Options};
pub use permit::Permit;
pub use record::{Candidate, MAX_NUMBER, Request, Safe, SignedAttestation, SignedBlock, Span};
pub use store::prune::Pruning;
pub use watermark::{HighWatermark, ValidatorWatermarks, WatermarkError, Watermarks};
