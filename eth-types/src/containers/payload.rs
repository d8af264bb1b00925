//! Bids for a slot's payload, and payloads (EIP-7732; consensus-specs v1.7.0-beta,
//! `gloas/beacon-chain.md`).
//!
//! Both are progressive containers (EIP-7495). Their lists are hashed while the JSON is read and only
//! the roots are kept: the containers here have the same hash tree roots as the whole ones, and take
//! less than a kilobyte between nodes instead of megabytes.

use serde::Deserialize;
use ssz_derive::{Decode, Encode};
use tree_hash::{Hash256, TreeHash as _};
use tree_hash_derive::TreeHash;
use typenum::U32;

use super::{hashed, progressive};
use crate::keys::{KzgCommitment, PublicKey, Signature};
use crate::primitives::{ExecutionAddress, Root, Slot, quoted_u64};

/// The builder index with which a proposer reveals a payload that it built itself
/// (`BUILDER_INDEX_SELF_BUILD`).
pub const BUILDER_INDEX_SELF_BUILD: u64 = u64::MAX;

/// A builder's offer for the payload of a slot (`ExecutionPayloadBid`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Encode, Decode)]
pub struct ExecutionPayloadBid {
    /// The execution block before.
    pub parent_block_hash: Root,
    /// The beacon block before.
    pub parent_block_root: Root,
    /// The execution block that is offered.
    pub block_hash: Root,
    /// The randomness of the slot.
    pub prev_randao: Root,
    /// Who is paid.
    pub fee_recipient: ExecutionAddress,
    /// The payload's gas limit.
    #[serde(with = "quoted_u64")]
    pub gas_limit: u64,
    /// The builder's index in the beacon state, or [`BUILDER_INDEX_SELF_BUILD`].
    #[serde(with = "quoted_u64")]
    pub builder_index: u64,
    /// The slot.
    pub slot: Slot,
    /// What the builder's balance is charged, in gwei.
    #[serde(with = "quoted_u64")]
    pub value: u64,
    /// What is paid in the payload itself, in gwei.
    #[serde(with = "quoted_u64")]
    pub execution_payment: u64,
    /// Root of the list of commitments to blobs; JSON has the list.
    #[serde(
        rename = "blob_kzg_commitments",
        deserialize_with = "hashed::list_root::<KzgCommitment, _>"
    )]
    pub blob_kzg_commitments_root: Root,
    /// Root of the payload's requests to the consensus layer.
    pub execution_requests_root: Root,
}

impl ExecutionPayloadBid {
    /// The hash tree root.
    #[must_use]
    pub fn tree_hash_root(&self) -> Hash256 {
        progressive::container_root(&[
            self.parent_block_hash.tree_hash_root(),
            self.parent_block_root.tree_hash_root(),
            self.block_hash.tree_hash_root(),
            self.prev_randao.tree_hash_root(),
            self.fee_recipient.tree_hash_root(),
            self.gas_limit.tree_hash_root(),
            self.builder_index.tree_hash_root(),
            self.slot.tree_hash_root(),
            self.value.tree_hash_root(),
            self.execution_payment.tree_hash_root(),
            self.blob_kzg_commitments_root.into(),
            self.execution_requests_root.into(),
        ])
    }
}

/// The payload of a slot, revealed by the builder whose bid the block holds
/// (`ExecutionPayloadEnvelope`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Encode, Decode)]
pub struct ExecutionPayloadEnvelope {
    /// The payload.
    pub payload: ExecutionPayload,
    /// Root of the payload's requests to the consensus layer; JSON has the lists.
    #[serde(rename = "execution_requests", deserialize_with = "execution_requests_root")]
    pub execution_requests_root: Root,
    /// The builder's index in the beacon state, or [`BUILDER_INDEX_SELF_BUILD`].
    #[serde(with = "quoted_u64")]
    pub builder_index: u64,
    /// The block that holds the bid.
    pub beacon_block_root: Root,
    /// The block before that one.
    pub parent_beacon_block_root: Root,
}

impl ExecutionPayloadEnvelope {
    /// The slot of the payload.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.payload.slot_number
    }

    /// The hash tree root.
    #[must_use]
    pub fn tree_hash_root(&self) -> Hash256 {
        progressive::container_root(&[
            self.payload.tree_hash_root(),
            self.execution_requests_root.into(),
            self.builder_index.tree_hash_root(),
            self.beacon_block_root.tree_hash_root(),
            self.parent_beacon_block_root.tree_hash_root(),
        ])
    }
}

/// An execution block (`ExecutionPayload`), with the roots of its lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Encode, Decode)]
pub struct ExecutionPayload {
    /// The execution block before.
    pub parent_hash: Root,
    /// Who gets the priority fees.
    pub fee_recipient: ExecutionAddress,
    /// The execution state after.
    pub state_root: Root,
    /// The receipts.
    pub receipts_root: Root,
    /// Root of the 256 bytes of the bloom filter.
    #[serde(rename = "logs_bloom", deserialize_with = "hashed::byte_vector_root::<256, _>")]
    pub logs_bloom_root: Root,
    /// The randomness of the slot.
    pub prev_randao: Root,
    /// The number of the execution block.
    #[serde(with = "quoted_u64")]
    pub block_number: u64,
    /// The gas limit.
    #[serde(with = "quoted_u64")]
    pub gas_limit: u64,
    /// The gas used.
    #[serde(with = "quoted_u64")]
    pub gas_used: u64,
    /// Unix seconds.
    #[serde(with = "quoted_u64")]
    pub timestamp: u64,
    /// Root of at most 32 bytes.
    #[serde(rename = "extra_data", deserialize_with = "hashed::bounded_bytes_root::<U32, _>")]
    pub extra_data_root: Root,
    /// Wei per gas, a 256-bit integer in little-endian bytes.
    #[serde(deserialize_with = "hashed::uint256")]
    pub base_fee_per_gas: Root,
    /// The hash of the execution block.
    pub block_hash: Root,
    /// Root of the transactions; JSON has the list.
    #[serde(
        rename = "transactions",
        deserialize_with = "hashed::list_root::<hashed::Transaction, _>"
    )]
    pub transactions_root: Root,
    /// Root of the withdrawals; JSON has the list.
    #[serde(rename = "withdrawals", deserialize_with = "hashed::list_root::<Withdrawal, _>")]
    pub withdrawals_root: Root,
    /// The blob gas used.
    #[serde(with = "quoted_u64")]
    pub blob_gas_used: u64,
    /// The blob gas in excess of the target.
    #[serde(with = "quoted_u64")]
    pub excess_blob_gas: u64,
    /// Root of the block access list (EIP-7928); JSON has its bytes.
    #[serde(rename = "block_access_list", deserialize_with = "hashed::byte_list_root")]
    pub block_access_list_root: Root,
    /// The slot (EIP-7843).
    pub slot_number: Slot,
}

impl ExecutionPayload {
    /// The hash tree root.
    #[must_use]
    pub fn tree_hash_root(&self) -> Hash256 {
        progressive::container_root(&[
            self.parent_hash.tree_hash_root(),
            self.fee_recipient.tree_hash_root(),
            self.state_root.tree_hash_root(),
            self.receipts_root.tree_hash_root(),
            self.logs_bloom_root.into(),
            self.prev_randao.tree_hash_root(),
            self.block_number.tree_hash_root(),
            self.gas_limit.tree_hash_root(),
            self.gas_used.tree_hash_root(),
            self.timestamp.tree_hash_root(),
            self.extra_data_root.into(),
            self.base_fee_per_gas.into(),
            self.block_hash.tree_hash_root(),
            self.transactions_root.into(),
            self.withdrawals_root.into(),
            self.blob_gas_used.tree_hash_root(),
            self.excess_blob_gas.tree_hash_root(),
            self.block_access_list_root.into(),
            self.slot_number.tree_hash_root(),
        ])
    }
}

#[derive(Deserialize, TreeHash)]
struct Withdrawal {
    #[serde(with = "quoted_u64")]
    index: u64,
    #[serde(with = "quoted_u64")]
    validator_index: u64,
    address: ExecutionAddress,
    #[serde(with = "quoted_u64")]
    amount: u64,
}

/// What a payload asks of the consensus layer (`ExecutionRequests`), as roots.
#[derive(Deserialize)]
struct ExecutionRequests {
    #[serde(deserialize_with = "hashed::list_root::<DepositRequest, _>")]
    deposits: Root,
    #[serde(deserialize_with = "hashed::list_root::<WithdrawalRequest, _>")]
    withdrawals: Root,
    #[serde(deserialize_with = "hashed::list_root::<ConsolidationRequest, _>")]
    consolidations: Root,
    #[serde(deserialize_with = "hashed::list_root::<BuilderDepositRequest, _>")]
    builder_deposits: Root,
    #[serde(deserialize_with = "hashed::list_root::<BuilderExitRequest, _>")]
    builder_exits: Root,
}

fn execution_requests_root<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Root, D::Error> {
    let requests = ExecutionRequests::deserialize(deserializer)?;
    let root = progressive::container_root(&[
        requests.deposits.into(),
        requests.withdrawals.into(),
        requests.consolidations.into(),
        requests.builder_deposits.into(),
        requests.builder_exits.into(),
    ]);
    Ok(root.into())
}

/// EIP-6110.
#[derive(Deserialize, TreeHash)]
struct DepositRequest {
    pubkey: PublicKey,
    withdrawal_credentials: Root,
    #[serde(with = "quoted_u64")]
    amount: u64,
    signature: Signature,
    #[serde(with = "quoted_u64")]
    index: u64,
}

/// EIP-7002.
#[derive(Deserialize, TreeHash)]
struct WithdrawalRequest {
    source_address: ExecutionAddress,
    validator_pubkey: PublicKey,
    #[serde(with = "quoted_u64")]
    amount: u64,
}

/// EIP-7251.
#[derive(Deserialize, TreeHash)]
struct ConsolidationRequest {
    source_address: ExecutionAddress,
    source_pubkey: PublicKey,
    target_pubkey: PublicKey,
}

/// EIP-8282.
#[derive(Deserialize, TreeHash)]
struct BuilderDepositRequest {
    pubkey: PublicKey,
    withdrawal_credentials: Root,
    #[serde(with = "quoted_u64")]
    amount: u64,
    signature: Signature,
}

/// EIP-8282.
#[derive(Deserialize, TreeHash)]
struct BuilderExitRequest {
    source_address: ExecutionAddress,
    pubkey: PublicKey,
}
