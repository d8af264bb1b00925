//! Slashing data that come with keys and leave with them.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use eth_types::PublicKey;
use slashing_db::interchange::{ExportOptions, ImportError, check_file};
use slashing_db::{Marks, ValidatorWatermarks};

use super::error::{KeyManagerError, without_quotes};
use crate::control::wire::ImportWord;
use crate::control::work::Maintenance;
use crate::error::chain;

/// What became of the slashing data of a request, key by key.
#[derive(Debug, Default)]
pub(super) struct ImportedHistory {
    refused: HashMap<PublicKey, String>,
    taken: HashSet<PublicKey>,
    /// Why an entry's key cannot be read: it may be anybody's.
    of_nobody: Option<String>,
}

impl ImportedHistory {
    /// Why a validator's key must not become active, if so.
    pub(super) fn objection(&self, validator: &PublicKey) -> Option<String> {
        if let Some(reason) = self.refused.get(validator) {
            return Some(format!("its slashing protection data are not imported: {reason}"));
        }
        let reason = self.of_nobody.as_ref().filter(|_| !self.taken.contains(validator))?;
        Some(format!(
            "the slashing protection data have no entry for it, but one whose key cannot be read: {reason}"
        ))
    }
}

/// Imports everything in `text` that is of validators of this signer, or of any if it may get any. Those
/// that are not imported now are protected, too, should their keystores come later.
///
/// # Errors
/// The data are not for this chain, or are none; nothing was imported.
pub(super) fn import(
    maintenance: &Maintenance,
    text: Option<&str>,
) -> Result<ImportedHistory, KeyManagerError> {
    let Some(text) = text else { return Ok(ImportedHistory::default()) };
    let genesis_validators_root = maintenance.db().identity().genesis_validators_root;
    let mut from = Cursor::new(text.as_bytes());
    // All of it is read before any of it is taken.
    check_file(&mut from, genesis_validators_root).map_err(refusal)?;
    let imported = maintenance.import(&mut from, &mut |_| {}).map_err(refusal)?;
    let mut history = ImportedHistory::default();
    for line in imported.lines {
        if let (Some(validator), Some(closed)) = (line.validator, line.closed()) {
            tracing::warn!(%validator, "slashing protection data: {closed}");
        }
        match (line.validator, line.outcome) {
            (Some(validator), ImportWord::Refused) => {
                let reason = line.reason.unwrap_or_default();
                tracing::warn!(%validator, "slashing protection data refused: {}", without_quotes(&reason));
                history.refused.insert(validator, without_quotes(&reason));
            }
            (Some(validator), _) => {
                history.taken.insert(validator);
            }
            (None, _) => {
                let reason = without_quotes(&line.reason.unwrap_or_default());
                tracing::warn!("slashing protection data of an unreadable key refused: {reason}");
                history.of_nobody.get_or_insert(reason);
            }
        }
    }
    Ok(history)
}

/// Of which of `keys` something would be exported.
///
/// # Errors
/// The database does not answer.
pub(super) fn with_history(
    maintenance: &Maintenance,
    keys: &HashSet<PublicKey>,
) -> Result<HashSet<PublicKey>, KeyManagerError> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    // All of them: choosing is quicker here than among the database's work.
    let marks = maintenance.db().watermarks(None).map_err(|error| {
        KeyManagerError::Failed(format!("the slashing database did not answer: {error}"))
    })?;
    let has_any = |marks: &&ValidatorWatermarks| {
        let none = Marks::default();
        [marks.low, marks.raised, marks.highest].iter().any(|mark| *mark != none)
    };
    let validators = marks.validators.iter().filter(has_any).map(|marks| marks.validator);
    Ok(validators.filter(|validator| keys.contains(validator)).collect())
}

/// The history of these validators as the text of an interchange file. Whatever was recorded before the
/// call is in it.
///
/// # Errors
/// The database does not answer.
pub(super) fn export(
    maintenance: &Maintenance,
    validators: Vec<PublicKey>,
) -> Result<String, KeyManagerError> {
    let options = ExportOptions { validators: Some(validators), ..ExportOptions::default() };
    let mut text = Vec::new();
    maintenance
        .export(&mut text, &options, &mut |_| {})
        .map_err(|error| KeyManagerError::Failed(chain(&error)))?;
    String::from_utf8(text)
        .map_err(|_| KeyManagerError::Failed("the export is not text".to_owned()))
}

fn refusal(error: ImportError) -> KeyManagerError {
    match error {
        ImportError::Database(error) => KeyManagerError::Failed(format!(
            "no key is imported: the slashing database did not take the slashing protection data: {error}"
        )),
        error => KeyManagerError::SlashingData(without_quotes(&chain(&error))),
    }
}
