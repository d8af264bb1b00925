//! Proofs of what is in a block's body, whose root is all that a signing request has of it: Nimbus's
//! verifying extension of `BLOCK_V2`.
//!
//! | field | generalized index in the body | forks |
//! | --- | --- | --- |
//! | fee recipient of the payload | 401 | Bellatrix, Capella |
//! | fee recipient of the payload | 801 | Deneb, Electra, Fulu |
//! | graffiti | 18 | phase 0 to Fulu |
//!
//! Proofs that a `BLOCK_V2` request has are always checked, each of them; one that cannot be checked is
//! refused, for its sender relies on the check. Those of the old type `BLOCK` are not looked at.
//!
//! From Gloas on a body holds no payload, its tree is another one, and nobody has said what could be
//! proved in it: there is no right proof, and where one is demanded no block is signed.

use api_spec::MerkleProof;
use eth_types::duty::{Duty, Message};
use eth_types::network::Network;
use eth_types::{ExecutionAddress, ForkName, Root, merkle};

/// What blocks of a validator have to prove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockRule {
    /// Whom the validator's blocks have to pay, where that is known.
    pub fee_recipient: Option<ExecutionAddress>,
    /// Whether a block without a right proof of its fee recipient is refused.
    pub proof_required: bool,
}

/// The options about proofs.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[command(next_help_heading = "Blocks")]
pub struct BlockProofArgs {
    /// Refuse blocks whose request does not prove their fee recipient (Nimbus's verifying signer sends
    /// proofs). No block of Gloas can be proved so far: from then on all are refused.
    #[arg(long)]
    pub require_fee_recipient_proof: bool,
}

/// Why a block is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockProofError {
    /// A proof is demanded, and the request has none.
    #[error(
        "proofs: the request does not prove the block's fee recipient, and --require-fee-recipient-proof \
         demands it"
    )]
    Missing,
    /// A proof is demanded, and blocks of the fork have none.
    #[error(
        "a block of {fork} holds no payload whose fee recipient could be proved, and \
         --require-fee-recipient-proof demands a proof"
    )]
    NoneDefined {
        /// The block's fork.
        fork: ForkName,
    },
    /// The index is none of a field that is known.
    #[error(
        "proofs[{position}]: generalized index {index} is no field that is checked in a block of {fork}"
    )]
    UnknownIndex {
        /// Which proof, from 0.
        position: usize,
        /// Its index.
        index: u64,
        /// The block's fork.
        fork: ForkName,
    },
    /// Neither the request nor this signer says what the field should be.
    #[error(
        "proofs[{position}]: no {field} is known that it could prove: the request gives no value, and \
         the signer expects none{remedy}"
    )]
    NothingExpected {
        /// Which proof, from 0.
        position: usize,
        /// What it is about.
        field: &'static str,
        /// How the signer can be told, where it can.
        remedy: &'static str,
    },
    /// The request says that the block pays somebody else.
    #[error("proofs[{position}]: the fee recipient is {found}, but the signer expects {expected}")]
    OtherRecipient {
        /// Which proof, from 0.
        position: usize,
        /// The value of the request, a 32-byte leaf.
        found: Root,
        /// Whom the block has to pay.
        expected: ExecutionAddress,
    },
    /// The branch does not lead to the body's root.
    #[error(
        "proofs[{position}]: {siblings} siblings do not lead from {field} {leaf} at generalized index \
         {index} to the body root {body_root}: the block has another {field}, or the proof is wrong"
    )]
    WrongBranch {
        /// Which proof, from 0.
        position: usize,
        /// What it is about.
        field: &'static str,
        /// What the field should be.
        leaf: Root,
        /// Its index.
        index: u64,
        /// How many siblings the proof has.
        siblings: usize,
        /// The header's.
        body_root: Root,
    },
}

/// Checks the proofs of a block's request, and that there is one of the fee recipient where the rule
/// demands it. Other duties pass.
///
/// # Errors
/// See [`BlockProofError`].
pub fn check(
    proofs: &[MerkleProof],
    duty: &Duty,
    rule: &BlockRule,
    network: &Network,
) -> Result<(), BlockProofError> {
    let Message::Block(header) = duty.message() else { return Ok(()) };
    let fork = duty.fork(network);
    let mut proved = false;
    for (position, proof) in proofs.iter().enumerate() {
        let field = Field::at(proof.index, fork).ok_or(BlockProofError::UnknownIndex {
            position,
            index: proof.index,
            fork,
        })?;
        let leaf = expected_leaf(position, proof, field, rule)?;
        if !merkle::is_valid_branch(leaf, &proof.proof, proof.index, header.body_root) {
            return Err(BlockProofError::WrongBranch {
                position,
                field: field.name(),
                leaf,
                index: proof.index,
                siblings: proof.proof.len(),
                body_root: header.body_root,
            });
        }
        // A value that the client names itself proves nothing to whoever demands a proof.
        proved |= field == Field::FeeRecipient && rule.fee_recipient.is_some();
    }
    match fork {
        _ if proved || !rule.proof_required => Ok(()),
        // Before the merge a block paid nobody.
        ForkName::Phase0 | ForkName::Altair => Ok(()),
        ForkName::Gloas => Err(BlockProofError::NoneDefined { fork }),
        _ => Err(BlockProofError::Missing),
    }
}

/// The leaf that a proof has to start at.
fn expected_leaf(
    position: usize,
    proof: &MerkleProof,
    field: Field,
    rule: &BlockRule,
) -> Result<Root, BlockProofError> {
    match (field, rule.fee_recipient, proof.value) {
        (Field::FeeRecipient, Some(expected), Some(found)) if found != leaf_of(expected) => {
            Err(BlockProofError::OtherRecipient { position, found, expected })
        }
        (Field::FeeRecipient, Some(expected), _) => Ok(leaf_of(expected)),
        (_, _, Some(value)) => Ok(value),
        (_, _, None) => Err(BlockProofError::NothingExpected {
            position,
            field: field.name(),
            remedy: field.remedy(),
        }),
    }
}

/// A byte vector is a leaf with zeros after it.
fn leaf_of(address: ExecutionAddress) -> Root {
    let mut leaf = [0; Root::LEN];
    leaf[..ExecutionAddress::LEN].copy_from_slice(address.as_bytes());
    Root::new(leaf)
}

/// A field that can be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    FeeRecipient,
    Graffiti,
}

impl Field {
    /// The field at a generalized index of a fork's body: see the module's table.
    const fn at(index: u64, fork: ForkName) -> Option<Self> {
        match (fork, index) {
            (ForkName::Gloas, _) => None,
            (ForkName::Bellatrix | ForkName::Capella, 401)
            | (ForkName::Deneb | ForkName::Electra | ForkName::Fulu, 801) => {
                Some(Self::FeeRecipient)
            }
            (_, 18) => Some(Self::Graffiti),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::FeeRecipient => "fee recipient",
            Self::Graffiti => "graffiti",
        }
    }

    /// What to do if nothing is expected. A cluster knows its fee recipients from the lock.
    const fn remedy(self) -> &'static str {
        match self {
            Self::FeeRecipient => "; give synod standalone --expected-fee-recipient ADDRESS",
            Self::Graffiti => "",
        }
    }
}
