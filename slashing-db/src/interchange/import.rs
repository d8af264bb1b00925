//! Merging a file into the database.

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom};

use eth_types::{PublicKey, Root};

use crate::db::SlashingDb;
use crate::error::TaskError;
use crate::interchange::format::{self, FileMetadata, Sink, Stop};
use crate::interchange::report::{ImportOutcome, ImportReport, Progress, ValidatorReport};
use crate::interchange::survey::{Summary, Survey};
use crate::memory::Strategy;
use crate::record::{SignedAttestation, SignedBlock};
use crate::store::merge::{Merged, Part};

/// Records of one transaction: some milliseconds, which a signature may have to wait.
const CHUNK: usize = 2048;

/// How much of the file is read at a time.
const BUFFER: usize = 64 * 1024;

/// Why nothing of a file was taken, or why the import ended early. Validators that were finished before
/// stay, and doing the import again completes the others. One that was cut off in the middle keeps its
/// highest numbers in the file as a raised watermark.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read the interchange file")]
    Read(#[source] std::io::Error),
    /// The file is not JSON of the right shape.
    #[error("the file is not an EIP-3076 interchange file")]
    Malformed(#[source] serde_json::Error),
    /// Another version of the format.
    #[error("interchange format version `{found}`, expected {}", format::VERSION)]
    Version {
        /// What the file says.
        found: String,
    },
    /// The chain's root cannot be read.
    #[error("the file's {0}")]
    UnreadableRoot(String),
    /// The file is for another chain.
    #[error(
        "the file is for the chain with genesis validators root {found}, this database for {expected}"
    )]
    OtherChain {
        /// The file's.
        found: Root,
        /// The database's.
        expected: Root,
    },
    /// The second reading found something else than the first.
    #[error("the file changed while it was read")]
    Changed,
    /// The database did not take it.
    #[error(transparent)]
    Database(#[from] TaskError),
}

impl SlashingDb {
    /// Merges an interchange file. `keys` says which validator a key of the file is: itself, the
    /// validator that a key share belongs to, or `None` for a key that is not ours, which is refused.
    /// `progress` is called now and then. Signing goes on meanwhile; the import takes turns with it, and waits for another that runs.
    ///
    /// The file is read twice: first to find out who can be taken over, then to do it. Memory does not
    /// grow with the number of records.
    ///
    /// # Errors
    /// The file as a whole cannot be taken. A validator that cannot is in the report instead.
    pub fn import<R: Read + Seek>(
        &self,
        from: &mut R,
        keys: &dyn Fn(&PublicKey) -> Option<PublicKey>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImportReport, ImportError> {
        let _alone = self.import_alone();
        let start = from.stream_position().map_err(ImportError::Read)?;
        let end = from.seek(SeekFrom::End(0)).map_err(ImportError::Read)?;
        let mut steps = Steps { done: 0, total: 2 * end.saturating_sub(start), progress };

        let mut survey = Survey::new(keys);
        from.seek(SeekFrom::Start(start)).map_err(ImportError::Read)?;
        parse(&mut *from, &mut steps, &mut survey)?;
        self.check_chain(survey.metadata.take())?;

        let mut merge = Merge::new(self, survey);
        if self.strategy() == Strategy::Minimal {
            merge.minimal()?;
        } else {
            from.seek(SeekFrom::Start(start)).map_err(ImportError::Read)?;
            let parsed = parse(from, &mut steps, &mut merge);
            if let Some(error) = merge.error.take() {
                return Err(error);
            }
            parsed?;
            merge.flush()?;
        }
        merge.report()
    }

    fn check_chain(&self, metadata: Option<FileMetadata>) -> Result<(), ImportError> {
        check(metadata, self.identity().genesis_validators_root)
    }
}

/// Whether a file is one for the chain with this genesis validators root: for a caller that would have to
/// make a database to import it. Reads all of it, and goes back to where it was.
///
/// # Errors
/// The file could not be imported into such a database at all.
pub fn check_file<R: Read + Seek>(
    from: &mut R,
    genesis_validators_root: Root,
) -> Result<(), ImportError> {
    let start = from.stream_position().map_err(ImportError::Read)?;
    let no_key = |_: &PublicKey| None;
    let mut survey = Survey::new(&no_key);
    let mut steps = Steps { done: 0, total: 0, progress: &mut |_| {} };
    parse(&mut *from, &mut steps, &mut survey)?;
    from.seek(SeekFrom::Start(start)).map_err(ImportError::Read)?;
    check(survey.metadata.take(), genesis_validators_root)
}

fn check(metadata: Option<FileMetadata>, expected: Root) -> Result<(), ImportError> {
    let metadata = metadata.ok_or(ImportError::Changed)?;
    if metadata.version != format::VERSION {
        return Err(ImportError::Version { found: metadata.version });
    }
    let found = metadata.genesis_validators_root.map_err(ImportError::UnreadableRoot)?;
    if found != expected {
        return Err(ImportError::OtherChain { found, expected });
    }
    Ok(())
}

/// Reads one file once.
fn parse<R: Read>(from: R, steps: &mut Steps<'_>, sink: &mut impl Sink) -> Result<(), ImportError> {
    let reader = BufReader::with_capacity(BUFFER, Counted { from, steps });
    format::read(reader, sink).map_err(|error| {
        if error.is_io() { ImportError::Read(error.into()) } else { ImportError::Malformed(error) }
    })
}

/// Counts bytes for the progress bar.
struct Steps<'a> {
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(Progress),
}

struct Counted<'a, 'b, R> {
    from: R,
    steps: &'a mut Steps<'b>,
}

impl<R: Read> Read for Counted<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.steps.done += read as u64;
        (self.steps.progress)(Progress { done: self.steps.done, total: self.steps.total });
        Ok(read)
    }
}

/// The second reading.
struct Merge<'a> {
    db: &'a SlashingDb,
    validators: Vec<Summary>,
    entries: std::vec::IntoIter<usize>,
    /// What has been sent of each validator, and what became of it.
    state: Vec<State>,
    /// The validator of the entry that is being read; `None` if it is refused.
    current: Option<usize>,
    /// What waits for the next transaction, by the validator's position.
    waiting: HashMap<usize, (Vec<SignedBlock>, Vec<SignedAttestation>)>,
    waiting_records: usize,
    error: Option<ImportError>,
}

#[derive(Default, Clone)]
struct State {
    sent: u64,
    merged: Option<Merged>,
}

impl<'a> Merge<'a> {
    fn new(db: &'a SlashingDb, survey: Survey<'_>) -> Self {
        Self {
            db,
            state: vec![State::default(); survey.validators.len()],
            validators: survey.validators,
            entries: survey.entries.into_iter(),
            current: None,
            waiting: HashMap::new(),
            waiting_records: 0,
            error: None,
        }
    }

    /// Takes over only the highest of each number, without roots.
    fn minimal(&mut self) -> Result<(), ImportError> {
        for (position, summary) in self.validators.iter_mut().enumerate() {
            if summary.refused.is_some() {
                continue;
            }
            let block = summary.peak.slot.map(|slot| SignedBlock { slot, signing_root: None });
            let vote = summary.peak.span.map(|span| SignedAttestation {
                source: span.source,
                target: span.target,
                signing_root: None,
            });
            (summary.blocks, summary.votes) =
                (block.iter().count() as u64, vote.iter().count() as u64);
            summary.low = summary.peak;
            self.waiting
                .insert(position, (block.into_iter().collect(), vote.into_iter().collect()));
        }
        self.flush()
    }

    /// Notes a record of the current validator; sends what waits if it is enough.
    fn take(
        &mut self,
        add: impl FnOnce(&mut (Vec<SignedBlock>, Vec<SignedAttestation>)),
    ) -> Result<(), Stop> {
        let Some(position) = self.current else { return Ok(()) };
        add(self.waiting.entry(position).or_default());
        self.waiting_records += 1;
        if self.waiting_records >= CHUNK
            && let Err(error) = self.flush()
        {
            self.error = Some(error);
            return Err(Stop);
        }
        Ok(())
    }

    fn changed(&mut self) -> Stop {
        self.error.get_or_insert(ImportError::Changed);
        Stop
    }

    /// Merges what waits, in one transaction.
    fn flush(&mut self) -> Result<(), ImportError> {
        self.waiting_records = 0;
        let mut positions: Vec<_> = self.waiting.keys().copied().collect();
        positions.sort_unstable();
        let mut parts = Vec::with_capacity(positions.len());
        for position in &positions {
            let (Some((blocks, votes)), Some(summary), Some(state)) = (
                self.waiting.remove(position),
                self.validators.get(*position),
                self.state.get_mut(*position),
            ) else {
                return Err(ImportError::Changed);
            };
            let first = state.sent == 0;
            state.sent += (blocks.len() + votes.len()) as u64;
            let all = summary.blocks + summary.votes;
            if state.sent > all {
                return Err(ImportError::Changed);
            }
            parts.push(Part {
                validator: summary.validator,
                low: summary.low,
                peak: summary.peak,
                blocks,
                votes,
                first,
                last: state.sent == all,
            });
        }
        parts.retain(|part| !part.blocks.is_empty() || !part.votes.is_empty());
        if parts.is_empty() {
            return Ok(());
        }
        let restored = self.db.looks_restored().is_some();
        let merged = self.db.run(move |store, shared| {
            let (mut validators, strategy) = {
                let mut memory = shared.memory_mut();
                (memory.copies(&parts), memory.strategy)
            };
            let merged = store.merge(&mut parts, &mut validators, strategy, restored)?;
            shared.memory_mut().put_back(validators);
            Ok(merged)
        })?;
        let sent = positions.into_iter().filter(|position| {
            self.validators.get(*position).is_some_and(|summary| summary.blocks + summary.votes > 0)
        });
        for (position, merged) in sent.zip(merged) {
            if let Some(state) = self.state.get_mut(position) {
                state.merged = Some(match state.merged {
                    None => merged,
                    Some(before) => Merged {
                        known_before: before.known_before,
                        added: before.added + merged.added,
                        contradictions: before.contradictions + merged.contradictions,
                        // The first part's: it speaks for the whole file.
                        closed: before.closed,
                    },
                });
            }
        }
        Ok(())
    }

    /// The report, once everything is in.
    fn report(self) -> Result<ImportReport, ImportError> {
        let mut report = ImportReport::default();
        for (summary, state) in self.validators.into_iter().zip(self.state) {
            let all = summary.blocks + summary.votes;
            if summary.refused.is_none() && state.sent != all {
                return Err(ImportError::Changed);
            }
            // Nothing of it was there to be merged.
            let nothing = || Merged { known_before: true, ..Merged::default() };
            let merged = state.merged.unwrap_or_else(nothing);
            report.validators.push(ValidatorReport {
                validator: summary.validator,
                outcome: match summary.refused {
                    Some(reason) => ImportOutcome::Refused { reason },
                    None if merged.added == 0 => ImportOutcome::Unchanged,
                    None if merged.known_before => ImportOutcome::Merged,
                    None => ImportOutcome::Imported,
                },
                blocks: summary.blocks,
                attestations: summary.votes,
                added: merged.added,
                contradictions: merged.contradictions,
                closed: merged.closed,
            });
        }
        Ok(report)
    }
}

impl Sink for Merge<'_> {
    fn metadata(&mut self, _: FileMetadata) -> Result<(), Stop> {
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Stop> {
        let Some(position) = self.entries.next() else { return Err(self.changed()) };
        let Some(summary) = self.validators.get(position) else { return Err(self.changed()) };
        self.current = summary.refused.is_none().then_some(position);
        Ok(())
    }

    fn key(&mut self, _: Result<PublicKey, String>) -> Result<(), Stop> {
        Ok(())
    }

    fn block(&mut self, block: Result<SignedBlock, String>) -> Result<(), Stop> {
        match block {
            Ok(block) => self.take(|(blocks, _)| blocks.push(block)),
            // The first reading refused the validator for it.
            Err(_) if self.current.is_none() => Ok(()),
            Err(_) => Err(self.changed()),
        }
    }

    fn vote(&mut self, vote: Result<SignedAttestation, String>) -> Result<(), Stop> {
        match vote {
            Ok(vote) => self.take(|(_, votes)| votes.push(vote)),
            Err(_) if self.current.is_none() => Ok(()),
            Err(_) => Err(self.changed()),
        }
    }

    fn end(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}
