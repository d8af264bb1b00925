//! The hashes of cluster files: SSZ hash tree roots of what the JSON says.
//!
//! The definition is a container of these fields, in this order. `BL[n]` is a byte list of at most n
//! bytes. Fields marked * are part of the definition hash and not of the configuration hash.
//!
//! | field | type | from |
//! | --- | --- | --- |
//! | uuid | BL\[64\] | |
//! | name | BL\[256\] | |
//! | version | BL\[16\] | |
//! | timestamp | BL\[32\] | |
//! | num_validators, threshold | u64, u64 | |
//! | dkg_algorithm | BL\[32\] | |
//! | fork_version | 4 bytes | |
//! | operators | list, at most 256, of {address: 20 bytes, enr*: BL\[1024\], config_signature*, enr_signature*} | |
//! | creator | {address: 20 bytes, config_signature*} | |
//! | validators | list, at most 65536, of {fee_recipient, withdrawal: 20 bytes} | |
//! | deposit_amounts | list of u64, at most 256 | |
//! | consensus_protocol | BL\[256\] | v1.9 |
//! | target_gas_limit, compounding | u64, bool | v1.10 |
//! | config_hash* | 32 bytes | |
//!
//! A signature is 65 bytes; from v1.11 on a list of at most 32 of them. Bytes that are missing from a
//! fixed-length field are zeros *before* those that are there. The lock is a container of the
//! definition (with the fields marked *) and the list, at most 65536, of validators: {public key,
//! public_shares: list, at most 256, deposit data: list, at most 256, signed registration}.

use eth_types::Root;
use eth_types::containers::ValidatorRegistration;
use tree_hash::TreeHash;

use super::definition::{ClusterDefinition, Creator, Operator};
use super::json::HexBytes;
use super::lock::{ClusterLock, DistributedValidator};
use super::version::FileVersion;

/// Bytes of a Merkle tree's leaf.
const LEAF: usize = 32;
const SIGNATURE_BYTES: usize = 65;

/// Most operators that the format can hold.
const MAX_OPERATORS: usize = 256;
/// Most validators that the format can hold.
const MAX_VALIDATORS: usize = 65_536;
/// Most public shares or deposits of a validator, and most deposit amounts.
const MAX_PER_VALIDATOR: usize = 256;
/// Most signatures of one contract account.
const MAX_CONTRACT_SIGNATURES: usize = 32;

/// A field is longer than the format allows, so there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} has a length of {found}, the format allows {limit}")]
pub struct LimitError {
    /// The field's name in the file.
    pub field: &'static str,
    /// The most that is allowed: bytes of a text, or elements of a list.
    pub limit: usize,
    /// What is there.
    pub found: usize,
}

/// Which of the definition's two hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Without records and signatures.
    Config,
    /// With everything.
    Whole,
}

pub(super) fn config_hash(definition: &ClusterDefinition) -> Result<Root, LimitError> {
    definition_root(definition, Part::Config)
}

pub(super) fn definition_hash(definition: &ClusterDefinition) -> Result<Root, LimitError> {
    definition_root(definition, Part::Whole)
}

pub(super) fn lock_hash(lock: &ClusterLock) -> Result<Root, LimitError> {
    let validators = lock.distributed_validators.iter().map(validator_root);
    Ok(container(&[
        definition_root(&lock.cluster_definition, Part::Whole)?,
        list("distributed_validators", validators, MAX_VALIDATORS)?,
    ]))
}

fn definition_root(definition: &ClusterDefinition, part: Part) -> Result<Root, LimitError> {
    let version = definition.version;
    let operators =
        definition.operators.iter().map(|operator| operator_root(operator, version, part));
    let validators = definition.validators.iter().map(|validator| {
        let addresses = [validator.fee_recipient, validator.withdrawal];
        Ok(container(&addresses.map(|address| address.get().unwrap_or_default().tree_hash())))
    });
    let mut fields = vec![
        byte_list("uuid", definition.uuid.as_bytes(), 64)?,
        byte_list("name", definition.name.as_bytes(), 256)?,
        byte_list("version", version.as_str().as_bytes(), 16)?,
        byte_list("timestamp", definition.timestamp.as_bytes(), 32)?,
        definition.num_validators.tree_hash(),
        definition.threshold.tree_hash(),
        byte_list("dkg_algorithm", definition.dkg_algorithm.as_bytes(), 32)?,
        definition.fork_version.tree_hash(),
        list("operators", operators, MAX_OPERATORS)?,
        creator_root(&definition.creator, version, part)?,
        list("validators", validators, MAX_VALIDATORS)?,
        deposit_amounts_root(definition)?,
    ];
    if version >= FileVersion::V1_9 {
        let protocol = definition.consensus_protocol.as_deref().unwrap_or_default();
        fields.push(byte_list("consensus_protocol", protocol.as_bytes(), 256)?);
    }
    if version >= FileVersion::V1_10 {
        fields.push(definition.target_gas_limit.unwrap_or_default().tree_hash());
        fields.push(definition.compounding.unwrap_or_default().tree_hash());
    }
    if part == Part::Whole {
        fields.push(definition.config_hash);
    }
    Ok(container(&fields))
}

fn operator_root(
    operator: &Operator,
    version: FileVersion,
    part: Part,
) -> Result<Root, LimitError> {
    let address = operator.address.get().unwrap_or_default().tree_hash();
    match part {
        // A container of one field hashes to that field.
        Part::Config => Ok(container(&[address])),
        Part::Whole => Ok(container(&[
            address,
            byte_list("enr", operator.enr.as_bytes(), 1024)?,
            signature_root("config_signature", &operator.config_signature, version)?,
            signature_root("enr_signature", &operator.enr_signature, version)?,
        ])),
    }
}

fn creator_root(creator: &Creator, version: FileVersion, part: Part) -> Result<Root, LimitError> {
    let address = creator.address.get().unwrap_or_default().tree_hash();
    match part {
        Part::Config => Ok(container(&[address])),
        Part::Whole => Ok(container(&[
            address,
            signature_root("config_signature", &creator.config_signature, version)?,
        ])),
    }
}

fn deposit_amounts_root(definition: &ClusterDefinition) -> Result<Root, LimitError> {
    let amounts = definition.deposit_amounts.as_deref().unwrap_or_default();
    check("deposit_amounts", amounts.len(), MAX_PER_VALIDATOR)?;
    // Numbers are packed, four to a leaf.
    let packed: Vec<u8> = amounts.iter().flat_map(|amount| amount.as_u64().to_le_bytes()).collect();
    let leaves = MAX_PER_VALIDATOR * size_of::<u64>() / LEAF;
    Ok(with_length(&packed, leaves, amounts.len()))
}

fn validator_root(validator: &DistributedValidator) -> Result<Root, LimitError> {
    let shares = validator.public_shares.iter().map(|share| Ok(share.tree_hash()));
    let deposits = validator.partial_deposit_data.iter().map(|deposit| Ok(deposit.tree_hash()));
    let registration = &validator.builder_registration;
    Ok(container(&[
        validator.public_key.tree_hash(),
        list("public_shares", shares, MAX_PER_VALIDATOR)?,
        list("partial_deposit_data", deposits, MAX_PER_VALIDATOR)?,
        container(&[
            ValidatorRegistration::from(registration.message).tree_hash(),
            registration.signature.tree_hash(),
        ]),
    ]))
}

/// A secp256k1 signature, or what a contract account takes for one.
fn signature_root(
    field: &'static str,
    signature: &HexBytes,
    version: FileVersion,
) -> Result<Root, LimitError> {
    if version < FileVersion::V1_11 {
        return left_padded::<SIGNATURE_BYTES>(field, signature.as_bytes());
    }
    let signatures = signature
        .as_bytes()
        .chunks(SIGNATURE_BYTES)
        .map(|one| left_padded::<SIGNATURE_BYTES>(field, one));
    list(field, signatures, MAX_CONTRACT_SIGNATURES)
}

fn left_padded<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<Root, LimitError> {
    let mut padded = [0; N];
    let zeros = N.checked_sub(bytes.len()).and_then(|zeros| padded.get_mut(zeros..));
    let error = LimitError { field, limit: N, found: bytes.len() };
    zeros.ok_or(error)?.copy_from_slice(bytes);
    Ok(tree_hash::merkle_root(&padded, 0).into())
}

fn byte_list(field: &'static str, bytes: &[u8], limit: usize) -> Result<Root, LimitError> {
    check(field, bytes.len(), limit)?;
    Ok(with_length(bytes, limit.div_ceil(LEAF), bytes.len()))
}

fn list(
    field: &'static str,
    elements: impl ExactSizeIterator<Item = Result<Root, LimitError>>,
    limit: usize,
) -> Result<Root, LimitError> {
    let length = elements.len();
    check(field, length, limit)?;
    let mut leaves = Vec::with_capacity(length * LEAF);
    for element in elements {
        leaves.extend_from_slice(element?.as_bytes());
    }
    Ok(with_length(&leaves, limit, length))
}

/// The root of a list: its leaves under a tree for the longest such list, then its length.
fn with_length(leaves: &[u8], limit_leaves: usize, length: usize) -> Root {
    tree_hash::mix_in_length(&tree_hash::merkle_root(leaves, limit_leaves), length).into()
}

fn container(fields: &[Root]) -> Root {
    let leaves: Vec<u8> = fields.iter().flat_map(|field| *field.as_bytes()).collect();
    tree_hash::merkle_root(&leaves, 0).into()
}

fn check(field: &'static str, found: usize, limit: usize) -> Result<(), LimitError> {
    if found <= limit { Ok(()) } else { Err(LimitError { field, limit, found }) }
}

/// A value's root as the workspace's type.
trait HashTreeRoot {
    fn tree_hash(&self) -> Root;
}

impl<T: TreeHash> HashTreeRoot for T {
    fn tree_hash(&self) -> Root {
        self.tree_hash_root().into()
    }
}
