//! The cluster behind the HTTP routes.

use std::collections::HashMap;

use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{ExecutionAddress, PublicKey, Signature};
use futures::FutureExt;
use futures::future::BoxFuture;
use threshold::{Cluster, ClusterError};
use threshold_protocol::engine::SignFailure;

use crate::backend::{Backend, Health, HighWatermark, KeySource, NotReady, Peers, SignError};
use crate::block_proof::BlockRule;

/// Signs with a cluster.
#[derive(Debug)]
pub struct ClusterBackend {
    cluster: Cluster,
    network: Network,
    /// Whom each validator's blocks have to pay.
    fee_recipients: HashMap<PublicKey, ExecutionAddress>,
    proof_required: bool,
}

impl ClusterBackend {
    /// Takes a running node, whose blocks prove nothing.
    #[must_use]
    pub fn new(cluster: Cluster, network: Network) -> Self {
        Self { cluster, network, fee_recipients: HashMap::new(), proof_required: false }
    }

    /// Says whom each validator's blocks have to pay, and whether they have to prove it.
    #[must_use]
    pub fn with_block_proofs(
        self,
        fee_recipients: HashMap<PublicKey, ExecutionAddress>,
        proof_required: bool,
    ) -> Self {
        Self { fee_recipients, proof_required, ..self }
    }

    fn refusal(&self, error: ClusterError) -> SignError {
        match error {
            ClusterError::UnknownValidator(validator) => SignError::UnknownKey { validator },
            ClusterError::Slashing(refusal) => SignError::Slashing(refusal.to_string()),
            // Clients take 500 for worth another try.
            ClusterError::Busy => SignError::Timeout(error.to_string()),
            ClusterError::Stopped => SignError::Unavailable(error.to_string()),
            ClusterError::Failed(failure) => match failure {
                SignFailure::Outvoted { key, asked, signed } => SignError::Outvoted {
                    slot: key.slot(),
                    epoch: key.slot().epoch(self.network.slots_per_epoch()),
                    asked,
                    signed,
                },
                SignFailure::Slashable(reason) => SignError::Slashing(reason),
                SignFailure::Policy(reason) => SignError::Policy(reason.to_string()),
                SignFailure::Invalid(_)
                | SignFailure::Window { .. }
                | SignFailure::RefusedByPeers(_) => SignError::Policy(failure.to_string()),
                SignFailure::NotEnough(reason) => SignError::NotEnoughOperators(reason),
            },
        }
    }
}

impl Backend for ClusterBackend {
    /// All validators of the lock: each of them can sign, or none, as long as operators are missing.
    fn public_keys(&self) -> Result<Vec<PublicKey>, NotReady> {
        Ok(self.cluster.public_keys().to_vec())
    }

    fn sign(
        &self,
        validator: PublicKey,
        duty: Duty,
    ) -> BoxFuture<'_, Result<Signature, SignError>> {
        async move { self.cluster.sign(validator, duty).await.map_err(|error| self.refusal(error)) }
            .boxed()
    }

    fn block_rule(&self, validator: &PublicKey) -> BlockRule {
        BlockRule {
            fee_recipient: self.fee_recipients.get(validator).copied(),
            proof_required: self.proof_required,
        }
    }

    fn health(&self) -> Health {
        let status = self.cluster.status();
        Health {
            keys: vec![KeySource {
                id: "keystores-bulk-loading",
                loaded: self.cluster.public_keys().len(),
                errors: 0,
                complete: true,
            }],
            slashing_database: self
                .cluster
                .slashing_db()
                .health()
                .map_err(|stopped| stopped.to_string()),
            peers: Some(Peers {
                connected: status.connected.len() + 1,
                operators: status.quorum.operators(),
                quorum: status.quorum.threshold(),
            }),
        }
    }

    fn alive(&self) -> Result<(), String> {
        if !self.cluster.slashing_db().is_running() {
            return Err("the slashing database's thread has ended".to_owned());
        }
        // The node's task holds the sending side for as long as it runs.
        match self.cluster.watch_status().has_changed() {
            Ok(_) => Ok(()),
            Err(_) => Err("the node's task has ended".to_owned()),
        }
    }

    fn high_watermark(&self) -> BoxFuture<'_, Result<HighWatermark, NotReady>> {
        HighWatermark::of(self.cluster.slashing_db().clone()).boxed()
    }
}
