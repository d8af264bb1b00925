//! Who is in the cluster and how many of them it takes: operators, the quorum, and the witnesses a
//! node asks for before it vouches for what its own validator client did not say.
//!
//! All quorum arithmetic of the workspace is here (protocol.md, "Words").

use std::collections::BTreeMap;
use std::fmt;

use crate::bls::ShareIndex;

/// The most operators a cluster may have. Operator sets are 32-bit sets and share coefficients stay
/// small integers (see [`crate::bls`]) with room to spare; clusters in the field have 3 to 13.
pub const MAX_OPERATORS: usize = 16;

/// Position of an operator in the cluster lock, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorIndex(u8);

impl OperatorIndex {
    /// Wraps the position.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The position.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The position, to index a list of operators.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The x coordinate of this operator's share: its position counted from 1.
    #[must_use]
    pub fn share_index(self) -> Option<ShareIndex> {
        self.0.checked_add(1).and_then(ShareIndex::new)
    }

    /// The operator that holds the share with this x coordinate.
    #[must_use]
    pub const fn from_share_index(share: ShareIndex) -> Self {
        Self(share.get().saturating_sub(1))
    }
}

impl fmt::Display for OperatorIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Position of a validator in the cluster lock, counted from 0 (not the beacon chain's index).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIndex(u32);

impl KeyIndex {
    /// Wraps the position.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The position.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The position, to index the lock's list.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for KeyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One thing per operator.
pub type PerOperator<T> = BTreeMap<OperatorIndex, T>;

/// A set of operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperatorSet(u32);

impl OperatorSet {
    /// No operator.
    pub const EMPTY: Self = Self(0);

    /// Adds an operator; false if it was in the set.
    pub fn insert(&mut self, operator: OperatorIndex) -> bool {
        let had = self.contains(operator);
        self.0 |= Self::bit(operator);
        !had
    }

    /// Takes an operator out; false if it was not in the set.
    pub fn remove(&mut self, operator: OperatorIndex) -> bool {
        let had = self.contains(operator);
        self.0 &= !Self::bit(operator);
        had
    }

    /// Whether the operator is in the set.
    #[must_use]
    pub const fn contains(self, operator: OperatorIndex) -> bool {
        self.0 & Self::bit(operator) != 0
    }

    /// How many operators are in the set.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The operators of the set in order.
    pub fn iter(self) -> impl Iterator<Item = OperatorIndex> {
        (0..32).map(OperatorIndex).filter(move |operator| self.contains(*operator))
    }

    const fn bit(operator: OperatorIndex) -> u32 {
        1_u32.wrapping_shl(operator.0 as u32)
    }
}

impl FromIterator<OperatorIndex> for OperatorSet {
    fn from_iter<I: IntoIterator<Item = OperatorIndex>>(operators: I) -> Self {
        let mut set = Self::EMPTY;
        for operator in operators {
            set.insert(operator);
        }
        set
    }
}

impl fmt::Display for OperatorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, operator) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            fmt::Display::fmt(&operator, f)?;
        }
        Ok(())
    }
}

/// Why a number of operators and a threshold make no cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// Too many operators, or none.
    #[error("a cluster has 1 to {MAX_OPERATORS} operators, not {0}")]
    Operators(usize),
    /// The threshold is no number of operators.
    #[error("the threshold is 1 to the number of operators ({operators}), not {threshold}")]
    Threshold {
        /// Operators.
        operators: usize,
        /// The threshold given.
        threshold: usize,
    },
    /// Two disjoint sets of operators could sign two messages.
    #[error(
        "threshold {threshold} of {operators} is unsafe: two disjoint groups could sign two different \
         messages for one duty; take more than half"
    )]
    Disjoint {
        /// Operators.
        operators: usize,
        /// The threshold given.
        threshold: usize,
    },
}

/// Operators *n*, threshold and quorum *t* = *q*, and the liars *f* that the cluster tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    operators: usize,
    threshold: usize,
}

impl Quorum {
    /// Checks the numbers.
    ///
    /// # Errors
    /// They make no safe cluster (`2t - n < 1`) or are out of bounds.
    pub const fn new(operators: usize, threshold: usize) -> Result<Self, QuorumError> {
        if operators == 0 || operators > MAX_OPERATORS {
            return Err(QuorumError::Operators(operators));
        }
        if threshold == 0 || threshold > operators {
            return Err(QuorumError::Threshold { operators, threshold });
        }
        if 2 * threshold <= operators {
            return Err(QuorumError::Disjoint { operators, threshold });
        }
        Ok(Self { operators, threshold })
    }

    /// The usual threshold for so many operators: ceil(2n/3).
    #[must_use]
    pub const fn usual_threshold(operators: usize) -> usize {
        (2 * operators).div_ceil(3)
    }

    /// *n*.
    #[must_use]
    pub const fn operators(self) -> usize {
        self.operators
    }

    /// *t*: partial signatures that make a signature, and votes that make a certificate.
    #[must_use]
    pub const fn threshold(self) -> usize {
        self.threshold
    }

    /// Lying operators against which no two conflicting signatures can exist: 2t - n - 1.
    #[must_use]
    pub const fn safe_liars(self) -> usize {
        2 * self.threshold - self.operators - 1
    }

    /// Silent operators with which the cluster still signs: n - t.
    #[must_use]
    pub const fn live_silent(self) -> usize {
        self.operators - self.threshold
    }

    /// *f*: liars with which it is both safe and live, min(floor((n-1)/3), 2t-n-1, n-t).
    #[must_use]
    pub const fn liars(self) -> usize {
        let by_size = (self.operators - 1) / 3;
        let by_safety = self.safe_liars();
        let by_liveness = self.live_silent();
        let smaller = if by_size < by_safety { by_size } else { by_safety };
        if smaller < by_liveness { smaller } else { by_liveness }
    }

    /// f + 1: so many operators include an honest one.
    #[must_use]
    pub const fn one_honest(self) -> usize {
        self.liars() + 1
    }

    /// *w*: how many operators have to vouch for what a node has not seen from its own validator
    /// client, when `active` operators announce a client that is not silent.
    #[must_use]
    pub const fn witnesses(self, active: usize) -> usize {
        let most = self.one_honest();
        let some = if active < most { active } else { most };
        if some == 0 { 1 } else { some }
    }

    /// Every operator.
    pub fn all(self) -> impl Iterator<Item = OperatorIndex> {
        (0..u8::MAX).take(self.operators).map(OperatorIndex)
    }

    /// Whether the operator exists.
    #[must_use]
    pub const fn contains(self, operator: OperatorIndex) -> bool {
        operator.as_usize() < self.operators
    }

    /// The operator whose turn it is at a number that counts up: `number mod n`.
    #[must_use]
    pub const fn in_turn(self, number: u64) -> OperatorIndex {
        #[expect(clippy::cast_possible_truncation, reason = "less than MAX_OPERATORS")]
        OperatorIndex((number % self.operators as u64) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_usual_clusters_are_those_of_the_protocol() {
        // (n, t, safe liars, live silent, f)
        for (n, t, safe, live, f) in
            [(1, 1, 0, 0, 0), (3, 2, 0, 1, 0), (4, 3, 1, 1, 1), (7, 5, 2, 2, 2), (10, 7, 3, 3, 3)]
        {
            assert_eq!(Quorum::usual_threshold(n), t, "threshold of {n}");
            let quorum = Quorum::new(n, t).unwrap();
            assert_eq!(quorum.safe_liars(), safe, "({n}, {t})");
            assert_eq!(quorum.live_silent(), live, "({n}, {t})");
            assert_eq!(quorum.liars(), f, "({n}, {t})");
        }
    }

    #[test]
    fn a_threshold_of_half_or_less_is_refused() {
        assert_eq!(Quorum::new(4, 2), Err(QuorumError::Disjoint { operators: 4, threshold: 2 }));
        assert!(Quorum::new(0, 0).is_err());
        assert!(Quorum::new(3, 4).is_err());
        assert!(Quorum::new(17, 12).is_err());
    }

    #[test]
    fn witnesses_are_at_least_one_and_at_most_one_more_than_the_liars() {
        let quorum = Quorum::new(4, 3).unwrap();
        assert_eq!([0, 1, 2, 4].map(|active| quorum.witnesses(active)), [1, 1, 2, 2]);
    }

    #[test]
    fn a_set_lists_its_operators_in_order() {
        let mut set: OperatorSet = [3, 0].map(OperatorIndex::new).into_iter().collect();
        assert_eq!(set.to_string(), "0, 3");
        assert!(set.remove(OperatorIndex::new(3)));
        assert!(!set.remove(OperatorIndex::new(3)));
        assert_eq!(set.len(), 1);
    }
}
