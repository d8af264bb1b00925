//! Blocks. From Bellatrix on clients send the header; up to Altair the whole block, which has the
//! same hash tree root as its header.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use tree_hash_derive::TreeHash;

use super::block_body::RawBeaconBlockBody;
use super::{ContainerError, Sizes};
use crate::fork::ForkName;
use crate::network::Network;
use crate::primitives::{Root, Slot, quoted_u64};

/// A block with the body replaced by its root.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, TreeHash,
)]
pub struct BeaconBlockHeader {
    /// The slot.
    pub slot: Slot,
    /// The proposer's index in the beacon state.
    #[serde(with = "quoted_u64")]
    pub proposer_index: u64,
    /// The block before.
    pub parent_root: Root,
    /// The state after.
    pub state_root: Root,
    /// The hash tree root of the body.
    pub body_root: Root,
}

/// A whole block of phase 0 or Altair as it comes in JSON, in requests of type `BLOCK` and of
/// `BLOCK_V2` with version `PHASE0` or `ALTAIR`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RawBeaconBlock {
    /// The slot.
    pub slot: Slot,
    /// The proposer's index in the beacon state.
    #[serde(with = "quoted_u64")]
    pub proposer_index: u64,
    /// The block before.
    pub parent_root: Root,
    /// The state after.
    pub state_root: Root,
    /// The body.
    pub body: RawBeaconBlockBody,
}

impl RawBeaconBlock {
    /// Hashes the body in the form of the fork that the slot is in on the network.
    ///
    /// # Errors
    /// The fork is later than Altair, or the body is not one of the fork.
    pub fn header(&self, network: &Network) -> Result<BeaconBlockHeader, ContainerError> {
        const SYNC_AGGREGATE: &str = "body.sync_aggregate";
        let slot = self.slot;
        let epoch = slot.epoch(network.slots_per_epoch());
        let fork = network.fork_at(epoch);
        let body_root = match (fork, &self.body.sync_aggregate) {
            (ForkName::Phase0, None) => self.body.phase0_root(),
            (ForkName::Altair, Some(sync_aggregate)) => {
                self.body.altair_root(sync_aggregate, Sizes::from(network.preset()))?
            }
            (ForkName::Phase0, Some(_)) => {
                return Err(ContainerError::UnexpectedField {
                    field: SYNC_AGGREGATE,
                    fork,
                    slot,
                    epoch,
                });
            }
            (ForkName::Altair, None) => {
                return Err(ContainerError::MissingField {
                    field: SYNC_AGGREGATE,
                    fork,
                    slot,
                    epoch,
                });
            }
            _ => return Err(ContainerError::WholeBlock { fork, slot, epoch }),
        };
        Ok(BeaconBlockHeader {
            slot,
            proposer_index: self.proposer_index,
            parent_root: self.parent_root,
            state_root: self.state_root,
            body_root,
        })
    }
}
