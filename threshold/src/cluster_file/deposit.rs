//! `deposit-data*.json`: what the operator hands to the deposit contract's page.

use eth_types::containers::DepositData;
use eth_types::network::Network;
use serde::Serialize;
use threshold_protocol::bls;
use tree_hash::TreeHash;

use super::json::{self, Gwei};
use super::verify::{deposit_message, deposit_root};

/// The field's deposit tool whose form this is; launch pads look at it.
const DEPOSIT_CLI_VERSION: &str = "2.7.0";

/// The deposit whose file has no amount in its name.
const USUAL_DEPOSIT: Gwei = Gwei::new(32_000_000_000);

/// One file: every validator's deposit of one amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositFile {
    /// The file's name.
    pub name: String,
    /// The file's text.
    pub json: String,
}

/// Why there are no deposit files.
#[derive(Debug, thiserror::Error)]
pub enum DepositFileError {
    /// A deposit is not signed by its key. Money sent with it would be lost.
    #[error("the deposit of {} Gwei by {} is not signed by that key", deposit.amount, deposit.pubkey)]
    Signature {
        /// The deposit.
        deposit: Box<DepositData>,
    },
    /// The text could not be made.
    #[error("the deposits cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// One deposit in the deposit tool's form: hex without `0x`.
#[derive(Serialize)]
struct DepositJson<'a> {
    pubkey: String,
    withdrawal_credentials: String,
    amount: u64,
    signature: String,
    deposit_message_root: String,
    deposit_data_root: String,
    fork_version: String,
    network_name: &'a str,
    deposit_cli_version: &'static str,
}

/// The deposit files for these deposits: one for each amount, smallest first, in each the validators in
/// the order of their public keys. Every signature is verified.
///
/// # Errors
/// A deposit is not signed by its key.
pub fn deposit_files(
    deposits: &[DepositData],
    network: &Network,
) -> Result<Vec<DepositFile>, DepositFileError> {
    let mut sorted = deposits.to_vec();
    sorted.sort_unstable_by_key(|deposit| (deposit.amount, deposit.pubkey));
    sorted
        .chunk_by(|a, b| a.amount == b.amount)
        .map(|deposits| deposit_file(deposits, network))
        .collect()
}

fn deposit_file(
    deposits: &[DepositData],
    network: &Network,
) -> Result<DepositFile, DepositFileError> {
    let entries = deposits
        .iter()
        .map(|deposit| deposit_json(deposit, network))
        .collect::<Result<Vec<_>, _>>()?;
    let amount = deposits.first().map_or(USUAL_DEPOSIT, |deposit| Gwei::new(deposit.amount));
    let name = if amount == USUAL_DEPOSIT {
        "deposit-data.json".to_owned()
    } else {
        format!("deposit-data-{amount}eth.json")
    };
    Ok(DepositFile { name, json: json::to_text(&entries)? })
}

fn deposit_json<'a>(
    deposit: &DepositData,
    network: &'a Network,
) -> Result<DepositJson<'a>, DepositFileError> {
    let fork_version = network.genesis_fork_version();
    if !bls::verify(&deposit.pubkey, &deposit_root(deposit, fork_version), &deposit.signature) {
        return Err(DepositFileError::Signature { deposit: Box::new(*deposit) });
    }
    Ok(DepositJson {
        pubkey: hex::encode(deposit.pubkey),
        withdrawal_credentials: hex::encode(deposit.withdrawal_credentials),
        amount: deposit.amount,
        signature: hex::encode(deposit.signature),
        deposit_message_root: hex::encode(deposit_message(deposit, fork_version).tree_hash_root()),
        deposit_data_root: hex::encode(deposit.tree_hash_root()),
        fork_version: hex::encode(fork_version),
        network_name: network.name(),
        deposit_cli_version: DEPOSIT_CLI_VERSION,
    })
}
