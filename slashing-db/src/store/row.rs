//! Between the numbers and roots of the program and the columns of SQLite.

use eth_types::{Epoch, Root, Slot};
use rusqlite::types::{Type, ValueRef};

use crate::memory::Marks;
use crate::record::Span;

/// A number for SQLite. Everything that is stored was checked against
/// [`MAX_NUMBER`](crate::record::MAX_NUMBER) before; a larger number would be stored as the largest.
pub(crate) fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number from SQLite. A negative one was never stored, and is reported as damage.
pub(crate) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A number that may be absent.
pub(crate) fn optional_number(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<u64>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => number(row, column).map(Some),
    }
}

/// An optional slot.
pub(crate) fn optional_slot(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<Slot>> {
    Ok(optional_number(row, column)?.map(Slot::new))
}

/// An optional epoch.
pub(crate) fn optional_epoch(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<Epoch>> {
    Ok(optional_number(row, column)?.map(Epoch::new))
}

/// Three columns, slot, source and target, as marks.
pub(crate) fn marks(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Marks> {
    let slot = optional_slot(row, first)?;
    let source = optional_epoch(row, first + 1)?;
    let target = optional_epoch(row, first + 2)?;
    let span = match (source, target) {
        (Some(source), Some(target)) => Some(Span { source, target }),
        _ => None,
    };
    Ok(Marks { slot, span })
}

/// Marks as three columns.
pub(crate) fn columns(marks: &Marks) -> [Option<i64>; 3] {
    [
        marks.slot.map(|slot| sql(slot.as_u64())),
        marks.span.map(|span| sql(span.source.as_u64())),
        marks.span.map(|span| sql(span.target.as_u64())),
    ]
}

/// A signing root's column; empty stands for unknown.
pub(crate) fn root(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Root>> {
    let bytes = row.get_ref(column)?.as_blob()?;
    if bytes.is_empty() {
        return Ok(None);
    }
    fixed_root(bytes, column).map(Some)
}

/// A column that holds exactly 32 bytes.
pub(crate) fn full_root(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Root> {
    fixed_root(row.get_ref(column)?.as_blob()?, column)
}

fn fixed_root(bytes: &[u8], column: usize) -> rusqlite::Result<Root> {
    Root::try_from(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, error.into())
    })
}

/// A signing root as a column.
pub(crate) fn root_bytes(root: Option<&Root>) -> &[u8] {
    root.map_or(&[], |root| root.as_bytes())
}
