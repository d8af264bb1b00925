//! Integration tests of the pure protocol.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers, which clippy does not exempt"
)]

mod agreement_steps;
mod bls;
mod support;
