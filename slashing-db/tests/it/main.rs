//! Integration tests of the slashing database.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper that cannot go on fails the test there"
)]

mod child;
mod common;
mod concurrency;
mod crash;
mod damage;
mod disk_full;
mod durability;
#[cfg(target_os = "linux")]
mod faults;
mod fuzz;
mod identity;
mod interchange;
mod log;
mod long_import;
mod migration;
mod model;
mod property;
mod vectors;
mod watermarks;
