//! Byte strings of a fixed length: hex as text and in JSON, themselves in SSZ.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};

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

impl HexError {
    /// What is wrong with a text of the wrong length: that it is no hex at all says more than its length.
    pub(crate) fn of_length(expected: usize, digits: &str) -> Self {
        let other = digits.char_indices().find(|(_, c)| !c.is_ascii_hexdigit());
        match other {
            Some((index, c)) => Self::Digit(hex::FromHexError::InvalidHexCharacter { c, index }),
            None => Self::Length { expected, found: digits.len() },
        }
    }
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
                    return Err($crate::primitives::HexError::of_length($len, digits));
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

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
