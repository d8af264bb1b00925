//! What the key manager endpoints answer, as the
//! [key manager API](https://github.com/ethereum/keymanager-APIs) defines it.
//!
//! Their requests hold passwords; the server reads them into types of its own, and there are none here.

use eth_types::PublicKey;
use serde::{Deserialize, Serialize};

/// The body of every answer of these endpoints that is not a 200: `{"message":"..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyManagerErrorAnswer {
    /// What is wrong, and what to do.
    pub message: String,
}

/// A list, as all these endpoints answer: `{"data":[...]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataAnswer<T> {
    /// The items; for a request with a list, one for each of its items, in its order.
    pub data: Vec<T>,
}

/// A key of `GET /eth/v1/keystores`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeystoreItem {
    /// The validator.
    pub validating_pubkey: PublicKey,
    /// The path that its keystore names, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derivation_path: Option<String>,
    /// Whether it cannot be deleted here.
    pub readonly: bool,
}

/// A key of `GET /eth/v1/remotekeys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteKeyItem {
    /// The validator.
    pub pubkey: PublicKey,
    /// Where it is signed with; empty for a cluster, which has no one address.
    pub url: String,
    /// Whether it cannot be deleted here.
    pub readonly: bool,
}

/// What became of one key that was to be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportItem {
    /// In a word.
    pub status: ImportStatus,
    /// Why, for an error; may be empty otherwise.
    pub message: String,
}

/// The statuses of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// It is stored, and signs.
    Imported,
    /// It was here already.
    Duplicate,
    /// It is not taken.
    Error,
}

/// What became of one key that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteItem {
    /// In a word.
    pub status: DeleteStatus,
    /// Why, for an error; may be empty otherwise.
    pub message: String,
}

/// The statuses of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteStatus {
    /// It signed until now, and does not any more.
    Deleted,
    /// It did not sign any more; its history is exported again.
    NotActive,
    /// It is not here, and nothing is known of it.
    NotFound,
    /// It still signs.
    Error,
}

/// The answer to `DELETE /eth/v1/keystores`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteKeystoresAnswer {
    /// One for each key of the request, in its order.
    pub data: Vec<DeleteItem>,
    /// An EIP-3076 interchange of the keys that are deleted or not active, as a JSON text.
    pub slashing_protection: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_words_of_the_specification() {
        let text = |status| serde_json::to_string(&status).unwrap();
        assert_eq!(text(DeleteStatus::NotActive), r#""not_active""#);
        assert_eq!(text(DeleteStatus::NotFound), r#""not_found""#);
        let item = ImportItem { status: ImportStatus::Duplicate, message: String::new() };
        assert_eq!(
            serde_json::to_string(&DataAnswer { data: vec![item] }).unwrap(),
            r#"{"data":[{"status":"duplicate","message":""}]}"#
        );
    }

    #[test]
    fn a_keystore_without_a_path_has_no_path_field() {
        let item = KeystoreItem {
            validating_pubkey: PublicKey::ZERO,
            derivation_path: None,
            readonly: true,
        };
        let text = serde_json::to_string(&item).unwrap();
        assert!(text.ends_with(r#"00","readonly":true}"#), "{text}");
    }
}
