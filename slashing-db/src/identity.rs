//! Whose records a database holds.

use std::fmt;

use eth_types::Root;

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
