//! Checksums that notice rows which were changed, lost or added by anything but this program. They
//! guard against faults, not against somebody who can write the file.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Collects the fields of one row. Stable across versions of the program: it is stored.
pub(crate) struct Checksum(SipHasher13);

impl Checksum {
    /// Starts the checksum of a row of `kind`.
    pub(crate) fn new(kind: Kind) -> Self {
        Self(SipHasher13::new_with_keys(0x5379_6e6f_6420_7631, kind as u64))
    }

    /// Adds a number.
    pub(crate) fn number(mut self, value: i64) -> Self {
        self.0.write(&value.to_le_bytes());
        self
    }

    /// Adds a number that may be absent; absent differs from every number.
    pub(crate) fn optional(mut self, value: Option<i64>) -> Self {
        match value {
            Some(value) => {
                self.0.write(&[1]);
                self.number(value)
            }
            None => {
                self.0.write(&[0]);
                self
            }
        }
    }

    /// Adds bytes with their length.
    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.write(&(value.len() as u64).to_le_bytes());
        self.0.write(value);
        self
    }

    /// The checksum, in the form that SQLite stores.
    pub(crate) fn finish(self) -> i64 {
        self.0.finish().cast_signed()
    }
}

/// What kind of row a checksum is of, so that rows of two tables never share one by chance.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Metadata = 1,
    Validator = 2,
    Journal = 3,
    Block = 4,
    Attestation = 5,
}
