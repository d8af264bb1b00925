//! What the HTTP routes need from whoever signs: [`Backend`].
//!
//! The routes do not know whether a whole cluster, a single process with whole keys, or a test stands
//! behind them. A backend gets a typed [`Duty`] whose signing root is already checked against the
//! client's; everything else (slashing protection, policy, agreement, deadlines) is the backend's.

use eth_types::duty::Duty;
use eth_types::{Epoch, PublicKey, Root, Signature, Slot};
use futures::future::BoxFuture;

/// A signer behind the HTTP routes.
pub trait Backend: Send + Sync + 'static {
    /// The keys that can sign now, in a stable order.
    ///
    /// Clients drop a key that is missing from the list, and some lose the duties of all their keys
    /// when one cannot sign: the list must be complete, and hold only what can sign.
    ///
    /// # Errors
    /// [`NotReady`] while the list would be empty or partial for a passing reason, such as during
    /// start. Clients keep the list that they have.
    fn public_keys(&self) -> Result<Vec<PublicKey>, NotReady>;

    /// Signs `duty` with the key of `validator`, or says why not.
    ///
    /// It answers within the time that clients wait (2.5 s unless configured otherwise). The future
    /// is dropped at any await point if the client goes away.
    ///
    /// # Errors
    /// See [`SignError`]; its variants decide what the client is told to do.
    fn sign(&self, validator: PublicKey, duty: Duty)
    -> BoxFuture<'_, Result<Signature, SignError>>;

    /// What `/healthcheck` shows. It is asked every second, often with a time limit of one second:
    /// report what is known, do no I/O here.
    fn health(&self) -> Health;
}

/// The backend cannot tell its keys yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not ready: {reason}")]
pub struct NotReady {
    /// What is being waited for.
    pub reason: String,
}

/// Why a backend did not sign. The answers that follow from each are in [`crate::error`].
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No such key here.
    #[error("unknown validator key {validator}")]
    UnknownKey {
        /// The key that was asked for.
        validator: PublicKey,
    },
    /// This node's slashing protection refused; the text names the rule and both sides.
    #[error("slashing protection: {0}")]
    Slashing(String),
    /// The cluster settled on, or already signed, another message for this duty. The duty is done:
    /// the validator client that asked for that message publishes it.
    #[error(
        "the cluster signed another message for this duty (slot {slot}, epoch {epoch}): \
         asked for signing root {asked}, signed {signed}"
    )]
    Outvoted {
        /// The slot of the duty.
        slot: Slot,
        /// The epoch of the slot; of an attestation, its target epoch.
        epoch: Epoch,
        /// The signing root that the client asked for.
        asked: Root,
        /// The signing root that the cluster signed.
        signed: Root,
    },
    /// The duty is outside what is signed at all (slot window, fork version, fee recipient, ...).
    #[error("refused by policy: {0}")]
    Policy(String),
    /// Too few operators took part before the deadline.
    #[error("not enough operators: {0}")]
    NotEnoughOperators(String),
    /// The deadline passed for another reason.
    #[error("no signature before the deadline: {0}")]
    Timeout(String),
    /// This node cannot sign now, for a reason that a retry within seconds will not mend.
    #[error("not ready: {0}")]
    Unavailable(String),
    /// Something broke that should not have.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What a backend knows of its own health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The sources of keys, each with its figures.
    pub keys: Vec<KeySource>,
    /// The slashing database: why it cannot be written, if so.
    pub slashing_database: Result<(), String>,
    /// The other operators; `None` without a cluster.
    pub peers: Option<Peers>,
}

/// Where keys were loaded from, and how that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySource {
    /// The id of the check, such as `config-files-loading`.
    pub id: &'static str,
    /// Keys that are loaded and can sign.
    pub loaded: usize,
    /// Keys that should be there and could not be loaded.
    pub errors: usize,
}

/// How much of the cluster is within reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers {
    /// Operators that are connected, this one included.
    pub connected: usize,
    /// Operators of the cluster.
    pub operators: usize,
    /// Operators that a signature takes.
    pub quorum: usize,
}
