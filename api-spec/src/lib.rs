//! The HTTP contract of the signer: paths, what clients send, what the server answers. It can be
//! read and used without the server.
//!
//! The contract is Web3Signer's, in every form in which the validator clients speak it
//! ([`SignRequest`]). `openapi.yaml` beside this crate's sources says the same in OpenAPI.
#![forbid(unsafe_code)]

mod answer;
mod duty_type;
mod key_manager;
pub mod paths;
mod sign;
mod strict;

pub use answer::{
    Check, ErrorAnswer, HealthAnswer, HighWatermarkAnswer, HostRefusedAnswer, ReloadAnswer,
    ReloadOutcome, ReloadProgress, ReloadStatusAnswer, SignAnswer, Status,
};
pub use duty_type::{DutyType, UnknownDutyType};
pub use key_manager::{
    DataAnswer, DeleteItem, DeleteKeystoresAnswer, DeleteStatus, ImportItem, ImportStatus,
    KeyManagerErrorAnswer, KeystoreItem, RemoteKeyItem,
};
pub use sign::{MerkleProof, SignObject, SignRequest, SignRequestError};

/// The interface as an OpenAPI 3.1 document.
pub const OPENAPI_YAML: &str = include_str!("../openapi.yaml");
