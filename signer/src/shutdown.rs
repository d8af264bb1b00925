//! When the program is asked to stop.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How long blocking work that was begun, such as opening a keystore, is waited for at the end, when
/// everything else is stopped and the database is closed. One key derivation takes about a second.
pub const BLOCKING_PATIENCE: Duration = Duration::from_secs(5);

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
