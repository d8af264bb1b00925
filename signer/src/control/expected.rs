//! What a command takes the signer to be.
//!
//! It goes with every request, and the signer compares it with its database before it does anything: a
//! command that was given the wrong data directory is refused, as it is where it opens the file itself.

use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use eth_types::Root;
use eth_types::network::Network;
use serde::{Deserialize, Serialize};
use slashing_db::{Identity, OpenError};

use crate::assemble::SLASHING_DB_FILE;

/// Header of every request: the [`Expected`] as JSON.
const HEADER: HeaderName = HeaderName::from_static("synod-expected");

/// What a command was told of the signer that it is for. What it was not told is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The chain of `--network`.
    pub chain: Option<Chain>,
    /// The lock of `--lock-file`, or the one in the data directory.
    pub lock: Option<Lock>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The network's name.
    pub network: String,
    /// Its genesis validators root.
    pub genesis_validators_root: Root,
}

impl From<&Network> for Chain {
    fn from(network: &Network) -> Self {
        Self {
            network: network.name().to_owned(),
            genesis_validators_root: network.genesis_validators_root(),
        }
    }
}

/// A cluster's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its hash, which stands for all of it.
    pub hash: Root,
    /// Its chain, if it is one that is built in.
    pub chain: Option<Chain>,
}

/// A request does not say what it expects.
#[derive(Debug, thiserror::Error)]
#[error(
    "the request does not say which signer it is for (header {HEADER}): it is none of this program's commands"
)]
pub(super) struct NotSaid;

impl Expected {
    /// What `headers` say.
    ///
    /// # Errors
    /// Nothing that can be understood.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, NotSaid> {
        let value = headers.get(HEADER).ok_or(NotSaid)?;
        serde_json::from_slice(value.as_bytes()).map_err(|_| NotSaid)
    }

    /// The header that says it; `None` for a network's name that no header can hold.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let json = serde_json::to_vec(self).ok()?;
        Some((HEADER, HeaderValue::from_bytes(&json).ok()?))
    }

    /// Compares it with the database that a signer has open in `data_dir`.
    ///
    /// # Errors
    /// [`OpenError::OtherIdentity`]: what the command would have been told if it had opened the file.
    pub fn check(&self, found: &Identity, data_dir: &Path) -> Result<(), OpenError> {
        let expected = self.identity(found);
        if expected == *found {
            return Ok(());
        }
        Err(OpenError::OtherIdentity {
            path: data_dir.join(SLASHING_DB_FILE),
            found: Box::new(found.clone()),
            expected: Box::new(expected),
        })
    }

    /// The database that is expected: `found`, but for what is known to be otherwise.
    fn identity(&self, found: &Identity) -> Identity {
        let lock = self.lock.as_ref();
        // That of the same lock is what the database was made with, whatever its name is here.
        let of_lock = lock
            .filter(|lock| found.cluster_lock_hash != Some(lock.hash))
            .and_then(|lock| lock.chain.as_ref());
        let chain = self.chain.as_ref().or(of_lock);
        Identity {
            genesis_validators_root: chain
                .map_or(found.genesis_validators_root, |chain| chain.genesis_validators_root),
            network: chain.map_or_else(|| found.network.clone(), |chain| chain.network.clone()),
            cluster_lock_hash: lock.map(|lock| lock.hash).or(found.cluster_lock_hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(name: &str) -> Chain {
        Chain::from(&Network::by_name(name).unwrap())
    }

    fn database(network: &str, lock: Option<u8>) -> Identity {
        let Chain { network, genesis_validators_root } = chain(network);
        let cluster_lock_hash = lock.map(|byte| Root::new([byte; 32]));
        Identity { genesis_validators_root, network, cluster_lock_hash }
    }

    fn lock(byte: u8, network: Option<&str>) -> Option<Lock> {
        Some(Lock { hash: Root::new([byte; 32]), chain: network.map(chain) })
    }

    fn refusal(expected: &Expected, found: &Identity) -> Option<String> {
        expected.check(found, Path::new("DIR")).err().map(|error| error.to_string())
    }

    #[test]
    fn what_was_not_told_is_not_compared() {
        let nothing = Expected::default();
        for found in [database("hoodi", None), database("mainnet", Some(1))] {
            assert_eq!(refusal(&nothing, &found), None);
        }
        let same = Expected { chain: Some(chain("hoodi")), lock: lock(1, None) };
        assert_eq!(refusal(&same, &database("hoodi", Some(1))), None);
        let unnamed = Identity { network: "devnet".to_owned(), ..database("hoodi", Some(1)) };
        let of_lock = Expected { chain: None, lock: lock(1, Some("hoodi")) };
        assert_eq!(refusal(&of_lock, &unnamed), None, "the same lock, under the name it was given");
    }

    #[test]
    fn another_network_root_or_lock_is_refused_with_both_sides() {
        let other = Expected { chain: Some(chain("hoodi")), lock: None };
        let reason = refusal(&other, &database("mainnet", None)).unwrap();
        assert!(reason.contains("DIR/slashing-protection.sqlite belongs to network mainnet"));
        assert!(reason.contains("but this command is for network hoodi"), "{reason}");

        let root = Chain { genesis_validators_root: Root::ZERO, ..chain("hoodi") };
        let other = Expected { chain: Some(root), lock: None };
        assert!(
            refusal(&other, &database("hoodi", None)).unwrap().contains(&Root::ZERO.to_string())
        );

        // A cluster's lock beside a signer with whole keys, and that of another cluster.
        let other = Expected { chain: None, lock: lock(2, Some("sepolia")) };
        for found in [database("hoodi", None), database("hoodi", Some(1))] {
            let reason = refusal(&other, &found).unwrap();
            assert!(reason.contains("for network sepolia with") && reason.contains("lock 0x0202"));
        }
    }

    #[test]
    fn it_goes_through_a_header_and_a_request_without_one_says_nothing() {
        let name = "devnet \u{e9}".to_owned();
        let chain = Chain { network: name, genesis_validators_root: Root::ZERO };
        let expected = Expected { chain: Some(chain), lock: lock(1, None) };
        let headers = HeaderMap::from_iter(expected.header());
        assert_eq!(Expected::of(&headers).unwrap(), expected);
        assert!(Expected::of(&HeaderMap::new()).is_err());
        let junk = HeaderMap::from_iter([(HEADER, HeaderValue::from_static("mainnet"))]);
        assert!(Expected::of(&junk).is_err());
    }
}
