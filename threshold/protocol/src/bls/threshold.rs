//! How many operators hold a share and how many of them sign: the numbers everything else rests on.

use std::fmt;
use std::num::NonZeroU8;

/// Most operators of a cluster.
///
/// With 16 the common denominator has at most 40 bits and a scaled Lagrange coefficient at most 59, so
/// that combining stays a short double-and-add; each further operator adds 4 to 6 bits to every partial
/// signature's work. It is also far above the cluster sizes in use (4 to 13).
pub const MAX_OPERATORS: u8 = 16;

/// One operator's number, 1 to n: the x coordinate at which its share is the polynomial's value.
///
/// Zero does not exist: the value at 0 is the whole key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareIndex(NonZeroU8);

impl ShareIndex {
    /// Takes the number; `None` for 0 and above [`MAX_OPERATORS`].
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        match NonZeroU8::new(index) {
            Some(index) if index.get() <= MAX_OPERATORS => Some(Self(index)),
            _ => None,
        }
    }

    /// The number, 1 to n.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Position in a list that starts with operator 1.
    pub(super) fn position(self) -> usize {
        usize::from(self.get() - 1)
    }
}

impl fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareIndex({})", self.0)
    }
}

/// A cluster's size n and threshold t, checked: 1 <= t <= n <= [`MAX_OPERATORS`] and 2t - n >= 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Threshold {
    operators: u8,
    threshold: u8,
    denominator: u128,
}

/// Why a pair (n, t) is no cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// There is no operator, or no signature is needed.
    #[error("{threshold} of {operators} operators: both numbers have to be at least 1")]
    Zero {
        /// n as given.
        operators: u8,
        /// t as given.
        threshold: u8,
    },
    /// More than [`MAX_OPERATORS`].
    #[error("{operators} operators: at most {MAX_OPERATORS} are supported")]
    TooManyOperators {
        /// n as given.
        operators: u8,
    },
    /// More signatures needed than there are operators.
    #[error("threshold {threshold} is above the number of operators, {operators}")]
    AboveOperators {
        /// n as given.
        operators: u8,
        /// t as given.
        threshold: u8,
    },
    /// Two disjoint sets of t operators could sign two conflicting messages.
    #[error(
        "threshold {threshold} of {operators} operators is not a majority: two groups of {threshold} \
         could sign conflicting messages, so it has to be at least {}",
        operators / 2 + 1
    )]
    NoMajority {
        /// n as given.
        operators: u8,
        /// t as given.
        threshold: u8,
    },
}

impl Threshold {
    /// Checks the two numbers.
    ///
    /// # Errors
    /// See [`ThresholdError`]; `2t - n >= 1` is what makes two conflicting signatures need a liar.
    pub fn new(operators: u8, threshold: u8) -> Result<Self, ThresholdError> {
        if operators == 0 || threshold == 0 {
            return Err(ThresholdError::Zero { operators, threshold });
        }
        if operators > MAX_OPERATORS {
            return Err(ThresholdError::TooManyOperators { operators });
        }
        if threshold > operators {
            return Err(ThresholdError::AboveOperators { operators, threshold });
        }
        if 2 * threshold <= operators {
            return Err(ThresholdError::NoMajority { operators, threshold });
        }
        Ok(Self { operators, threshold, denominator: common_denominator(operators, threshold) })
    }

    /// n, the number of operators.
    #[must_use]
    pub const fn operators(self) -> u8 {
        self.operators
    }

    /// t, the number of partial signatures that make a signature.
    #[must_use]
    pub const fn threshold(self) -> u8 {
        self.threshold
    }

    /// `D`: the least number that makes `D * lambda_i` an integer for every Lagrange coefficient at 0
    /// over every set of t operators. Shares are divided by it when they are loaded.
    #[must_use]
    pub const fn denominator(self) -> u128 {
        self.denominator
    }

    /// Whether the operator exists in this cluster.
    #[must_use]
    pub const fn contains(self, index: ShareIndex) -> bool {
        index.get() <= self.operators
    }

    /// All operators, 1 to n.
    pub fn indices(self) -> impl Iterator<Item = ShareIndex> {
        (1..=self.operators).filter_map(ShareIndex::new)
    }
}

/// The primes that can divide a difference of two operator numbers.
const PRIMES: [u8; 6] = [2, 3, 5, 7, 11, 13];

/// The least common multiple of the denominators of `prod j / (j - i)` over all sets of t operators.
///
/// Prime by prime: the exponent of p in the denominator for i is the sum over the other t-1 operators
/// j of `v(j - i) - v(j)`, so the worst set for i takes the t-1 largest of these.
fn common_denominator(operators: u8, threshold: u8) -> u128 {
    let others = usize::from(threshold) - 1;
    let exponent = |prime: u8, i: u8| -> i32 {
        let mut weights: Vec<i32> = (1..=operators)
            .filter(|&j| j != i)
            .map(|j| valuation(prime, j.abs_diff(i)) - valuation(prime, j))
            .collect();
        weights.sort_unstable_by(|a, b| b.cmp(a));
        weights.iter().take(others).sum()
    };
    PRIMES
        .iter()
        .map(|&prime| {
            let worst = (1..=operators).map(|i| exponent(prime, i)).max().unwrap_or(0);
            // A negative sum means that p divides no denominator.
            u128::from(prime).pow(worst.try_into().unwrap_or(0))
        })
        .product()
}

/// How often `prime` divides `number`, which is not zero.
fn valuation(prime: u8, mut number: u8) -> i32 {
    let mut count = 0;
    while number.is_multiple_of(prime) {
        number /= prime;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denominators_of_the_usual_clusters() {
        for (n, t, expected) in [
            (1, 1, 1),
            (4, 3, 3),
            (7, 5, 360),
            (10, 7, 90_720),
            (13, 9, 119_750_400),
            (16, 11, 163_459_296_000),
        ] {
            let threshold = Threshold::new(n, t).unwrap();
            assert_eq!(threshold.denominator(), expected, "({n}, {t})");
        }
    }

    #[test]
    fn numbers_that_are_no_cluster_are_refused_with_both() {
        for (n, t, error) in [
            (0, 0, ThresholdError::Zero { operators: 0, threshold: 0 }),
            (4, 0, ThresholdError::Zero { operators: 4, threshold: 0 }),
            (17, 12, ThresholdError::TooManyOperators { operators: 17 }),
            (255, 255, ThresholdError::TooManyOperators { operators: 255 }),
            (4, 5, ThresholdError::AboveOperators { operators: 4, threshold: 5 }),
            (4, 2, ThresholdError::NoMajority { operators: 4, threshold: 2 }),
            (16, 8, ThresholdError::NoMajority { operators: 16, threshold: 8 }),
        ] {
            assert_eq!(Threshold::new(n, t), Err(error), "({n}, {t})");
        }
    }

    #[test]
    fn share_indices_start_at_one_and_end_at_the_bound() {
        assert_eq!(ShareIndex::new(0), None);
        assert_eq!(ShareIndex::new(MAX_OPERATORS + 1), None);
        assert_eq!(ShareIndex::new(MAX_OPERATORS).map(ShareIndex::get), Some(MAX_OPERATORS));
        let threshold = Threshold::new(4, 3).unwrap();
        assert_eq!(threshold.indices().map(ShareIndex::get).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
