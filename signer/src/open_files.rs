//! The limit of open files, of which every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are kept back for the database, the links to other operators, keystores and the like.
const RESERVE: u64 = 256;
/// Connections are let in even if the limit leaves no room for the reserve.
const FEWEST: u64 = 64;

/// How many connections the limit of open files leaves room for. Raises the limit as far as the process
/// may: many systems start programs with 1024 and allow far more.
pub(crate) fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files cannot be raised");
        }
    }
    // None is no limit.
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(RESERVE).max(FEWEST)).unwrap_or(usize::MAX)
}
