//! Lagrange interpolation at 0 with small signed integers.
//!
//! For a set S of t operators the value at 0 is the sum of `lambda_i * y_i` with
//! `lambda_i = prod over j in S, j != i, of j / (j - i)`. With `D` the common denominator of the
//! cluster, `D * lambda_i` is an integer of at most 59 bits, and the values `y_i` have been divided by
//! `D` beforehand.

use super::raw::{G2Affine, G2Projective};
use super::threshold::{ShareIndex, Threshold};

/// `D * lambda_i` for each operator of `set`, in its order.
///
/// The operators have to be distinct and of the cluster; callers check it.
pub(super) fn coefficients(threshold: Threshold, set: &[ShareIndex]) -> Vec<i128> {
    set.iter()
        .map(|i| {
            let (mut numerator, mut denominator) = (threshold_denominator(threshold), 1_i128);
            for j in set.iter().filter(|j| *j != i) {
                numerator *= i128::from(j.get());
                denominator *= i128::from(j.get()) - i128::from(i.get());
            }
            // Exact: D is a multiple of the denominator of every lambda_i.
            numerator / denominator
        })
        .collect()
}

fn threshold_denominator(threshold: Threshold) -> i128 {
    // At most 40 bits.
    i128::try_from(threshold.denominator()).unwrap_or(i128::MAX)
}

/// The double-and-add that interpolates at 0 for one set of operators; made once, used for every
/// validator that the same operators signed for.
pub(super) struct Interpolation {
    /// Most significant digit first.
    steps: Vec<Step>,
}

/// One binary digit of all coefficients: which points are added and which subtracted.
#[derive(Clone, Copy, Default)]
struct Step {
    add: u16,
    subtract: u16,
}

impl Interpolation {
    /// Recodes the coefficients of `set` in non-adjacent form, in which a third of the digits is not 0.
    pub(super) fn new(threshold: Threshold, set: &[ShareIndex]) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for (position, coefficient) in coefficients(threshold, set).into_iter().enumerate() {
            let bit = 1_u16 << position;
            for (step, digit) in NonAdjacent(coefficient).enumerate() {
                if step == steps.len() {
                    steps.push(Step::default());
                }
                if let Some(step) = steps.get_mut(step) {
                    match digit {
                        1 => step.add |= bit,
                        -1 => step.subtract |= bit,
                        _ => {}
                    }
                }
            }
        }
        steps.reverse();
        Self { steps }
    }

    /// The sum of coefficient times point; `points` in the order of the set. Not constant time:
    /// partial signatures are public.
    pub(super) fn apply(&self, points: &[G2Affine]) -> G2Projective {
        let mut sum = G2Projective::INFINITY;
        for (number, step) in self.steps.iter().enumerate() {
            if number > 0 {
                sum.double();
            }
            for (position, point) in points.iter().enumerate() {
                if step.add >> position & 1 == 1 {
                    sum.add(point);
                } else if step.subtract >> position & 1 == 1 {
                    sum.subtract(point);
                }
            }
        }
        sum
    }
}

/// The digits -1, 0, 1 of a number in non-adjacent form, least significant first.
struct NonAdjacent(i128);

impl Iterator for NonAdjacent {
    type Item = i8;

    fn next(&mut self) -> Option<i8> {
        let number = self.0;
        if number == 0 {
            return None;
        }
        let digit = match number.rem_euclid(4) {
            1 => 1,
            3 => -1,
            _ => 0,
        };
        self.0 = (number - i128::from(digit)) / 2;
        Some(digit)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint};

    use super::*;

    fn set(indices: &[u8]) -> Vec<ShareIndex> {
        indices.iter().map(|&i| ShareIndex::new(i).unwrap()).collect()
    }

    /// Every cluster with a majority threshold, each with every set of t operators up to n = 10 and a
    /// share of the sets above.
    fn clusters() -> impl Iterator<Item = (Threshold, Vec<Vec<ShareIndex>>)> {
        (1..=16).flat_map(|n| (n / 2 + 1..=n).map(move |t| (n, t))).map(|(n, t)| {
            let sets: Vec<Vec<ShareIndex>> = (0_u32..1 << n)
                .filter(|set| set.count_ones() == u32::from(t))
                .step_by(if n <= 10 { 1 } else { 41 })
                .map(|set| set_of(n, set))
                .collect();
            (Threshold::new(n, t).unwrap(), sets)
        })
    }

    fn set_of(n: u8, bits: u32) -> Vec<ShareIndex> {
        set(&(1..=n).filter(|i| bits >> (i - 1) & 1 == 1).collect::<Vec<u8>>())
    }

    /// Numerator and denominator of the Lagrange coefficient at 0, as in the textbook.
    fn fraction(set: &[ShareIndex], i: ShareIndex) -> (BigInt, BigInt) {
        set.iter().filter(|j| **j != i).fold((1.into(), 1.into()), |(above, below), j| {
            (above * j.get(), below * (i16::from(j.get()) - i16::from(i.get())))
        })
    }

    #[test]
    fn coefficients_are_the_scaled_fractions_and_small() {
        for (threshold, sets) in clusters() {
            for set in sets {
                for (i, coefficient) in set.iter().zip(coefficients(threshold, &set)) {
                    let (above, below) = fraction(&set, *i);
                    assert_eq!(below * coefficient, above * threshold.denominator(), "{set:?}");
                    assert!(coefficient.unsigned_abs() < 1 << 59, "{coefficient} for {set:?}");
                }
            }
        }
    }

    /// Computed from all sets, where the product computes it prime by prime.
    #[test]
    fn common_denominator_is_the_least_one() {
        for (threshold, sets) in clusters().filter(|(threshold, _)| threshold.operators() <= 10) {
            let mut least = BigUint::from(1_u8);
            for set in sets {
                for i in &set {
                    let (above, below) = fraction(&set, *i);
                    let reduced = below.magnitude() / gcd(above.magnitude(), below.magnitude());
                    least = &least * &reduced / gcd(&least, &reduced);
                }
            }
            assert_eq!(least, threshold.denominator().into(), "{threshold:?}");
        }
    }

    fn gcd(a: &BigUint, b: &BigUint) -> BigUint {
        if *b == BigUint::ZERO { a.clone() } else { gcd(b, &(a % b)) }
    }

    #[test]
    fn coefficients_come_in_the_order_of_the_set() {
        let threshold = Threshold::new(4, 3).unwrap();
        // lambda = 8/3, -2, 1/3 for {1, 2, 4}, times 3.
        assert_eq!(coefficients(threshold, &set(&[1, 2, 4])), [8, -6, 1]);
        assert_eq!(coefficients(threshold, &set(&[4, 2, 1])), [1, -6, 8]);
    }

    #[test]
    fn non_adjacent_digits_add_up_to_the_number() {
        for number in [0_i128, 1, -1, 7, -9, 12345, -45360, (1 << 59) - 1, -(1 << 59)] {
            let mut sum = 0;
            let mut previous = 0;
            for (position, digit) in NonAdjacent(number).enumerate() {
                sum += i128::from(digit) << position;
                assert!(digit == 0 || previous == 0, "two neighbours are not 0 in {number}");
                previous = digit;
            }
            assert_eq!(sum, number);
        }
    }
}
