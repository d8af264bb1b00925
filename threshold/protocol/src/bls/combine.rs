//! One signature from exactly t partial signatures, unverified.

use eth_types::keys::Signature;

use super::lagrange::Interpolation;
use super::raw::{self, PointError};
use super::signing::PartialSignature;
use super::threshold::{ShareIndex, Threshold};

/// Why partial signatures do not combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// Not exactly t of them.
    #[error("{found} partial signatures given, exactly {expected} are combined")]
    Count {
        /// t.
        expected: u8,
        /// How many there were.
        found: usize,
    },
    /// The cluster has no such operator.
    #[error("partial signature of operator {index}, but the cluster has {operators} operators")]
    NoSuchOperator {
        /// The number given.
        index: ShareIndex,
        /// n.
        operators: u8,
    },
    /// Two of one operator.
    #[error("two partial signatures of operator {index}")]
    Repeated {
        /// Whose.
        index: ShareIndex,
    },
    /// An operator sent bytes that are no point of the curve.
    #[error("the partial signature of operator {index} is malformed")]
    Malformed {
        /// Who sent it.
        index: ShareIndex,
        /// What is wrong with it.
        #[source]
        source: PointError,
    },
}

/// Interpolates t partial signatures of distinct operators.
///
/// The result is a signature only if all of them are right: verify it before use, or call
/// [`combine_and_verify`](super::combine_and_verify), which does that and finds who was wrong.
///
/// # Errors
/// See [`CombineError`].
pub fn combine(
    threshold: Threshold,
    partials: &[(ShareIndex, PartialSignature)],
) -> Result<Signature, CombineError> {
    if partials.len() != usize::from(threshold.threshold()) {
        return Err(CombineError::Count { expected: threshold.threshold(), found: partials.len() });
    }
    let mut set = Vec::with_capacity(partials.len());
    let mut points = Vec::with_capacity(partials.len());
    for &(index, partial) in partials {
        if !threshold.contains(index) {
            return Err(CombineError::NoSuchOperator { index, operators: threshold.operators() });
        }
        if set.contains(&index) {
            return Err(CombineError::Repeated { index });
        }
        let point = partial.decode().map_err(|source| CombineError::Malformed { index, source })?;
        set.push(index);
        points.push(point);
    }
    let sum = Interpolation::new(threshold, &set).apply(&points);
    Ok(Signature::new(raw::g2_bytes(&sum.to_affine())))
}
