//! A bitfield as it comes in JSON, before the network tells how long it has to be.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ContainerError;

/// The longest bitfield there is: the aggregation bits of Electra, one for each of 2048 validators in
/// 64 committees, and the length bit.
pub const MAX_BITS_BYTES: usize = 2048 * 64 / 8 + 1;

/// The SSZ bytes of a bit list or a bit vector: at most [`MAX_BITS_BYTES`] of hex in JSON.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HexBits(Vec<u8>);

impl HexBits {
    /// The SSZ bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads them as the bitfield they have to be. `field` and `expected` are for the error.
    pub(super) fn decode<T: ssz::Decode>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, ContainerError> {
        T::from_ssz_bytes(&self.0).map_err(|error| ContainerError::Bits {
            field,
            expected,
            reason: format!("{error:?}"),
        })
    }

    /// The form a bitfield came in.
    pub(super) fn encode(bits: &impl ssz::Encode) -> Self {
        Self(bits.as_ssz_bytes())
    }
}

impl fmt::Debug for HexBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl Serialize for HexBits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for HexBits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BitsVisitor)
    }
}

struct BitsVisitor;

impl Visitor<'_> for BitsVisitor {
    type Value = HexBits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX_BITS_BYTES} bytes of hex")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HexBits, E> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        if digits.len() > 2 * MAX_BITS_BYTES {
            return Err(E::invalid_length(digits.len() / 2, &self));
        }
        // The text is bounded by now, so it can stand in the error.
        hex::decode(digits).map(HexBits).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}
