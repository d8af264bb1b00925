//! Integration tests of the pure protocol.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers, which clippy does not exempt"
)]
#![allow(clippy::disallowed_methods, reason = "tests read vectors and write event logs")]

mod agreement_steps;
mod bls;
mod cluster;
mod policy;
mod support;
