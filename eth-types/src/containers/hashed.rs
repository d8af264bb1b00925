//! Hash tree roots of what is long and only has to be hashed: they are computed while the JSON is
//! read, item by item, so that of a payload of several megabytes nothing but roots is kept.

use std::fmt;
use std::marker::PhantomData;

use alloy_primitives::U256;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use ssz_types::VariableList;
use tree_hash::{Hash256, TreeHash};
use typenum::Unsigned;

use super::progressive;
use crate::primitives::Root;

/// Items of one list. More transactions than that no payload has had room for
/// (`MAX_TRANSACTIONS_PER_PAYLOAD` up to Fulu); the bound keeps a body of empty items small in memory.
const MAX_ITEMS: usize = 1 << 20;

/// Bytes that a root takes in a list of roots.
const ROOT_BYTES: usize = 32;

/// Something that is hashed as an item of a list.
pub(super) trait Item {
    fn root(&self) -> Hash256;
}

impl<T: TreeHash> Item for T {
    fn root(&self) -> Hash256 {
        self.tree_hash_root()
    }
}

/// A transaction: a progressive list of bytes, of which the root is kept.
pub(super) struct Transaction(Root);

impl Item for Transaction {
    fn root(&self) -> Hash256 {
        self.0.into()
    }
}

impl<'de> Deserialize<'de> for Transaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        byte_list_root(deserializer).map(Self)
    }
}

/// Reads an array of `T`; the root of a progressive list of containers.
pub(super) fn list_root<'de, T, D>(deserializer: D) -> Result<Root, D::Error>
where
    T: Deserialize<'de> + Item,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(ListVisitor(PhantomData::<T>))
}

/// Reads hex of any length; the root of a progressive list of bytes.
pub(super) fn byte_list_root<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Root, D::Error> {
    let bytes = deserializer.deserialize_str(BytesVisitor { max: usize::MAX, exact: false })?;
    Ok(progressive::byte_list_root(&bytes).into())
}

/// Reads hex of at most `N` bytes, for `#[serde(deserialize_with = ..)]`.
pub(super) fn bounded_bytes<'de, N, D>(deserializer: D) -> Result<VariableList<u8, N>, D::Error>
where
    N: Unsigned + Clone,
    D: Deserializer<'de>,
{
    let bytes = deserializer.deserialize_str(BytesVisitor { max: N::to_usize(), exact: false })?;
    VariableList::new(bytes).map_err(|error| D::Error::custom(format_args!("{error:?}")))
}

/// Reads hex of at most `MAX` bytes; the root of a list of bytes with that bound.
pub(super) fn bounded_bytes_root<'de, N, D>(deserializer: D) -> Result<Root, D::Error>
where
    N: Unsigned + Clone,
    D: Deserializer<'de>,
{
    bounded_bytes::<N, D>(deserializer).map(|bytes| bytes.tree_hash_root().into())
}

/// Reads hex of exactly `LEN` bytes; the root of a vector of bytes.
pub(super) fn byte_vector_root<'de, const LEN: usize, D>(deserializer: D) -> Result<Root, D::Error>
where
    D: Deserializer<'de>,
{
    let bytes = deserializer.deserialize_str(BytesVisitor { max: LEN, exact: true })?;
    Ok(tree_hash::merkle_root(&bytes, LEN.div_ceil(ROOT_BYTES)).into())
}

/// Reads a 256-bit integer, quoted or bare; its little-endian bytes, which are its SSZ form and its
/// root.
pub(super) fn uint256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Root, D::Error> {
    deserializer.deserialize_any(Uint256Visitor)
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Item> Visitor<'de> for ListVisitor<T> {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {MAX_ITEMS} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Root, A::Error> {
        let mut roots: Vec<u8> = Vec::new();
        while let Some(item) = items.next_element::<T>()? {
            if roots.len() >= MAX_ITEMS * ROOT_BYTES {
                return Err(A::Error::invalid_length(MAX_ITEMS + 1, &self));
            }
            roots.extend_from_slice(item.root().as_slice());
        }
        Ok(progressive::list_root(&roots, roots.len() / ROOT_BYTES).into())
    }
}

/// Reads hex into bytes.
struct BytesVisitor {
    max: usize,
    exact: bool,
}

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exact, self.max) {
            (true, len) => write!(f, "{len} bytes of hex"),
            (false, usize::MAX) => f.write_str("hex"),
            (false, max) => write!(f, "at most {max} bytes of hex"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let len = digits.len() / 2;
        // Checked before anything is allocated.
        if len > self.max || (self.exact && len != self.max) {
            return Err(E::invalid_length(len, &self));
        }
        // The text may be megabytes long: it is not quoted.
        hex::decode(digits).map_err(|error| E::custom(format_args!("not hex: {error}")))
    }
}

struct Uint256Visitor;

impl Visitor<'_> for Uint256Visitor {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unsigned 256-bit integer, quoted or bare")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Root, E> {
        Ok(Root::new(U256::from(value).to_le_bytes()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Root, E> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = digits.then(|| U256::from_str_radix(text, 10).ok()).flatten();
        let shown = text.get(..text.len().min(80)).unwrap_or_default();
        value
            .map(|value| Root::new(value.to_le_bytes()))
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(shown), &self))
    }
}
