//! Integration tests of the pure protocol.

mod bls;
