//! Whole clusters of real `synod` processes, for tests: made by `synod create cluster`, run by
//! `synod run`, asked over HTTP as validator clients ask, killed, and looked at from outside.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `chain` | the chain of a test: short slots, and waiting for them |
//! | `cluster` | [`ClusterBuilder`], [`Cluster`]: node processes and what can be done to them |
//! | `duties` | [`Ask`]: requests, with the signing root that the answer has to be over |
//! | `http` | a validator client's end of the wire |
//! | `interchange` | EIP-3076 files, read and written without the program's own code |
//! | `key_manager` | [`KeyManager`]: an operator's tool at the key manager API |
//! | `ports` | ports for the nodes' links |
//! | `process` | [`Program`], [`Process`]: a process, its log, its end |
//! | `standalone` | [`Standalone`]: a signer with whole keys, and its key files |
//! | `records` | what a slashing database holds, read without the program's own code |
//! | `wire` | [`Connection`]: requests and answers down to the bytes |
//!
//! No test here asserts how long something takes. What is waited for is waited for with [`PATIENCE`],
//! which bounds a hang.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helper that cannot go on fails the test there"
)]

pub mod chain;
pub mod cluster;
pub mod duties;
pub mod http;
pub mod interchange;
pub mod key_manager;
pub mod ports;
pub mod process;
pub mod records;
pub mod standalone;
pub mod wire;

use std::path::PathBuf;
use std::time::Duration;

pub use self::chain::Chain;
pub use self::cluster::{Cluster, ClusterBuilder};
pub use self::duties::Ask;
pub use self::http::Answer;
pub use self::key_manager::KeyManager;
pub use self::process::{Finished, Process, Program};
pub use self::records::{Record, RecordedDuty};
pub use self::standalone::Standalone;
pub use self::wire::{Connection, Reply};

/// Nothing here takes a tenth of it on an idle machine; what takes so long hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at that nothing announces.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Where the clusters' files are: in memory where the system offers that. Nodes are killed here and not
/// machines, so nothing hangs on a disk; and a disk that a build keeps busy can hold up a durable write for
/// longer than a request waits.
#[must_use]
pub fn scratch_dir() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if tempfile::tempfile_in(&memory).is_ok() { memory } else { std::env::temp_dir() }
}
