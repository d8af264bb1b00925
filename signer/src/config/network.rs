//! `--network` and what goes with it.

use std::io::Read;
use std::path::{Path, PathBuf};

use eth_types::Root;
use eth_types::network::{MAX_CONFIG_BYTES, NETWORK_NAMES, Network, NetworkError};

use super::NetworkArgs;

/// Why the network options do not make a network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkArgsError {
    /// `--genesis-validators-root` or `--genesis-time` is missing beside a file.
    #[error("--network {} is a file, which holds no {option}: give it too", path.display())]
    MissingOption {
        /// The file.
        path: PathBuf,
        /// The option.
        option: &'static str,
    },
    /// An option names another chain than the built-in network.
    #[error("{option} is {found}, but {network} has {expected}")]
    Contradiction {
        /// The option.
        option: &'static str,
        /// The built-in network.
        network: String,
        /// What the network has.
        expected: String,
        /// What the option says.
        found: String,
    },
    /// `--genesis-validators-root` or `--genesis-time` without `--network`.
    #[error("{option} needs --network FILE")]
    WithoutNetwork {
        /// The option.
        option: &'static str,
    },
    /// The file cannot be read.
    #[error(
        "--network {}: neither a built-in network ({}) nor a file that can be read",
        path.display(),
        NETWORK_NAMES.join(", ")
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The network is given as a URL.
    #[error("--network {url}: URLs are not fetched: download the file and give its path")]
    Url {
        /// The URL.
        url: String,
    },
    /// The file is not a network configuration.
    #[error("--network {}", path.display())]
    Config {
        /// The file, or the built-in network's name.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NetworkError,
    },
}

impl NetworkArgs {
    /// The network of the options: a built-in one, or one read from a file; `None` without
    /// `--network`.
    ///
    /// # Errors
    /// The options contradict each other or the network, or the file is no network configuration.
    pub fn network(&self) -> Result<Option<Network>, NetworkArgsError> {
        let Some(name) = &self.network else {
            return self.refuse_stray_options().map(|()| None);
        };
        let network = match built_in_name(name) {
            Some(name) => self.built_in(name)?,
            None if name.contains("://") => {
                return Err(NetworkArgsError::Url { url: name.clone() });
            }
            None => self.read_file(Path::new(name))?,
        };
        Ok(Some(network))
    }

    /// Whether `--network` names a file.
    pub(crate) fn is_file(&self) -> bool {
        self.network.as_deref().is_some_and(|name| built_in_name(name).is_none())
    }

    fn refuse_stray_options(&self) -> Result<(), NetworkArgsError> {
        if self.genesis_validators_root.is_some() {
            let option = "--genesis-validators-root";
            return Err(NetworkArgsError::WithoutNetwork { option });
        }
        if self.genesis_time.is_some() {
            return Err(NetworkArgsError::WithoutNetwork { option: "--genesis-time" });
        }
        Ok(())
    }

    fn built_in(&self, name: &str) -> Result<Network, NetworkArgsError> {
        let network = Network::by_name(name)
            .map_err(|source| NetworkArgsError::Config { path: name.into(), source })?;
        check(
            name,
            "--genesis-validators-root",
            network.genesis_validators_root(),
            self.genesis_validators_root,
        )?;
        check(name, "--genesis-time", network.genesis_time(), self.genesis_time)?;
        Ok(network)
    }

    fn read_file(&self, path: &Path) -> Result<Network, NetworkArgsError> {
        let text = read_bounded(path)
            .map_err(|source| NetworkArgsError::Read { path: path.to_owned(), source })?;
        let missing = |option| NetworkArgsError::MissingOption { path: path.to_owned(), option };
        let root: Root =
            self.genesis_validators_root.ok_or_else(|| missing("--genesis-validators-root"))?;
        let time = self.genesis_time.ok_or_else(|| missing("--genesis-time"))?;
        Network::from_config_yaml(&text, root, time)
            .map_err(|source| NetworkArgsError::Config { path: path.to_owned(), source })
    }
}

/// The built-in network of this name in any case, as Web3Signer takes it.
fn built_in_name(name: &str) -> Option<&'static str> {
    NETWORK_NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// An option beside a built-in network may only repeat what the network has.
fn check<T: PartialEq + ToString>(
    network: &str,
    option: &'static str,
    expected: T,
    found: Option<T>,
) -> Result<(), NetworkArgsError> {
    match found {
        Some(found) if found != expected => Err(NetworkArgsError::Contradiction {
            option,
            network: network.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }),
        _ => Ok(()),
    }
}

/// Reads one byte more than is accepted at most, so that the parser can tell that it is too long.
fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(MAX_CONFIG_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(network: &str) -> NetworkArgs {
        NetworkArgs { network: Some(network.to_owned()), ..NetworkArgs::default() }
    }

    #[test]
    fn a_built_in_network_is_found_by_name_in_any_case() {
        for name in ["hoodi", "HOODI", "Hoodi"] {
            let network = args(name).network().unwrap().unwrap();
            assert_eq!(network.name(), "hoodi");
            assert!(!args(name).is_file());
        }
        assert!(args("config.yaml").is_file());
    }

    #[test]
    fn a_url_is_refused_as_what_it_is() {
        let url = "https://example.org/network/config.yaml";
        let error = args(url).network().unwrap_err().to_string();
        assert!(error.contains(url) && error.contains("URLs are not fetched"), "{error}");
    }

    #[test]
    fn without_a_network_there_is_none_and_its_other_options_are_refused() {
        assert_eq!(NetworkArgs::default().network().unwrap(), None);
        let stray = NetworkArgs { genesis_time: Some(1), ..NetworkArgs::default() };
        let error = stray.network().unwrap_err().to_string();
        assert_eq!(error, "--genesis-time needs --network FILE");
    }

    #[test]
    fn a_root_that_contradicts_a_built_in_network_is_refused_with_both() {
        let wrong = NetworkArgs { genesis_validators_root: Some(Root::ZERO), ..args("mainnet") };
        let error = wrong.network().unwrap_err().to_string();
        assert!(error.contains("0x0000") && error.contains("0x4b363db9"), "{error}");
    }

    #[test]
    fn a_file_needs_root_and_time_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, "PRESET_BASE: mainnet\n").unwrap();
        let file = args(path.to_str().unwrap());
        assert!(matches!(
            file.network(),
            Err(NetworkArgsError::MissingOption { option: "--genesis-validators-root", .. })
        ));
        let rooted =
            NetworkArgs { genesis_validators_root: Some(Root::new([1; 32])), ..file.clone() };
        assert!(matches!(
            rooted.network(),
            Err(NetworkArgsError::MissingOption { option: "--genesis-time", .. })
        ));
        let whole = NetworkArgs { genesis_time: Some(1), ..rooted };
        assert!(matches!(whole.network(), Err(NetworkArgsError::Config { .. })));
    }

    #[test]
    fn a_name_that_is_neither_built_in_nor_a_file_is_refused() {
        let error = args("prater").network().unwrap_err().to_string();
        assert!(error.contains("prater") && error.contains("hoodi"), "{error}");
    }
}
