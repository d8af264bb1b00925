//! The program's run from its start to when it is asked to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// How long blocking work that was begun, such as opening a keystore, is waited for at the end, when
/// everything else is stopped and the database is closed. One key derivation takes about a second.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(5);

/// Runs `program` on all cores to its end, and blocking work that it began for [`BLOCKING_PATIENCE`] more.
///
/// # Errors
/// The runtime cannot be started, or the program's own error.
pub fn run_to_end(
    program: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(program);
    // Not dropped: that would wait for blocking work however long it takes.
    runtime.shutdown_timeout(BLOCKING_PATIENCE);
    outcome
}

/// Waits for Ctrl-C (SIGINT) or SIGTERM.
///
/// # Errors
/// The signals cannot be listened for.
pub async fn requested() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Waits as [`requested`] does, or until the program has to stop because something in it `ended`.
///
/// # Errors
/// The signals cannot be listened for, or what ended.
pub async fn requested_or<E: Into<anyhow::Error>>(
    ended: impl Future<Output = E>,
) -> anyhow::Result<()> {
    tokio::select! {
        requested = requested() => Ok(requested?),
        ended = ended => Err(ended.into()),
    }
}
