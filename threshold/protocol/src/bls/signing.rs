//! One operator's signing: the scaled share and what it makes.

use std::fmt;

use eth_types::keys::Signature;

use super::message::Message;
use super::raw::{self, G2Affine, PointError, Scalar};
use super::sharing::{RecoverError, SecretShare, inverse_denominator};
use super::threshold::{ShareIndex, Threshold};

/// A share divided by the cluster's common denominator, ready to sign. Made once, at load.
///
/// Wiped on drop, never shown, not `Clone`.
pub struct SigningShare {
    index: ShareIndex,
    scaled: Scalar,
}

impl SigningShare {
    /// Scales a share; the unscaled one is wiped.
    ///
    /// # Errors
    /// [`RecoverError::NoSuchOperator`] if the cluster has no such operator.
    pub fn new(share: SecretShare, threshold: Threshold) -> Result<Self, RecoverError> {
        let index = share.index();
        if !threshold.contains(index) {
            return Err(RecoverError::NoSuchOperator { index, operators: threshold.operators() });
        }
        Ok(Self { index, scaled: share.scalar.times(&inverse_denominator(threshold)) })
    }

    /// Whose share it is.
    #[must_use]
    pub const fn index(&self) -> ShareIndex {
        self.index
    }

    /// Signs in constant time (with regard to the share).
    ///
    /// Call it under a permit of the slashing database only.
    #[must_use]
    pub fn sign(&self, message: &impl Message) -> PartialSignature {
        PartialSignature(raw::g2_bytes(&self.scaled.sign(message.hashed().point())))
    }
}

impl fmt::Debug for SigningShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningShare").field("index", &self.index).finish_non_exhaustive()
    }
}

/// A signature by a scaled share: 96 bytes as they go over the wire.
///
/// Any 96 bytes are taken; whether they are a point, and the right one, turns out when they are combined
/// or verified, and is then the sender's fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartialSignature([u8; 96]);

impl PartialSignature {
    /// Length in bytes.
    pub const LEN: usize = 96;

    /// Wraps the bytes, unchecked.
    #[must_use]
    pub const fn new(bytes: [u8; 96]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 96] {
        &self.0
    }

    /// The point, on the curve and not infinity; its subgroup is not checked.
    pub(super) fn decode(&self) -> Result<G2Affine, PointError> {
        raw::g2_on_curve(&self.0)
    }
}

impl From<[u8; 96]> for PartialSignature {
    fn from(bytes: [u8; 96]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for PartialSignature {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        <[u8; 96]>::try_from(bytes).map(Self)
    }
}

impl fmt::Debug for PartialSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartialSignature").field(&Signature::new(self.0)).finish()
    }
}
