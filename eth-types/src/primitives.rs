//! Numbers and byte strings with a meaning, and their text forms: integers are quoted decimals in
//! JSON (bare ones are accepted), bytes are `0x` hex.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use alloy_primitives::B256;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the fixed-length byte string that was expected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HexError {
    /// The text has the wrong number of hex digits.
    #[error("expected {expected} bytes of hex, found {found} hex digits")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Hex digits found, `0x` not counted.
        found: usize,
    },
    /// A character is not a hex digit.
    #[error("not hex: {0}")]
    Digit(hex::FromHexError),
}

/// Declares a newtype over a fixed-length byte string with hex text and SSZ forms.
macro_rules! fixed_bytes {
    ($(#[$meta:meta])* $name:ident, $len:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);

            /// Wraps the bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The bytes, by value.
            #[must_use]
            pub const fn into_bytes(self) -> [u8; $len] {
                self.0
            }

            /// Whether all bytes are zero.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                *self == Self::ZERO
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ZERO
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl From<$name> for [u8; $len] {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                <[u8; $len]>::try_from(bytes).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = $crate::primitives::HexError;

            /// Reads hex of any case, with or without `0x`.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text
                    .strip_prefix("0x")
                    .or_else(|| text.strip_prefix("0X"))
                    .unwrap_or(text);
                if digits.len() != 2 * $len {
                    return Err($crate::primitives::HexError::Length {
                        expected: $len,
                        found: digits.len(),
                    });
                }
                let mut bytes = [0; $len];
                hex::decode_to_slice(digits, &mut bytes)
                    .map_err($crate::primitives::HexError::Digit)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer
                    .deserialize_str($crate::primitives::HexVisitor::<Self>::new($len))
            }
        }

        impl ssz::Encode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                $len
            }

            fn ssz_bytes_len(&self) -> usize {
                $len
            }

            fn ssz_append(&self, buf: &mut Vec<u8>) {
                buf.extend_from_slice(&self.0);
            }
        }

        impl ssz::Decode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                $len
            }

            fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
                <[u8; $len]>::try_from(bytes).map(Self).map_err(|_| {
                    ssz::DecodeError::InvalidByteLength { len: bytes.len(), expected: $len }
                })
            }
        }

        impl tree_hash::TreeHash for $name {
            fn tree_hash_type() -> tree_hash::TreeHashType {
                tree_hash::TreeHashType::Vector
            }

            fn tree_hash_packed_encoding(&self) -> tree_hash::PackedEncoding {
                unreachable!("a fixed byte string is a vector and is never packed")
            }

            fn tree_hash_packing_factor() -> usize {
                unreachable!("a fixed byte string is a vector and is never packed")
            }

            fn tree_hash_root(&self) -> alloy_primitives::B256 {
                tree_hash::merkle_root(&self.0, 0)
            }
        }
    };
}
pub(crate) use fixed_bytes;

/// Reads hex without a copy of the text.
pub(crate) struct HexVisitor<T> {
    len: usize,
    target: PhantomData<T>,
}

impl<T> HexVisitor<T> {
    pub(crate) const fn new(len: usize) -> Self {
        Self { len, target: PhantomData }
    }
}

impl<T: FromStr<Err = HexError>> Visitor<'_> for HexVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of hex", self.len)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

fixed_bytes!(
    /// A 32-byte hash tree root, block root or signing root.
    Root,
    32
);
fixed_bytes!(
    /// A fork's 4-byte version.
    ForkVersion,
    4
);
fixed_bytes!(
    /// A 20-byte execution-layer address, such as a fee recipient.
    ExecutionAddress,
    20
);

impl From<B256> for Root {
    fn from(value: B256) -> Self {
        Self(value.0)
    }
}

impl From<Root> for B256 {
    fn from(value: Root) -> Self {
        Self(value.0)
    }
}

/// Declares a newtype over `u64` whose JSON form is a quoted decimal.
macro_rules! uint64 {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// The number plus `n`; stays at the largest number instead of wrapping.
            #[must_use]
            pub const fn saturating_add(self, n: u64) -> Self {
                Self(self.0.saturating_add(n))
            }

            /// The number minus `n`; stays at zero instead of wrapping.
            #[must_use]
            pub const fn saturating_sub(self, n: u64) -> Self {
                Self(self.0.saturating_sub(n))
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                quoted_u64::serialize(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                quoted_u64::deserialize(deserializer).map(Self)
            }
        }

        impl ssz::Encode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                8
            }

            fn ssz_bytes_len(&self) -> usize {
                8
            }

            fn ssz_append(&self, buf: &mut Vec<u8>) {
                self.0.ssz_append(buf);
            }
        }

        impl ssz::Decode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                8
            }

            fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
                u64::from_ssz_bytes(bytes).map(Self)
            }
        }

        impl tree_hash::TreeHash for $name {
            fn tree_hash_type() -> tree_hash::TreeHashType {
                u64::tree_hash_type()
            }

            fn tree_hash_packed_encoding(&self) -> tree_hash::PackedEncoding {
                self.0.tree_hash_packed_encoding()
            }

            fn tree_hash_packing_factor() -> usize {
                u64::tree_hash_packing_factor()
            }

            fn tree_hash_root(&self) -> B256 {
                self.0.tree_hash_root()
            }
        }
    };
}

uint64!(
    /// A slot number, counted from genesis.
    Slot
);
uint64!(
    /// An epoch number, counted from genesis.
    Epoch
);

impl Slot {
    /// The epoch that the slot is in (consensus-specs `compute_epoch_at_slot`).
    #[must_use]
    pub const fn epoch(self, slots_per_epoch: std::num::NonZeroU64) -> Epoch {
        Epoch(self.0 / slots_per_epoch.get())
    }
}

impl Epoch {
    /// The first slot of the epoch (consensus-specs `compute_start_slot_at_epoch`), saturating.
    #[must_use]
    pub const fn start_slot(self, slots_per_epoch: std::num::NonZeroU64) -> Slot {
        Slot(self.0.saturating_mul(slots_per_epoch.get()))
    }
}

/// Serde form of a `u64`: written as a quoted decimal, read quoted or bare.
pub mod quoted_u64 {
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    /// Writes the number as a quoted decimal.
    ///
    /// # Errors
    /// Whatever the serializer returns.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads a quoted or bare decimal.
    ///
    /// # Errors
    /// The text is no decimal `u64`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(QuotedVisitor)
    }

    struct QuotedVisitor;

    impl Visitor<'_> for QuotedVisitor {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an unsigned 64-bit integer, quoted or bare")
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            // `parse` would accept a leading plus sign.
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self));
            }
            text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn hex_is_read_in_any_case_with_and_without_prefix() {
        let expected = ForkVersion::new([0xab, 0xcd, 0xef, 0x01]);
        for text in ["0xabcdef01", "0XABCDEF01", "abcdef01", "aBcDeF01"] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "0xabcdef01");
    }

    #[test]
    fn hex_of_another_length_or_with_other_characters_is_refused() {
        for (text, error) in [
            ("0xabcdef", "expected 4 bytes of hex, found 6 hex digits"),
            ("0xabcdef0102", "expected 4 bytes of hex, found 10 hex digits"),
            ("", "expected 4 bytes of hex, found 0 hex digits"),
            ("0x0xabcdef", "not hex: Invalid character 'x' at position 1"),
            ("0xabcdefgh", "not hex: Invalid character 'g' at position 6"),
        ] {
            let found = text.parse::<ForkVersion>().unwrap_err();
            assert_eq!(found.to_string(), error, "{text}");
        }
    }

    #[test]
    fn json_numbers_are_written_quoted_and_read_quoted_or_bare() {
        assert_eq!(serde_json::to_string(&Slot::new(7)).unwrap(), "\"7\"");
        for text in ["\"7\"", "7"] {
            assert_eq!(serde_json::from_str::<Slot>(text).unwrap(), Slot::new(7), "{text}");
        }
        let max = "\"18446744073709551615\"";
        assert_eq!(serde_json::from_str::<Epoch>(max).unwrap(), Epoch::new(u64::MAX));
    }

    #[test]
    fn json_that_is_no_unsigned_number_is_refused() {
        for text in
            ["\"\"", "\"+7\"", "\"-7\"", "-7", "7.0", "\" 7\"", "\"0x7\"", "null", "true", "[7]"]
        {
            assert!(serde_json::from_str::<Slot>(text).is_err(), "{text} was read");
        }
        let too_large = "\"18446744073709551616\"";
        assert!(serde_json::from_str::<Slot>(too_large).is_err());
    }

    #[test]
    fn slots_and_epochs_convert_at_the_edges() {
        let slots_per_epoch = NonZeroU64::new(32).unwrap();
        for (slot, epoch) in [(0, 0), (31, 0), (32, 1), (u64::MAX, u64::MAX / 32)] {
            assert_eq!(Slot::new(slot).epoch(slots_per_epoch), Epoch::new(epoch), "{slot}");
        }
        assert_eq!(Epoch::new(2).start_slot(slots_per_epoch), Slot::new(64));
        assert_eq!(Epoch::new(u64::MAX).start_slot(slots_per_epoch), Slot::new(u64::MAX));
    }
}
