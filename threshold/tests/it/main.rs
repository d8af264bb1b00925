//! Integration tests of the crate, one binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that cannot go on fails the test there"
)]

mod cluster_file_hashes;
mod cluster_file_lock;
mod data_dir;
mod dealer;
mod enr;
mod keystore;
mod net_hostile;
mod net_mesh;
mod net_relay;
mod net_support;
mod support;
