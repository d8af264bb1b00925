//! Integration tests of the crate, one binary.

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
