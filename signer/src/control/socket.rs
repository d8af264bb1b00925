//! The socket's file.
//!
//! It is made in a directory that only its owner can enter, given mode 0600 there, and moved to its place:
//! at no moment can another user connect, and a file that a dead process left is replaced in one step.
//! The credentials of whoever connects are checked all the same, at both ends.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Name of the socket in a data directory.
pub const SOCKET_FILE: &str = "control.sock";

/// The longest path that fits into a socket's address on every system (Linux has 108 bytes with the
/// final zero, others 104).
const MAX_ADDRESS: usize = 103;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A living process serves it.
    #[error(
        "another process serves {}: two signers on one data directory are never safe, stop the other \
         first",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is in its place.
    #[error("{} is there and is no socket: move it away", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// It could not be made.
    #[error("cannot make the control socket {}", path.display())]
    Make {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A listening socket in its place. The file goes when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: what to remove at the end is this file and no later one.
    id: (u64, u64),
}

impl ControlSocket {
    /// Listens in `data_dir`. To be called in a runtime.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(data_dir: &Path) -> Result<Self, SocketError> {
        let path = data_dir.join(SOCKET_FILE);
        let failed = |source| SocketError::Make { path: path.clone(), source };
        match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(SocketError::NotASocket { path });
            }
            Ok(_) if is_served(data_dir).map_err(failed)? => {
                return Err(SocketError::InUse { path });
            }
            // Of a process that is gone.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let (listener, id) = bind_and_move(data_dir, &path).map_err(failed)?;
        Ok(Self { listener, path, id })
    }

    /// The next connection of this process's own user. Others are turned away.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match check_peer(&stream) {
                Ok(()) => return Ok(stream),
                Err(error) => tracing::warn!(%error, "control connection refused"),
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| id_of(&metadata) == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "control socket not removed");
        }
    }
}

/// Connects to the signer that runs with this data directory; `None` if none does. To be called in a
/// runtime.
///
/// # Errors
/// The socket is there and cannot be used, or is served by another user's process.
pub fn connect(data_dir: &Path) -> io::Result<Option<UnixStream>> {
    let stream = match connect_blocking(data_dir) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    check_peer(&stream)?;
    Ok(Some(stream))
}

/// Neither end talks to another user's process.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let (peer, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    if peer == own {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("the other end runs as user {peer}, this one as user {own}"),
    ))
}

fn is_served(data_dir: &Path) -> io::Result<bool> {
    match connect_blocking(data_dir) {
        Ok(_) => Ok(true),
        Err(error) if is_nobody(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn connect_blocking(data_dir: &Path) -> io::Result<net::UnixStream> {
    let address = Address::in_dir(data_dir)?;
    net::UnixStream::connect(&address.path)
}

/// Makes the socket where nobody else can reach it, and moves it to its place.
fn bind_and_move(data_dir: &Path, path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let private = tempfile::Builder::new()
        .prefix(".control-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(data_dir)?;
    let listener = net::UnixListener::bind(&Address::in_dir(private.path())?.path)?;
    let made = private.path().join(SOCKET_FILE);
    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    let id = id_of(&fs::symlink_metadata(&made)?);
    fs::rename(&made, path)?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, id))
}

fn id_of(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A path to the socket that is short enough for a socket's address.
struct Address {
    path: PathBuf,
    /// What the path leads through, if the plain one was too long.
    _dir: Option<File>,
}

impl Address {
    fn in_dir(dir: &Path) -> io::Result<Self> {
        let path = dir.join(SOCKET_FILE);
        if OsStr::as_bytes(path.as_os_str()).len() <= MAX_ADDRESS {
            return Ok(Self { path, _dir: None });
        }
        let dir = OpenOptions::new().read(true).open(dir)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        if !through.exists() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidFilename,
                format!(
                    "the path is longer than the {MAX_ADDRESS} bytes of a socket's address, and there is \
                     no /proc/self/fd to shorten it"
                ),
            ));
        }
        Ok(Self { path: through.join(SOCKET_FILE), _dir: Some(dir) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_goes_with_its_process() {
        let dir = tempfile::tempdir().unwrap();
        assert!(connect(dir.path()).unwrap().is_none());
        let socket = ControlSocket::bind(dir.path()).unwrap();
        assert_eq!(mode(&dir.path().join(SOCKET_FILE)), 0o600);
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let (accepted, connected) = (socket.accept(), connect(dir.path()).unwrap().unwrap());
        accepted.await.unwrap();
        drop((connected, socket));
        assert!(!dir.path().join(SOCKET_FILE).exists());
    }

    #[tokio::test]
    async fn a_living_socket_is_left_alone_and_a_dead_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET_FILE);
        let living = ControlSocket::bind(dir.path()).unwrap();
        let error = ControlSocket::bind(dir.path()).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        assert!(connect(dir.path()).unwrap().is_some());
        drop(living);

        // As a killed process leaves it.
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(connect(dir.path()).unwrap().is_none());
        let next = ControlSocket::bind(dir.path()).unwrap();
        assert!(connect(dir.path()).unwrap().is_some());

        // What is no longer its own file it leaves.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a user's").unwrap();
        drop(next);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a user's");
        let error = ControlSocket::bind(dir.path()).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_path_longer_than_a_sockets_address_works() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&deep).unwrap();
        let socket = ControlSocket::bind(&deep).unwrap();
        let (accepted, connected) = (socket.accept(), connect(&deep).unwrap().unwrap());
        accepted.await.unwrap();
        drop(connected);
        assert_eq!(mode(&deep.join(SOCKET_FILE)), 0o600);
    }
}
