//! Reading one validator's archive, a bounded number of rows at a time.

use eth_types::Epoch;
use rusqlite::{OptionalExtension, params};

use crate::record::{SignedAttestation, SignedBlock};
use crate::store::row::{number, root, root_bytes, sql};
use crate::store::{Store, archive};

/// Look-ups of one page: a millisecond, which a signature may have to wait.
pub(crate) const PAGE: usize = 512;

/// Attestations of a validator, in ascending order, and where to go on.
#[derive(Debug)]
pub(crate) struct VotePage {
    pub(crate) votes: Vec<SignedAttestation>,
    /// The target up to which everything is in; `None` if that was all.
    pub(crate) next: Option<Epoch>,
}

impl Store {
    /// A validator's votes with targets above `after`. Targets are the table's first key, so each one
    /// that any validator has is looked at.
    pub(crate) fn vote_page(
        &self,
        validator_id: i64,
        mut after: Option<Epoch>,
    ) -> rusqlite::Result<VotePage> {
        let mut votes = Vec::new();
        for _ in 0..PAGE {
            // Below zero nothing is stored.
            let from = after.map_or(-1, |target| sql(target.as_u64()));
            let target = self
                .conn
                .prepare_cached(
                    "SELECT target_epoch FROM attestations WHERE target_epoch > ?1
                     ORDER BY target_epoch LIMIT 1",
                )?
                .query_row([from], |row| number(row, 0).map(Epoch::new))
                .optional()?;
            let Some(target) = target else { return Ok(VotePage { votes, next: None }) };
            votes.extend(archive::votes_at(&self.conn, validator_id, target)?);
            after = Some(target);
        }
        Ok(VotePage { votes, next: after })
    }

    /// A validator's next blocks behind `after`; fewer than [`PAGE`] are the last.
    pub(crate) fn block_page(
        &self,
        validator_id: i64,
        after: Option<SignedBlock>,
    ) -> rusqlite::Result<Vec<SignedBlock>> {
        // Below zero nothing is stored.
        let slot = after.map_or(-1, |block| sql(block.slot.as_u64()));
        let last_root = after.and_then(|block| block.signing_root);
        self.conn
            .prepare_cached(
                "SELECT slot, signing_root FROM blocks
                 WHERE validator_id = ?1 AND (slot, signing_root) > (?2, ?3)
                 ORDER BY slot, signing_root LIMIT ?4",
            )?
            .query_map(
                params![validator_id, slot, root_bytes(last_root.as_ref()), PAGE as i64],
                |row| Ok(SignedBlock { slot: number(row, 0)?.into(), signing_root: root(row, 1)? }),
            )?
            .collect()
    }
}
