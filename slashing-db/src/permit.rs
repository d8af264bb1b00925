//! The proof that one message may be signed by one validator.

use eth_types::duty::NonSlashableDuty;
use eth_types::{PublicKey, Root};

/// Leave to sign one signing root with one validator's key or key share.
///
/// The function that touches the secret takes a permit by value, and only this crate makes one for a
/// block or an attestation, after the record of it is durable. It cannot be copied: one permit, one
/// signature.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is dropped leaves a recorded message unsigned"]
pub struct Permit {
    validator: PublicKey,
    signing_root: Root,
}

impl Permit {
    /// Only [`SlashingDb::record`](crate::SlashingDb::record) calls this, after the commit.
    pub(crate) const fn recorded(validator: PublicKey, signing_root: Root) -> Self {
        Self { validator, signing_root }
    }

    /// Leave to sign what can be signed twice without harm: no record is needed.
    pub fn not_slashable(validator: PublicKey, duty: &NonSlashableDuty) -> Self {
        Self { validator, signing_root: duty.duty().signing_root() }
    }

    /// The validator that may sign.
    #[must_use]
    pub const fn validator(&self) -> PublicKey {
        self.validator
    }

    /// What it may sign.
    #[must_use]
    pub const fn signing_root(&self) -> Root {
        self.signing_root
    }
}
