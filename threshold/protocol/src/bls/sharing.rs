//! Shamir's secret sharing of a key: the dealer's side, and putting a key together again.

use std::fmt;

use eth_types::keys::{PublicKey, Signature};
use eth_types::primitives::Root;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::keys::{KeyError, SecretKey};
use super::lagrange;
use super::message::HashedMessage;
use super::raw::{self, Scalar};
use super::threshold::{ShareIndex, Threshold};

/// One operator's share `f(i)` of one validator key, as keystores and locks have it (not scaled).
///
/// Wiped on drop, never shown, not `Clone`. To sign duties make a
/// [`SigningShare`](super::SigningShare) of it.
pub struct SecretShare {
    index: ShareIndex,
    pub(super) scalar: Scalar,
}

impl SecretShare {
    /// Takes the operator's number and the share as 32 big-endian bytes.
    ///
    /// # Errors
    /// [`KeyError::OutOfRange`] for 0 and for numbers from the group order on.
    pub fn from_bytes(index: ShareIndex, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let scalar = Scalar::from_be_bytes(bytes).ok_or(KeyError::OutOfRange)?;
        Ok(Self { index, scalar })
    }

    /// Whose share it is.
    #[must_use]
    pub const fn index(&self) -> ShareIndex {
        self.index
    }

    /// The share as 32 big-endian bytes, wiped on drop.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.scalar.to_be_bytes()
    }

    /// The public share, as the cluster lock lists it.
    #[must_use]
    pub fn public_share(&self) -> PublicKey {
        PublicKey::new(raw::g1_bytes(&self.scalar.public_key()))
    }

    /// Signs a cluster lock's hash with the share as it stands, for the lock's aggregate signature over
    /// all shares ([`aggregate`](super::aggregate)).
    ///
    /// Never for a duty: duties are signed by [`SigningShare`](super::SigningShare) under a permit.
    #[must_use]
    pub fn sign_lock_hash(&self, lock_hash: &Root) -> Signature {
        let message = HashedMessage::new(lock_hash);
        Signature::new(raw::g2_bytes(&self.scalar.sign(message.point())))
    }
}

impl fmt::Debug for SecretShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretShare").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Why a key could not be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A coefficient or share came out as zero, which a working source gives once in 2^255 times.
    #[error("the random source gave zero where a random number was expected: it is broken")]
    Randomness,
}

/// Splits a key into n shares of which t put it together: `f(0)` is the key, operator i gets `f(i)`.
///
/// The shares come in the operators' order, 1 to n.
///
/// # Errors
/// [`SplitError::Randomness`] if `rng` is broken.
pub fn split(
    key: &SecretKey,
    threshold: Threshold,
    rng: &mut impl CryptoRng,
) -> Result<Vec<SecretShare>, SplitError> {
    // Both lists get their capacity at once: a list that grows leaves copies of secrets behind.
    let mut coefficients = Vec::with_capacity(usize::from(threshold.threshold()));
    for _ in 1..threshold.threshold() {
        coefficients.push(random_scalar(rng)?);
    }
    let mut shares = Vec::with_capacity(usize::from(threshold.operators()));
    for index in threshold.indices() {
        let x = Scalar::from_u128(index.get().into());
        // Horner, from the highest coefficient down to the key.
        let upper = coefficients
            .iter()
            .fold(Scalar::from_u128(0), |sum, coefficient| sum.plus(coefficient).times(&x));
        let scalar = upper.plus(&key.0);
        // A share of zero could not be stored or used.
        let checked = Scalar::from_be_bytes(&scalar.to_be_bytes());
        shares.push(SecretShare { index, scalar: checked.ok_or(SplitError::Randomness)? });
    }
    Ok(shares)
}

fn random_scalar(rng: &mut impl CryptoRng) -> Result<Scalar, SplitError> {
    let mut bytes = Zeroizing::new([0; 48]);
    rng.fill_bytes(&mut *bytes);
    Scalar::from_wide_be_bytes(&bytes).ok_or(SplitError::Randomness)
}

/// Why shares do not give a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Too few shares.
    #[error("{found} shares given, {expected} are needed")]
    TooFew {
        /// t.
        expected: u8,
        /// How many there were.
        found: usize,
    },
    /// One operator's share was given twice.
    #[error("the share of operator {index} was given twice")]
    Repeated {
        /// Whose.
        index: ShareIndex,
    },
    /// The cluster has no such operator.
    #[error("a share of operator {index} was given, but the cluster has {operators} operators")]
    NoSuchOperator {
        /// The number given.
        index: ShareIndex,
        /// n.
        operators: u8,
    },
    /// A public share is not a point that can be one.
    #[error("the public share of operator {index} is not a public key")]
    NotAPublicKey {
        /// Whose.
        index: ShareIndex,
        /// What is wrong with it.
        #[source]
        source: raw::PointError,
    },
    /// More than t shares were given and they disagree.
    #[error("the share of operator {index} does not belong to the same key as the ones before it")]
    Inconsistent {
        /// The first that disagrees with the t shares given first.
        index: ShareIndex,
    },
    /// The shares give the key zero.
    #[error("the shares give no valid key: they do not belong together")]
    NotAKey,
}

/// Puts a key together from t or more shares; those beyond t have to agree with the first t.
///
/// # Errors
/// See [`RecoverError`]. Exactly t shares of different keys cannot be noticed here: compare the public
/// key of the result with the one in the lock.
pub fn recover_secret(
    shares: &[SecretShare],
    threshold: Threshold,
) -> Result<SecretKey, RecoverError> {
    let indices: Vec<ShareIndex> = shares.iter().map(SecretShare::index).collect();
    check_indices(&indices, threshold)?;
    let (first, surplus) = shares.split_at(usize::from(threshold.threshold()));
    let first: Vec<&SecretShare> = first.iter().collect();
    let key = interpolate(&first, threshold);
    // A polynomial of degree t-1 through t-1 of the first shares, a surplus share and the same value
    // at 0 has t points in common with the first, so it is the same.
    for share in surplus {
        let mut other = first.clone();
        if let Some(last) = other.last_mut() {
            *last = share;
        }
        let difference = interpolate(&other, threshold).minus(&key);
        if Scalar::from_be_bytes(&difference.to_be_bytes()).is_some() {
            return Err(RecoverError::Inconsistent { index: share.index });
        }
    }
    SecretKey::from_bytes(&key.to_be_bytes()).map_err(|_| RecoverError::NotAKey)
}

fn interpolate(shares: &[&SecretShare], threshold: Threshold) -> Scalar {
    let set: Vec<ShareIndex> = shares.iter().map(|share| share.index).collect();
    let sum = lagrange::coefficients(threshold, &set)
        .into_iter()
        .zip(shares)
        .fold(Scalar::from_u128(0), |sum, (coefficient, share)| {
            sum.plus(&Scalar::from_i128(coefficient).times(&share.scalar))
        });
    sum.times(&inverse_denominator(threshold))
}

/// `D^-1`, by which shares and public shares are scaled.
pub(super) fn inverse_denominator(threshold: Threshold) -> Scalar {
    Scalar::from_u128(threshold.denominator()).inverse()
}

/// At least t operators of the cluster, no one twice.
pub(super) fn check_indices(
    indices: &[ShareIndex],
    threshold: Threshold,
) -> Result<(), RecoverError> {
    for (position, &index) in indices.iter().enumerate() {
        if !threshold.contains(index) {
            return Err(RecoverError::NoSuchOperator { index, operators: threshold.operators() });
        }
        if indices.iter().take(position).any(|&earlier| earlier == index) {
            return Err(RecoverError::Repeated { index });
        }
    }
    if indices.len() < usize::from(threshold.threshold()) {
        return Err(RecoverError::TooFew { expected: threshold.threshold(), found: indices.len() });
    }
    Ok(())
}
