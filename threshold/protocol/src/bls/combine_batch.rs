//! Partial signatures of many validators over one root, turned into verified signatures.
//!
//! Combine first, verify the results together, and look for who was wrong only if that fails.

use std::collections::BTreeMap;

use eth_types::keys::Signature;

use super::batch::Batch;
use super::lagrange::Interpolation;
use super::message::{HashedMessage, Message};
use super::public_shares::PublicShares;
use super::raw::{self, G2Affine};
use super::signing::PartialSignature;
use super::threshold::{ShareIndex, Threshold};

/// One validator's partial signatures over the root of the call.
#[derive(Debug, Clone)]
pub struct CombineItem<'a> {
    /// The validator.
    pub shares: &'a PublicShares,
    /// t or more, at most one for each operator; of a second one for the same operator nothing is used.
    /// The first t usable ones are combined, so put those believed most (one's own) first.
    pub partials: Vec<(ShareIndex, PartialSignature)>,
}

/// A signature that was verified against the validator's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The validator's signature.
    pub signature: Signature,
    /// Operators whose partial of this item was set aside, ascending. Each of them is shown to have
    /// sent at least one wrong partial in this call.
    pub culprits: Vec<ShareIndex>,
}

/// There are not t usable partial signatures for a validator (yet).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{usable} usable partial signatures, {needed} are needed{}", set_aside(culprits))]
pub struct CombineFailure {
    /// t.
    pub needed: u8,
    /// How many remain.
    pub usable: usize,
    /// Operators whose partial of this item was set aside, ascending. Each of them is shown to have
    /// sent at least one wrong partial in this call.
    pub culprits: Vec<ShareIndex>,
}

/// Combines and verifies the items, all of one root and one cluster, and answers in their order.
///
/// The good case costs two pairings for the lot, and per item the decoding of t points, a short
/// double-and-add and one subgroup check. If the lot fails, each operator's partials are checked
/// together; wrong ones are set aside, the items recombined from what remains, and verified again.
/// An operator with many wrong partials loses its other unchecked ones in this call as well.
///
/// `threshold` is that of all items; `seed` has to be fresh, secret randomness: it makes the coefficients
/// of the batch.
#[must_use]
pub fn combine_and_verify(
    threshold: Threshold,
    message: &impl Message,
    items: &[CombineItem<'_>],
    seed: [u8; 32],
) -> Vec<Result<Verified, CombineFailure>> {
    debug_assert!(items.iter().all(|item| item.shares.threshold() == threshold));
    let message = message.hashed();
    let mut round = Round { threshold, message: &message, seed: &seed, tables: BTreeMap::new() };
    let mut work: Vec<Work<'_>> = items.iter().map(|item| Work::new(item, threshold)).collect();
    // Each pass settles every item, or sets at least one partial aside, or is the last.
    loop {
        let unverified = round.combine(&mut work);
        if unverified.is_empty() || !round.set_wrong_ones_aside(&mut work, &unverified) {
            break;
        }
    }
    work.into_iter().map(|item| item.answer(threshold)).collect()
}

/// What is the same for all items of a call.
struct Round<'a> {
    threshold: Threshold,
    message: &'a HashedMessage,
    seed: &'a [u8; 32],
    /// The double-and-add for each set of operators met, by the bits of their numbers.
    tables: BTreeMap<u32, Interpolation>,
}

/// One item on its way.
struct Work<'a> {
    shares: &'a PublicShares,
    candidates: Vec<Candidate>,
    culprits: Vec<ShareIndex>,
    signature: Option<Signature>,
}

/// A partial signature that may be used.
struct Candidate {
    index: ShareIndex,
    partial: PartialSignature,
    point: Option<G2Affine>,
    /// Shown to be right in this call.
    proven: bool,
}

impl Round<'_> {
    /// Combines what is open and has enough partials, verifies the results together, and keeps those
    /// that hold. The answer lists the items that were combined and do not hold.
    fn combine(&mut self, work: &mut [Work<'_>]) -> Vec<usize> {
        let mut positions = Vec::new();
        let mut sums = Vec::new();
        for (position, item) in work.iter_mut().enumerate() {
            if item.signature.is_none() && item.decode(self.threshold) {
                let (set, points) = item.chosen(self.threshold);
                positions.push(position);
                sums.push(self.interpolation(&set).apply(&points));
            }
        }
        let (sound, mut unverified): (Vec<_>, Vec<_>) = positions
            .into_iter()
            .zip(raw::g2_to_affine(&sums))
            .partition(|(_, signature)| raw::g2_in_group(signature));
        let claims = sound.iter().filter_map(|(position, signature)| {
            Some((*work.get(*position)?.shares.point(), *signature))
        });
        if Batch::new(self.message, claims, self.seed).holds() {
            for (position, signature) in sound {
                if let Some(item) = work.get_mut(position) {
                    item.signature = Some(Signature::new(raw::g2_bytes(&signature)));
                }
            }
        } else {
            unverified.extend(sound);
        }
        unverified.into_iter().map(|(position, _)| position).collect()
    }

    fn interpolation(&mut self, set: &[ShareIndex]) -> &Interpolation {
        // One table serves a set in one order only; `chosen` gives every set in ascending order.
        let bits = set.iter().fold(0, |bits, index| bits | 1_u32 << index.get());
        self.tables.entry(bits).or_insert_with(|| Interpolation::new(self.threshold, set))
    }

    /// Checks the partials that the given items used, operator by operator. Whether any was set aside.
    fn set_wrong_ones_aside(&self, work: &mut [Work<'_>], items: &[usize]) -> bool {
        let mut any = false;
        for operator in self.threshold.indices() {
            let mut claims = Vec::new();
            let mut wrong = Vec::new();
            for &position in items {
                let Some(claim) =
                    work.get(position).and_then(|item| item.claim(self.threshold, operator))
                else {
                    continue;
                };
                if raw::g2_in_group(&claim.1) {
                    claims.push((position, claim));
                } else {
                    wrong.push(position);
                }
            }
            let batch = Batch::new(self.message, claims.iter().map(|(_, claim)| *claim), self.seed);
            let doubtful = batch.doubtful();
            wrong.extend(doubtful.iter().filter_map(|&claim| Some(claims.get(claim)?.0)));
            any |= !wrong.is_empty();
            for (position, _) in claims {
                if let Some(item) = work.get_mut(position) {
                    item.mark_proven(operator);
                }
            }
            for position in wrong {
                if let Some(item) = work.get_mut(position) {
                    item.set_aside(operator);
                }
            }
        }
        any
    }
}

impl<'a> Work<'a> {
    fn new(item: &CombineItem<'a>, threshold: Threshold) -> Self {
        let mut candidates: Vec<Candidate> = Vec::with_capacity(item.partials.len());
        for &(index, partial) in &item.partials {
            let known = candidates.iter().any(|candidate| candidate.index == index);
            if threshold.contains(index) && !known {
                candidates.push(Candidate { index, partial, point: None, proven: false });
            }
        }
        Self { shares: item.shares, candidates, culprits: Vec::new(), signature: None }
    }

    /// Decodes until t candidates are points; those that are none are set aside. Whether t are there.
    fn decode(&mut self, threshold: Threshold) -> bool {
        let needed = usize::from(threshold.threshold());
        let mut decoded = 0;
        let culprits = &mut self.culprits;
        self.candidates.retain_mut(|candidate| {
            if decoded == needed {
                return true;
            }
            if candidate.point.is_none() {
                candidate.point = candidate.partial.decode().ok();
            }
            if candidate.point.is_some() {
                decoded += 1;
            } else {
                culprits.push(candidate.index);
            }
            candidate.point.is_some()
        });
        decoded == needed
    }

    /// The t candidates that are combined, by ascending operator.
    fn chosen(&self, threshold: Threshold) -> (Vec<ShareIndex>, Vec<G2Affine>) {
        let mut chosen: Vec<(ShareIndex, G2Affine)> = self
            .candidates
            .iter()
            .take(usize::from(threshold.threshold()))
            .filter_map(|candidate| Some((candidate.index, candidate.point?)))
            .collect();
        chosen.sort_unstable_by_key(|(index, _)| *index);
        chosen.into_iter().unzip()
    }

    /// The scaled public share and the point of an operator's partial, if it was combined and is not
    /// known to be right. (One that moved up since, in the place of a wrong one, is not decoded yet.)
    fn claim(
        &self,
        threshold: Threshold,
        operator: ShareIndex,
    ) -> Option<(raw::G1Affine, G2Affine)> {
        let candidate = self
            .candidates
            .iter()
            .take(usize::from(threshold.threshold()))
            .find(|candidate| candidate.index == operator && !candidate.proven)?;
        Some((*self.shares.scaled(operator)?, candidate.point?))
    }

    fn mark_proven(&mut self, operator: ShareIndex) {
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.index == operator)
        {
            candidate.proven = true;
        }
    }

    fn set_aside(&mut self, operator: ShareIndex) {
        self.candidates.retain(|candidate| candidate.index != operator);
        self.culprits.push(operator);
    }

    fn answer(mut self, threshold: Threshold) -> Result<Verified, CombineFailure> {
        self.culprits.sort_unstable();
        match self.signature {
            Some(signature) => Ok(Verified { signature, culprits: self.culprits }),
            None => Err(CombineFailure {
                needed: threshold.threshold(),
                usable: self.candidates.len(),
                culprits: self.culprits,
            }),
        }
    }
}

/// The end of [`CombineFailure`]'s text.
fn set_aside(culprits: &[ShareIndex]) -> String {
    if culprits.is_empty() {
        return String::new();
    }
    let names: Vec<String> = culprits.iter().map(ToString::to_string).collect();
    format!("; wrong ones came from operator {}", names.join(", "))
}
