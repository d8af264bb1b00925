//! Block bodies of phase 0 and Altair (consensus-specs `phase0/beacon-chain.md` and
//! `altair/beacon-chain.md`), only to hash them.

use serde::Deserialize;
use ssz::{BitList, BitVector};
use ssz_types::{FixedVector, VariableList};
use tree_hash::TreeHash as _;
use tree_hash_derive::TreeHash;
use typenum::{U2, U16, U32, U33, U128, U512, U2048, Unsigned};

use super::{
    AttestationData, BeaconBlockHeader, ContainerError, DepositData, HexBits, SignedVoluntaryExit,
    Sizes,
};
use crate::keys::Signature;
use crate::primitives::{Root, quoted_u64};

/// A body of phase 0, or with `sync_aggregate` one of Altair, as it comes in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RawBeaconBlockBody {
    randao_reveal: Signature,
    eth1_data: Eth1Data,
    graffiti: Root,
    proposer_slashings: VariableList<ProposerSlashing, U16>,
    attester_slashings: VariableList<AttesterSlashing, U2>,
    attestations: VariableList<Attestation, U128>,
    deposits: VariableList<Deposit, U16>,
    voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    /// Altair's.
    #[serde(default)]
    pub(super) sync_aggregate: Option<RawSyncAggregate>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct Eth1Data {
    deposit_root: Root,
    #[serde(with = "quoted_u64")]
    deposit_count: u64,
    block_hash: Root,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct ProposerSlashing {
    signed_header_1: SignedBeaconBlockHeader,
    signed_header_2: SignedBeaconBlockHeader,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct SignedBeaconBlockHeader {
    message: BeaconBlockHeader,
    signature: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct AttesterSlashing {
    attestation_1: IndexedAttestation,
    attestation_2: IndexedAttestation,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct IndexedAttestation {
    attesting_indices: VariableList<ValidatorIndex, U2048>,
    data: AttestationData,
    signature: Signature,
}

/// A number of a list, which is packed four to a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct ValidatorIndex(#[serde(with = "quoted_u64")] u64);

impl tree_hash::TreeHash for ValidatorIndex {
    fn tree_hash_type() -> tree_hash::TreeHashType {
        u64::tree_hash_type()
    }

    fn tree_hash_packed_encoding(&self) -> tree_hash::PackedEncoding {
        self.0.tree_hash_packed_encoding()
    }

    fn tree_hash_packing_factor() -> usize {
        u64::tree_hash_packing_factor()
    }

    fn tree_hash_root(&self) -> tree_hash::Hash256 {
        self.0.tree_hash_root()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct Attestation {
    aggregation_bits: BitList<U2048>,
    data: AttestationData,
    signature: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TreeHash)]
struct Deposit {
    proof: FixedVector<Root, U33>,
    data: DepositData,
}

/// The sync committee's votes for the block before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct RawSyncAggregate {
    sync_committee_bits: HexBits,
    sync_committee_signature: Signature,
}

#[derive(TreeHash)]
struct SyncAggregate<Bits: Unsigned + Clone> {
    sync_committee_bits: BitVector<Bits>,
    sync_committee_signature: Signature,
}

impl RawBeaconBlockBody {
    pub(super) fn phase0_root(&self) -> Root {
        merkle_root(&self.phase0_fields())
    }

    pub(super) fn altair_root(
        &self,
        sync_aggregate: &RawSyncAggregate,
        sizes: Sizes,
    ) -> Result<Root, ContainerError> {
        let last = match sizes {
            Sizes::Mainnet => sync_aggregate.root::<U512>("a bit vector of 512 bits")?,
            Sizes::Minimal => sync_aggregate.root::<U32>("a bit vector of 32 bits")?,
        };
        let [a, b, c, d, e, f, g, h] = self.phase0_fields();
        Ok(merkle_root(&[a, b, c, d, e, f, g, h, last]))
    }

    /// The roots of the fields that both forks have, in order.
    fn phase0_fields(&self) -> [tree_hash::Hash256; 8] {
        [
            self.randao_reveal.tree_hash_root(),
            self.eth1_data.tree_hash_root(),
            self.graffiti.tree_hash_root(),
            self.proposer_slashings.tree_hash_root(),
            self.attester_slashings.tree_hash_root(),
            self.attestations.tree_hash_root(),
            self.deposits.tree_hash_root(),
            self.voluntary_exits.tree_hash_root(),
        ]
    }
}

impl RawSyncAggregate {
    fn root<Bits: Unsigned + Clone>(
        &self,
        expected: &'static str,
    ) -> Result<tree_hash::Hash256, ContainerError> {
        let bits = self
            .sync_committee_bits
            .decode::<BitVector<Bits>>("body.sync_aggregate.sync_committee_bits", expected)?;
        let aggregate = SyncAggregate {
            sync_committee_bits: bits,
            sync_committee_signature: self.sync_committee_signature,
        };
        Ok(aggregate.tree_hash_root())
    }
}

fn merkle_root(leaves: &[tree_hash::Hash256]) -> Root {
    super::progressive::plain_container_root(leaves).into()
}
