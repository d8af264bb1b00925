//! Partial signatures of every set of operators.

use threshold_protocol::bls::{HashedMessage, PartialSignature, ShareIndex, combine, verify};

use super::{CLUSTERS, Validator, root, subsets};

fn partials(
    validator: &Validator,
    set: &[ShareIndex],
    message: &HashedMessage,
) -> Vec<(ShareIndex, PartialSignature)> {
    validator
        .signing
        .iter()
        .filter(|share| set.contains(&share.index()))
        .map(|share| (share.index(), share.sign(message)))
        .collect()
}

#[test]
fn any_t_operators_make_the_signature_of_the_whole_key() {
    for (n, t) in CLUSTERS {
        let validator = Validator::new(n, t, u64::from(n));
        let expected = validator.key.sign(&root(7));
        assert!(verify(&validator.key.public_key(), &root(7), &expected));
        let message = HashedMessage::new(&root(7));
        for set in subsets(n, t) {
            let partials = partials(&validator, &set, &message);
            let signature = combine(validator.threshold, &partials).unwrap();
            assert_eq!(signature, expected, "({n}, {t}), operators {set:?}");
        }
    }
}
