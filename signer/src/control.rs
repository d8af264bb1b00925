//! The control interface of a running signer: a Unix domain socket in its data directory, over which
//! the program's own commands reach the slashing database that the signer has open.
//!
//! HTTP over `control.sock`: an import is a request body that is streamed, an export a streamed answer.
//! Whoever can open the data directory as the signer's user may use it, and nobody else.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`expected`] | which signer a command is for, compared before anything is done |
//! | [`keys`] | which validator a key in a file is: its own or a share's |
//! | [`work`] | what is done to the database, in the signer or in a command that opened the file |
//! | [`wire`] | requests, answers, and what they look like to people |
//! | [`socket`] | the socket's file: made for its owner alone, replaced if its process is dead |
//! | [`server`] | the signer's end |
//! | [`client`] | a command's end |

pub mod client;
pub mod expected;
pub mod keys;
pub mod server;
pub mod socket;
pub mod wire;
pub mod work;

use std::path::Path;

use slashing_db::SlashingDb;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::keys::KeyMap;
use self::socket::{ControlSocket, SocketError};
use self::work::Maintenance;

/// The control interface of a running signer. It is served until [`Control::stop`], or until this is
/// dropped.
#[derive(Debug)]
pub struct Control {
    stop: watch::Sender<bool>,
    /// `None` where no socket could be made.
    server: Option<JoinHandle<()>>,
}

impl Control {
    /// Serves the signer that runs with this data directory and has this database open. To be called in a
    /// runtime.
    ///
    /// A directory in which no socket can be made (some network file systems have none) costs a warning
    /// only: the signer signs without.
    ///
    /// # Errors
    /// Another process serves this directory.
    pub fn start(data_dir: &Path, db: SlashingDb, keys: KeyMap) -> Result<Self, SocketError> {
        let (stop, mut stopped) = watch::channel(false);
        let socket = match ControlSocket::bind(data_dir) {
            Ok(socket) => socket,
            Err(error @ SocketError::InUse { .. }) => return Err(error),
            Err(error) => {
                let error = server::with_cause(&error);
                tracing::warn!(error, "commands cannot reach this signer while it runs");
                return Ok(Self { stop, server: None });
            }
        };
        let app = server::router(Maintenance::new(db, keys), data_dir.to_owned());
        let server = tokio::spawn(server::serve(socket, app, async move {
            // An error means that the sender is gone, which is a reason to stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        Ok(Self { stop, server: Some(server) })
    }

    /// Stops accepting, and returns when what runs is finished or its time is up. The database is closed
    /// after that.
    pub async fn stop(self) {
        // The server holds the other end.
        let _ = self.stop.send(true);
        if let Some(server) = self.server
            && let Err(error) = server.await
        {
            tracing::error!(%error, "the control interface ended badly");
        }
    }
}
