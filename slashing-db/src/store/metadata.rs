//! The one row of `metadata`.

use eth_types::{Epoch, Slot};
use rusqlite::{Connection, params};

use crate::checksum::{Checksum, Kind};
use crate::identity::Identity;
use crate::memory::Marks;
use crate::store::row::{columns, full_root, marks, number, optional_epoch, optional_slot, sql};

/// What the row holds. Changed in memory and written as a whole, inside the transaction of the change
/// that it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) database_id: [u8; 16],
    pub(crate) identity: Identity,
    pub(crate) created_at: u64,
    pub(crate) starts: u64,
    pub(crate) sequence: u64,
    pub(crate) journal_chain: i64,
    pub(crate) floor: Marks,
    pub(crate) high_slot: Option<Slot>,
    pub(crate) high_epoch: Option<Epoch>,
    pub(crate) archive_digest: i64,
    pub(crate) validators_digest: i64,
}

impl Metadata {
    /// The row of a database that holds nothing.
    pub(crate) fn new(identity: Identity, database_id: [u8; 16], created_at: u64) -> Self {
        Self {
            database_id,
            identity,
            created_at,
            starts: 0,
            sequence: 0,
            journal_chain: 0,
            floor: Marks::default(),
            high_slot: None,
            high_epoch: None,
            archive_digest: 0,
            validators_digest: 0,
        }
    }

    /// Reads the row; `None` if its checksum does not fit.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Option<Self>> {
        let (metadata, checksum) = conn.query_row(
            "SELECT database_id, genesis_validators_root, network, cluster_lock_hash, created_at,
                    starts, sequence, journal_chain, floor_slot, floor_source, floor_target,
                    high_slot, high_epoch, archive_digest, validators_digest, checksum
             FROM metadata WHERE id = 1",
            [],
            |row| {
                let lock_hash = match row.get_ref(3)? {
                    rusqlite::types::ValueRef::Null => None,
                    _ => Some(full_root(row, 3)?),
                };
                let metadata = Self {
                    database_id: row.get(0)?,
                    identity: Identity {
                        genesis_validators_root: full_root(row, 1)?,
                        network: row.get(2)?,
                        cluster_lock_hash: lock_hash,
                    },
                    created_at: number(row, 4)?,
                    starts: number(row, 5)?,
                    sequence: number(row, 6)?,
                    journal_chain: row.get(7)?,
                    floor: marks(row, 8)?,
                    high_slot: optional_slot(row, 11)?,
                    high_epoch: optional_epoch(row, 12)?,
                    archive_digest: row.get(13)?,
                    validators_digest: row.get(14)?,
                };
                Ok((metadata, row.get::<_, i64>(15)?))
            },
        )?;
        Ok((metadata.checksum() == checksum).then_some(metadata))
    }

    /// Writes the row.
    pub(crate) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        let [floor_slot, floor_source, floor_target] = columns(&self.floor);
        conn.prepare_cached(
            "INSERT OR REPLACE INTO metadata (id, database_id, genesis_validators_root, network,
                 cluster_lock_hash, created_at, starts, sequence, journal_chain, floor_slot,
                 floor_source, floor_target, high_slot, high_epoch, archive_digest,
                 validators_digest, checksum)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            self.database_id.as_slice(),
            self.identity.genesis_validators_root.as_bytes().as_slice(),
            self.identity.network,
            self.identity.cluster_lock_hash.as_ref().map(|hash| hash.as_bytes().as_slice()),
            sql(self.created_at),
            sql(self.starts),
            sql(self.sequence),
            self.journal_chain,
            floor_slot,
            floor_source,
            floor_target,
            self.high_slot.map(|slot| sql(slot.as_u64())),
            self.high_epoch.map(|epoch| sql(epoch.as_u64())),
            self.archive_digest,
            self.validators_digest,
            self.checksum(),
        ])?;
        Ok(())
    }

    fn checksum(&self) -> i64 {
        let [floor_slot, floor_source, floor_target] = columns(&self.floor);
        let lock_hash: &[u8] =
            self.identity.cluster_lock_hash.as_ref().map_or(&[], |hash| hash.as_bytes());
        Checksum::new(Kind::Metadata)
            .bytes(&self.database_id)
            .bytes(self.identity.genesis_validators_root.as_bytes())
            .bytes(self.identity.network.as_bytes())
            .bytes(lock_hash)
            .number(sql(self.created_at))
            .number(sql(self.starts))
            .number(sql(self.sequence))
            .number(self.journal_chain)
            .optional(floor_slot)
            .optional(floor_source)
            .optional(floor_target)
            .optional(self.high_slot.map(|slot| sql(slot.as_u64())))
            .optional(self.high_epoch.map(|epoch| sql(epoch.as_u64())))
            .number(self.archive_digest)
            .number(self.validators_digest)
            .finish()
    }
}
