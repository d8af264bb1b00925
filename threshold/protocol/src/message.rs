//! What nodes say to each other. [`PeerMessage::encode`] and [`PeerMessage::decode`] are in `wire`.

use eth_types::duty::{Duty, DutyKind};
use eth_types::{Root, Slot};
use sha2::{Digest, Sha256};

use crate::agreement::{AgreementMessage, InstanceKey};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, OperatorIndex};
use crate::identity::{Authenticator, IdentitySignature};

/// Partial signatures in one PARTIALS message. A flush carries at most so many, so that the first of a
/// large batch are not held up by the last (protocol.md, section 3).
pub const PARTIALS_PER_MESSAGE: usize = 64;

/// A message between two nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// Agreement on a slashable duty.
    Agreement(AgreementMessage),
    /// PARTIALS: partial signatures of a settled message.
    Partials(Partials),
    /// A co-signed duty: please sign what my validator client asks for.
    CosignRequest(CosignRequest),
    /// The answer to a [`CosignRequest`], or a partial signature given unasked.
    CosignAnswer(CosignAnswer),
    /// A witnessed duty: my operator asked for it, here is my part.
    Witness(Witness),
    /// What a node announces of itself.
    Status(Status),
}

impl PeerMessage {
    /// The slot the message belongs to, so that a full queue drops the oldest duty first. None for
    /// what belongs to no slot and is always current.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Agreement(message) => Some(message.key.slot()),
            Self::Partials(partials) => Some(partials.key.slot()),
            Self::CosignRequest(request) => request.duty.slot(),
            Self::CosignAnswer(_) | Self::Witness(_) | Self::Status(_) => None,
        }
    }
}

/// Partial signatures by one operator over one root, for several validators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partials {
    /// The instance that settled on the root.
    pub key: InstanceKey,
    /// The signing root.
    pub root: Root,
    /// One for each validator, in rising order of position.
    pub partials: Vec<(KeyIndex, PartialSignature)>,
}

/// A request to sign a duty of which a second signature does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignRequest {
    /// The validator.
    pub validator: KeyIndex,
    /// The whole duty: the peer recomputes its root.
    pub duty: Duty,
    /// The sender's own part.
    pub partial: PartialSignature,
}

/// An answer to a [`CosignRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignAnswer {
    /// The validator.
    pub validator: KeyIndex,
    /// The signing root.
    pub root: Root,
    /// The partial signature, or why there is none.
    pub outcome: Result<PartialSignature, CosignRefusal>,
}

/// Why a peer does not co-sign. The numbers go over the wire and must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u8)]
pub enum CosignRefusal {
    /// The validator is not in the peer's lock.
    #[error("validator unknown")]
    UnknownValidator = 1,
    /// The duty is of a class that is not co-signed.
    #[error("duty type not co-signed")]
    WrongClass = 2,
    /// The slot or epoch is outside the window.
    #[error("slot or epoch outside the window")]
    OutOfWindow = 3,
    /// The operator had another message for this duty co-signed.
    #[error("another message for this duty was signed for this operator already")]
    SecondMessage = 4,
    /// The fee recipient is not the cluster's.
    #[error("fee recipient is not the cluster's")]
    FeeRecipient = 5,
    /// The gas limit is out of bounds.
    #[error("gas limit out of bounds")]
    GasLimit = 6,
    /// The message names another validator's public key.
    #[error("public key of another validator")]
    PublicKey = 7,
    /// The node signs only what its own validator client asked for.
    #[error("the peer signs only what its own validator client asks for")]
    OwnClientOnly = 8,
    /// The peer could not sign.
    #[error("the peer could not sign")]
    Failed = 9,
    /// A timestamp is in the future.
    #[error("timestamp in the future")]
    Timestamp = 10,
    /// There is no such subcommittee.
    #[error("no such sync subcommittee")]
    Subcommittee = 11,
    /// The operator has more under way than is kept for one.
    #[error("more requests of this operator than are kept at once")]
    TooMany = 12,
    /// A bid, or the payload of another builder than the proposer.
    #[error("a builder's message and no duty of a validator")]
    BuildersMessage = 13,
}

impl CosignRefusal {
    /// The refusal with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::UnknownValidator,
            2 => Self::WrongClass,
            3 => Self::OutOfWindow,
            4 => Self::SecondMessage,
            5 => Self::FeeRecipient,
            6 => Self::GasLimit,
            7 => Self::PublicKey,
            8 => Self::OwnClientOnly,
            9 => Self::Failed,
            10 => Self::Timestamp,
            11 => Self::Subcommittee,
            12 => Self::TooMany,
            13 => Self::BuildersMessage,
            _ => return None,
        })
    }
}

/// One operator's part of a witnessed duty (an exit, a deposit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The validator.
    pub validator: KeyIndex,
    /// The duty.
    pub duty: Duty,
    /// The sender's part.
    pub partial: PartialSignature,
}

/// What a node announces: whether its validator client is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The operator.
    pub from: OperatorIndex,
    /// Its client asked for nothing in the last two epochs.
    pub silent: bool,
    /// The slot in which this was said: a later one replaces an earlier one.
    pub slot: Slot,
    /// The operator's signature.
    pub signature: IdentitySignature,
}

impl Status {
    /// Makes this node's announcement.
    #[must_use]
    pub fn sign(
        from: OperatorIndex,
        silent: bool,
        slot: Slot,
        lock_hash: &Root,
        auth: &dyn Authenticator,
    ) -> Self {
        let signature = auth.sign(&Self::digest(from, silent, slot, lock_hash));
        Self { from, silent, slot, signature }
    }

    /// Whether the operator said this.
    #[must_use]
    pub fn verify(&self, lock_hash: &Root, auth: &dyn Authenticator) -> bool {
        let digest = Self::digest(self.from, self.silent, self.slot, lock_hash);
        auth.verify(self.from, &digest, &self.signature)
    }

    fn digest(from: OperatorIndex, silent: bool, slot: Slot, lock_hash: &Root) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"synod status 1");
        hash.update(lock_hash);
        hash.update([from.get(), u8::from(silent)]);
        hash.update(slot.as_u64().to_le_bytes());
        hash.finalize().into()
    }
}

/// What a non-slashable duty is about: of each of these one operator can get one differing message
/// co-signed, or as many as [`messages_per_operator`](crate::policy::messages_per_operator) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DutyMoment {
    /// The type of duty.
    pub kind: DutyKind,
    /// Its slot, or the first slot of its epoch.
    pub slot: Slot,
    /// The subcommittee, for the sync committee duties that a validator has one of per subcommittee; the
    /// number of the message where several are allowed.
    pub part: u64,
}
