//! Finished signatures: of one key, and plain aggregates of many keys over one message.

use eth_types::keys::{PublicKey, Signature};

use super::message::Message;
use super::raw::{self, PointError};

/// Checks a signature fully (consensus-specs `bls.Verify`): both are points of their subgroups and not
/// infinity, and the pairing holds.
#[must_use]
pub fn verify(key: &PublicKey, message: &impl Message, signature: &Signature) -> bool {
    let (Ok(key), Ok(point)) =
        (raw::g1_key(key.as_bytes()), raw::g2_on_curve(signature.as_bytes()))
    else {
        return false;
    };
    raw::g2_in_group(&point) && raw::pairing_holds(&key, message.hashed().point(), &point)
}

/// Why signatures cannot be aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// There are none.
    #[error("no signature to aggregate")]
    Empty,
    /// One is not a signature.
    #[error("signature {position} is not a signature")]
    NotASignature {
        /// Where in the list, from 0.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: PointError,
    },
}

/// The plain sum of signatures (consensus-specs `bls.Aggregate`), such as the one over a cluster lock's
/// hash by all shares of all its validators.
///
/// # Errors
/// See [`AggregateError`].
pub fn aggregate(signatures: &[Signature]) -> Result<Signature, AggregateError> {
    if signatures.is_empty() {
        return Err(AggregateError::Empty);
    }
    let points = signatures
        .iter()
        .enumerate()
        .map(|(position, signature)| {
            let point = raw::g2_on_curve(signature.as_bytes())
                .map_err(|source| AggregateError::NotASignature { position, source })?;
            if raw::g2_in_group(&point) {
                Ok(point)
            } else {
                let source = PointError::NotInGroup;
                Err(AggregateError::NotASignature { position, source })
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Signature::new(raw::g2_bytes(&raw::g2_sum(&points))))
}

/// Checks an aggregate of signatures by all `keys` over one message (consensus-specs
/// `bls.FastAggregateVerify`, with every key checked too).
///
/// # Security
/// Says nothing unless whoever chose the keys has proved to hold them: with a key made from the others'
/// ("rogue key") an aggregate can be forged. A cluster lock's shares are covered by the check that they
/// lie on the polynomial of the group key.
#[must_use]
pub fn verify_aggregate(keys: &[PublicKey], message: &impl Message, signature: &Signature) -> bool {
    let keys = keys.iter().map(|key| raw::g1_key(key.as_bytes())).collect::<Result<Vec<_>, _>>();
    let (Ok(keys), Ok(point)) = (keys, raw::g2_on_curve(signature.as_bytes())) else {
        return false;
    };
    // No keys sum up to infinity, with which no pairing holds.
    raw::g2_in_group(&point)
        && raw::pairing_holds(&raw::g1_sum(&keys), message.hashed().point(), &point)
}
