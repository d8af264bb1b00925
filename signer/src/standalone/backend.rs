//! Whole keys behind the HTTP routes.

use std::sync::Arc;
use std::time::Duration;

use eth_types::duty::Duty;
use eth_types::{PublicKey, Signature};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::signing::Signing;
use super::store::KeyStore;
use crate::backend::{
    Backend, Health, HighWatermark, NotReady, ReloadRefused, ReloadStatus, SignError,
};
use crate::block_proof::BlockRule;

/// How long a signature may take: Nimbus gives up after 3 s.
const SIGN_TIMEOUT: Duration = Duration::from_millis(2500);

/// Signs with whole keys. Any slot may be asked for, as in Web3Signer; the slashing database decides.
#[derive(Debug)]
pub struct StandaloneBackend {
    keys: KeyStore,
    signing: Arc<Signing>,
    block_rule: BlockRule,
}

impl StandaloneBackend {
    /// Takes the keys and what signs. What blocks have to prove is the same for all keys.
    #[must_use]
    pub const fn new(keys: KeyStore, signing: Arc<Signing>, block_rule: BlockRule) -> Self {
        Self { keys, signing, block_rule }
    }

    async fn sign(&self, validator: PublicKey, duty: Duty) -> Result<Signature, SignError> {
        // Asked first: a load that ends in between must not make its last key an unknown one.
        let ready = self.keys.ready();
        let answer = self
            .keys
            .with_key(&validator, |stored| self.signing.sign(stored, duty))
            .ok_or(match ready {
                Ok(()) => SignError::UnknownKey { validator },
                Err(NotReady { reason }) => SignError::Unavailable(reason),
            })?;
        match tokio::time::timeout(SIGN_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SignError::Internal("signing ended without an answer".to_owned())),
            Err(_) => Err(SignError::Timeout(format!(
                "not recorded and signed within {} ms",
                SIGN_TIMEOUT.as_millis()
            ))),
        }
    }
}

impl Backend for StandaloneBackend {
    fn public_keys(&self) -> Result<Vec<PublicKey>, NotReady> {
        self.keys.public_keys()
    }

    fn sign(
        &self,
        validator: PublicKey,
        duty: Duty,
    ) -> BoxFuture<'_, Result<Signature, SignError>> {
        self.sign(validator, duty).boxed()
    }

    fn block_rule(&self, _: &PublicKey) -> BlockRule {
        self.block_rule
    }

    fn health(&self) -> Health {
        Health {
            keys: self.keys.figures(),
            slashing_database: self
                .signing
                .slashing_db()
                .health()
                .map_err(|stopped| stopped.to_string()),
            peers: None,
        }
    }

    fn alive(&self) -> Result<(), String> {
        self.signing.alive()
    }

    fn reload(&self) -> Result<(), ReloadRefused> {
        self.keys.reload()
    }

    fn reload_status(&self) -> ReloadStatus {
        self.keys.reload_status()
    }

    fn high_watermark(&self) -> BoxFuture<'_, Result<HighWatermark, NotReady>> {
        HighWatermark::of(self.signing.slashing_db().clone()).boxed()
    }
}
