//! Byte strings, amounts and addresses in the forms that cluster files write them.

use std::fmt;

use eth_types::ExecutionAddress;
use eth_types::primitives::quoted_u64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of no fixed length: `0x` hex, and the empty text for no bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HexBytes(Vec<u8>);

impl HexBytes {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none: the field was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<B: AsRef<[u8]>> From<B> for HexBytes {
    fn from(bytes: B) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "0x{}", hex::encode(&self.0)) }
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let digits =
            text.strip_prefix("0x").ok_or_else(|| D::Error::custom("expected hex after 0x"))?;
        hex::decode(digits).map(Self).map_err(D::Error::custom)
    }
}

/// An execution-layer address that may have been left out (the empty text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OptionalAddress(Option<ExecutionAddress>);

impl OptionalAddress {
    /// The address, if there is one.
    #[must_use]
    pub fn get(self) -> Option<ExecutionAddress> {
        self.0
    }
}

impl From<ExecutionAddress> for OptionalAddress {
    fn from(address: ExecutionAddress) -> Self {
        Self(Some(address))
    }
}

impl Serialize for OptionalAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(address) => address.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }
}

impl<'de> Deserialize<'de> for OptionalAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(D::Error::custom)
    }
}

/// An amount in Gwei: a quoted decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gwei(#[serde(with = "quoted_u64")] u64);

impl Gwei {
    /// One ETH (on Gnosis Chain: one unit of its staking token, in its Gwei).
    pub const ETH: Self = Self(1_000_000_000);

    /// Wraps the number.
    #[must_use]
    pub const fn new(gwei: u64) -> Self {
        Self(gwei)
    }

    /// So many whole ETH; `None` if that is more than a `u64` of Gwei.
    #[must_use]
    pub const fn from_eth(eth: u64) -> Option<Self> {
        match eth.checked_mul(Self::ETH.0) {
            Some(gwei) => Some(Self(gwei)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// In ETH, without needless zeros: `32`, `0.5`.
impl fmt::Display for Gwei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ETH.0, self.0 % Self::ETH.0);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{rest:09}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// The text of a cluster file: indented by one space, as the field's tools write it.
pub(super) fn to_text(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bytes_and_addresses_are_empty_texts() {
        assert_eq!(serde_json::to_string(&HexBytes::default()).unwrap(), r#""""#);
        assert_eq!(serde_json::to_string(&HexBytes::from([1, 0xab])).unwrap(), r#""0x01ab""#);
        assert!(serde_json::from_str::<HexBytes>(r#""""#).unwrap().is_empty());
        assert_eq!(serde_json::from_str::<OptionalAddress>(r#""""#).unwrap().get(), None);
        for refused in [r#""01ab""#, r#""0x1""#, r#""0xzz""#, "1"] {
            assert!(serde_json::from_str::<HexBytes>(refused).is_err(), "{refused}");
        }
        assert!(serde_json::from_str::<OptionalAddress>(r#""0x01""#).is_err());
    }

    #[test]
    fn amounts_are_shown_in_eth() {
        let shown =
            [32_000_000_000, 500_000_000, 1_000_000_001, 0].map(|g| Gwei::new(g).to_string());
        assert_eq!(shown, ["32", "0.5", "1.000000001", "0"]);
        assert_eq!(Gwei::from_eth(2048), Some(Gwei::new(2_048_000_000_000)));
        assert_eq!(Gwei::from_eth(u64::MAX), None);
    }
}
