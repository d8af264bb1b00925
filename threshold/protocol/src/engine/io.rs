//! What an engine is told and what it wants done.

use std::time::Duration;

use eth_types::duty::Duty;
use eth_types::{Root, Signature, Slot};

use crate::agreement::{InstanceKey, InvalidValue, Lie};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, OperatorIndex, OperatorSet};
use crate::message::{CosignRefusal, PeerMessage, Witness};

/// Names a request of the own validator client; the answer repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a piece of work handed out; its result repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The own validator client asks for a signature. The caller has checked a slashable duty against
    /// the slashing database, read-only: what could never be signed does not come here.
    Request {
        /// Chosen by the caller, unique.
        id: RequestId,
        /// The validator.
        validator: KeyIndex,
        /// The duty.
        duty: Duty,
    },
    /// Nobody waits for the answer any more.
    Cancel(RequestId),
    /// A peer is connected, both ways.
    Connected(OperatorIndex),
    /// A peer is gone.
    Disconnected(OperatorIndex),
    /// A peer says something.
    Message {
        /// The peer that the channel authenticated.
        from: OperatorIndex,
        /// What it says.
        message: PeerMessage,
    },
    /// The outcome of [`Output::Sign`].
    Signed {
        /// Its ticket.
        ticket: Ticket,
        /// One for each job, in order.
        results: Vec<Result<PartialSignature, OwnRefusal>>,
    },
    /// The outcome of [`Output::Combine`].
    Combined {
        /// Its ticket.
        ticket: Ticket,
        /// One for each job, in order.
        results: Vec<Combination>,
    },
    /// Time has passed: [`super::Engine::next_timeout`] is due.
    Tick,
}

/// Why this node did not sign what it was to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnRefusal {
    /// The slashing database says no.
    #[error("{0}")]
    Slashable(String),
    /// The slashing database, or the share, is unusable.
    #[error("{0}")]
    Failed(String),
}

/// The outcome of combining the partial signatures of one validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// The verified signature, if enough partials were good.
    pub signature: Option<Signature>,
    /// Operators whose partials were bad.
    pub culprits: OperatorSet,
}

/// What is to be done, in order.
#[derive(Debug)]
pub enum Output {
    /// Send to one peer.
    Send(OperatorIndex, PeerMessage),
    /// Send to every connected peer.
    Broadcast(PeerMessage),
    /// Record what is slashable, in one transaction, and sign with the own shares. A partial signature
    /// must not be given back, or leave the node, before its record is durable.
    Sign {
        /// To be repeated.
        ticket: Ticket,
        /// What to sign.
        jobs: Vec<SignJob>,
    },
    /// Combine partial signatures over one root and verify the results.
    Combine {
        /// To be repeated.
        ticket: Ticket,
        /// The signing root.
        root: Root,
        /// One for each validator.
        jobs: Vec<CombineJob>,
    },
    /// Answer a request.
    Answer {
        /// Which.
        id: RequestId,
        /// The verified signature, or the reason why there is none.
        outcome: Result<Signature, SignFailure>,
    },
    /// Keep this across restarts, if it is not kept already, and give it back to
    /// [`super::Engine::restore_witness`].
    KeepWitness {
        /// Whose part it is.
        operator: OperatorIndex,
        /// The part.
        witness: Witness,
        /// Send it to every connected peer once it is kept. If it cannot be kept they are not told, and the
        /// next request for it tries again; a peer that connects while this process runs gets it all the
        /// same. No harm comes of that: it is what this node's operator asked for.
        tell: bool,
    },
    /// Something to log and count.
    Report(Report),
}

/// How much an engine holds. Every figure has a bound, whatever peers send; that of requests is the
/// caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait.
    pub requests: usize,
    /// Agreement instances.
    pub instances: usize,
    /// Values in the instance that holds most.
    pub values: usize,
    /// Rounds in the instance that holds most.
    pub rounds: usize,
    /// Validators' partial signatures over one root each.
    pub collections: usize,
    /// Co-signed duties.
    pub cosigns: usize,
    /// Witnessed duties, counted for each operator that asked.
    pub witnesses: usize,
}

/// One thing to sign.
#[derive(Debug, Clone)]
pub struct SignJob {
    /// The validator.
    pub validator: KeyIndex,
    /// What.
    pub duty: Duty,
}

/// One validator's partial signatures, those of operators that are trusted least at the end.
#[derive(Debug, Clone)]
pub struct CombineJob {
    /// The validator.
    pub validator: KeyIndex,
    /// At least the threshold's number.
    pub partials: Vec<(OperatorIndex, PartialSignature)>,
}

/// Something worth a line in the log and a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// An operator endorsed two values. Its endorsements no longer count in later instances.
    Lie(Lie),
    /// An operator's partial signature was bad.
    BadPartial {
        /// The operator.
        operator: OperatorIndex,
        /// The validator.
        validator: KeyIndex,
        /// The signing root.
        root: Root,
    },
    /// A peer was refused a co-signature.
    RefusedPeer {
        /// The peer.
        operator: OperatorIndex,
        /// The validator.
        validator: KeyIndex,
        /// Why.
        reason: CosignRefusal,
    },
    /// This node refused to sign what the cluster settled on.
    RefusedOwn {
        /// The validator.
        validator: KeyIndex,
        /// The instance.
        key: InstanceKey,
        /// Why.
        reason: OwnRefusal,
    },
    /// The cluster settled on a message.
    Settled {
        /// The instance.
        key: InstanceKey,
        /// The signing root.
        root: Root,
        /// The round; 0 is the leaderless one.
        round: u32,
    },
    /// The node's clock was ahead, and was set back.
    ClockSetBack {
        /// By how much.
        ahead: Duration,
    },
    /// The deadline of a duty passed without agreement.
    Expired {
        /// The instance.
        key: InstanceKey,
        /// How far agreement got.
        progress: String,
    },
}

/// Why a request gets no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignFailure {
    /// The cluster signed another message for the duty.
    #[error(
        "the cluster signed another message for this duty ({key}): asked for signing root {asked}, \
         signed {signed}"
    )]
    Outvoted {
        /// The duty.
        key: InstanceKey,
        /// The root asked for.
        asked: Root,
        /// The root signed.
        signed: Root,
    },
    /// The slashing database of this node, without which there are not enough shares, refused.
    #[error("{0}")]
    Slashable(String),
    /// No message of a sound duty.
    #[error("{0}")]
    Invalid(#[from] InvalidValue),
    /// The slot has not come, or is past.
    #[error(
        "slot {slot} is outside the window: the slot is {current} now, and duties are signed from the \
         start of their slot until {lateness} slots after it"
    )]
    Window {
        /// The slot asked for.
        slot: Slot,
        /// The slot of the clock.
        current: Slot,
        /// Slots of lateness.
        lateness: u64,
    },
    /// The cluster's policy forbids it.
    #[error("refused by policy: {0}")]
    Policy(CosignRefusal),
    /// So many peers refused that the threshold cannot be reached.
    #[error("refused by peers: {0}")]
    RefusedByPeers(String),
    /// Not enough partial signatures came in time.
    #[error("{0}")]
    NotEnough(String),
}
