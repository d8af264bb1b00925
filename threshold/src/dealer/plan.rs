//! What the dealer is asked to make, checked before anything is made.

use std::path::{Path, PathBuf};

use eth_types::ExecutionAddress;
use eth_types::network::Network;
use threshold_protocol::bls::{Threshold, ThresholdError};
use threshold_protocol::cluster::Quorum;

use crate::cluster_file::{Gwei, ValidatorAddresses, known_network};

/// The gas limit that registrations vote for unless another is chosen.
pub const DEFAULT_TARGET_GAS_LIMIT: u64 = 60_000_000;

/// Most validators of one cluster: the most that a cluster lock can hold.
pub const MAX_VALIDATORS: usize = 65_536;

const MIN_DEPOSIT: Gwei = Gwei::ETH;
const MAX_DEPOSIT: Gwei = Gwei::new(32_000_000_000);
/// EIP-7251: the most that a compounding validator can have.
const MAX_COMPOUNDING_DEPOSIT: Gwei = Gwei::new(2_048_000_000_000);
/// What activates a validator.
const ACTIVATION: Gwei = Gwei::new(32_000_000_000);
/// Deposits made for each validator unless others are chosen, in ETH.
const DEFAULT_DEPOSITS: [u64; 2] = [1, 32];
const DEFAULT_COMPOUNDING_DEPOSITS: [u64; 4] = [1, 8, 32, 256];

/// Where the validators' keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Make so many new ones.
    Generate {
        /// How many.
        validators: usize,
    },
    /// Split the keys in this folder. Whoever ran them before must have stopped for good: two signers
    /// of one key get it slashed.
    Split {
        /// The folder with keystores and passwords; the layouts known are those of the field's tools.
        dir: PathBuf,
        /// If given, the folder has to hold so many.
        validators: Option<usize>,
    },
}

/// What the dealer is asked to make.
#[derive(Debug, Clone)]
pub struct ClusterParams {
    /// The cluster's name, for people.
    pub name: String,
    /// Number of nodes, n.
    pub nodes: u8,
    /// Nodes that it takes to sign, t; ceil(2n/3) if not given.
    pub threshold: Option<u8>,
    /// Where the keys come from.
    pub keys: KeySource,
    /// The chain.
    pub network: Network,
    /// Where stake and rewards go: one address for all validators, or one each.
    pub withdrawal_addresses: Vec<ExecutionAddress>,
    /// Where tips and MEV go: one address for all validators, or one each.
    pub fee_recipient_addresses: Vec<ExecutionAddress>,
    /// Deposits to prepare for each validator; the usual ones if not given.
    pub deposit_amounts: Option<Vec<Gwei>>,
    /// The gas limit that registrations vote for.
    pub target_gas_limit: u64,
    /// Whether the validators compound their rewards (0x02 withdrawal credentials).
    pub compounding: bool,
    /// Keystores that anybody can open, for throwaway clusters: they take no time to make.
    pub insecure_keys: bool,
    /// The folder that gets `node0`, `node1` and so on.
    pub cluster_dir: PathBuf,
}

/// Why no such cluster is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// n and t are no safe cluster.
    #[error("the number of nodes and the threshold make no cluster")]
    Threshold(#[from] ThresholdError),
    /// Not one address for all or one each.
    #[error("{found} {kind} addresses for {validators} validators: expected 1, or one for each")]
    Addresses {
        /// Which kind.
        kind: &'static str,
        /// How many there are.
        found: usize,
        /// How many validators.
        validators: usize,
    },
    /// The zero address on a network where that is money burnt.
    #[error("a {kind} address is zero: on {network} what is sent there is lost")]
    ZeroAddress {
        /// Which kind.
        kind: &'static str,
        /// The network.
        network: String,
    },
    /// No validator, or too many.
    #[error("{found} validators: expected 1 to {MAX_VALIDATORS}")]
    Validators {
        /// How many.
        found: usize,
    },
    /// The folder of existing keys holds another number of keys.
    #[error("{found} keystores are in {}, but {expected} validators were asked for", dir.display())]
    KeyCount {
        /// The folder.
        dir: PathBuf,
        /// How many were asked for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A deposit is too small or too large.
    #[error("a deposit of {found} ETH: expected {MIN_DEPOSIT} to {largest}")]
    Deposit {
        /// The amount.
        found: Gwei,
        /// The most that is allowed.
        largest: Gwei,
    },
    /// The deposits do not activate a validator.
    #[error("the deposits add up to {found} ETH: at least {ACTIVATION} activate a validator")]
    DepositSum {
        /// Their sum.
        found: Gwei,
    },
    /// Keystores without protection on a network with real money.
    #[error("insecure keys are refused on {network}")]
    InsecureKeys {
        /// The network.
        network: String,
    },
}

/// Parameters of which all is checked and decided.
pub(super) struct Plan<'a> {
    pub(super) params: &'a ClusterParams,
    pub(super) threshold: Threshold,
    /// One for each validator.
    pub(super) addresses: Vec<ValidatorAddresses>,
    /// As the definition lists them.
    pub(super) deposit_amounts: Vec<Gwei>,
}

impl ClusterParams {
    /// Checks everything that can be checked before the number of validators is known.
    pub(super) fn threshold(&self) -> Result<Threshold, ParamsError> {
        let usual = || u8::try_from(Quorum::usual_threshold(self.nodes.into())).unwrap_or(u8::MAX);
        let threshold = self.threshold.unwrap_or_else(usual);
        if self.insecure_keys && self.has_real_money() {
            return Err(ParamsError::InsecureKeys { network: self.network.name().to_owned() });
        }
        Ok(Threshold::new(self.nodes, threshold)?)
    }

    /// Whether the network is one on which a mistake costs money.
    fn has_real_money(&self) -> bool {
        known_network(self.network.genesis_fork_version())
            .is_some_and(|network| matches!(network.name(), "mainnet" | "gnosis"))
    }

    fn addresses(
        &self,
        kind: &'static str,
        addresses: &[ExecutionAddress],
        validators: usize,
    ) -> Result<Vec<ExecutionAddress>, ParamsError> {
        if self.has_real_money() && addresses.iter().any(ExecutionAddress::is_zero) {
            let network = self.network.name().to_owned();
            return Err(ParamsError::ZeroAddress { kind, network });
        }
        match addresses {
            [one] => Ok(vec![*one; validators]),
            each if each.len() == validators => Ok(each.to_vec()),
            _ => Err(ParamsError::Addresses { kind, found: addresses.len(), validators }),
        }
    }

    fn deposit_amounts(&self) -> Result<Vec<Gwei>, ParamsError> {
        let mut amounts = match &self.deposit_amounts {
            Some(amounts) => amounts.clone(),
            None if self.compounding => {
                DEFAULT_COMPOUNDING_DEPOSITS.iter().filter_map(|eth| Gwei::from_eth(*eth)).collect()
            }
            None => DEFAULT_DEPOSITS.iter().filter_map(|eth| Gwei::from_eth(*eth)).collect(),
        };
        let largest = if self.compounding { MAX_COMPOUNDING_DEPOSIT } else { MAX_DEPOSIT };
        if let Some(found) = amounts.iter().find(|a| !(MIN_DEPOSIT..=largest).contains(*a)) {
            return Err(ParamsError::Deposit { found: *found, largest });
        }
        let sum = amounts.iter().fold(0u64, |sum, amount| sum.saturating_add(amount.as_u64()));
        if sum < ACTIVATION.as_u64() {
            return Err(ParamsError::DepositSum { found: Gwei::new(sum) });
        }
        amounts.sort_unstable();
        Ok(amounts)
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(params: &'a ClusterParams, validators: usize) -> Result<Self, ParamsError> {
        if validators == 0 || validators > MAX_VALIDATORS {
            return Err(ParamsError::Validators { found: validators });
        }
        let withdrawal =
            params.addresses("withdrawal", &params.withdrawal_addresses, validators)?;
        let fees =
            params.addresses("fee recipient", &params.fee_recipient_addresses, validators)?;
        let addresses = withdrawal
            .into_iter()
            .zip(fees)
            .map(|(withdrawal, fee_recipient)| ValidatorAddresses {
                fee_recipient: fee_recipient.into(),
                withdrawal: withdrawal.into(),
            })
            .collect();
        let deposit_amounts = params.deposit_amounts()?;
        Ok(Self { params, threshold: params.threshold()?, addresses, deposit_amounts })
    }
}

/// Checks the number of keystores found against the number asked for.
pub(super) fn check_key_count(
    dir: &Path,
    expected: Option<usize>,
    found: usize,
) -> Result<(), ParamsError> {
    match expected {
        Some(expected) if expected != found => {
            Err(ParamsError::KeyCount { dir: dir.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(network: &str) -> ClusterParams {
        ClusterParams {
            name: "test".to_owned(),
            nodes: 4,
            threshold: None,
            keys: KeySource::Generate { validators: 2 },
            network: Network::by_name(network).unwrap(),
            withdrawal_addresses: vec![ExecutionAddress::new([1; 20])],
            fee_recipient_addresses: vec![ExecutionAddress::new([2; 20])],
            deposit_amounts: None,
            target_gas_limit: DEFAULT_TARGET_GAS_LIMIT,
            compounding: false,
            insecure_keys: false,
            cluster_dir: PathBuf::new(),
        }
    }

    fn eth(amounts: &[u64]) -> Option<Vec<Gwei>> {
        Some(amounts.iter().filter_map(|eth| Gwei::from_eth(*eth)).collect())
    }

    #[test]
    fn what_is_not_given_is_the_usual() {
        let params = params("mainnet");
        let plan = Plan::new(&params, 2).unwrap();
        assert_eq!(plan.threshold.threshold(), 3);
        assert_eq!(plan.addresses.len(), 2);
        assert_eq!(Some(plan.deposit_amounts), eth(&[1, 32]));
        let compounding = ClusterParams { compounding: true, ..params };
        assert_eq!(
            Some(Plan::new(&compounding, 2).unwrap().deposit_amounts),
            eth(&[1, 8, 32, 256])
        );
    }

    #[test]
    fn parameters_that_make_no_cluster_are_refused() {
        let zero = ExecutionAddress::ZERO;
        let one = ExecutionAddress::new([1; 20]);
        let mainnet = || params("mainnet");
        let cases = [
            (
                ClusterParams { nodes: 0, ..mainnet() },
                "the number of nodes and the threshold make no cluster",
            ),
            (
                ClusterParams { threshold: Some(2), ..mainnet() },
                "the number of nodes and the threshold make no cluster",
            ),
            (
                ClusterParams { nodes: 17, ..mainnet() },
                "the number of nodes and the threshold make no cluster",
            ),
            (
                ClusterParams { insecure_keys: true, ..mainnet() },
                "insecure keys are refused on mainnet",
            ),
            (
                ClusterParams { insecure_keys: true, ..params("gnosis") },
                "insecure keys are refused on gnosis",
            ),
            (
                ClusterParams { withdrawal_addresses: vec![], ..mainnet() },
                "0 withdrawal addresses for 2 validators: expected 1, or one for each",
            ),
            (
                ClusterParams { fee_recipient_addresses: vec![one; 3], ..mainnet() },
                "3 fee recipient addresses for 2 validators: expected 1, or one for each",
            ),
            (
                ClusterParams { withdrawal_addresses: vec![one, zero], ..mainnet() },
                "a withdrawal address is zero: on mainnet what is sent there is lost",
            ),
            (
                ClusterParams { fee_recipient_addresses: vec![zero], ..params("gnosis") },
                "a fee recipient address is zero: on gnosis what is sent there is lost",
            ),
            (
                ClusterParams { deposit_amounts: eth(&[0, 32]), ..mainnet() },
                "a deposit of 0 ETH: expected 1 to 32",
            ),
            (
                ClusterParams { deposit_amounts: eth(&[33]), ..mainnet() },
                "a deposit of 33 ETH: expected 1 to 32",
            ),
            (
                ClusterParams { deposit_amounts: eth(&[2049]), compounding: true, ..mainnet() },
                "a deposit of 2049 ETH: expected 1 to 2048",
            ),
            (
                ClusterParams { deposit_amounts: eth(&[1, 30]), ..mainnet() },
                "the deposits add up to 31 ETH: at least 32 activate a validator",
            ),
            (
                ClusterParams { deposit_amounts: eth(&[]), ..mainnet() },
                "the deposits add up to 0 ETH: at least 32 activate a validator",
            ),
        ];
        for (params, reason) in cases {
            let error = Plan::new(&params, 2).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
        for validators in [0, MAX_VALIDATORS + 1] {
            assert!(matches!(
                Plan::new(&mainnet(), validators),
                Err(ParamsError::Validators { found }) if found == validators
            ));
        }
    }

    #[test]
    fn test_networks_take_what_mainnet_does_not() {
        let hoodi = ClusterParams {
            insecure_keys: true,
            withdrawal_addresses: vec![ExecutionAddress::ZERO],
            ..params("hoodi")
        };
        assert!(Plan::new(&hoodi, 2).is_ok());
    }
}
