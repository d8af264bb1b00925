//! The first reading of a file: whose records it has, how many, how far they reach, and who cannot be
//! taken over. Nothing is written.

use std::collections::HashMap;

use eth_types::PublicKey;

use crate::interchange::format::{FileMetadata, Sink, Stop};
use crate::memory::Marks;
use crate::record::{SignedAttestation, SignedBlock};

/// What the file has of one validator.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) validator: PublicKey,
    /// Why none of it can be taken.
    pub(crate) refused: Option<String>,
    pub(crate) blocks: u64,
    pub(crate) votes: u64,
    /// The lowest of each number.
    pub(crate) low: Marks,
    /// The highest of each number.
    pub(crate) peak: Marks,
}

/// What the file has.
pub(crate) struct Survey<'a> {
    pub(crate) metadata: Option<FileMetadata>,
    pub(crate) validators: Vec<Summary>,
    /// For each entry of the file, the position of its validator.
    pub(crate) entries: Vec<usize>,
    keys: &'a dyn Fn(&PublicKey) -> Option<PublicKey>,
    index: HashMap<PublicKey, usize>,
    current: Current,
}

/// The entry that is being read: its key may come last.
#[derive(Default)]
struct Current {
    key: Option<Result<PublicKey, String>>,
    blocks: u64,
    votes: u64,
    low: Marks,
    peak: Marks,
    error: Option<String>,
}

impl<'a> Survey<'a> {
    /// `keys` says which validator of ours a key of the file is.
    pub(crate) fn new(keys: &'a dyn Fn(&PublicKey) -> Option<PublicKey>) -> Self {
        Self {
            metadata: None,
            validators: Vec::new(),
            entries: Vec::new(),
            keys,
            index: HashMap::new(),
            current: Current::default(),
        }
    }

    fn note(&mut self, marks: Marks) {
        self.current.low = self.current.low.min(marks);
        self.current.peak = self.current.peak.max(marks);
    }

    fn complain(&mut self, error: String) {
        self.current.error.get_or_insert(error);
    }

    /// The place of a validator in the report.
    fn place(&mut self, validator: PublicKey) -> usize {
        *self.index.entry(validator).or_insert_with(|| {
            self.validators.push(Summary {
                validator,
                refused: None,
                blocks: 0,
                votes: 0,
                low: Marks::default(),
                peak: Marks::default(),
            });
            self.validators.len() - 1
        })
    }
}

impl Sink for Survey<'_> {
    fn metadata(&mut self, metadata: FileMetadata) -> Result<(), Stop> {
        self.metadata = Some(metadata);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Stop> {
        self.current = Current::default();
        Ok(())
    }

    fn key(&mut self, key: Result<PublicKey, String>) -> Result<(), Stop> {
        self.current.key = Some(key);
        Ok(())
    }

    fn block(&mut self, block: Result<SignedBlock, String>) -> Result<(), Stop> {
        self.current.blocks += 1;
        match block {
            Ok(block) => self.note(Marks::of_block(block.slot)),
            Err(error) => self.complain(error),
        }
        Ok(())
    }

    fn vote(&mut self, vote: Result<SignedAttestation, String>) -> Result<(), Stop> {
        self.current.votes += 1;
        match vote {
            Ok(vote) => self.note(Marks::of_span(vote.span())),
            Err(error) => self.complain(error),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let mut current = std::mem::take(&mut self.current);
        let (validator, refused) = match current.key.take() {
            Some(Ok(key)) => match (self.keys)(&key) {
                Some(validator) => (validator, current.error.take()),
                None => (key, Some("no validator of this signer has this key".to_owned())),
            },
            // An entry of nobody: it gets a line under the zero key.
            Some(Err(error)) => (PublicKey::ZERO, Some(error)),
            None => (PublicKey::ZERO, Some("the entry has no public key".to_owned())),
        };
        let place = self.place(validator);
        self.entries.push(place);
        let Some(summary) = self.validators.get_mut(place) else { return Err(Stop) };
        summary.refused = summary.refused.take().or(refused);
        summary.blocks += current.blocks;
        summary.votes += current.votes;
        summary.low = summary.low.min(current.low);
        summary.peak = summary.peak.max(current.peak);
        Ok(())
    }
}
