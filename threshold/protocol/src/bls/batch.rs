//! Many signatures of one message checked with two pairings.
//!
//! With random coefficients r_i, `e(sum r_i key_i, H) = e(generator, sum r_i signature_i)` holds for
//! wrong signatures with a probability of about 2^-64, provided that every point is in its subgroup of
//! prime order: outside of it an error of order 13 would pass once in 13 times. Callers check that.

use eth_types::primitives::Root;
use sha2::{Digest, Sha256};

use super::message::HashedMessage;
use super::raw::{self, G1Affine, G2Affine};

/// Separates these hashes from all others.
const TAG: &[u8] = b"synod/bls/batch-coefficients/1";

/// How many members of a failed batch are found one by one before the rest is given up.
///
/// Each costs about 2 log2(k) checks of two pairings. The sender is convicted by the first; looking for
/// a few more saves the good ones beside a stray error, and an adversary who spoils everything gains no
/// more than this much work.
const MOST_SINGLED_OUT: usize = 4;

/// Claims that a signature of one message is by a key; keys in G1, signatures in G2, none infinite.
pub(super) struct Batch<'a> {
    message: &'a HashedMessage,
    keys: Vec<G1Affine>,
    signatures: Vec<G2Affine>,
    coefficients: Vec<u64>,
}

impl<'a> Batch<'a> {
    /// Draws the coefficients from the seed and all claims. A fresh, secret seed makes them
    /// unpredictable; with a known one it would still take some 2^64 trials to find wrong signatures
    /// that pass.
    pub(super) fn new(
        message: &'a HashedMessage,
        claims: impl IntoIterator<Item = (G1Affine, G2Affine)>,
        seed: &[u8; 32],
    ) -> Self {
        let (keys, signatures): (Vec<_>, Vec<_>) = claims.into_iter().unzip();
        let coefficients = coefficients([message.root()], &keys, &signatures, seed);
        Self { message, keys, signatures, coefficients }
    }

    /// Whether all claims are true. An empty batch is.
    pub(super) fn holds(&self) -> bool {
        self.range_holds(0, self.keys.len())
    }

    /// The positions of the claims that could not be shown to be true.
    ///
    /// If there are any, at least one of them was shown to be false; after [`MOST_SINGLED_OUT`] of
    /// those the undecided rest is counted in.
    pub(super) fn doubtful(&self) -> Vec<usize> {
        let mut doubtful = Vec::new();
        let mut singled_out = 0;
        let mut ranges = vec![(0, self.keys.len())];
        while let Some((start, end)) = ranges.pop() {
            if singled_out >= MOST_SINGLED_OUT {
                doubtful.extend(start..end);
            } else if !self.range_holds(start, end) {
                if end - start == 1 {
                    doubtful.push(start);
                    singled_out += 1;
                } else {
                    let middle = start.midpoint(end);
                    ranges.push((middle, end));
                    ranges.push((start, middle));
                }
            }
        }
        doubtful
    }

    fn range_holds(&self, start: usize, end: usize) -> bool {
        let (Some(keys), Some(signatures), Some(coefficients)) = (
            self.keys.get(start..end),
            self.signatures.get(start..end),
            self.coefficients.get(start..end),
        ) else {
            return false;
        };
        match (keys, signatures) {
            ([], []) => true,
            ([key], [signature]) => raw::pairing_holds(key, self.message.point(), signature),
            _ => match (
                raw::g1_multi_scalar(keys, coefficients),
                raw::g2_multi_scalar(signatures, coefficients),
            ) {
                (Some(key), Some(signature)) => {
                    raw::pairing_holds(&key, self.message.point(), &signature)
                }
                _ => false,
            },
        }
    }
}

/// 64-bit coefficients, none of them 0 (which would leave its claim unchecked).
///
/// They are drawn from the seed, the root or roots, and all claims.
pub(super) fn coefficients<'a>(
    roots: impl IntoIterator<Item = &'a Root>,
    keys: &[G1Affine],
    signatures: &[G2Affine],
    seed: &[u8; 32],
) -> Vec<u64> {
    // A single claim is checked without one.
    if keys.len() < 2 {
        return vec![1; keys.len()];
    }
    let mut hash = Sha256::new();
    hash.update(TAG);
    hash.update(seed);
    for root in roots {
        hash.update(root.as_bytes());
    }
    for (key, signature) in keys.iter().zip(signatures) {
        hash.update(raw::g1_bytes(key));
        hash.update(raw::g2_bytes(signature));
    }
    let digest = hash.finalize();
    let mut coefficients = Vec::with_capacity(keys.len() + 3);
    let mut counter = 0_u64;
    while coefficients.len() < keys.len() {
        let block: [u8; 32] = Sha256::new()
            .chain_update(digest)
            .chain_update(counter.to_be_bytes())
            .finalize()
            .into();
        let (words, _) = block.as_chunks();
        coefficients.extend(words.iter().map(|word| u64::from_be_bytes(*word).max(1)));
        counter += 1;
    }
    coefficients.truncate(keys.len());
    coefficients
}
