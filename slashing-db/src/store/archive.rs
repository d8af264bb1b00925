//! Questions to the tables `blocks` and `attestations`, and their rows' checksums.

use eth_types::{Epoch, Slot};
use rusqlite::{Connection, OptionalExtension, params};

use crate::checksum::{Checksum, Kind};
use crate::memory::Validator;
use crate::record::{SignedAttestation, SignedBlock, Span};
use crate::rules::AttestationFacts;
use crate::store::row::{number, root, root_bytes, sql};

/// The archive's blocks of a slot.
pub(crate) fn blocks_at(
    conn: &Connection,
    validator: &Validator,
    slot: Slot,
) -> rusqlite::Result<Vec<SignedBlock>> {
    conn.prepare_cached("SELECT signing_root FROM blocks WHERE validator_id = ?2 AND slot = ?1")?
        .query_map(params![sql(slot.as_u64()), validator.id], |row| {
            Ok(SignedBlock { slot, signing_root: root(row, 0)? })
        })?
        .collect()
}

/// Adds to `facts` the archive's votes for a candidate's target.
pub(crate) fn add_same_target(
    conn: &Connection,
    validator: &Validator,
    new: Span,
    facts: &mut AttestationFacts,
) -> rusqlite::Result<()> {
    if validator.archived.span.is_some() {
        for vote in votes_at(conn, validator.id, new.target)? {
            facts.add(new.target, vote);
        }
    }
    Ok(())
}

/// Adds to `facts` the archive's votes before and after a candidate's target.
///
/// Sources never fall as targets grow, unless an import brought a contradiction; so the nearest
/// target on either side decides, and only for such a validator all of them are looked at. Targets are
/// looked at that any validator has, until one is this validator's.
pub(crate) fn add_neighbours(
    conn: &Connection,
    validator: &Validator,
    new: Span,
    facts: &mut AttestationFacts,
) -> rusqlite::Result<()> {
    let Some(peak) = validator.archived.span else {
        return Ok(());
    };
    let mut add = |votes: Vec<SignedAttestation>| {
        for vote in &votes {
            facts.add(new.target, *vote);
        }
        !votes.is_empty() && !validator.contradictory
    };
    // Only a source above the candidate's can be inside it.
    if peak.source > new.source {
        let mut target = new.target;
        while let Some(earlier) = target_before(conn, target)? {
            target = earlier;
            if add(votes_at(conn, validator.id, target)?) {
                break;
            }
        }
    }
    let mut target = new.target;
    while target < peak.target {
        let Some(later) = target_after(conn, target)? else { break };
        target = later;
        if add(votes_at(conn, validator.id, target)?) {
            break;
        }
    }
    Ok(())
}

/// A validator's votes for one target epoch.
pub(crate) fn votes_at(
    conn: &Connection,
    validator_id: i64,
    target: Epoch,
) -> rusqlite::Result<Vec<SignedAttestation>> {
    conn.prepare_cached(
        "SELECT source_epoch, signing_root FROM attestations
         WHERE target_epoch = ?1 AND validator_id = ?2",
    )?
    .query_map(params![sql(target.as_u64()), validator_id], |row| {
        Ok(SignedAttestation {
            target,
            source: Epoch::new(number(row, 0)?),
            signing_root: root(row, 1)?,
        })
    })?
    .collect()
}

/// The next lower target epoch of any validator.
fn target_before(conn: &Connection, target: Epoch) -> rusqlite::Result<Option<Epoch>> {
    conn.prepare_cached(
        "SELECT target_epoch FROM attestations WHERE target_epoch < ?1
         ORDER BY target_epoch DESC LIMIT 1",
    )?
    .query_row([sql(target.as_u64())], |row| number(row, 0).map(Epoch::new))
    .optional()
}

/// The next higher target epoch of any validator.
fn target_after(conn: &Connection, target: Epoch) -> rusqlite::Result<Option<Epoch>> {
    conn.prepare_cached(
        "SELECT target_epoch FROM attestations WHERE target_epoch > ?1
         ORDER BY target_epoch LIMIT 1",
    )?
    .query_row([sql(target.as_u64())], |row| number(row, 0).map(Epoch::new))
    .optional()
}

/// Adds a block; its checksum if it was not there yet.
pub(crate) fn insert_block(
    conn: &Connection,
    validator_id: i64,
    block: &SignedBlock,
) -> rusqlite::Result<Option<i64>> {
    let added = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO blocks (slot, validator_id, signing_root) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            sql(block.slot.as_u64()),
            validator_id,
            root_bytes(block.signing_root.as_ref())
        ])?;
    Ok((added == 1).then(|| block_checksum(validator_id, block)))
}

/// Adds an attestation; its checksum if it was not there yet.
pub(crate) fn insert_vote(
    conn: &Connection,
    validator_id: i64,
    vote: &SignedAttestation,
) -> rusqlite::Result<Option<i64>> {
    let added = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO attestations
                 (target_epoch, validator_id, source_epoch, signing_root)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            sql(vote.target.as_u64()),
            validator_id,
            sql(vote.source.as_u64()),
            root_bytes(vote.signing_root.as_ref())
        ])?;
    Ok((added == 1).then(|| vote_checksum(validator_id, vote)))
}

/// The checksum of a row of `blocks`.
pub(crate) fn block_checksum(validator_id: i64, block: &SignedBlock) -> i64 {
    Checksum::new(Kind::Block)
        .number(sql(block.slot.as_u64()))
        .number(validator_id)
        .bytes(root_bytes(block.signing_root.as_ref()))
        .finish()
}

/// The checksum of a row of `attestations`.
pub(crate) fn vote_checksum(validator_id: i64, vote: &SignedAttestation) -> i64 {
    Checksum::new(Kind::Attestation)
        .number(sql(vote.target.as_u64()))
        .number(validator_id)
        .number(sql(vote.source.as_u64()))
        .bytes(root_bytes(vote.signing_root.as_ref()))
        .finish()
}
