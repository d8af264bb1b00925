//! One operator's signing: the scaled share and what it makes.

use std::fmt;
use std::hash::{Hash, Hasher};

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
        let point = self.scaled.sign(message.hashed().point());
        PartialSignature { bytes: raw::g2_bytes(&point), point: Some(point) }
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
#[derive(Clone, Copy)]
pub struct PartialSignature {
    bytes: [u8; 96],
    /// The point of the bytes where this node computed it: its own need not be decoded.
    point: Option<G2Affine>,
}

impl PartialSignature {
    /// Length in bytes.
    pub const LEN: usize = 96;

    /// Wraps the bytes, unchecked.
    #[must_use]
    pub const fn new(bytes: [u8; 96]) -> Self {
        Self { bytes, point: None }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 96] {
        &self.bytes
    }

    /// The point, on the curve and not infinity; its subgroup is not checked.
    pub(super) fn decode(&self) -> Result<G2Affine, PointError> {
        self.point.map_or_else(|| raw::g2_on_curve(&self.bytes), Ok)
    }
}

impl From<[u8; 96]> for PartialSignature {
    fn from(bytes: [u8; 96]) -> Self {
        Self::new(bytes)
    }
}

impl TryFrom<&[u8]> for PartialSignature {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        <[u8; 96]>::try_from(bytes).map(Self::new)
    }
}

// The point says nothing that the bytes do not.
impl PartialEq for PartialSignature {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PartialSignature {}

impl Hash for PartialSignature {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for PartialSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartialSignature").field(&Signature::new(self.bytes)).finish()
    }
}
