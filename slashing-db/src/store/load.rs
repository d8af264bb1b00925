//! Reading a database into memory, and checking that it still is what was written.

use std::ops::ControlFlow;

use rusqlite::Connection;

use crate::memory::{Marks, Memory};
use crate::record::{SignedAttestation, SignedBlock};
use crate::store::journal::Damage;
use crate::store::metadata::Metadata;
use crate::store::row::{number, root};
use crate::store::{archive, journal, validators};

/// What is said of a metadata row that was changed.
pub(crate) const METADATA_CHECKSUM: &str = "the metadata row's checksum does not fit";

/// A database's memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) metadata: Metadata,
    pub(crate) memory: Memory,
    pub(crate) sequence: u64,
    pub(crate) chain: i64,
    pub(crate) journal_rows: usize,
}

/// Reads metadata, validators and the journal, whose checksums are always compared; with `verify`
/// every row of the archive too. The inner error is what does not fit.
pub(crate) fn load(conn: &Connection, verify: bool) -> rusqlite::Result<Result<Loaded, String>> {
    let Some(metadata) = Metadata::read(conn)? else {
        return Ok(Err(METADATA_CHECKSUM.to_owned()));
    };
    let mut memory = Memory::new(metadata.floor, metadata.high_slot, metadata.high_epoch);
    match validators::read(conn, &mut memory)? {
        Ok(digest) if digest == metadata.validators_digest => {}
        Ok(_) => return Ok(Err("the validators' checksums do not fit".to_owned())),
        Err(what) => return Ok(Err(what)),
    }
    if verify && let Err(what) = verify_archive(conn, &metadata, &memory)? {
        return Ok(Err(what));
    }
    let mut sequence = metadata.sequence;
    let mut chain = metadata.journal_chain;
    let mut journal_rows = 0;
    let mut stranger = None;
    let read = journal::read(conn, chain, |entry| {
        journal_rows += entry.rows.len();
        for (id, candidate) in &entry.rows {
            match memory.by_id(*id) {
                Some(validator) => validator.note(candidate),
                None => stranger = Some(Damage(entry.last)),
            }
        }
        sequence = sequence.max(entry.last);
        chain = entry.chain;
        ControlFlow::Continue(())
    })?;
    if let Some(Damage(at)) = read.err().or(stranger) {
        return Ok(Err(format!("journal entry {at} does not fit its checksum or its validators")));
    }
    Ok(Ok(Loaded { metadata, memory, sequence, chain, journal_rows }))
}

/// Compares the archive with its digest and the validators' peaks.
fn verify_archive(
    conn: &Connection,
    metadata: &Metadata,
    memory: &Memory,
) -> rusqlite::Result<Result<(), String>> {
    let mut digest = 0_i64;
    let mut peaks = vec![Marks::default(); memory.validators().len()];
    let mut stray = None;
    let mut lift = |validator_id: i64, marks: Marks| {
        let position = usize::try_from(validator_id).ok().and_then(|id| id.checked_sub(1));
        match position.and_then(|position| peaks.get_mut(position)) {
            Some(peak) => *peak = peak.max(marks),
            None => stray = Some(validator_id),
        }
    };
    // A table whose rows are out of order adds up as well, but rows in it are not found.
    let mut ordered = true;
    let mut statement = conn.prepare("SELECT validator_id, slot, signing_root FROM blocks")?;
    let mut rows = statement.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let validator_id = row.get(0)?;
        let block = SignedBlock { slot: number(row, 1)?.into(), signing_root: root(row, 2)? };
        digest = digest.wrapping_add(archive::block_checksum(validator_id, &block));
        lift(validator_id, Marks::of_block(block.slot));
        let place = Some((validator_id, block));
        ordered &= last < place;
        last = place;
    }
    let mut statement = conn.prepare(
        "SELECT target_epoch, validator_id, source_epoch, signing_root FROM attestations",
    )?;
    let mut rows = statement.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let validator_id = row.get(1)?;
        let vote = SignedAttestation {
            target: number(row, 0)?.into(),
            source: number(row, 2)?.into(),
            signing_root: root(row, 3)?,
        };
        digest = digest.wrapping_add(archive::vote_checksum(validator_id, &vote));
        lift(validator_id, Marks::of_span(vote.span()));
        let place = Some((vote.target, validator_id, vote.source, vote.signing_root));
        ordered &= last < place;
        last = place;
    }
    if !ordered {
        return Ok(Err("the records are out of order".to_owned()));
    }
    if let Some(id) = stray {
        return Ok(Err(format!("a record belongs to validator {id}, which does not exist")));
    }
    if digest != metadata.archive_digest {
        return Ok(Err("the records' checksums do not add up".to_owned()));
    }
    // The highest source may be of a vote that was pruned, where an import brought contradictions.
    let misfit = memory
        .validators()
        .iter()
        .zip(&peaks)
        .find(|(validator, peak)| validator.archived.max(**peak) != validator.archived);
    Ok(match misfit {
        None => Ok(()),
        Some((validator, _)) => {
            Err(format!("the records of {} do not fit its row", validator.public_key))
        }
    })
}
