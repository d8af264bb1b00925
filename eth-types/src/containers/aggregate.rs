//! Aggregates of attestations with the aggregator's proof (consensus-specs `validator.md` of phase 0,
//! Electra and Gloas).
//!
//! | form | from | aggregation bits | committee bits |
//! | --- | --- | --- | --- |
//! | base | phase 0 | list of at most 2048 | none |
//! | Electra | Electra | list of at most 2048 x committees per slot | vector, committees per slot |
//! | Gloas | Gloas | progressive list, same bound | same |
//!
//! Electra's and Gloas' forms have the same JSON and the same SSZ bytes, and different hash tree roots.

use serde::{Deserialize, Serialize};
use ssz::{BitList, BitVector, Decode as _, DecodeError, Encode as _};
use ssz_derive::{Decode, Encode};
use tree_hash::{Hash256, TreeHash as _};
use tree_hash_derive::TreeHash;
use typenum::{U4, U64, U2048, U8192, U131072, Unsigned};

use super::{AttestationData, ContainerError, HexBits, Sizes, progressive};
use crate::fork::ForkName;
use crate::keys::Signature;
use crate::network::Network;
use crate::primitives::{Slot, quoted_u64};

/// An aggregate attestation with the aggregator's proof, in the form of its fork and preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateAndProof(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Base(Box<Base>),
    Mainnet(Hashing, Box<Electra<U131072, U64>>),
    Minimal(Hashing, Box<Electra<U8192, U4>>),
}

/// How the aggregate of Electra's SSZ form is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hashing {
    Electra,
    Gloas,
}

/// The forms an aggregate can have, apart from the preset; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateForm {
    Base,
    Electra,
    Gloas,
}

impl From<ForkName> for AggregateForm {
    fn from(fork: ForkName) -> Self {
        match fork {
            ForkName::Phase0
            | ForkName::Altair
            | ForkName::Bellatrix
            | ForkName::Capella
            | ForkName::Deneb => Self::Base,
            ForkName::Electra | ForkName::Fulu => Self::Electra,
            ForkName::Gloas => Self::Gloas,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash)]
struct Base {
    aggregator_index: u64,
    aggregate: BaseAttestation,
    selection_proof: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash)]
struct BaseAttestation {
    aggregation_bits: BitList<U2048>,
    data: AttestationData,
    signature: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash)]
struct Electra<Bits: Unsigned + Clone, Committees: Unsigned + Clone> {
    aggregator_index: u64,
    aggregate: ElectraAttestation<Bits, Committees>,
    selection_proof: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, TreeHash)]
struct ElectraAttestation<Bits: Unsigned + Clone, Committees: Unsigned + Clone> {
    aggregation_bits: BitList<Bits>,
    data: AttestationData,
    signature: Signature,
    committee_bits: BitVector<Committees>,
}

impl AggregateAndProof {
    /// The aggregator's index in the beacon state.
    #[must_use]
    pub fn aggregator_index(&self) -> u64 {
        match &self.0 {
            Form::Base(inner) => inner.aggregator_index,
            Form::Mainnet(_, inner) => inner.aggregator_index,
            Form::Minimal(_, inner) => inner.aggregator_index,
        }
    }

    /// What was voted for.
    #[must_use]
    pub fn data(&self) -> &AttestationData {
        match &self.0 {
            Form::Base(inner) => &inner.aggregate.data,
            Form::Mainnet(_, inner) => &inner.aggregate.data,
            Form::Minimal(_, inner) => &inner.aggregate.data,
        }
    }

    /// The slot voted in.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.data().slot
    }

    /// The hash tree root.
    #[must_use]
    pub fn tree_hash_root(&self) -> Hash256 {
        match &self.0 {
            Form::Base(inner) => inner.tree_hash_root(),
            Form::Mainnet(hashing, inner) => inner.root(*hashing),
            Form::Minimal(hashing, inner) => inner.root(*hashing),
        }
    }

    /// Back into the form that goes into JSON.
    #[must_use]
    pub fn to_raw(&self) -> RawAggregateAndProof {
        match &self.0 {
            Form::Base(inner) => RawAggregateAndProof {
                aggregator_index: inner.aggregator_index,
                aggregate: RawAggregate {
                    aggregation_bits: HexBits::encode(&inner.aggregate.aggregation_bits),
                    data: inner.aggregate.data,
                    signature: inner.aggregate.signature,
                    committee_bits: None,
                },
                selection_proof: inner.selection_proof,
            },
            Form::Mainnet(_, inner) => inner.to_raw(),
            Form::Minimal(_, inner) => inner.to_raw(),
        }
    }

    pub(crate) fn form(&self) -> AggregateForm {
        match &self.0 {
            Form::Base(_) => AggregateForm::Base,
            Form::Mainnet(Hashing::Electra, _) | Form::Minimal(Hashing::Electra, _) => {
                AggregateForm::Electra
            }
            Form::Mainnet(Hashing::Gloas, _) | Form::Minimal(Hashing::Gloas, _) => {
                AggregateForm::Gloas
            }
        }
    }

    /// The sizes of the preset; `None` for the base form, which all presets share.
    pub(crate) fn sizes(&self) -> Option<Sizes> {
        match &self.0 {
            Form::Base(_) => None,
            Form::Mainnet(..) => Some(Sizes::Mainnet),
            Form::Minimal(..) => Some(Sizes::Minimal),
        }
    }

    /// Hashes as `form` from now on, if the SSZ bytes are the same in both; unchanged if not.
    pub(crate) fn rehashed(mut self, form: AggregateForm) -> Self {
        let wanted = match form {
            AggregateForm::Base => return self,
            AggregateForm::Electra => Hashing::Electra,
            AggregateForm::Gloas => Hashing::Gloas,
        };
        match &mut self.0 {
            Form::Base(_) => {}
            Form::Mainnet(hashing, _) | Form::Minimal(hashing, _) => *hashing = wanted,
        }
        self
    }

    pub(crate) fn ssz_append(&self, buf: &mut Vec<u8>) {
        match &self.0 {
            Form::Base(inner) => inner.ssz_append(buf),
            Form::Mainnet(_, inner) => inner.ssz_append(buf),
            Form::Minimal(_, inner) => inner.ssz_append(buf),
        }
    }

    pub(crate) fn from_ssz(
        bytes: &[u8],
        form: AggregateForm,
        sizes: Sizes,
    ) -> Result<Self, DecodeError> {
        let hashing = match form {
            AggregateForm::Base => {
                return Ok(Self(Form::Base(Box::new(Base::from_ssz_bytes(bytes)?))));
            }
            AggregateForm::Electra => Hashing::Electra,
            AggregateForm::Gloas => Hashing::Gloas,
        };
        Ok(Self(match sizes {
            Sizes::Mainnet => Form::Mainnet(hashing, Box::new(Electra::from_ssz_bytes(bytes)?)),
            Sizes::Minimal => Form::Minimal(hashing, Box::new(Electra::from_ssz_bytes(bytes)?)),
        }))
    }
}

impl<Bits: Unsigned + Clone, Committees: Unsigned + Clone> Electra<Bits, Committees> {
    fn root(&self, hashing: Hashing) -> Hash256 {
        match hashing {
            Hashing::Electra => self.tree_hash_root(),
            Hashing::Gloas => {
                let aggregate = progressive::container_root(&[
                    progressive::bit_list_root(&self.aggregate.aggregation_bits),
                    self.aggregate.data.tree_hash_root(),
                    self.aggregate.signature.tree_hash_root(),
                    self.aggregate.committee_bits.tree_hash_root(),
                ]);
                progressive::plain_container_root(&[
                    self.aggregator_index.tree_hash_root(),
                    aggregate,
                    self.selection_proof.tree_hash_root(),
                ])
            }
        }
    }

    fn to_raw(&self) -> RawAggregateAndProof {
        RawAggregateAndProof {
            aggregator_index: self.aggregator_index,
            aggregate: RawAggregate {
                aggregation_bits: HexBits::encode(&self.aggregate.aggregation_bits),
                data: self.aggregate.data,
                signature: self.aggregate.signature,
                committee_bits: Some(HexBits::encode(&self.aggregate.committee_bits)),
            },
            selection_proof: self.selection_proof,
        }
    }
}

/// An [`AggregateAndProof`] as it comes in JSON, of any fork and preset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawAggregateAndProof {
    /// The aggregator's index in the beacon state.
    #[serde(with = "quoted_u64")]
    pub aggregator_index: u64,
    /// The aggregate.
    pub aggregate: RawAggregate,
    /// The aggregator's signature over the slot.
    pub selection_proof: Signature,
}

/// The aggregate of a [`RawAggregateAndProof`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawAggregate {
    /// Who voted: a bit list.
    pub aggregation_bits: HexBits,
    /// What was voted for.
    pub data: AttestationData,
    /// The aggregate signature.
    pub signature: Signature,
    /// Whose votes are in it, from Electra on: a bit vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee_bits: Option<HexBits>,
}

impl RawAggregateAndProof {
    /// Takes the form of the fork that `aggregate.data.slot` is in on the network.
    ///
    /// # Errors
    /// Committee bits are missing or too many for the fork, or bits have a length that the fork and
    /// the preset do not allow.
    pub fn resolve(&self, network: &Network) -> Result<AggregateAndProof, ContainerError> {
        const COMMITTEE_BITS: &str = "aggregate.committee_bits";
        let slot = self.aggregate.data.slot;
        let epoch = slot.epoch(network.slots_per_epoch());
        let fork = network.fork_at(epoch);
        let hashing = match (AggregateForm::from(fork), &self.aggregate.committee_bits) {
            (AggregateForm::Base, Some(_)) if !network.is_open_ended(epoch) => {
                return Err(ContainerError::UnexpectedField {
                    field: COMMITTEE_BITS,
                    fork,
                    slot,
                    epoch,
                });
            }
            (AggregateForm::Base, None) => return Ok(AggregateAndProof(Form::Base(self.base()?))),
            (AggregateForm::Electra | AggregateForm::Gloas, None) => {
                return Err(ContainerError::MissingField {
                    field: COMMITTEE_BITS,
                    fork,
                    slot,
                    epoch,
                });
            }
            // Where the schedule ends before Electra, the bits tell that the chain is past it.
            (AggregateForm::Base | AggregateForm::Electra, Some(_)) => Hashing::Electra,
            (AggregateForm::Gloas, Some(_)) => Hashing::Gloas,
        };
        Ok(AggregateAndProof(match Sizes::from(network.preset()) {
            Sizes::Mainnet => Form::Mainnet(
                hashing,
                self.electra("a bit list of at most 131072 bits", "a bit vector of 64 bits")?,
            ),
            Sizes::Minimal => Form::Minimal(
                hashing,
                self.electra("a bit list of at most 8192 bits", "a bit vector of 4 bits")?,
            ),
        }))
    }

    fn base(&self) -> Result<Box<Base>, ContainerError> {
        let raw = &self.aggregate;
        Ok(Box::new(Base {
            aggregator_index: self.aggregator_index,
            aggregate: BaseAttestation {
                aggregation_bits: raw
                    .aggregation_bits
                    .decode("aggregate.aggregation_bits", "a bit list of at most 2048 bits")?,
                data: raw.data,
                signature: raw.signature,
            },
            selection_proof: self.selection_proof,
        }))
    }

    fn electra<Bits: Unsigned + Clone, Committees: Unsigned + Clone>(
        &self,
        aggregation_bits: &'static str,
        committee_bits: &'static str,
    ) -> Result<Box<Electra<Bits, Committees>>, ContainerError> {
        let raw = &self.aggregate;
        let committees = raw.committee_bits.clone().unwrap_or_default();
        Ok(Box::new(Electra {
            aggregator_index: self.aggregator_index,
            aggregate: ElectraAttestation {
                aggregation_bits: raw
                    .aggregation_bits
                    .decode("aggregate.aggregation_bits", aggregation_bits)?,
                data: raw.data,
                signature: raw.signature,
                committee_bits: committees.decode("aggregate.committee_bits", committee_bits)?,
            },
            selection_proof: self.selection_proof,
        }))
    }
}
