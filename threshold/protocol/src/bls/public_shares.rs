//! The public side of a shared key: what a cluster lock says about one validator.

use eth_types::keys::PublicKey;

use super::lagrange;
use super::message::Message;
use super::raw::{self, G1Affine, G1Projective, PointError, Scalar};
use super::sharing::{RecoverError, check_indices, inverse_denominator};
use super::signing::PartialSignature;
use super::threshold::{ShareIndex, Threshold};

/// One validator's group key and its n scaled public shares, parsed and checked once.
#[derive(Debug, Clone)]
pub struct PublicShares {
    threshold: Threshold,
    key: PublicKey,
    point: G1Affine,
    /// Operator 1 first; each is the lock's public share divided by the common denominator.
    scaled: Vec<G1Affine>,
}

/// Why a lock's public shares of a validator are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicSharesError {
    /// Not one share for each operator.
    #[error("{found} public shares for {expected} operators")]
    Count {
        /// n.
        expected: u8,
        /// How many there were.
        found: usize,
    },
    /// The validator's public key is not a point that can be one.
    #[error("the validator's public key {key} is not a public key")]
    GroupKey {
        /// As given.
        key: PublicKey,
        /// What is wrong with it.
        #[source]
        source: PointError,
    },
    /// A public share is not a point that can be one.
    #[error("the public share of operator {operator}, {key}, is not a public key")]
    Share {
        /// Whose, from 1.
        operator: usize,
        /// As given.
        key: PublicKey,
        /// What is wrong with it.
        #[source]
        source: PointError,
    },
    /// The shares are not those of this key with this threshold.
    #[error(
        "the public shares of validator {key} do not fit it: {threshold} of them have to give its \
         public key, whichever they are"
    )]
    Polynomial {
        /// The validator's public key.
        key: PublicKey,
        /// t.
        threshold: u8,
    },
    /// They are shares of this key, but fewer than the threshold are enough.
    #[error(
        "the public shares of validator {key} were dealt for a lower threshold: fewer than {threshold} \
         operators could sign"
    )]
    LowerThreshold {
        /// The validator's public key.
        key: PublicKey,
        /// t.
        threshold: u8,
    },
}

impl PublicShares {
    /// Takes the validator's public key and the lock's public shares, operator 1 first, and checks that
    /// they belong together.
    ///
    /// # Errors
    /// See [`PublicSharesError`].
    pub fn new(
        group: &PublicKey,
        all: &[PublicKey],
        threshold: Threshold,
    ) -> Result<Self, PublicSharesError> {
        let points = parse(group, all, threshold)?;
        check_polynomial(&points, group, threshold)?;
        let inverse = inverse_denominator(threshold);
        let scaled = points
            .shares
            .iter()
            .map(|point| G1Projective::from_affine(point).times(&inverse).to_affine())
            .collect();
        Ok(Self { threshold, key: *group, point: points.group, scaled })
    }

    /// The validator's public key.
    #[must_use]
    pub const fn group_key(&self) -> PublicKey {
        self.key
    }

    /// The cluster's numbers.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Checks one partial signature fully: a point of the subgroup, by this operator, of this message.
    ///
    /// For peers that have sent a wrong one before; others are checked after combining
    /// ([`combine_and_verify`](super::combine_and_verify)), which is far cheaper.
    #[must_use]
    pub fn verify_partial(
        &self,
        index: ShareIndex,
        message: &impl Message,
        partial: &PartialSignature,
    ) -> bool {
        let (Some(key), Ok(point)) = (self.scaled(index), partial.decode()) else {
            return false;
        };
        raw::g2_in_group(&point) && raw::pairing_holds(key, message.hashed().point(), &point)
    }

    pub(super) const fn point(&self) -> &G1Affine {
        &self.point
    }

    /// The scaled public share; `None` for an operator that the cluster does not have.
    pub(super) fn scaled(&self, index: ShareIndex) -> Option<&G1Affine> {
        self.scaled.get(index.position())
    }
}

/// Checks that every one of the n public shares, operator 1 first, lies on a polynomial of degree t-1, and
/// no lower one, whose value at 0 is the group key.
///
/// # Errors
/// See [`PublicSharesError`].
pub fn check_public_shares(
    group: &PublicKey,
    all: &[PublicKey],
    threshold: Threshold,
) -> Result<(), PublicSharesError> {
    check_polynomial(&parse(group, all, threshold)?, group, threshold)
}

struct Points {
    group: G1Affine,
    shares: Vec<G1Affine>,
}

fn parse(
    group: &PublicKey,
    all: &[PublicKey],
    threshold: Threshold,
) -> Result<Points, PublicSharesError> {
    if all.len() != usize::from(threshold.operators()) {
        return Err(PublicSharesError::Count { expected: threshold.operators(), found: all.len() });
    }
    let shares = all
        .iter()
        .zip(1..)
        .map(|(key, operator)| {
            raw::g1_key(key.as_bytes()).map_err(|source| PublicSharesError::Share {
                operator,
                key: *key,
                source,
            })
        })
        .collect::<Result<_, _>>()?;
    let group = raw::g1_key(group.as_bytes())
        .map_err(|source| PublicSharesError::GroupKey { key: *group, source })?;
    Ok(Points { group, shares })
}

/// The values at 0, 1, .. n belong to a polynomial of degree below t exactly if their t-th finite
/// differences are all zero, and of degree t-1 if those before them are not. With a lower degree fewer than
/// t operators have the key, and two quorums need not share an honest one.
fn check_polynomial(
    points: &Points,
    group: &PublicKey,
    threshold: Threshold,
) -> Result<(), PublicSharesError> {
    let (key, threshold) = (*group, threshold.threshold());
    let mut values: Vec<G1Projective> = std::iter::once(&points.group)
        .chain(&points.shares)
        .map(G1Projective::from_affine)
        .collect();
    for _ in 1..threshold {
        values = differences(&values);
    }
    if !differences(&values).iter().all(G1Projective::is_infinity) {
        return Err(PublicSharesError::Polynomial { key, threshold });
    }
    // They are all the same.
    if values.first().is_some_and(G1Projective::is_infinity) {
        return Err(PublicSharesError::LowerThreshold { key, threshold });
    }
    Ok(())
}

fn differences(values: &[G1Projective]) -> Vec<G1Projective> {
    values.iter().zip(values.iter().skip(1)).map(|(a, b)| b.minus(a)).collect()
}

/// The group key from t or more public shares; those beyond t have to agree with the first t.
///
/// # Errors
/// See [`RecoverError`].
pub fn recover_public_key(
    public_shares: &[(ShareIndex, PublicKey)],
    threshold: Threshold,
) -> Result<PublicKey, RecoverError> {
    let indices: Vec<ShareIndex> = public_shares.iter().map(|(index, _)| *index).collect();
    check_indices(&indices, threshold)?;
    let shares = public_shares
        .iter()
        .map(|(index, key)| {
            raw::g1_key(key.as_bytes())
                .map(|point| (*index, point))
                .map_err(|source| RecoverError::NotAPublicKey { index: *index, source })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (first, surplus) = shares.split_at(usize::from(threshold.threshold()));
    let key = interpolate(first, threshold);
    // As in `recover_secret`: t points in common make two such polynomials one.
    for share in surplus {
        let mut other = first.to_vec();
        if let Some(last) = other.last_mut() {
            *last = *share;
        }
        if !interpolate(&other, threshold).minus(&key).is_infinity() {
            return Err(RecoverError::Inconsistent { index: share.0 });
        }
    }
    if key.is_infinity() {
        return Err(RecoverError::NotAKey);
    }
    Ok(PublicKey::new(raw::g1_bytes(&key.to_affine())))
}

fn interpolate(shares: &[(ShareIndex, G1Affine)], threshold: Threshold) -> G1Projective {
    let set: Vec<ShareIndex> = shares.iter().map(|(index, _)| *index).collect();
    let inverse = inverse_denominator(threshold);
    lagrange::coefficients(threshold, &set).into_iter().zip(shares).fold(
        G1Projective::from_affine(&G1Affine::default()),
        |sum, (coefficient, (_, point))| {
            let scalar = Scalar::from_i128(coefficient).times(&inverse);
            sum.plus(&G1Projective::from_affine(point).times(&scalar))
        },
    )
}
