//! Hash tree roots of containers, plain and progressive (EIP-7495 and EIP-7916, used from Gloas on).

use ssz::BitList;
use tree_hash::{Hash256, mix_in_length};
use typenum::Unsigned;

const CHUNK: usize = 32;

/// The root of a plain container with these field roots.
pub(super) fn plain_container_root(fields: &[Hash256]) -> Hash256 {
    let bytes: Vec<u8> = fields.iter().flat_map(|field| field.0).collect();
    tree_hash::merkle_root(&bytes, fields.len())
}

/// The root of a progressive container with these field roots, all of them active.
pub(super) fn container_root(fields: &[Hash256]) -> Hash256 {
    let chunks: Vec<u8> = fields.iter().flat_map(|field| field.0).collect();
    let mut active = [0_u8; CHUNK];
    for field in 0..fields.len().min(8 * CHUNK) {
        if let Some(byte) = active.get_mut(field / 8) {
            *byte |= 1 << (field % 8);
        }
    }
    hash_pair(merkleize(&chunks, 1), Hash256::from(active))
}

/// The root of a progressive list of containers or vectors, given their roots one after the other.
pub(super) fn list_root(roots: &[u8], len: usize) -> Hash256 {
    mix_in_length(&merkleize(roots, 1), len)
}

/// The root of a progressive list of bytes.
pub(super) fn byte_list_root(bytes: &[u8]) -> Hash256 {
    mix_in_length(&merkleize(bytes, 1), bytes.len())
}

/// The root of a progressive bit list: the bound of the type does not count.
pub(super) fn bit_list_root<N: Unsigned + Clone>(bits: &BitList<N>) -> Hash256 {
    // A list of no bits holds one zero byte, which is no chunk.
    let bytes = if bits.is_empty() { &[] } else { bits.as_slice() };
    mix_in_length(&merkleize(bytes, 1), bits.len())
}

/// `merkleize_progressive`: the first `leaves` chunks as a binary tree on the left, the rest, with
/// four times the leaves, on the right.
fn merkleize(chunks: &[u8], leaves: usize) -> Hash256 {
    if chunks.is_empty() {
        return Hash256::ZERO;
    }
    let (first, rest) = chunks.split_at(chunks.len().min(leaves.saturating_mul(CHUNK)));
    hash_pair(tree_hash::merkle_root(first, leaves), merkleize(rest, leaves.saturating_mul(4)))
}

fn hash_pair(left: Hash256, right: Hash256) -> Hash256 {
    Hash256::from(ethereum_hashing::hash32_concat(left.as_slice(), right.as_slice()))
}
