//! What operators state and sign, and certificates made of it.

use eth_types::Root;
use sha2::{Digest, Sha256};
use ssz::Encode;
use ssz_derive::Encode;

use super::InstanceKey;
use crate::cluster::{OperatorIndex, OperatorSet, Quorum};
use crate::identity::{Authenticator, IdentitySignature};

/// Separates these signatures from everything else an identity key signs.
const DOMAIN: &[u8] = b"synod agreement 1";

/// Kinds of statement. The numbers are signed and must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum VoteKind {
    /// "My validator client made this block."
    Candidate = 1,
    /// "I vouch for this value", at most one per instance.
    Endorse = 2,
    /// QBFT's PREPARE.
    Prepare = 3,
    /// QBFT's COMMIT; for round 0 it says "I hold a certificate of endorsements".
    Commit = 4,
    /// QBFT's ROUND-CHANGE.
    RoundChange = 5,
    /// QBFT's PRE-PREPARE.
    Propose = 6,
}

impl VoteKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Candidate,
            2 => Self::Endorse,
            3 => Self::Prepare,
            4 => Self::Commit,
            5 => Self::RoundChange,
            6 => Self::Propose,
            _ => return None,
        })
    }
}

/// The round and value that a ROUND-CHANGE says its sender is prepared on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The round; 0 for a certificate of endorsements.
    pub round: u32,
    /// The value's root.
    pub root: Root,
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// The instance.
    pub key: InstanceKey,
    /// What is said.
    pub kind: VoteKind,
    /// The round it is said in (or, for a ROUND-CHANGE, of).
    pub round: u32,
    /// The value it is said of; zero for a ROUND-CHANGE.
    pub root: Root,
    /// ENDORSE only: the value is that of the sender's own validator client, not adopted.
    pub own: bool,
    /// ROUND-CHANGE only.
    pub prepared: Option<Prepared>,
}

impl Statement {
    /// A statement about a value.
    #[must_use]
    pub const fn about(key: InstanceKey, kind: VoteKind, round: u32, root: Root) -> Self {
        Self { key, kind, round, root, own: false, prepared: None }
    }

    /// The digest that is signed: SHA-256 over the domain, the lock hash and the statement's SSZ form.
    fn digest(&self, lock_hash: &Root) -> [u8; 32] {
        #[derive(Encode)]
        struct Canonical {
            lock_hash: Root,
            instance_kind: u8,
            slot: u64,
            instance: u64,
            kind: u8,
            round: u64,
            root: Root,
            own: bool,
            has_prepared: bool,
            prepared_round: u64,
            prepared_root: Root,
        }
        let (instance_kind, slot, instance) = self.key.to_parts();
        let canonical = Canonical {
            lock_hash: *lock_hash,
            instance_kind,
            slot,
            instance,
            kind: self.kind as u8,
            round: u64::from(self.round),
            root: self.root,
            own: self.own,
            has_prepared: self.prepared.is_some(),
            prepared_round: self.prepared.map_or(0, |prepared| u64::from(prepared.round)),
            prepared_root: self.prepared.map_or(Root::ZERO, |prepared| prepared.root),
        };
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(canonical.as_ssz_bytes());
        hash.finalize().into()
    }
}

/// A statement with a signature that has not been checked: what comes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UncheckedVote {
    /// Who is said to have signed.
    pub from: OperatorIndex,
    /// What.
    pub statement: Statement,
    /// The signature.
    pub signature: IdentitySignature,
}

/// A statement that an operator did sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote(UncheckedVote);

impl Vote {
    /// Signs a statement as this node.
    #[must_use]
    pub fn sign(
        statement: Statement,
        me: OperatorIndex,
        lock_hash: &Root,
        auth: &dyn Authenticator,
    ) -> Self {
        let signature = auth.sign(&statement.digest(lock_hash));
        Self(UncheckedVote { from: me, statement, signature })
    }

    /// Who signed.
    #[must_use]
    pub const fn from(&self) -> OperatorIndex {
        self.0.from
    }

    /// What was signed.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.0.statement
    }

    /// The value it is about.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.0.statement.root
    }

    /// The round.
    #[must_use]
    pub const fn round(&self) -> u32 {
        self.0.statement.round
    }

    /// The form for the wire.
    #[must_use]
    pub const fn unchecked(&self) -> UncheckedVote {
        self.0
    }
}

impl UncheckedVote {
    /// Checks that the operator exists and signed this.
    #[must_use]
    pub fn verify(
        self,
        quorum: Quorum,
        lock_hash: &Root,
        auth: &dyn Authenticator,
    ) -> Option<Vote> {
        let known = quorum.contains(self.from);
        let digest = self.statement.digest(lock_hash);
        (known && auth.verify(self.from, &digest, &self.signature)).then_some(Vote(self))
    }
}

/// A certificate that has not been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncheckedCertificate {
    /// What its votes say.
    pub prepared: Prepared,
    /// ENDORSEs for round 0, PREPAREs for a later round.
    pub votes: Vec<UncheckedVote>,
}

/// q operators endorsed a value (round 0: *C0*), or prepared it in a round. Two certificates of one
/// round have one value, or an honest operator said two things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    prepared: Prepared,
    votes: Vec<Vote>,
}

impl Certificate {
    /// Makes a certificate of checked votes; none if they are not q distinct operators' votes of the
    /// right kind on one value.
    #[must_use]
    pub fn new(
        key: &InstanceKey,
        prepared: Prepared,
        votes: Vec<Vote>,
        quorum: Quorum,
    ) -> Option<Self> {
        let kind = if prepared.round == 0 { VoteKind::Endorse } else { VoteKind::Prepare };
        let fits = votes.iter().all(|vote| {
            let statement = vote.statement();
            statement.key == *key
                && statement.kind == kind
                && statement.round == prepared.round
                && statement.root == prepared.root
        });
        let voters: OperatorSet = votes.iter().map(Vote::from).collect();
        (fits && voters.len() >= quorum.threshold()).then_some(Self { prepared, votes })
    }

    /// What it certifies.
    #[must_use]
    pub const fn prepared(&self) -> Prepared {
        self.prepared
    }

    /// Its votes.
    #[must_use]
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// The form for the wire.
    #[must_use]
    pub fn unchecked(&self) -> UncheckedCertificate {
        UncheckedCertificate {
            prepared: self.prepared,
            votes: self.votes.iter().map(Vote::unchecked).collect(),
        }
    }
}
