//! The secret share of a validator key, and the only way to a signature by it.
//!
//! A partial signature is computed while the slashing database commits, so it has to exist before the
//! permit does. It stays sealed until then: [`SealedPartial`] shows nothing, and opens only for a
//! [`Permit`] that covers the same validator and signing root.

use eth_types::{PublicKey, Root};
use slashing_db::Permit;
use threshold_protocol::bls::{HashedMessage, PartialSignature, SigningShare};

/// This operator's share of one validator's key.
#[derive(Debug)]
pub struct ValidatorShare {
    validator: PublicKey,
    share: SigningShare,
}

/// A permit for something else than what was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "permit for validator {permitted} and signing root {permitted_root} does not cover the partial \
     signature of validator {signed} over {signed_root}"
)]
pub struct ForeignPermit {
    permitted: PublicKey,
    permitted_root: Root,
    signed: PublicKey,
    signed_root: Root,
}

impl ValidatorShare {
    /// Takes the share of a validator's key.
    #[must_use]
    pub const fn new(validator: PublicKey, share: SigningShare) -> Self {
        Self { validator, share }
    }

    /// The validator.
    #[must_use]
    pub const fn validator(&self) -> PublicKey {
        self.validator
    }

    /// Computes a partial signature, sealed until there is a permit for it.
    #[must_use]
    pub fn sign(&self, message: &HashedMessage) -> SealedPartial {
        SealedPartial {
            validator: self.validator,
            root: *message.root(),
            partial: self.share.sign(message),
        }
    }
}

/// A partial signature that nobody may see yet.
pub struct SealedPartial {
    validator: PublicKey,
    root: Root,
    partial: PartialSignature,
}

impl std::fmt::Debug for SealedPartial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedPartial")
            .field("validator", &self.validator)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl SealedPartial {
    /// Opens it for a permit, which is used up.
    ///
    /// # Errors
    /// The permit covers another validator or signing root.
    pub fn release(self, permit: Permit) -> Result<PartialSignature, Box<ForeignPermit>> {
        if permit.validator() == self.validator && permit.signing_root() == self.root {
            return Ok(self.partial);
        }
        Err(Box::new(ForeignPermit {
            permitted: permit.validator(),
            permitted_root: permit.signing_root(),
            signed: self.validator,
            signed_root: self.root,
        }))
    }
}
