//! Dealing a key, putting it together, and checking what a cluster lock says about it.

use eth_types::keys::PublicKey;
use num_bigint::BigUint;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use threshold_protocol::bls::{
    KeyError, PointError, PublicShares, PublicSharesError, RecoverError, SecretKey, SecretShare,
    SigningShare, SplitError, Threshold, aggregate, check_public_shares, recover_public_key,
    recover_secret, split, verify, verify_aggregate,
};

use super::{CLUSTERS, Validator, copy, index, public_shares, root, subsets};

/// The order of the groups, r.
fn order() -> BigUint {
    BigUint::parse_bytes(b"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
        .unwrap()
}

fn to_32_bytes(number: &BigUint) -> [u8; 32] {
    let digits = number.to_bytes_be();
    let mut bytes = [0; 32];
    bytes[32 - digits.len()..].copy_from_slice(&digits);
    bytes
}

#[test]
fn any_t_shares_give_the_key_back() {
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, 5);
        for set in subsets(n, t) {
            let shares: Vec<SecretShare> = set
                .iter()
                .map(|index| copy(&validator.shares[usize::from(index.get()) - 1]))
                .collect();
            let key = recover_secret(&shares, validator.threshold).unwrap();
            assert_eq!(*key.to_bytes(), *validator.key.to_bytes(), "({n}, {t}), {set:?}");
        }
        let all: Vec<SecretShare> = validator.shares.iter().map(copy).collect();
        let key = recover_secret(&all, validator.threshold).unwrap();
        assert_eq!(*key.to_bytes(), *validator.key.to_bytes(), "all of ({n}, {t})");
    }
}

/// Textbook Lagrange interpolation with big integers modulo r, sharing no code with the product.
#[test]
fn shares_interpolate_to_the_key_with_plain_big_integers() {
    let r = order();
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, 11);
        for set in subsets(n, t).into_iter().step_by(7) {
            let mut sum = BigUint::ZERO;
            for i in &set {
                let share = &validator.shares[usize::from(i.get()) - 1];
                let mut term = BigUint::from_bytes_be(&*share.to_bytes());
                for j in set.iter().filter(|j| *j != i) {
                    let difference = (BigUint::from(j.get()) + &r - BigUint::from(i.get())) % &r;
                    term = term * j.get() * difference.modpow(&(&r - 2_u8), &r) % &r;
                }
                sum = (sum + term) % &r;
            }
            assert_eq!(to_32_bytes(&sum), *validator.key.to_bytes(), "({n}, {t}), {set:?}");
        }
    }
}

/// What goes over the wire is the signature by `share / D`: the bytes are pinned to that by an oracle.
#[test]
fn partial_signature_is_by_the_share_over_the_common_denominator() {
    let r = order();
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, 12);
        let inverse = BigUint::from(validator.threshold.denominator()).modpow(&(&r - 2_u8), &r);
        for (share, signing) in validator.shares.iter().zip(&validator.signing) {
            let scaled = BigUint::from_bytes_be(&*share.to_bytes()) * &inverse % &r;
            let key = SecretKey::from_bytes(&to_32_bytes(&scaled)).unwrap();
            let partial = signing.sign(&root(3));
            assert_eq!(partial.as_bytes(), key.sign(&root(3)).as_bytes());
            assert!(validator.public.verify_partial(share.index(), &root(3), &partial));
        }
    }
}

#[test]
fn shares_that_do_not_belong_together_are_noticed() {
    let (one, other) = (Validator::new(4, 3, 1), Validator::new(4, 3, 2));
    let threshold = one.threshold;
    let of = |validator: &Validator, i: usize| copy(&validator.shares[i]);

    let few = [of(&one, 0), of(&one, 1)];
    assert_eq!(
        recover_secret(&few, threshold).unwrap_err(),
        RecoverError::TooFew { expected: 3, found: 2 }
    );
    let repeated = [of(&one, 0), of(&one, 1), of(&one, 0)];
    assert_eq!(
        recover_secret(&repeated, threshold).unwrap_err(),
        RecoverError::Repeated { index: index(1) }
    );
    let foreign = SecretShare::from_bytes(index(5), &one.shares[0].to_bytes()).unwrap();
    assert_eq!(
        recover_secret(&[of(&one, 0), of(&one, 1), foreign], threshold).unwrap_err(),
        RecoverError::NoSuchOperator { index: index(5), operators: 4 }
    );
    let mixed = [of(&one, 0), of(&one, 1), of(&one, 2), of(&other, 3)];
    assert_eq!(
        recover_secret(&mixed, threshold).unwrap_err(),
        RecoverError::Inconsistent { index: index(4) }
    );
}

#[test]
fn public_shares_give_the_group_key() {
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, 6);
        let all: Vec<_> =
            validator.shares.iter().map(|share| (share.index(), share.public_share())).collect();
        let expected = validator.key.public_key();
        assert_eq!(recover_public_key(&all, validator.threshold), Ok(expected), "({n}, {t})");
        let last = &all[usize::from(n - t)..];
        assert_eq!(recover_public_key(last, validator.threshold), Ok(expected), "({n}, {t})");
    }
}

#[test]
fn public_shares_that_do_not_belong_together_are_noticed() {
    let (one, other) = (Validator::new(4, 3, 1), Validator::new(4, 3, 2));
    let mut all: Vec<_> =
        one.shares.iter().map(|share| (share.index(), share.public_share())).collect();
    all[3].1 = other.shares[3].public_share();
    assert_eq!(
        recover_public_key(&all, one.threshold),
        Err(RecoverError::Inconsistent { index: index(4) })
    );
    all[1].1 = PublicKey::new([0xff; 48]);
    assert_eq!(
        recover_public_key(&all, one.threshold),
        Err(RecoverError::NotAPublicKey { index: index(2), source: PointError::Encoding })
    );
}

#[test]
fn lock_with_a_wrong_public_share_is_refused_wherever_it_is() {
    for (n, t) in CLUSTERS {
        let (one, other) = (Validator::new(n, t, 1), Validator::new(n, t, 2));
        let key = one.key.public_key();
        let right = public_shares(&one.shares);
        assert_eq!(check_public_shares(&key, &right, one.threshold), Ok(()), "({n}, {t})");
        let error = PublicSharesError::Polynomial { key, threshold: t };
        for i in 0..right.len() {
            let mut wrong = right.clone();
            wrong[i] = public_shares(&other.shares)[i];
            assert_eq!(check_public_shares(&key, &wrong, one.threshold), Err(error));
            assert_eq!(PublicShares::new(&key, &wrong, one.threshold).unwrap_err(), error);
        }
        let stranger = other.key.public_key();
        assert_eq!(
            check_public_shares(&stranger, &right, one.threshold),
            Err(PublicSharesError::Polynomial { key: stranger, threshold: t })
        );
    }
}

#[test]
fn lock_whose_operators_are_in_the_wrong_order_is_refused() {
    let validator = Validator::new(4, 3, 1);
    let mut shares = public_shares(&validator.shares);
    shares.swap(1, 2);
    assert!(
        check_public_shares(&validator.key.public_key(), &shares, validator.threshold).is_err()
    );
}

/// A polynomial of a higher degree than t-1: t of the shares would not be enough.
#[test]
fn lock_dealt_for_a_higher_threshold_is_refused() {
    let validator = Validator::new(4, 4, 1);
    let shares = public_shares(&validator.shares);
    let lower = Threshold::new(4, 3).unwrap();
    assert!(check_public_shares(&validator.key.public_key(), &shares, lower).is_err());
}

/// A polynomial of a lower degree: fewer than t of the shares would be enough.
#[test]
fn lock_dealt_for_a_lower_threshold_is_refused() {
    for (n, dealt, claimed) in [(4, 3, 4), (7, 4, 5), (7, 4, 7), (7, 6, 7)] {
        let validator = Validator::new(n, dealt, 1);
        let key = validator.key.public_key();
        let shares = public_shares(&validator.shares);
        let threshold = Threshold::new(n, claimed).unwrap();
        let error = PublicSharesError::LowerThreshold { key, threshold: claimed };
        assert_eq!(check_public_shares(&key, &shares, threshold), Err(error));
        assert_eq!(PublicShares::new(&key, &shares, threshold).unwrap_err(), error);
    }
    // All the same: each operator would have the whole key.
    let key = Validator::new(4, 3, 1).key.public_key();
    let threshold = Threshold::new(4, 3).unwrap();
    let error = PublicSharesError::LowerThreshold { key, threshold: 3 };
    assert_eq!(check_public_shares(&key, &[key; 4], threshold), Err(error));
}

#[test]
fn lock_with_points_that_are_no_keys_names_the_operator() {
    let validator = Validator::new(4, 3, 1);
    let key = validator.key.public_key();
    let right = public_shares(&validator.shares);
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    for (bytes, source) in [([0xff; 48], PointError::Encoding), (infinity, PointError::Infinity)] {
        let bad = PublicKey::new(bytes);
        let mut shares = right.clone();
        shares[2] = bad;
        assert_eq!(
            check_public_shares(&key, &shares, validator.threshold),
            Err(PublicSharesError::Share { operator: 3, key: bad, source })
        );
        assert_eq!(
            check_public_shares(&bad, &right, validator.threshold),
            Err(PublicSharesError::GroupKey { key: bad, source })
        );
    }
    assert_eq!(
        check_public_shares(&key, &right[..3], validator.threshold),
        Err(PublicSharesError::Count { expected: 4, found: 3 })
    );
}

#[test]
fn lock_hash_is_signed_by_all_shares_and_aggregated() {
    let validator = Validator::new(4, 3, 1);
    let keys = public_shares(&validator.shares);
    let signatures: Vec<_> =
        validator.shares.iter().map(|share| share.sign_lock_hash(&root(9))).collect();
    let sum = aggregate(&signatures).unwrap();
    assert!(verify_aggregate(&keys, &root(9), &sum));
    assert!(!verify_aggregate(&keys[..3], &root(9), &sum));
    assert!(!verify_aggregate(&keys, &root(8), &sum));
    assert!(!verify_aggregate(&[], &root(9), &sum));
    assert!(verify(&keys[0], &root(9), &signatures[0]));
}

#[test]
fn numbers_outside_of_the_group_are_no_keys() {
    let r = order();
    for bytes in [[0; 32], to_32_bytes(&r), to_32_bytes(&(&r + 1_u8)), [0xff; 32]] {
        assert_eq!(SecretKey::from_bytes(&bytes).unwrap_err(), KeyError::OutOfRange);
        assert_eq!(SecretShare::from_bytes(index(1), &bytes).unwrap_err(), KeyError::OutOfRange);
    }
    let largest = to_32_bytes(&(&r - 1_u8));
    assert_eq!(*SecretKey::from_bytes(&largest).unwrap().to_bytes(), largest);
}

#[test]
fn share_of_an_operator_outside_of_the_cluster_is_refused() {
    let validator = Validator::new(4, 3, 1);
    let share = SecretShare::from_bytes(index(5), &validator.shares[0].to_bytes()).unwrap();
    assert_eq!(
        SigningShare::new(share, validator.threshold).unwrap_err(),
        RecoverError::NoSuchOperator { index: index(5), operators: 4 }
    );
}

/// A source that only gives zeros.
struct Zeros;

impl rand::TryRng for Zeros {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(0);
        Ok(())
    }
}

impl rand::TryCryptoRng for Zeros {}

/// With coefficients of zero every share would be the key itself.
#[test]
fn broken_random_source_deals_no_shares() {
    let key = SecretKey::generate(&mut StdRng::seed_from_u64(1));
    let error = split(&key, Threshold::new(4, 3).unwrap(), &mut Zeros).unwrap_err();
    assert_eq!(error, SplitError::Randomness);
}

#[test]
fn secrets_are_not_shown() {
    let validator = Validator::new(4, 3, 1);
    let secrets = [validator.key.to_bytes(), validator.shares[0].to_bytes()];
    let shown = format!("{:?} {:?} {:?}", validator.key, validator.shares[0], validator.signing[0]);
    assert_eq!(
        shown,
        "SecretKey(..) SecretShare { index: ShareIndex(1), .. } \
         SigningShare { index: ShareIndex(1), .. }"
    );
    for secret in secrets {
        assert!(!shown.contains(&hex::encode(*secret)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any key, any cluster up to ten operators, any t of them in any order.
    #[test]
    fn dealt_keys_sign_and_come_back(
        secret in any::<[u8; 31]>(),
        (n, t, order) in (1_u8..=10)
            .prop_flat_map(|n| (Just(n), n / 2 + 1..=n, Just((1..=n).collect::<Vec<u8>>()).prop_shuffle())),
        seed in any::<u64>(),
    ) {
        let mut bytes = [0; 32];
        bytes[1..].copy_from_slice(&secret);
        bytes[31] |= 1;
        let key = SecretKey::from_bytes(&bytes).unwrap();
        let threshold = Threshold::new(n, t).unwrap();
        let shares = split(&key, threshold, &mut StdRng::seed_from_u64(seed)).unwrap();
        prop_assert!(
            check_public_shares(&key.public_key(), &public_shares(&shares), threshold).is_ok()
        );
        let chosen: Vec<SecretShare> = order[..usize::from(t)]
            .iter()
            .map(|i| copy(&shares[usize::from(*i) - 1]))
            .collect();
        prop_assert_eq!(*recover_secret(&chosen, threshold).unwrap().to_bytes(), bytes);
        let partials: Vec<_> = chosen
            .into_iter()
            .map(|share| SigningShare::new(share, threshold).unwrap())
            .map(|share| (share.index(), share.sign(&root(1))))
            .collect();
        prop_assert_eq!(
            threshold_protocol::bls::combine(threshold, &partials).unwrap(),
            key.sign(&root(1))
        );
    }
}
