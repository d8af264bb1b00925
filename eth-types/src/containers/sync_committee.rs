//! What a member of the sync committee signs (consensus-specs `altair/validator.md`).

use serde::{Deserialize, Serialize};
use ssz::{BitVector, Decode as _, DecodeError, Encode as _};
use ssz_derive::{Decode, Encode};
use tree_hash::{Hash256, TreeHash as _};
use tree_hash_derive::TreeHash;
use typenum::{U8, U128, Unsigned};

use super::{ContainerError, HexBits, Sizes};
use crate::keys::Signature;
use crate::network::Network;
use crate::primitives::{Root, Slot, quoted_u64};

/// A vote for the head of the chain. What is signed is the block root; the slot gives the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
pub struct SyncCommitteeMessage {
    /// The slot.
    pub slot: Slot,
    /// The head.
    pub beacon_block_root: Root,
}

/// The lot that decides who aggregates.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct SyncAggregatorSelectionData {
    /// The slot.
    pub slot: Slot,
    /// One of four.
    #[serde(with = "quoted_u64")]
    pub subcommittee_index: u64,
}

/// An aggregate of sync committee messages with the aggregator's proof, of either size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContributionAndProof(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// A quarter of 512.
    Mainnet(Box<Sized<U128>>),
    /// A quarter of 32.
    Minimal(Box<Sized<U8>>),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash)]
struct Sized<Bits: Unsigned + Clone> {
    aggregator_index: u64,
    contribution: Contribution<Bits>,
    selection_proof: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash)]
struct Contribution<Bits: Unsigned + Clone> {
    slot: Slot,
    beacon_block_root: Root,
    subcommittee_index: u64,
    aggregation_bits: BitVector<Bits>,
    signature: Signature,
}

/// Evaluates an expression with the form's container, whatever its size.
macro_rules! each_form {
    ($value:expr, $inner:ident => $result:expr) => {
        match $value {
            Form::Mainnet($inner) => $result,
            Form::Minimal($inner) => $result,
        }
    };
}

impl ContributionAndProof {
    /// The slot of the contribution.
    #[must_use]
    pub fn slot(&self) -> Slot {
        each_form!(&self.0, inner => inner.contribution.slot)
    }

    /// The head it votes for.
    #[must_use]
    pub fn beacon_block_root(&self) -> Root {
        each_form!(&self.0, inner => inner.contribution.beacon_block_root)
    }

    /// One of four.
    #[must_use]
    pub fn subcommittee_index(&self) -> u64 {
        each_form!(&self.0, inner => inner.contribution.subcommittee_index)
    }

    /// The aggregator's index in the beacon state.
    #[must_use]
    pub fn aggregator_index(&self) -> u64 {
        each_form!(&self.0, inner => inner.aggregator_index)
    }

    /// The hash tree root.
    #[must_use]
    pub fn tree_hash_root(&self) -> Hash256 {
        each_form!(&self.0, inner => inner.tree_hash_root())
    }

    /// Back into the form that goes into JSON.
    #[must_use]
    pub fn to_raw(&self) -> RawContributionAndProof {
        each_form!(&self.0, inner => RawContributionAndProof {
            aggregator_index: inner.aggregator_index,
            contribution: RawContribution {
                slot: inner.contribution.slot,
                beacon_block_root: inner.contribution.beacon_block_root,
                subcommittee_index: inner.contribution.subcommittee_index,
                aggregation_bits: HexBits::encode(&inner.contribution.aggregation_bits),
                signature: inner.contribution.signature,
            },
            selection_proof: inner.selection_proof,
        })
    }

    pub(crate) fn sizes(&self) -> Sizes {
        match self.0 {
            Form::Mainnet(_) => Sizes::Mainnet,
            Form::Minimal(_) => Sizes::Minimal,
        }
    }

    pub(crate) fn ssz_append(&self, buf: &mut Vec<u8>) {
        each_form!(&self.0, inner => inner.ssz_append(buf));
    }

    pub(crate) fn from_ssz(bytes: &[u8], sizes: Sizes) -> Result<Self, DecodeError> {
        Ok(Self(match sizes {
            Sizes::Mainnet => Form::Mainnet(Box::new(Sized::from_ssz_bytes(bytes)?)),
            Sizes::Minimal => Form::Minimal(Box::new(Sized::from_ssz_bytes(bytes)?)),
        }))
    }
}

/// A [`ContributionAndProof`] as it comes in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawContributionAndProof {
    /// The aggregator's index in the beacon state.
    #[serde(with = "quoted_u64")]
    pub aggregator_index: u64,
    /// The aggregate.
    pub contribution: RawContribution,
    /// The aggregator's signature over the [`SyncAggregatorSelectionData`].
    pub selection_proof: Signature,
}

/// The aggregate of a [`RawContributionAndProof`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawContribution {
    /// The slot.
    pub slot: Slot,
    /// The head voted for.
    pub beacon_block_root: Root,
    /// One of four.
    #[serde(with = "quoted_u64")]
    pub subcommittee_index: u64,
    /// Who voted: a bit vector of a quarter of the sync committee.
    pub aggregation_bits: HexBits,
    /// The aggregate signature.
    pub signature: Signature,
}

impl RawContributionAndProof {
    /// Reads the bits in the size of the network's preset.
    ///
    /// # Errors
    /// [`ContainerError::Bits`]: the bits have another length.
    pub fn resolve(&self, network: &Network) -> Result<ContributionAndProof, ContainerError> {
        Ok(ContributionAndProof(match Sizes::from(network.preset()) {
            Sizes::Mainnet => Form::Mainnet(self.sized("a bit vector of 128 bits")?),
            Sizes::Minimal => Form::Minimal(self.sized("a bit vector of 8 bits")?),
        }))
    }

    fn sized<Bits: Unsigned + Clone>(
        &self,
        expected: &'static str,
    ) -> Result<Box<Sized<Bits>>, ContainerError> {
        let raw = &self.contribution;
        Ok(Box::new(Sized {
            aggregator_index: self.aggregator_index,
            contribution: Contribution {
                slot: raw.slot,
                beacon_block_root: raw.beacon_block_root,
                subcommittee_index: raw.subcommittee_index,
                aggregation_bits: raw
                    .aggregation_bits
                    .decode("contribution.aggregation_bits", expected)?,
                signature: raw.signature,
            },
            selection_proof: self.selection_proof,
        }))
    }
}
