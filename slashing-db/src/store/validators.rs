//! Rows of `validators`.

use eth_types::PublicKey;
use rusqlite::Connection;
use rusqlite::types::Type;

use crate::checksum::{Checksum, Kind};
use crate::memory::{Memory, Validator};
use crate::store::row::{columns, marks};

/// Reads all validators into `memory`. The sum of their rows' checksums, or what is wrong with them.
pub(crate) fn read(
    conn: &Connection,
    memory: &mut Memory,
) -> rusqlite::Result<Result<i64, String>> {
    let mut statement = conn.prepare(
        "SELECT id, public_key, low_slot, low_source, low_target, floor_slot, floor_source,
                floor_target, guard_slot, guard_source, guard_target, peak_slot, peak_source,
                peak_target, contradictory, signed
         FROM validators ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut digest = 0_i64;
    while let Some(row) = rows.next()? {
        let public_key = PublicKey::try_from(row.get_ref(1)?.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, Type::Blob, error.into())
        })?;
        let mut validator = Validator::new(row.get(0)?, public_key);
        validator.low = marks(row, 2)?;
        validator.floor = marks(row, 5)?;
        validator.guard = marks(row, 8)?;
        validator.archived = marks(row, 11)?;
        validator.peak = validator.archived;
        validator.contradictory = row.get(14)?;
        validator.signed = row.get(15)?;
        validator.stored_checksum = checksum(&validator);
        digest = digest.wrapping_add(validator.stored_checksum);
        let id = validator.id;
        if !memory.restore(validator) {
            return Ok(Err(format!("validator row {id} is out of order or repeats a key")));
        }
    }
    Ok(Ok(digest))
}

/// A validator's row, ready to be written.
#[derive(Debug)]
pub(crate) struct ValidatorRow {
    id: i64,
    public_key: PublicKey,
    marks: [Option<i64>; 12],
    contradictory: bool,
    signed: bool,
}

impl ValidatorRow {
    /// Takes the row from a validator and keeps `digest`, the sum over all rows, in step.
    pub(crate) fn new(validator: &mut Validator, digest: &mut i64) -> Self {
        let checksum = checksum(validator);
        *digest = digest.wrapping_sub(validator.stored_checksum).wrapping_add(checksum);
        validator.stored_checksum = checksum;
        Self {
            id: validator.id,
            public_key: validator.public_key,
            marks: all_marks(validator),
            contradictory: validator.contradictory,
            signed: validator.signed,
        }
    }

    /// Inserts or replaces the row.
    pub(crate) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut statement = conn.prepare_cached(
            "INSERT INTO validators (id, public_key, contradictory, low_slot, low_source,
                 low_target, floor_slot, floor_source, floor_target, guard_slot, guard_source,
                 guard_target, peak_slot, peak_source, peak_target, signed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT (id) DO UPDATE SET contradictory = ?3, low_slot = ?4, low_source = ?5,
                 low_target = ?6, floor_slot = ?7, floor_source = ?8, floor_target = ?9,
                 guard_slot = ?10, guard_source = ?11, guard_target = ?12, peak_slot = ?13,
                 peak_source = ?14, peak_target = ?15, signed = ?16",
        )?;
        statement.raw_bind_parameter(1, self.id)?;
        statement.raw_bind_parameter(2, self.public_key.as_bytes().as_slice())?;
        statement.raw_bind_parameter(3, self.contradictory)?;
        for (parameter, mark) in (4..).zip(self.marks) {
            statement.raw_bind_parameter(parameter, mark)?;
        }
        statement.raw_bind_parameter(16, self.signed)?;
        statement.raw_execute().map(|_| ())
    }
}

fn all_marks(validator: &Validator) -> [Option<i64>; 12] {
    let mut all = [None; 12];
    let marks = [&validator.low, &validator.floor, &validator.guard, &validator.archived];
    for (place, column) in all.iter_mut().zip(marks.into_iter().flat_map(columns)) {
        *place = column;
    }
    all
}

fn checksum(validator: &Validator) -> i64 {
    let checksum = Checksum::new(Kind::Validator)
        .number(validator.id)
        .bytes(validator.public_key.as_bytes())
        .number(validator.contradictory.into());
    let checksum = all_marks(validator).into_iter().fold(checksum, Checksum::optional);
    // Rows from before `signed` was there count as signed, and keep their checksums.
    if validator.signed { checksum.finish() } else { checksum.number(0).finish() }
}
