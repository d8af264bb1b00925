//! The JSON shape of a keystore file, before any of it is trusted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The whole file. The order of the fields is the order in which they are written.
#[derive(Serialize, Deserialize)]
pub(super) struct KeystoreJson {
    pub(super) crypto: CryptoJson,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) pubkey: String,
    #[serde(default)]
    pub(super) path: String,
    pub(super) uuid: String,
    pub(super) version: u64,
}

/// The part that says which version the rest is of; read first, since version 3 (an execution-layer
/// key) has another shape.
#[derive(Deserialize)]
pub(super) struct VersionJson {
    pub(super) version: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CryptoJson {
    pub(super) kdf: Module<Value>,
    pub(super) checksum: Module<Value>,
    pub(super) cipher: Module<CipherParams>,
}

/// A construction, its parameters and its input (EIP-2335, "Modules").
#[derive(Serialize, Deserialize)]
pub(super) struct Module<P> {
    pub(super) function: String,
    pub(super) params: P,
    pub(super) message: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CipherParams {
    pub(super) iv: String,
}
