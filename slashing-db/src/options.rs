//! How a database is used.

use std::time::Duration;

use crate::memory::Strategy;
use crate::store::prune::Pruning;

/// What a database is opened for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// To sign. Counts a start, and refuses a database that looks restored from an old copy.
    #[default]
    Sign,
    /// To import, export and look: nothing is recorded for signing, and nothing is pruned. A database
    /// that looks restored is opened, and stays refused for signing.
    Maintain,
}

/// How a database is used. `Options::default()` is right for a signer.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which of EIP-3076's strategies decides.
    pub strategy: Strategy,
    /// What the database is opened for.
    pub access: Access,
    /// Sign although the database looks restored from an old copy.
    pub accept_restored: bool,
    /// Compare every stored record with the checksums when opening: about a second for 2.5 million.
    pub verify: bool,
    /// How much is kept when old records are pruned in the background; `None` keeps everything.
    pub pruning: Option<Pruning>,
    /// Messages kept in memory and in the journal before they move to the archive in the background.
    /// The default holds an epoch and a half of 10,000 validators, in about a megabyte.
    pub journal_rows: usize,
    /// How long no request must have come before background work is done.
    pub quiet_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: Strategy::Complete,
            access: Access::Sign,
            accept_restored: false,
            verify: true,
            pruning: Some(Pruning::default()),
            journal_rows: 16_384,
            quiet_after: Duration::from_millis(200),
        }
    }
}
