//! Adding other signers' records to the archive.

use eth_types::{PublicKey, Root};

use crate::memory::{Marks, Memory, Strategy, Validator};
use crate::record::{Candidate, SignedAttestation, SignedBlock};
use crate::store::metadata::Metadata;
use crate::store::validators::ValidatorRow;
use crate::store::{Store, archive};

/// Some or all of what a file has of one validator.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) validator: PublicKey,
    /// The lowest and the highest of all that the file has of the validator.
    pub(crate) low: Marks,
    pub(crate) peak: Marks,
    pub(crate) blocks: Vec<SignedBlock>,
    pub(crate) votes: Vec<SignedAttestation>,
    /// Whether parts of it went before, and whether more will come.
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// What a part brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Whether something was known of the validator before this part.
    pub(crate) known_before: bool,
    pub(crate) added: u64,
    /// Added records that cannot be of the same message as another of their duty, or surround another
    /// vote or are surrounded by one.
    pub(crate) contradictions: u64,
    /// Up to where nothing is signed any more, because the file begins above everything signed here.
    pub(crate) closed: Marks,
}

impl Store {
    /// Adds all parts in one transaction. `validators` are copies of those of the parts, in the same
    /// order and each there once; they come back as they are now, to be put into memory. `restored` is whether
    /// the database looks restored, so that any of them may have signed since.
    pub(crate) fn merge(
        &mut self,
        parts: &mut [Part],
        validators: &mut [Validator],
        strategy: Strategy,
        restored: bool,
    ) -> rusqlite::Result<Vec<Merged>> {
        self.change(|metadata, conn| {
            let mut outcome = Vec::with_capacity(parts.len());
            for (part, validator) in parts.iter_mut().zip(validators) {
                let known_before = validator.peak != Marks::default();
                let closed = open_part(part, validator, strategy, restored);
                let mut merged = Merged { known_before, closed, ..Merged::default() };
                // By target: most files are in this order, and then nothing has to be looked up.
                part.blocks.sort_unstable();
                part.votes.sort_unstable();
                for block in &part.blocks {
                    add_block(conn, metadata, validator, block, &mut merged)?;
                }
                for vote in &part.votes {
                    add_vote(conn, metadata, validator, vote, &mut merged)?;
                }
                if part.last {
                    validator.guard = Marks::default();
                }
                ValidatorRow::new(validator, &mut metadata.validators_digest).write(conn)?;
                outcome.push(merged);
            }
            Ok(outcome)
        })
    }
}

/// Sets the watermarks that the whole file brings, before its first record; up to where it closes the history
/// below.
fn open_part(part: &Part, validator: &mut Validator, strategy: Strategy, restored: bool) -> Marks {
    let closed = if part.first && (validator.signed || restored) {
        beyond(validator.peak, part.low)
    } else {
        Marks::default()
    };
    validator.low = validator.low.max(closed).or(part.low);
    if strategy == Strategy::Minimal {
        validator.low = validator.low.max(part.peak);
    }
    if part.first {
        // What an import that was never finished left stays refused for good.
        validator.floor = validator.floor.max(validator.guard);
        validator.guard = part.peak;
    }
    closed
}

/// What of a file's lowest numbers is above everything known.
///
/// A validator's history is whole up to the last message that was signed here. A file that begins above it
/// was made elsewhere since, and may have been pruned: whatever it has not may have been signed there. So
/// conditions 2, 4 and 5 of EIP-3076 hold for the file by itself. A validator that never signed here has
/// only files, which are taken for parts of one history, as the tests of EIP-3076 want it.
fn beyond(peak: Marks, low: Marks) -> Marks {
    Marks {
        slot: low.slot.filter(|low| peak.slot.is_some_and(|peak| *low > peak)),
        span: low.span.filter(|low| peak.span.is_some_and(|peak| low.target > peak.target)),
    }
}

fn add_block(
    conn: &rusqlite::Connection,
    metadata: &mut Metadata,
    validator: &mut Validator,
    block: &SignedBlock,
    merged: &mut Merged,
) -> rusqlite::Result<()> {
    if validator.blocks.contains(block) {
        return Ok(());
    }
    let Some(checksum) = archive::insert_block(conn, validator.id, block)? else { return Ok(()) };
    metadata.archive_digest = metadata.archive_digest.wrapping_add(checksum);
    merged.added += 1;
    let mut same_slot = validator.blocks_at(block.slot);
    if validator.archived.slot.is_some_and(|peak| block.slot <= peak) {
        same_slot.extend(archive::blocks_at(conn, validator, block.slot)?);
    }
    if same_slot.iter().any(|other| known_to_differ(other.signing_root, block.signing_root)) {
        merged.contradictions += 1;
    }
    validator.archive(Marks::of_block(block.slot));
    Ok(())
}

fn add_vote(
    conn: &rusqlite::Connection,
    metadata: &mut Metadata,
    validator: &mut Validator,
    vote: &SignedAttestation,
    merged: &mut Merged,
) -> rusqlite::Result<()> {
    if validator.votes.contains(vote) {
        return Ok(());
    }
    let Some(checksum) = archive::insert_vote(conn, validator.id, vote)? else { return Ok(()) };
    metadata.archive_digest = metadata.archive_digest.wrapping_add(checksum);
    merged.added += 1;
    let new = vote.span();
    let mut facts = validator.facts(new);
    let candidate = Candidate::Attestation {
        source: vote.source,
        target: vote.target,
        signing_root: vote.signing_root.unwrap_or_default(),
    };
    if validator.needs_archive(&candidate) {
        archive::add_same_target(conn, validator, new, &mut facts)?;
        archive::add_neighbours(conn, validator, new, &mut facts)?;
    }
    let double = facts.same_target.iter().any(|other| {
        other.source != vote.source || known_to_differ(other.signing_root, vote.signing_root)
    });
    let around = facts.earlier.is_some_and(|inside| new.source < inside.source)
        || facts.later.is_some_and(|outside| outside.source < new.source);
    if around {
        // From now on the nearest records do not decide for all.
        validator.contradictory = true;
    }
    if double || around {
        merged.contradictions += 1;
    }
    validator.archive(Marks::of_span(new));
    Ok(())
}

/// Whether two records of one duty are of two messages. One without a root may be of the same.
fn known_to_differ(one: Option<Root>, other: Option<Root>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

impl Memory {
    /// Copies of the parts' validators, registered if they are new.
    pub(crate) fn copies(&mut self, parts: &[Part]) -> Vec<Validator> {
        parts.iter().map(|part| self.entry(&part.validator).clone()).collect()
    }

    /// Puts changed copies back.
    pub(crate) fn put_back(&mut self, validators: Vec<Validator>) {
        for validator in validators {
            if let Some(place) = self.by_id(validator.id) {
                *place = validator;
            }
        }
    }
}
