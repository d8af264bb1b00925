//! The rules of EIP-3076, pure: limits, facts and a candidate in, a verdict out.
//!
//! The facts are the few records that can decide. A history in which no vote surrounds another has
//! sources that never fall as targets grow, so of the votes with an earlier target only the highest
//! source matters (it alone can lie inside the candidate), and of those with a later target only the
//! lowest (it alone can lie around it). [`crate::memory`] and [`crate::store`] find them.
//!
//! | EIP-3076 | function | refusals |
//! | --- | --- | --- |
//! | condition 1 | [`block`] | `DoubleBlock`, `BlockWithoutRoot` |
//! | condition 2 | [`block`] | `BlockBelowWatermark` |
//! | condition 3 | [`attestation`] | `DoubleVote`, `VoteWithoutRoot`, `SurroundsExisting`, `SurroundedByExisting` |
//! | condition 4 | [`attestation`] | `SourceBelowWatermark` |
//! | condition 5 | [`attestation`] | `TargetBelowWatermark` |
//! | beyond it | both | raised and high watermarks, a source after its target, numbers out of range |

use eth_types::{Epoch, Root, Slot};

use crate::error::Refusal;
use crate::record::{MAX_NUMBER, Safe, SignedAttestation, SignedBlock, Span};

/// The watermarks that hold for one validator's blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockLimits {
    /// The earliest slot known (condition 2): at or below it only a repeat is signed.
    pub low: Option<Slot>,
    /// The operator's raised watermark: at or below it nothing is signed.
    pub floor: Option<Slot>,
    /// The high watermark: at or above it nothing is signed.
    pub high: Option<Slot>,
}

/// The watermarks that hold for one validator's attestations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttestationLimits {
    /// The earliest source and target known (conditions 4 and 5).
    pub low: Option<Span>,
    /// The operator's raised watermark: no source below it, no target at or below it.
    pub floor: Option<Span>,
    /// The high watermark: no source or target at or above it is signed.
    pub high: Option<Epoch>,
}

/// The recorded attestations that can decide about one candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttestationFacts {
    /// All with the candidate's target.
    pub same_target: Vec<SignedAttestation>,
    /// Of those with an earlier target, one with the highest source.
    pub earlier: Option<SignedAttestation>,
    /// Of those with a later target, one with the lowest source.
    pub later: Option<SignedAttestation>,
}

/// Whether a block may be signed; `same_slot` are all recorded blocks of its slot.
///
/// # Errors
/// The first rule that forbids it.
pub fn block(
    limits: &BlockLimits,
    same_slot: &[SignedBlock],
    slot: Slot,
    signing_root: Root,
) -> Result<Safe, Refusal> {
    in_range("slot", slot.as_u64())?;
    if let Some(high) = limits.high.filter(|high| slot >= *high) {
        return Err(Refusal::BlockAboveHighWatermark { slot, watermark: high });
    }
    if let Some(floor) = limits.floor.filter(|floor| slot <= *floor) {
        return Err(Refusal::BlockBelowRaisedWatermark { slot, watermark: floor });
    }
    // Condition 1: slashable with respect to a recorded block of the slot. A record without a root
    // counts as different from everything.
    for existing in same_slot {
        match existing.signing_root {
            None => return Err(Refusal::BlockWithoutRoot { slot, new: signing_root }),
            Some(root) if root != signing_root => {
                return Err(Refusal::DoubleBlock { slot, existing: root, new: signing_root });
            }
            Some(_) => {}
        }
    }
    if !same_slot.is_empty() {
        return Ok(Safe::SameData);
    }
    // Condition 2, whose exception for repeats has just been taken.
    if let Some(low) = limits.low.filter(|low| slot <= *low) {
        return Err(Refusal::BlockBelowWatermark { slot, watermark: low });
    }
    Ok(Safe::New)
}

/// Whether an attestation may be signed.
///
/// # Errors
/// The first rule that forbids it.
pub fn attestation(
    limits: &AttestationLimits,
    facts: &AttestationFacts,
    new: Span,
    signing_root: Root,
) -> Result<Safe, Refusal> {
    in_range("source epoch", new.source.as_u64())?;
    in_range("target epoch", new.target.as_u64())?;
    if new.source > new.target {
        return Err(Refusal::SourceAfterTarget { source_epoch: new.source, target: new.target });
    }
    // The target is the larger of the two by now.
    if let Some(high) = limits.high.filter(|high| new.target >= *high) {
        return Err(Refusal::AttestationAboveHighWatermark { new, watermark: high });
    }
    if let Some(floor) =
        limits.floor.filter(|floor| new.source < floor.source || new.target <= floor.target)
    {
        return Err(Refusal::AttestationBelowRaisedWatermark { new, watermark: floor });
    }
    // Condition 3, `is_slashable_attestation_data`: a double vote. Equal roots over different
    // sources cannot be one message, whatever an import claims.
    for existing in &facts.same_target {
        match existing.signing_root {
            None => return Err(Refusal::VoteWithoutRoot { target: new.target, new: signing_root }),
            Some(root) if root != signing_root || existing.source != new.source => {
                return Err(Refusal::DoubleVote {
                    existing: existing.span(),
                    existing_root: root,
                    new,
                    new_root: signing_root,
                });
            }
            Some(_) => {}
        }
    }
    // Condition 3: the candidate around a recorded vote.
    if let Some(inside) = facts.earlier.filter(|inside| new.source < inside.source) {
        return Err(Refusal::SurroundsExisting { existing: inside.span(), new });
    }
    // Condition 3: a recorded vote around the candidate.
    if let Some(around) = facts.later.filter(|around| around.source < new.source) {
        return Err(Refusal::SurroundedByExisting { existing: around.span(), new });
    }
    if let Some(low) = limits.low {
        // Condition 4 has no exception for repeats.
        if new.source < low.source {
            return Err(Refusal::SourceBelowWatermark {
                source_epoch: new.source,
                watermark: low.source,
            });
        }
        // Condition 5.
        if new.target <= low.target && facts.same_target.is_empty() {
            return Err(Refusal::TargetBelowWatermark {
                target: new.target,
                watermark: low.target,
            });
        }
    }
    Ok(if facts.same_target.is_empty() { Safe::New } else { Safe::SameData })
}

fn in_range(what: &'static str, value: u64) -> Result<(), Refusal> {
    if value > MAX_NUMBER {
        return Err(Refusal::OutOfRange { what, value });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Root = Root::new([0xaa; 32]);
    const B: Root = Root::new([0xbb; 32]);

    fn span(source: u64, target: u64) -> Span {
        Span { source: Epoch::new(source), target: Epoch::new(target) }
    }

    fn vote(source: u64, target: u64, signing_root: Option<Root>) -> SignedAttestation {
        SignedAttestation { source: Epoch::new(source), target: Epoch::new(target), signing_root }
    }

    fn word<T>(result: Result<T, Refusal>) -> &'static str {
        result.map_or_else(|refusal| refusal.kind(), |_| "safe")
    }

    #[test]
    fn each_block_rule_refuses_at_its_edge() {
        let low = BlockLimits { low: Some(Slot::new(10)), ..BlockLimits::default() };
        let floor = BlockLimits { floor: Some(Slot::new(10)), ..BlockLimits::default() };
        let high = BlockLimits { high: Some(Slot::new(10)), ..BlockLimits::default() };
        let at = |slot, root| SignedBlock { slot: Slot::new(slot), signing_root: root };
        let cases = [
            ("nothing known", BlockLimits::default(), vec![], 0, "safe"),
            ("other root", BlockLimits::default(), vec![at(5, Some(B))], 5, "double_block"),
            ("no root", BlockLimits::default(), vec![at(5, None)], 5, "block_without_root"),
            ("same root", BlockLimits::default(), vec![at(5, Some(A))], 5, "safe"),
            (
                "same root and another",
                BlockLimits::default(),
                vec![at(5, Some(A)), at(5, Some(B))],
                5,
                "double_block",
            ),
            ("at the low watermark", low, vec![], 10, "block_below_watermark"),
            ("above the low watermark", low, vec![], 11, "safe"),
            ("repeat at the low watermark", low, vec![at(10, Some(A))], 10, "safe"),
            ("at the floor", floor, vec![], 10, "block_below_raised_watermark"),
            (
                "repeat at the floor",
                floor,
                vec![at(10, Some(A))],
                10,
                "block_below_raised_watermark",
            ),
            ("above the floor", floor, vec![], 11, "safe"),
            ("at the high watermark", high, vec![], 10, "block_above_high_watermark"),
            ("below the high watermark", high, vec![], 9, "safe"),
            ("beyond storage", BlockLimits::default(), vec![], u64::MAX, "out_of_range"),
        ];
        for (desc, limits, same_slot, slot, expected) in cases {
            assert_eq!(word(block(&limits, &same_slot, Slot::new(slot), A)), expected, "{desc}");
        }
    }

    #[test]
    fn each_attestation_rule_refuses_at_its_edge() {
        let none = AttestationLimits::default();
        let low = AttestationLimits { low: Some(span(5, 10)), ..none };
        let floor = AttestationLimits { floor: Some(span(5, 10)), ..none };
        let high = AttestationLimits { high: Some(Epoch::new(10)), ..none };
        let same = |votes: &[SignedAttestation]| AttestationFacts {
            same_target: votes.to_vec(),
            ..AttestationFacts::default()
        };
        let earlier =
            |vote| AttestationFacts { earlier: Some(vote), ..AttestationFacts::default() };
        let later = |vote| AttestationFacts { later: Some(vote), ..AttestationFacts::default() };
        let cases = [
            ("genesis", none, same(&[]), span(0, 0), "safe"),
            ("source after target", none, same(&[]), span(2, 1), "source_after_target"),
            ("beyond storage", none, same(&[]), span(0, u64::MAX), "out_of_range"),
            ("other root", none, same(&[vote(1, 2, Some(B))]), span(1, 2), "double_vote"),
            ("other source", none, same(&[vote(0, 2, Some(A))]), span(1, 2), "double_vote"),
            ("no root", none, same(&[vote(1, 2, None)]), span(1, 2), "vote_without_root"),
            ("same", none, same(&[vote(1, 2, Some(A))]), span(1, 2), "safe"),
            ("surrounds", none, earlier(vote(3, 4, None)), span(2, 5), "surrounds_existing"),
            ("shares its source", none, earlier(vote(3, 4, None)), span(3, 5), "safe"),
            ("surrounded", none, later(vote(1, 6, None)), span(2, 5), "surrounded_by_existing"),
            ("shares a later source", none, later(vote(2, 6, None)), span(2, 5), "safe"),
            ("source below low", low, same(&[]), span(4, 11), "source_below_watermark"),
            (
                "repeat with source below low",
                low,
                same(&[vote(4, 11, Some(A))]),
                span(4, 11),
                "source_below_watermark",
            ),
            ("target at low", low, same(&[]), span(5, 10), "target_below_watermark"),
            ("repeat at low", low, same(&[vote(5, 10, Some(A))]), span(5, 10), "safe"),
            ("above low", low, same(&[]), span(5, 11), "safe"),
            (
                "source below floor",
                floor,
                same(&[]),
                span(4, 11),
                "attestation_below_raised_watermark",
            ),
            (
                "repeat at the floor",
                floor,
                same(&[vote(5, 10, Some(A))]),
                span(5, 10),
                "attestation_below_raised_watermark",
            ),
            ("above the floor", floor, same(&[]), span(5, 11), "safe"),
            ("at high", high, same(&[]), span(5, 10), "attestation_above_high_watermark"),
            ("below high", high, same(&[]), span(5, 9), "safe"),
        ];
        for (desc, limits, facts, new, expected) in cases {
            assert_eq!(word(attestation(&limits, &facts, new, A)), expected, "{desc}");
        }
    }
}
