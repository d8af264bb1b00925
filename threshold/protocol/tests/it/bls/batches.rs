//! Many validators over one root: the good case, and every way to spoil it.

use proptest::prelude::*;
use threshold_protocol::bls::{
    CombineItem, HashedMessage, PartialSignature, ShareIndex, Threshold, combine_and_verify,
};

use super::hostile::outside_of_the_subgroup;
use super::{CLUSTERS, Validator, index, root};

const SEED: [u8; 32] = [3; 32];

fn cluster(n: u8, t: u8, validators: u64) -> Vec<Validator> {
    (0..validators).map(|seed| Validator::new(n, t, seed)).collect()
}

fn items<'a>(
    validators: &'a [Validator],
    message: &HashedMessage,
    operators: &[u8],
) -> Vec<CombineItem<'a>> {
    validators.iter().map(|validator| validator.item(message, operators)).collect()
}

/// A point of the subgroup that is nobody's partial signature of the message.
fn wrong_partial(salt: u8) -> PartialSignature {
    PartialSignature::new(*Validator::new(1, 1, 99).key.sign(&root(salt)).as_bytes())
}

#[test]
fn batches_of_every_cluster_verify() {
    let message = HashedMessage::new(&root(1));
    for (n, t) in CLUSTERS {
        let validators = cluster(n, t, 5);
        let operators: Vec<u8> = (n - t + 1..=n).collect();
        let items = items(&validators, &message, &operators);
        let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
        assert_eq!(results.len(), 5);
        for (validator, result) in validators.iter().zip(results) {
            let verified = result.unwrap();
            assert_eq!(verified.signature, validator.key.sign(&root(1)), "({n}, {t})");
            assert_eq!(verified.culprits, [], "({n}, {t})");
        }
    }
}

#[test]
fn nothing_to_combine_is_nothing_combined() {
    let threshold = Threshold::new(4, 3).unwrap();
    assert_eq!(combine_and_verify(threshold, &root(1), &[], SEED), []);
}

/// Different operators for different validators, as when messages cross.
#[test]
fn items_may_come_from_different_operators() {
    let message = HashedMessage::new(&root(1));
    let validators = cluster(7, 5, 3);
    let items = [
        validators[0].item(&message, &[1, 2, 3, 4, 5]),
        validators[1].item(&message, &[7, 3, 5, 1, 2]),
        validators[2].item(&message, &[6, 5, 4, 3, 2, 1, 7]),
    ];
    let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
    for (validator, result) in validators.iter().zip(results) {
        assert_eq!(result.unwrap().signature, validator.key.sign(&root(1)));
    }
}

#[test]
fn one_wrong_partial_is_named_and_the_rest_recombine() {
    let message = HashedMessage::new(&root(1));
    for (n, t) in CLUSTERS.into_iter().filter(|(n, t)| n > t) {
        let validators = cluster(n, t, 4);
        for liar in 1..=t {
            let all: Vec<u8> = (1..=n).collect();
            let mut items = items(&validators, &message, &all);
            items[2].partials[usize::from(liar) - 1].1 = wrong_partial(8);
            let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
            for (position, (validator, result)) in validators.iter().zip(results).enumerate() {
                let verified = result.unwrap();
                assert_eq!(verified.signature, validator.key.sign(&root(1)), "({n}, {t})");
                let expected: &[ShareIndex] = if position == 2 { &[index(liar)] } else { &[] };
                assert_eq!(verified.culprits, expected, "({n}, {t}), liar {liar}");
            }
        }
    }
}

#[test]
fn with_exactly_t_partials_only_the_spoiled_item_fails() {
    let message = HashedMessage::new(&root(1));
    let validators = cluster(4, 3, 9);
    let mut items = items(&validators, &message, &[4, 1, 2]);
    items[7].partials[0].1 = wrong_partial(8);
    let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
    for (position, (validator, result)) in validators.iter().zip(results).enumerate() {
        if position == 7 {
            let failure = result.unwrap_err();
            assert_eq!(failure.culprits, [index(4)]);
            assert_eq!(
                failure.to_string(),
                "2 usable partial signatures, 3 are needed; wrong ones came from operator 4"
            );
        } else {
            assert_eq!(result.unwrap().signature, validator.key.sign(&root(1)));
        }
    }
}

/// Partials of another root, for every validator: the peer signed something else.
#[test]
fn operator_that_signed_another_root_is_set_aside_everywhere() {
    let message = HashedMessage::new(&root(1));
    let other = HashedMessage::new(&root(2));
    let validators = cluster(4, 3, 12);
    let mut items = items(&validators, &message, &[1, 2, 3, 4]);
    for (item, validator) in items.iter_mut().zip(&validators) {
        item.partials[2].1 = validator.signing[2].sign(&other);
    }
    let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
    for (validator, result) in validators.iter().zip(results) {
        let verified = result.unwrap();
        assert_eq!(verified.signature, validator.key.sign(&root(1)));
        assert_eq!(verified.culprits, [index(3)]);
    }
}

#[test]
fn two_liars_of_seven_are_both_named() {
    let message = HashedMessage::new(&root(1));
    let validators = cluster(7, 5, 6);
    let mut items = items(&validators, &message, &[1, 2, 3, 4, 5, 6, 7]);
    for (salt, item) in items.iter_mut().enumerate() {
        // Operator 2 lies at once; operator 6 is met only when it has to stand in.
        item.partials[1].1 = wrong_partial(u8::try_from(salt).unwrap() + 10);
        item.partials[5].1 = PartialSignature::new(outside_of_the_subgroup());
    }
    let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
    for (validator, result) in validators.iter().zip(results) {
        let verified = result.unwrap();
        assert_eq!(verified.signature, validator.key.sign(&root(1)));
        assert_eq!(verified.culprits, [index(2), index(6)]);
    }
}

#[test]
fn one_liar_too_many_leaves_no_signature_and_all_named() {
    let message = HashedMessage::new(&root(1));
    let validators = cluster(4, 3, 2);
    let mut items = items(&validators, &message, &[1, 2, 3, 4]);
    items[0].partials[0].1 = wrong_partial(5);
    items[0].partials[3].1 = wrong_partial(6);
    let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
    assert_eq!(results[0].as_ref().unwrap_err().culprits, [index(1), index(4)]);
    assert!(results[1].is_ok());
}

/// Errors that cancel in a plain sum: what the random coefficients are for.
#[test]
fn swapped_partials_of_two_validators_are_caught() {
    let message = HashedMessage::new(&root(1));
    let validators = cluster(4, 3, 2);
    let mut items = items(&validators, &message, &[1, 2, 3, 4]);
    let (left, right) = items.split_at_mut(1);
    std::mem::swap(&mut left[0].partials[1].1, &mut right[0].partials[1].1);
    let results = combine_and_verify(validators[0].threshold, &message, &items, SEED);
    for (validator, result) in validators.iter().zip(results) {
        let verified = result.unwrap();
        assert_eq!(verified.signature, validator.key.sign(&root(1)));
        assert_eq!(verified.culprits, [index(2)]);
    }
}

#[test]
fn partials_of_strangers_and_second_ones_are_not_used() {
    let message = HashedMessage::new(&root(1));
    let validators = cluster(4, 3, 1);
    let mut item = validators[0].item(&message, &[1, 2, 3]);
    item.partials.insert(0, (index(9), wrong_partial(1)));
    item.partials.insert(2, (index(1), wrong_partial(1)));
    let results = combine_and_verify(validators[0].threshold, &message, &[item], SEED);
    let verified = results[0].as_ref().unwrap();
    assert_eq!(verified.signature, validators[0].key.sign(&root(1)));
    assert_eq!(verified.culprits, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any wrong partials anywhere: what is answered is right, and whoever is named lied.
    #[test]
    fn answers_are_right_and_only_liars_are_named(
        (n, t) in proptest::sample::select(vec![(4_u8, 3_u8), (5, 3), (7, 5)]),
        lies in proptest::collection::vec((0_usize..8, 1_u8..=7, any::<bool>()), 0..14),
        seed in any::<[u8; 32]>(),
    ) {
        let message = HashedMessage::new(&root(1));
        let validators = cluster(n, t, 8);
        let all: Vec<u8> = (1..=n).collect();
        let mut items = items(&validators, &message, &all);
        let mut lied: Vec<Vec<ShareIndex>> = vec![Vec::new(); 8];
        let mut liars: Vec<ShareIndex> = Vec::new();
        for &(position, operator, malformed) in lies.iter().filter(|(_, operator, _)| *operator <= n) {
            let bad = if malformed { PartialSignature::new([9; 96]) } else { wrong_partial(operator) };
            items[position].partials[usize::from(operator) - 1].1 = bad;
            lied[position].push(index(operator));
            liars.push(index(operator));
        }
        let results = combine_and_verify(validators[0].threshold, &message, &items, seed);
        for (position, result) in results.iter().enumerate() {
            let culprits = match result {
                Ok(verified) => {
                    prop_assert_eq!(verified.signature, validators[position].key.sign(&root(1)));
                    &verified.culprits
                }
                Err(failure) => {
                    prop_assert!(failure.usable < usize::from(t));
                    &failure.culprits
                }
            };
            prop_assert!(culprits.iter().all(|culprit| liars.contains(culprit)));
            let truthful = usize::from(n) - {
                let mut lied = lied[position].clone();
                lied.sort_unstable();
                lied.dedup();
                lied.len()
            };
            // Fewer than five lies of one operator are told apart from its other partials.
            if lies.len() < 5 {
                prop_assert_eq!(result.is_ok(), truthful >= usize::from(t));
                prop_assert!(culprits.iter().all(|culprit| lied[position].contains(culprit)));
            }
        }
    }
}
