//! Requests as validator clients send them, each with the signing root that the answer has to be over.

use eth_types::containers::{
    AttestationData, BeaconBlockHeader, Checkpoint, RawAggregateAndProof, RawContributionAndProof,
    SyncAggregatorSelectionData, SyncCommitteeMessage, ValidatorRegistration, VoluntaryExit,
};
use eth_types::duty::{Duty, Message};
use eth_types::{Epoch, ExecutionAddress, PublicKey, Root, Slot};
use serde_json::{Value, json};

use crate::Chain;

/// The fee recipient of the clusters that [`crate::ClusterBuilder`] makes.
pub const FEE_RECIPIENT: ExecutionAddress = ExecutionAddress::new([0x11; 20]);

/// A request for a signature.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The type of duty, for messages.
    pub name: &'static str,
    /// What is asked for, as nodes see it.
    pub duty: Duty,
    /// The body, without the signing root.
    pub body: Value,
}

impl Ask {
    /// A request of type `name` with these object fields, which mean `message`.
    ///
    /// # Panics
    /// The message is none of the chain.
    #[must_use]
    pub fn new(chain: &Chain, name: &'static str, object: Value, message: Message) -> Self {
        let epoch = message.epoch(chain.network()).unwrap_or_default();
        let fork_info = chain.fork_info(epoch);
        let duty = Duty::new(message, Some(&fork_info), chain.network()).unwrap();
        let mut body = object;
        body["type"] = json!(name);
        body["fork_info"] = json!(fork_info);
        Self { name, duty, body }
    }

    /// What the signature has to be over.
    #[must_use]
    pub fn root(&self) -> Root {
        self.duty.signing_root()
    }

    /// The body with the signing root, as most clients send it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut body = self.body.clone();
        body["signingRoot"] = json!(self.root());
        body.to_string()
    }

    /// An attestation; `head` tells different ones of a slot apart.
    #[must_use]
    pub fn attestation(chain: &Chain, slot: Slot, head: u8) -> Self {
        let epoch = chain.epoch_of(slot);
        let data = attestation_data(slot, epoch, head);
        Self::new(chain, "ATTESTATION", json!({ "attestation": data }), Message::Attestation(data))
    }

    /// A block; `proposal` tells different ones of a slot apart.
    #[must_use]
    pub fn block(chain: &Chain, slot: Slot, proposal: u8) -> Self {
        let header = BeaconBlockHeader {
            slot,
            proposer_index: 7,
            parent_root: Root::new([4; 32]),
            state_root: Root::new([5; 32]),
            body_root: Root::new([proposal; 32]),
        };
        let object = json!({ "beacon_block": { "version": "FULU", "block_header": header } });
        Self::new(chain, "BLOCK_V2", object, Message::Block(header))
    }

    /// The RANDAO reveal of an epoch.
    #[must_use]
    pub fn randao(chain: &Chain, epoch: Epoch) -> Self {
        let object = json!({ "randao_reveal": { "epoch": epoch } });
        Self::new(chain, "RANDAO_REVEAL", object, Message::RandaoReveal(epoch))
    }

    /// The lot for aggregating attestations.
    #[must_use]
    pub fn aggregation_slot(chain: &Chain, slot: Slot) -> Self {
        let object = json!({ "aggregation_slot": { "slot": slot } });
        Self::new(chain, "AGGREGATION_SLOT", object, Message::AggregationSlot(slot))
    }

    /// An aggregate of attestations; `head` tells different ones apart.
    ///
    /// # Panics
    /// The chain's containers have other sizes than the minimal preset's.
    #[must_use]
    pub fn aggregate(chain: &Chain, slot: Slot, head: u8) -> Self {
        let object = json!({
            "aggregator_index": "7",
            "aggregate": {
                "aggregation_bits": "0x1f",
                "data": attestation_data(slot, chain.epoch_of(slot), head),
                "signature": format!("0xc0{}", "00".repeat(95)),
                "committee_bits": "0x01",
            },
            "selection_proof": format!("0xc0{}", "00".repeat(95)),
        });
        let raw: RawAggregateAndProof = serde_json::from_value(object.clone()).unwrap();
        let message = Message::AggregateAndProof(raw.resolve(chain.network()).unwrap());
        let object = json!({ "aggregate_and_proof": { "version": "FULU", "data": object } });
        Self::new(chain, "AGGREGATE_AND_PROOF_V2", object, message)
    }

    /// A sync committee member's vote.
    #[must_use]
    pub fn sync_message(chain: &Chain, slot: Slot, head: u8) -> Self {
        let message = SyncCommitteeMessage { slot, beacon_block_root: Root::new([head; 32]) };
        let object = json!({ "sync_committee_message": message });
        Self::new(chain, "SYNC_COMMITTEE_MESSAGE", object, Message::SyncCommitteeMessage(message))
    }

    /// The lot for aggregating a subcommittee's votes.
    #[must_use]
    pub fn sync_selection(chain: &Chain, slot: Slot) -> Self {
        let data = SyncAggregatorSelectionData { slot, subcommittee_index: 1 };
        let object = json!({ "sync_aggregator_selection_data": data });
        let message = Message::SyncCommitteeSelectionProof(data);
        Self::new(chain, "SYNC_COMMITTEE_SELECTION_PROOF", object, message)
    }

    /// An aggregate of a subcommittee's votes.
    ///
    /// # Panics
    /// The chain's containers have other sizes than the minimal preset's.
    #[must_use]
    pub fn contribution(chain: &Chain, slot: Slot, head: u8) -> Self {
        let object = json!({
            "aggregator_index": "7",
            "contribution": {
                "slot": slot,
                "beacon_block_root": Root::new([head; 32]),
                "subcommittee_index": "1",
                "aggregation_bits": "0x0f",
                "signature": format!("0xc0{}", "00".repeat(95)),
            },
            "selection_proof": format!("0xc0{}", "00".repeat(95)),
        });
        let raw: RawContributionAndProof = serde_json::from_value(object.clone()).unwrap();
        let message =
            Message::SyncCommitteeContributionAndProof(raw.resolve(chain.network()).unwrap());
        let object = json!({ "contribution_and_proof": object });
        Self::new(chain, "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", object, message)
    }

    /// A registration with builders; another gas limit makes another message.
    #[must_use]
    pub fn registration(chain: &Chain, key: &PublicKey, gas_limit: u64) -> Self {
        let registration = ValidatorRegistration {
            fee_recipient: FEE_RECIPIENT,
            gas_limit,
            timestamp: chain.network().genesis_time(),
            pubkey: *key,
        };
        let object = json!({ "validator_registration": registration });
        let message = Message::ValidatorRegistration(registration);
        Self::new(chain, "VALIDATOR_REGISTRATION", object, message)
    }

    /// The validator leaves.
    #[must_use]
    pub fn exit(chain: &Chain, epoch: Epoch) -> Self {
        let exit = VoluntaryExit { epoch, validator_index: 7 };
        let object = json!({ "voluntary_exit": exit });
        Self::new(chain, "VOLUNTARY_EXIT", object, Message::VoluntaryExit(exit))
    }
}

fn attestation_data(slot: Slot, epoch: Epoch, head: u8) -> AttestationData {
    AttestationData {
        slot,
        index: 0,
        beacon_block_root: Root::new([head; 32]),
        source: Checkpoint { epoch: epoch.saturating_sub(1), root: Root::new([2; 32]) },
        target: Checkpoint { epoch, root: Root::new([3; 32]) },
    }
}
