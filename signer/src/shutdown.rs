//! When the program is asked to stop.

use tokio::signal::unix::{SignalKind, signal};

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
