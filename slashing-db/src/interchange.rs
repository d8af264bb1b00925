//! EIP-3076's interchange format, version 5: taking other signers' records over, and giving ours.
//!
//! * [`format`](mod@format) reads the JSON as a stream: a file's records are never all in memory.
//! * [`survey`] reads a file once and says, validator by validator, what it would bring.
//! * [`import`] reads it again and merges; [`export`] writes.
//!
//! **Import** is a union: records are added, none is changed. A validator of the file is taken wholly
//! or refused with a reason, and the others go on. Contradictions between records are taken over (they
//! happened) and reported. Where a validator's records need several transactions, everything up to its
//! highest is refused until the last is in, so a crash in between leaves the minimal form of it. A file
//! that begins above everything a validator signed here lifts the low watermark to its begin: the key was
//! used elsewhere meanwhile, and what was pruned there must not be signable here.
//!
//! **Export** carries what decides: the records from the low watermark on. Where the watermark says more
//! than they do (raised, pruned), a record without a root stands for it, in place of any at that slot or
//! target, so that whoever makes a new database of the file refuses at least what this one refuses.

mod export;
mod format;
mod import;
mod report;
mod survey;

pub use export::{ExportError, ExportForm, ExportOptions, ExportReport};
pub use import::{ImportError, check_file};
pub use report::{ImportOutcome, ImportReport, Progress, ValidatorReport};
