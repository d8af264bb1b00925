//! Writing a file.

use std::io::{self, Write};

use eth_types::{Epoch, PublicKey, Slot};

use crate::db::SlashingDb;
use crate::error::TaskError;
use crate::interchange::format::VERSION;
use crate::interchange::report::Progress;
use crate::memory::{Marks, Validator};
use crate::record::{SignedAttestation, SignedBlock, Span};
use crate::store::pages::PAGE;

/// What is exported of each validator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExportForm {
    /// All records from the low watermark on.
    #[default]
    Complete,
    /// One block and one attestation with the highest numbers, without roots.
    Minimal,
}

/// Which validators, and how much of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Only these; `None` for all.
    pub validators: Option<Vec<PublicKey>>,
    /// How much.
    pub form: ExportForm,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Validators.
    pub validators: u64,
    /// Blocks.
    pub blocks: u64,
    /// Attestations.
    pub attestations: u64,
}

/// Why an export was not finished: what has been written of it is not to be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A validator that was asked for is not known.
    #[error("nothing is recorded of validator {0}")]
    UnknownValidator(PublicKey),
    /// The file could not be written.
    #[error("cannot write the interchange file")]
    Write(#[source] io::Error),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] TaskError),
}

impl SlashingDb {
    /// Writes an interchange file. Signing goes on meanwhile: of each validator the file has what was
    /// recorded when its turn came, and nothing is pruned before the end. Waits for an import that runs, and
    /// keeps others waiting.
    ///
    /// # Errors
    /// A validator asked for is unknown, or reading or writing failed.
    pub fn export<W: Write>(
        &self,
        to: &mut W,
        options: &ExportOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ExportReport, ExportError> {
        // Half an import would come out as a watermark at its end.
        let _alone = self.import_alone();
        let _hold = self.hold_background_work();
        let keys = self.keys_to_export(options)?;
        let mut writer = FileWriter { to, first: true, report: ExportReport::default() };
        writer.open(&self.identity().genesis_validators_root)?;
        for (done, key) in (0..).zip(&keys) {
            progress(Progress { done, total: keys.len() as u64 });
            self.export_validator(*key, options, &mut writer)?;
        }
        progress(Progress { done: keys.len() as u64, total: keys.len() as u64 });
        writer.close()
    }

    fn keys_to_export(&self, options: &ExportOptions) -> Result<Vec<PublicKey>, ExportError> {
        // On the writer thread: behind everything recorded so far.
        let asked = options.validators.clone();
        let found = self.run(move |_, shared| {
            let memory = shared.memory();
            Ok(match asked {
                None => Ok(memory.validators().iter().map(|v| v.public_key).collect()),
                Some(keys) => match keys.iter().find(|key| memory.get(key).is_none()) {
                    Some(unknown) => Err(*unknown),
                    None => Ok(keys),
                },
            })
        })?;
        found.map_err(ExportError::UnknownValidator)
    }

    fn export_validator<W: Write>(
        &self,
        key: PublicKey,
        options: &ExportOptions,
        writer: &mut FileWriter<'_, W>,
    ) -> Result<(), ExportError> {
        // The journal first: what moves on into the archive meanwhile is seen at least once.
        let known = self.run(move |_, shared| {
            let memory = shared.memory();
            Ok(memory.get(&key).map(|validator| (validator.clone(), memory.floor)))
        })?;
        let Some((validator, floor)) = known else {
            return Err(ExportError::UnknownValidator(key));
        };
        let strict = floor.max(validator.floor).max(validator.guard);
        let limits = Limits { low: validator.low.max(strict), strict };
        if limits.low == Marks::default() {
            return Ok(());
        }
        writer.open_validator(&key)?;
        match options.form {
            ExportForm::Minimal => {
                let highest = limits.low.max(validator.peak);
                writer.blocks(highest.slot.map(bare_block))?;
                writer.next_list()?;
                writer.votes(highest.span.map(bare_vote))?;
            }
            ExportForm::Complete => self.export_records(&validator, limits, writer)?,
        }
        writer.close_validator()
    }

    fn export_records<W: Write>(
        &self,
        validator: &Validator,
        limits: Limits,
        writer: &mut FileWriter<'_, W>,
    ) -> Result<(), ExportError> {
        let id = validator.id;
        let mut blocks = Blocks::new(limits);
        let mut after = None;
        loop {
            let page = self.run(move |store, _| store.block_page(id, after))?;
            let new = page.iter().filter(|block| !validator.blocks.contains(block));
            writer.blocks(new.copied().filter(|block| blocks.keep(block)))?;
            after = page.last().copied();
            if page.len() < PAGE {
                break;
            }
        }
        writer.blocks(validator.blocks.iter().copied().filter(|block| blocks.keep(block)))?;
        writer.blocks(blocks.watermark())?;
        writer.next_list()?;

        let mut votes = Votes::new(limits);
        let mut after = None;
        loop {
            let page = self.run(move |store, _| store.vote_page(id, after))?;
            let new = page.votes.iter().filter(|vote| !validator.votes.contains(vote));
            writer.votes(new.copied().filter(|vote| votes.keep(vote)))?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        writer.votes(validator.votes.iter().copied().filter(|vote| votes.keep(vote)))?;
        writer.votes(votes.at_the_watermark())
    }
}

/// The watermarks that hold: whoever imports the file has to refuse as much.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// At or below it at most repeats are signed.
    low: Marks,
    /// At or below it nothing is.
    strict: Marks,
}

/// Which blocks go into the file, and whether one has to stand for the watermark.
struct Blocks {
    limits: Limits,
    lowest: Option<Slot>,
}

impl Blocks {
    fn new(limits: Limits) -> Self {
        Self { limits, lowest: None }
    }

    /// A block below the watermark would lower the importer's. One at a slot of which nothing is signed any
    /// more is the one without a root that stands for that: others take two of a slot for slashable.
    fn keep(&mut self, block: &SignedBlock) -> bool {
        let kept = self.limits.low.slot.is_none_or(|low| block.slot >= low)
            && self.limits.strict.slot.is_none_or(|strict| block.slot > strict);
        if kept {
            self.lowest = Some(self.lowest.map_or(block.slot, |lowest| lowest.min(block.slot)));
        }
        kept
    }

    fn watermark(&self) -> Option<SignedBlock> {
        let low = self.limits.low.slot?;
        (self.lowest != Some(low)).then(|| bare_block(low))
    }
}

/// Which attestations go into the file, and whether one has to stand for the watermark.
struct Votes {
    limits: Limits,
    lowest: Option<Span>,
    /// The highest source of those that are left out.
    left_out: Option<Epoch>,
    /// Those with the watermark's target, up to [`AT_LOW`] of them.
    at_low: Vec<SignedAttestation>,
    /// There were more of them.
    crowded: bool,
}

/// Votes with the watermark's target that are told one by one. There is one, unless files that were imported
/// contradict each other.
const AT_LOW: usize = 64;

impl Votes {
    fn new(limits: Limits) -> Self {
        Self { limits, lowest: None, left_out: None, at_low: Vec::new(), crowded: false }
    }

    /// A vote with a target below the watermark would lower the importer's. Its source still counts:
    /// a vote around it would be slashable. What becomes of one at the watermark is seen at the end.
    fn keep(&mut self, vote: &SignedAttestation) -> bool {
        let low = self.limits.low.span.map(|low| low.target);
        if low.is_some_and(|low| vote.target < low) {
            self.left_out = self.left_out.max(Some(vote.source));
            return false;
        }
        let lowest = self.lowest.get_or_insert_with(|| vote.span());
        lowest.source = lowest.source.min(vote.source);
        lowest.target = lowest.target.min(vote.target);
        if low == Some(vote.target) {
            if self.at_low.len() < AT_LOW {
                self.at_low.push(*vote);
            } else {
                self.crowded = true;
                self.left_out = self.left_out.max(Some(vote.source));
            }
            return false;
        }
        true
    }

    /// The votes at the watermark if they say all about it. Otherwise one without a root in their place, as
    /// others take two of a target for slashable: it refuses what the watermark, the votes left out and
    /// those at it refuse. A lower source surrounds it, a target not above it is at or below the lowest.
    fn at_the_watermark(self) -> Vec<SignedAttestation> {
        let Some(low) = self.limits.low.span else { return self.at_low };
        let source = self.left_out.map_or(low.source, |left_out| left_out.max(low.source));
        let told = self.lowest == Some(low) && source == low.source;
        let strict = self.limits.strict.span.is_some_and(|strict| strict.target == low.target);
        if told && !strict && !self.crowded {
            return self.at_low;
        }
        let source = self.at_low.iter().map(|vote| vote.source).fold(source, Epoch::max);
        vec![bare_vote(Span { source, target: low.target })]
    }
}

const fn bare_block(slot: Slot) -> SignedBlock {
    SignedBlock { slot, signing_root: None }
}

const fn bare_vote(span: Span) -> SignedAttestation {
    SignedAttestation { source: span.source, target: span.target, signing_root: None }
}

/// Writes the JSON: one record a line, all numbers quoted.
struct FileWriter<'a, W> {
    to: &'a mut W,
    /// Whether the next item of the list is its first.
    first: bool,
    report: ExportReport,
}

impl<W: Write> FileWriter<'_, W> {
    fn open(&mut self, root: &eth_types::Root) -> Result<(), ExportError> {
        self.put(format_args!(
            "{{\n\"metadata\": {{\n\"interchange_format_version\": \"{VERSION}\",\n\
             \"genesis_validators_root\": \"{root}\"\n}},\n\"data\": ["
        ))
    }

    fn open_validator(&mut self, key: &PublicKey) -> Result<(), ExportError> {
        let comma = if self.report.validators == 0 { "" } else { "," };
        self.report.validators += 1;
        self.first = true;
        self.put(format_args!("{comma}\n{{\n\"pubkey\": \"{key}\",\n\"signed_blocks\": ["))
    }

    fn next_list(&mut self) -> Result<(), ExportError> {
        self.first = true;
        self.put(format_args!("],\n\"signed_attestations\": ["))
    }

    fn close_validator(&mut self) -> Result<(), ExportError> {
        self.put(format_args!("]\n}}"))
    }

    fn blocks(&mut self, blocks: impl IntoIterator<Item = SignedBlock>) -> Result<(), ExportError> {
        for block in blocks {
            self.report.blocks += 1;
            self.begin_item()?;
            self.put(format_args!("{{\"slot\": \"{}\"", block.slot))?;
            self.end_item(block.signing_root)?;
        }
        Ok(())
    }

    fn votes(
        &mut self,
        votes: impl IntoIterator<Item = SignedAttestation>,
    ) -> Result<(), ExportError> {
        for vote in votes {
            self.report.attestations += 1;
            self.begin_item()?;
            self.put(format_args!(
                "{{\"source_epoch\": \"{}\", \"target_epoch\": \"{}\"",
                vote.source, vote.target
            ))?;
            self.end_item(vote.signing_root)?;
        }
        Ok(())
    }

    fn begin_item(&mut self) -> Result<(), ExportError> {
        let comma = if self.first { "\n" } else { ",\n" };
        self.first = false;
        self.put(format_args!("{comma}"))
    }

    fn end_item(&mut self, root: Option<eth_types::Root>) -> Result<(), ExportError> {
        match root {
            Some(root) => self.put(format_args!(", \"signing_root\": \"{root}\"}}")),
            None => self.put(format_args!("}}")),
        }
    }

    fn close(mut self) -> Result<ExportReport, ExportError> {
        self.put(format_args!("\n]\n}}\n"))?;
        self.to.flush().map_err(ExportError::Write)?;
        Ok(self.report)
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), ExportError> {
        self.to.write_fmt(text).map_err(ExportError::Write)
    }
}
