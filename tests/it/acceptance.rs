//! What Web3Signer's acceptance tests ask of a signer over HTTP, asked of `synod standalone` in a process.
//! `docs/web3signer-differences.md` says where the answers differ on purpose.
//!
//! | module | Web3Signer's tests |
//! | --- | --- |
//! | `edges` | Upcheck, HttpHostAllowList, Metrics, MetricsHostAllowList |
//! | `keys` | KeyIdentifiers, bulk loading Keystore |
//! | `reload` | Reload |
//! | `signing` | BlsSigning, BlsSigningRootProperty, Eth2BlockSigning, Eth2AggregateAndProofSigning, Eth2CustomNetworkFile, Eth2DepositSigning, KeyLoadAndSign |
//! | `slashing` | SlashingProtection, SlashingExport, SlashingImport, SlashingPruning, SlashingProtectionDatabaseVersion, WatermarkRepairSubCommand |
//! | `vectors` | none: the requests of seven clients on five networks |
//! | `wire` | none: requests that no client should send |
#![expect(clippy::indexing_slicing, reason = "a field that is not there fails the test")]

mod edges;
mod keys;
mod reload;
mod samples;
mod signing;
mod slashing;
mod vectors;
mod wire;

use eth_types::PublicKey;
use tests::{Chain, Standalone};

use crate::support::program;

/// The secret key of Web3Signer's tests.
const SECRET: &str = "3ee2224386c82ffea477e2adf28a2929f5c349165a4196158c7f3a2ecca40f35";
/// Its public key.
const KEY: &str = "0x989d34725a2bfc3f15105f3f5fc8741f436c25ee1ee4f948e425d6bcb8c56bce6e06c269635b7e985a7ffa639e2409bf";

const PUBLIC_KEYS: &str = "/api/v1/eth2/publicKeys";

fn key() -> PublicKey {
    KEY.parse().unwrap()
}

fn sign_path() -> String {
    format!("/api/v1/eth2/sign/{KEY}")
}

/// A signer that has the key and is not started yet.
fn signer_on(chain: Chain) -> Standalone {
    let signer = Standalone::on(&program(), chain);
    let yaml = format!("type: file-raw\nkeyType: BLS\nprivateKey: \"0x{SECRET}\"\n");
    std::fs::write(signer.keys("key.yaml"), yaml).unwrap();
    signer
}

/// A signer that has the key.
async fn started_on(chain: Chain) -> Standalone {
    let mut signer = signer_on(chain);
    signer.start_loaded().await;
    signer
}

/// A chain that is in each fork for ten epochs.
fn staged_chain() -> Chain {
    Chain::with_forks_at(40, [10, 20, 30, 40, 50, 60])
}
