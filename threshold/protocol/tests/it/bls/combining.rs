//! Partial signatures of every set of operators.

use threshold_protocol::bls::{
    CombineError, CombineItem, HashedMessage, PartialSignature, PointError, ShareIndex, combine,
    combine_and_verify, verify,
};

use super::{CLUSTERS, Validator, index, root, subsets};

fn pick(
    all: &[(ShareIndex, PartialSignature)],
    set: &[ShareIndex],
) -> Vec<(ShareIndex, PartialSignature)> {
    set.iter().map(|index| all[usize::from(index.get()) - 1]).collect()
}

#[test]
fn any_t_operators_make_the_signature_of_the_whole_key() {
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, u64::from(n));
        let expected = validator.key.sign(&root(7));
        assert!(verify(&validator.key.public_key(), &root(7), &expected));
        let all = validator.partials(&HashedMessage::new(&root(7)));
        for mut set in subsets(n, t) {
            let signature = combine(validator.threshold, &pick(&all, &set)).unwrap();
            assert_eq!(signature, expected, "({n}, {t}), operators {set:?}");
            set.reverse();
            let signature = combine(validator.threshold, &pick(&all, &set)).unwrap();
            assert_eq!(signature, expected, "({n}, {t}), operators {set:?}");
        }
    }
}

/// Also the largest cluster, whose coefficients have 59 bits, with a few sets.
#[test]
fn sixteen_operators_work() {
    for t in [9, 11, 16] {
        let validator = Validator::new(16, t, 16);
        let expected = validator.key.sign(&root(7));
        let all = validator.partials(&HashedMessage::new(&root(7)));
        let sets = subsets(16, t);
        for set in sets.iter().step_by(sets.len().div_ceil(40)) {
            let signature = combine(validator.threshold, &pick(&all, set)).unwrap();
            assert_eq!(signature, expected, "(16, {t}), operators {set:?}");
        }
    }
}

#[test]
fn one_operator_too_few_makes_no_signature() {
    let message = HashedMessage::new(&root(7));
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, u64::from(n));
        let all = validator.partials(&message);
        for set in subsets(n, t - 1).into_iter().take(40) {
            let few = pick(&all, &set);
            assert_eq!(
                combine(validator.threshold, &few),
                Err(CombineError::Count { expected: t, found: few.len() })
            );
            let item = CombineItem { shares: &validator.public, partials: few };
            let results = combine_and_verify(validator.threshold, &message, &[item], [1; 32]);
            let failure = results[0].as_ref().unwrap_err();
            assert_eq!(failure.needed, t);
            assert_eq!(failure.usable, usize::from(t) - 1);
            assert_eq!(failure.culprits, []);
        }
    }
}

/// Not a matter of counting: t-1 shares interpolated as if the threshold were lower give nothing.
#[test]
fn fewer_partials_read_with_a_lower_threshold_do_not_verify() {
    let validator = Validator::new(4, 4, 1);
    let lower = Validator::new(4, 3, 1);
    let all = validator.partials(&HashedMessage::new(&root(7)));
    for set in subsets(4, 3) {
        let signature = combine(lower.threshold, &pick(&all, &set)).unwrap();
        assert!(!verify(&validator.key.public_key(), &root(7), &signature));
    }
}

#[test]
fn partials_that_cannot_be_combined_are_refused_by_name() {
    let validator = Validator::new(4, 3, 1);
    let all = validator.partials(&HashedMessage::new(&root(7)));
    let threshold = validator.threshold;
    assert_eq!(combine(threshold, &all), Err(CombineError::Count { expected: 3, found: 4 }));
    assert_eq!(
        combine(threshold, &[all[0], all[1], all[0]]),
        Err(CombineError::Repeated { index: index(1) })
    );
    assert_eq!(
        combine(threshold, &[all[0], all[1], (index(5), all[2].1)]),
        Err(CombineError::NoSuchOperator { index: index(5), operators: 4 })
    );
    assert_eq!(
        combine(threshold, &[all[0], (index(2), PartialSignature::new([0xff; 96])), all[2]]),
        Err(CombineError::Malformed { index: index(2), source: PointError::Encoding })
    );
}
