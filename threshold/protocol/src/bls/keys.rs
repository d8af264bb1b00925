//! A validator's whole key: what a dealer splits and what a standalone signer holds.

use std::fmt;

use eth_types::keys::{PublicKey, Signature};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::message::Message;
use super::raw::{self, Scalar};

/// A whole BLS secret key, 1 to r - 1. Wiped on drop, never shown, not `Clone`.
pub struct SecretKey(pub(super) Scalar);

/// Why bytes are no secret key or share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Zero, or not below the order of the group.
    #[error("not a BLS secret key: expected a number from 1 to the group order minus 1")]
    OutOfRange,
}

impl SecretKey {
    /// Reads 32 big-endian bytes, as keystores hold them.
    ///
    /// # Errors
    /// [`KeyError::OutOfRange`] for 0 and for numbers from the group order on.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Scalar::from_be_bytes(bytes).map(Self).ok_or(KeyError::OutOfRange)
    }

    /// Makes a new key: EIP-2333's `derive_master_SK` of 32 random bytes.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self(Scalar::derive_master(&seed))
    }

    /// The key as 32 big-endian bytes, wiped on drop.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.to_be_bytes()
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(raw::g1_bytes(&self.0.public_key()))
    }

    /// Signs a signing root (consensus-specs `bls.Sign`), in constant time.
    #[must_use]
    pub fn sign(&self, message: &impl Message) -> Signature {
        Signature::new(raw::g2_bytes(&self.0.sign(message.hashed().point())))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}
