//! Whose records a database holds.

use std::fmt;
use std::io;
use std::path::Path;

use eth_types::Root;

use crate::error::OpenError;
use crate::lock::Lock;
use crate::start;
use crate::store::schema;

/// The chain and the cluster that a database belongs to; pinned when the file is made and compared
/// each time it is opened. No request can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain's genesis validators root.
    pub genesis_validators_root: Root,
    /// The network's name, such as `hoodi`.
    pub network: String,
    /// The cluster lock's hash; `None` for a signer that holds whole keys.
    pub cluster_lock_hash: Option<Root>,
}

impl Identity {
    /// What the database at `path` is pinned to, for a caller that has not been told (`export`,
    /// `import`, `watermark`). `None` where there is no database: no file, or one that is empty because
    /// the process that made it ended at once. Nothing is made or written but the lock file.
    ///
    /// # Errors
    /// The database is in use ([`OpenError::InUse`]), is not one of ours or a newer one, or cannot be
    /// read.
    pub fn stored(path: &Path) -> Result<Option<Self>, OpenError> {
        match std::fs::metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(OpenError::File { action: "look at", path: path.to_owned(), source });
            }
        }
        let _lock = Lock::take(path)?;
        schema::stored_identity(path).map_err(OpenError::or_damaged)
    }

    /// Why there should be a database at `path` where [`Identity::stored`] finds none: what the files beside
    /// it remember of the one that was in use here. `None` if they are not there either. Changes nothing.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn missed(path: &Path) -> Result<Option<String>, OpenError> {
        start::missed(path)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "network {} with genesis validators root {}",
            self.network, self.genesis_validators_root
        )?;
        match self.cluster_lock_hash {
            Some(hash) => write!(f, " and cluster lock {hash}"),
            None => f.write_str(" and no cluster lock"),
        }
    }
}
