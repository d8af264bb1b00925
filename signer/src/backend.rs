//! What the HTTP routes need from whoever signs: [`Backend`].
//!
//! The routes do not know whether a whole cluster, a single process with whole keys, or a test stands
//! behind them. A backend gets a typed [`Duty`] whose signing root is already checked against the
//! client's; everything else (slashing protection, policy, agreement, deadlines) is the backend's.

use std::time::SystemTime;

use eth_types::duty::Duty;
use eth_types::{Epoch, PublicKey, Root, Signature, Slot};
use futures::FutureExt;
use futures::future::BoxFuture;
use slashing_db::SlashingDb;

use crate::block_proof::BlockRule;

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

    /// What blocks of a validator have to prove. Answered from memory.
    fn block_rule(&self, validator: &PublicKey) -> BlockRule {
        let _ = validator;
        BlockRule::default()
    }

    /// What `/healthcheck` shows. It is asked every second, often with a time limit of one second:
    /// report what is known, do no I/O here.
    fn health(&self) -> Health;

    /// Whether the tasks behind the backend run; asked for `/livez`, from memory.
    ///
    /// # Errors
    /// What ended that should not have. Only a restart of the program helps.
    fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    /// Starts reading the keys anew, in the background; [`Backend::reload_status`] tells how it goes.
    ///
    /// # Errors
    /// [`ReloadRefused`]. A backend whose keys are fixed while it runs, as a cluster's are, always
    /// refuses.
    fn reload(&self) -> Result<(), ReloadRefused> {
        Err(ReloadRefused::Unsupported)
    }

    /// How the last reload went, or goes. Answered from memory.
    fn reload_status(&self) -> ReloadStatus {
        ReloadStatus::default()
    }

    /// The slot and the epoch from which on nothing is signed, as they are set in the slashing
    /// database. It waits for the database's writer.
    ///
    /// # Errors
    /// [`NotReady`] while the database cannot be asked.
    fn high_watermark(&self) -> BoxFuture<'_, Result<HighWatermark, NotReady>> {
        std::future::ready(Ok(HighWatermark::default())).boxed()
    }
}

/// Why no reload was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReloadRefused {
    /// One is under way.
    #[error("a reload operation is already in progress; try again later")]
    Running,
    /// The backend's keys do not change while it runs.
    #[error("the keys of this node are fixed while it runs; restart it to read them anew")]
    Unsupported,
}

/// How the last reload went, or goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadStatus {
    /// Where it is.
    pub state: ReloadState,
    /// When the last one ended, or, while none has, when the first one began; `None` before any.
    pub last_operation: Option<SystemTime>,
    /// What went wrong in the last one; `None` again as soon as the next begins.
    pub last_error: Option<String>,
}

/// The states of a reload, which `GET /reload` names in snake case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReloadState {
    /// None was asked for yet.
    #[default]
    Idle,
    /// One is under way.
    Running,
    /// The last one read every file.
    Completed,
    /// The last one was finished, and could not read some files.
    CompletedWithErrors,
    /// The last one broke off; the keys are those from before.
    Failed,
}

/// At or above it nothing is signed. `None` where nothing is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HighWatermark {
    /// For attestations: source and target epochs.
    pub epoch: Option<Epoch>,
    /// For blocks.
    pub slot: Option<Slot>,
}

impl HighWatermark {
    /// Asks the database, which may wait for a commit, off the async threads.
    ///
    /// # Errors
    /// The database is closed or has stopped.
    pub async fn of(db: SlashingDb) -> Result<Self, NotReady> {
        // No validator's own watermarks are wanted.
        let asked = tokio::task::spawn_blocking(move || db.watermarks(Some(Vec::new()))).await;
        match asked {
            Ok(Ok(marks)) => Ok(Self { epoch: marks.high_epoch, slot: marks.high_slot }),
            Ok(Err(error)) => Err(NotReady { reason: error.to_string() }),
            Err(error) => Err(NotReady { reason: format!("the slashing database: {error}") }),
        }
    }
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
    /// No such key here. Only for a backend whose keys are all known: while they are being loaded it is
    /// [`SignError::Unavailable`].
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
    /// Whether all keys were tried once; until then the figures are those so far.
    pub complete: bool,
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
