//! The async side of a node: [`node::Cluster`] is the handle that signs, one task behind it drives the
//! pure protocol (`threshold-protocol`) over libp2p, the slashing database and the secret shares.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`node`] | the node: handle, task |
//! | [`share`] | secret shares; no permit, no partial signature |
//! | [`work`] | recording, signing and combining off the task |
//! | [`witness_file`] | exits and deposits that wait for more operators |
//! | [`net`] | libp2p: the links to the other operators |
//! | [`data_dir`] | a node's files: identity, cluster lock, key shares |
//! | [`cluster_file`], [`enr`], [`keystore`] | those files' formats |
//! | [`dealer`] | makes a whole cluster on one machine |
#![forbid(unsafe_code)]

pub mod cluster_file;
pub mod data_dir;
pub mod dealer;
pub mod enr;
pub mod keystore;
pub mod net;
pub mod node;
mod node_log;
pub mod share;
mod throttle;
pub mod witness_file;
mod witness_keeper;
pub mod work;

pub use node::{
    Cluster, ClusterError, ClusterStatus, NoObserver, NodeConfig, Observer, StartError,
};
