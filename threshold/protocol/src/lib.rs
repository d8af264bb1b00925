//! The signing protocol of a cluster: agreement on one message per slashable duty, co-signing of the
//! rest, collection of partial signatures, the threshold maths, and the messages between nodes.
//!
//! This crate is pure: it performs no I/O. Time and randomness are arguments; sockets, the slashing
//! database and the secret share are the business of crate `threshold`, which drives an [`engine`].
#![warn(clippy::missing_errors_doc)]

pub mod agreement;
pub mod bls;
pub mod cluster;
pub mod engine;
pub mod identity;
pub mod message;
pub mod policy;
pub mod timing;
pub mod wire;

pub use cluster::{KeyIndex, OperatorIndex, OperatorSet, Quorum};
