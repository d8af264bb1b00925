//! Numbers and byte strings with a meaning, and their text forms: integers are quoted decimals in
//! JSON (bare ones are accepted), bytes are `0x` hex.

mod hex_bytes;
pub mod quoted_u64;
mod uint64;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::hex_bytes::HexError;
pub(crate) use self::hex_bytes::{HexVisitor, fixed_bytes};
use self::uint64::uint64;

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
    pub const fn epoch(self, slots_per_epoch: NonZeroU64) -> Epoch {
        Epoch(self.0 / slots_per_epoch.get())
    }
}

impl Epoch {
    /// The first slot of the epoch (consensus-specs `compute_start_slot_at_epoch`), saturating.
    #[must_use]
    pub const fn start_slot(self, slots_per_epoch: NonZeroU64) -> Slot {
        Slot(self.0.saturating_mul(slots_per_epoch.get()))
    }
}

#[cfg(test)]
mod tests {
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
            ("zz", "not hex: Invalid character 'z' at position 0"),
            ("0xab\u{fc}", "not hex: Invalid character '\u{fc}' at position 2"),
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
