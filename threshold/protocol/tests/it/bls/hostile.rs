//! Bytes from a peer who may send anything.

use blst::min_pk::{AggregateSignature, Signature as BlstSignature};
use num_bigint::BigUint;
use proptest::prelude::*;
use threshold_protocol::bls::{
    CombineItem, HashedMessage, PartialSignature, combine, combine_and_verify, verify,
};

use super::{Validator, index, root};

/// Encodings of no signature, with what is wrong.
pub(super) fn malformed() -> Vec<(&'static str, [u8; 96])> {
    let mut infinity = [0; 96];
    infinity[0] = 0xc0;
    let mut infinity_and_more = infinity;
    infinity_and_more[95] = 1;
    let mut infinity_with_sign = infinity;
    infinity_with_sign[0] = 0xe0;
    let mut uncompressed = *Validator::new(1, 1, 1).key.sign(&root(1)).as_bytes();
    uncompressed[0] &= 0x1f;
    vec![
        ("zeros", [0; 96]),
        ("ones", [0xff; 96]),
        ("infinity", infinity),
        ("infinity and a bit", infinity_and_more),
        ("infinity with a sign", infinity_with_sign),
        ("no compression flag", uncompressed),
        ("not on the curve", outside(false)),
    ]
}

/// The first x coordinate from 1 on that has, or has not, a point of the curve.
fn outside(on_curve: bool) -> [u8; 96] {
    (1..=u8::MAX)
        .map(|x| {
            let mut bytes = [0; 96];
            bytes[0] = 0x80;
            bytes[95] = x;
            bytes
        })
        .find(|bytes| BlstSignature::uncompress(bytes).is_ok() == on_curve)
        .unwrap()
}

/// A point of the curve that is almost certainly not in the subgroup.
pub(super) fn outside_of_the_subgroup() -> [u8; 96] {
    let bytes = outside(true);
    assert!(!BlstSignature::uncompress(&bytes).unwrap().subgroup_check());
    bytes
}

/// `signature` plus a point of order 13, which divides the cofactor of G2.
pub(super) fn with_torsion(signature: &PartialSignature) -> PartialSignature {
    let mut sum = AggregateSignature::from_signature(&order_13());
    let signature = BlstSignature::uncompress(signature.as_bytes()).unwrap();
    sum.add_signature(&signature, false).unwrap();
    PartialSignature::new(sum.to_signature().compress())
}

fn order_13() -> BlstSignature {
    let number = |text: &[u8]| BigUint::parse_bytes(text, 16).unwrap();
    let order = number(b"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
    let cofactor = number(
        b"5d543a95414e7f1091d50792876a202cd91de4547085abaa68a205b2e5a7ddfa628f1cb4d9e82ef21537e293a6691ae1616ec6e786f0c70cf1c38e31c7238e5",
    );
    assert_eq!(&cofactor % 169_u8, BigUint::ZERO);
    let any = BlstSignature::uncompress(&outside_of_the_subgroup()).unwrap();
    let point = times(&any, &(order * cofactor / 169_u8));
    let infinity = times(&point, &BigUint::from(169_u8));
    assert_eq!(infinity.compress()[0], 0xc0);
    // Of order 13 already, or of order 169.
    let thirteenth = times(&point, &BigUint::from(13_u8));
    let point = if thirteenth.compress()[0] == 0xc0 { point } else { thirteenth };
    assert_ne!(point.compress()[0], 0xc0);
    assert_eq!(times(&point, &BigUint::from(13_u8)).compress()[0], 0xc0);
    point
}

/// Double-and-add with nothing but blst's safe additions.
fn times(point: &BlstSignature, number: &BigUint) -> BlstSignature {
    let mut infinity = [0; 96];
    infinity[0] = 0xc0;
    let infinity = BlstSignature::uncompress(&infinity).unwrap();
    let mut sum = AggregateSignature::from_signature(&infinity);
    for bit in (0..number.bits()).rev() {
        let double = sum;
        sum.add_aggregate(&double);
        if number.bit(bit) {
            sum.add_signature(point, false).unwrap();
        }
    }
    sum.to_signature()
}

#[test]
fn malformed_partials_are_the_senders_fault_and_the_rest_signs() {
    let validator = Validator::new(4, 3, 1);
    let message = HashedMessage::new(&root(1));
    for (what, bytes) in malformed() {
        let bad = PartialSignature::new(bytes);
        assert!(!validator.public.verify_partial(index(2), &message, &bad), "{what}");
        let mut item = validator.item(&message, &[1, 2, 3, 4]);
        item.partials[1].1 = bad;
        assert!(combine(validator.threshold, &item.partials[..3]).is_err(), "{what}");
        let results = combine_and_verify(validator.threshold, &message, &[item], [2; 32]);
        let verified = results[0].as_ref().unwrap();
        assert_eq!(verified.signature, validator.key.sign(&root(1)), "{what}");
        assert_eq!(verified.culprits, [index(2)], "{what}");
    }
}

#[test]
fn partial_outside_of_the_subgroup_is_the_senders_fault_and_the_rest_signs() {
    let validator = Validator::new(4, 3, 1);
    let message = HashedMessage::new(&root(1));
    let bad = PartialSignature::new(outside_of_the_subgroup());
    assert!(!validator.public.verify_partial(index(2), &message, &bad));
    let mut item = validator.item(&message, &[1, 2, 3, 4]);
    item.partials[1].1 = bad;
    let results = combine_and_verify(validator.threshold, &message, &[item], [2; 32]);
    let verified = results[0].as_ref().unwrap();
    assert_eq!(verified.signature, validator.key.sign(&root(1)));
    assert_eq!(verified.culprits, [index(2)]);
}

/// A random multiple of the error is infinity once in 13 times, so that a random linear combination
/// alone would take it; a beacon node, which checks the subgroup, would not take the signature.
#[test]
fn partial_with_a_low_order_point_added_is_caught() {
    let validator = Validator::new(4, 3, 1);
    let message = HashedMessage::new(&root(1));
    let mut item = validator.item(&message, &[1, 2, 3, 4]);
    let right = item.partials[1].1;
    let bad = with_torsion(&right);
    assert_ne!(bad, right);

    // The control: 13 times the wrong one is 13 times the right one.
    let thirteen = |partial: &PartialSignature| {
        let point = BlstSignature::uncompress(partial.as_bytes()).unwrap();
        times(&point, &BigUint::from(13_u8))
    };
    assert!(thirteen(&bad) == thirteen(&right));

    let mut partials = item.partials[..3].to_vec();
    partials[1].1 = bad;
    let combined = combine(validator.threshold, &partials).unwrap();
    assert!(!verify(&validator.public.group_key(), &message, &combined));
    assert!(validator.public.verify_partial(index(2), &message, &right));
    assert!(!validator.public.verify_partial(index(2), &message, &bad));
    item.partials[1].1 = bad;
    let results = combine_and_verify(validator.threshold, &message, &[item], [2; 32]);
    let verified = results[0].as_ref().unwrap();
    assert_eq!(verified.signature, validator.key.sign(&root(1)));
    assert_eq!(verified.culprits, [index(2)]);
}

/// Among many validators, where a random combination would let it pass once in 13 times.
#[test]
fn low_order_points_are_caught_in_a_batch_whatever_the_seed() {
    let message = HashedMessage::new(&root(1));
    let validators: Vec<Validator> = (0..3).map(|seed| Validator::new(4, 3, seed)).collect();
    for seed in 0..40 {
        let mut items: Vec<CombineItem<'_>> =
            validators.iter().map(|validator| validator.item(&message, &[1, 2, 3])).collect();
        items[1].partials[2].1 = with_torsion(&items[1].partials[2].1);
        let results = combine_and_verify(validators[0].threshold, &message, &items, [seed; 32]);
        assert!(results[0].is_ok() && results[2].is_ok());
        assert_eq!(results[1].as_ref().unwrap_err().culprits, [index(3)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random bytes, also with flags that make a point likely, never panic and never count.
    #[test]
    fn random_bytes_never_count(
        mut bytes in proptest::collection::vec(any::<u8>(), 96),
        flags in prop_oneof![Just(None), Just(Some(0x80_u8)), Just(Some(0xa0))],
    ) {
        if let Some(flags) = flags {
            // Below the modulus in the first coordinate.
            bytes[0] = flags | (bytes[0] & 0x0f);
        }
        let bad = PartialSignature::try_from(bytes.as_slice()).unwrap();
        let validator = Validator::new(4, 3, 1);
        let message = HashedMessage::new(&root(1));
        prop_assert!(!validator.public.verify_partial(index(1), &message, &bad));
        let mut item = validator.item(&message, &[1, 2, 3, 4]);
        item.partials[0].1 = bad;
        let results = combine_and_verify(validator.threshold, &message, &[item], [2; 32]);
        let verified = results[0].as_ref().unwrap();
        prop_assert_eq!(verified.signature, validator.key.sign(&root(1)));
        prop_assert_eq!(&verified.culprits, &[index(1)]);
    }
}
