//! Signing with whole keys, many at a time, and checking what was signed before anybody sees it.
//!
//! A signature that comes out wrong (a flipped bit of memory, a fault of the CPU) is worth nothing to
//! the validator, and its difference from the right one tells about the key. One check costs more than
//! two signatures; checked together, each of many costs a fraction of one: `e(sum r_i sig_i, g)` has
//! to be the product over the messages of `e(H(m), sum r_i key_i)`, with random 64-bit `r_i`.

use std::collections::HashMap;
use std::fmt;

use eth_types::keys::{PublicKey, Signature};
use eth_types::primitives::Root;

use super::batch::coefficients;
use super::keys::SecretKey;
use super::message::HashedMessage;
use super::raw::{self, G1Affine, G2Affine};

/// A whole secret key with its public key, ready to sign. Made once, at load.
///
/// Wiped on drop, never shown, not `Clone`.
pub struct SigningKey {
    secret: SecretKey,
    public: PublicKey,
    point: G1Affine,
}

impl SigningKey {
    /// Takes a key; computes its public key.
    #[must_use]
    pub fn new(secret: SecretKey) -> Self {
        let point = secret.0.public_key();
        Self { public: PublicKey::new(raw::g1_bytes(&point)), point, secret }
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The secret, to be stored sealed.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Signs each message with its key, in constant time, and checks all signatures together; `None` for
/// one that came out wrong. `seed` has to be fresh and secret.
///
/// Call it under permits of the slashing database only, or seal what comes out.
///
/// The messages may be all the same, which is cheapest to check, or different.
#[must_use]
pub fn sign_verified(
    items: &[(&SigningKey, &HashedMessage)],
    seed: &[u8; 32],
) -> Vec<Option<Signature>> {
    let signed: Vec<G2Affine> =
        items.iter().map(|(key, message)| key.secret.0.sign(message.point())).collect();
    verified(items, &signed, seed)
}

/// The signatures that are right, in the order of the items.
fn verified(
    items: &[(&SigningKey, &HashedMessage)],
    signed: &[G2Affine],
    seed: &[u8; 32],
) -> Vec<Option<Signature>> {
    // In the group: outside of it the check of a sum would say little.
    let sound = signed.iter().all(raw::g2_in_group) && all_hold(items, signed, seed);
    items
        .iter()
        .zip(signed)
        .map(|(item, point)| {
            let right = sound || holds(item, point);
            right.then(|| Signature::new(raw::g2_bytes(point)))
        })
        .collect()
}

fn holds((key, message): &(&SigningKey, &HashedMessage), point: &G2Affine) -> bool {
    raw::g2_in_group(point) && raw::pairing_holds(&key.point, message.point(), point)
}

fn all_hold(items: &[(&SigningKey, &HashedMessage)], signed: &[G2Affine], seed: &[u8; 32]) -> bool {
    if let ([item], [point]) = (items, signed) {
        return holds(item, point);
    }
    let keys: Vec<G1Affine> = items.iter().map(|(key, _)| key.point).collect();
    let roots = items.iter().map(|(_, message)| message.root());
    let coefficients = coefficients(roots, &keys, signed, seed);

    let mut by_root: HashMap<&Root, (G2Affine, Vec<G1Affine>, Vec<u64>)> = HashMap::new();
    for (((_, message), key), coefficient) in items.iter().zip(&keys).zip(&coefficients) {
        let (_, keys, coefficients) = by_root
            .entry(message.root())
            .or_insert_with(|| (*message.point(), Vec::new(), Vec::new()));
        keys.push(*key);
        coefficients.push(*coefficient);
    }
    let sums: Option<Vec<(G1Affine, G2Affine)>> = by_root
        .into_values()
        .map(|(hash, keys, coefficients)| Some((raw::g1_multi_scalar(&keys, &coefficients)?, hash)))
        .collect();
    match (sums, raw::g2_multi_scalar(signed, &coefficients)) {
        (Some(sums), Some(signature)) => raw::pairings_hold(&sums, &signature),
        // There is nothing to check.
        _ => items.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::verify;
    use super::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::new(SecretKey::from_bytes(&[number; 32]).unwrap())
    }

    fn keys_and_messages() -> (Vec<SigningKey>, Vec<HashedMessage>) {
        let keys = (1..=7).map(key).collect();
        let messages = (0..3).map(|byte| HashedMessage::new(&Root::new([byte; 32]))).collect();
        (keys, messages)
    }

    /// Seven keys over three messages, so that some share one and some do not.
    fn items<'a>(
        keys: &'a [SigningKey],
        messages: &'a [HashedMessage],
    ) -> Vec<(&'a SigningKey, &'a HashedMessage)> {
        keys.iter().zip([0, 1, 0, 2, 0, 1, 0]).map(|(key, at)| (key, &messages[at])).collect()
    }

    #[test]
    fn every_signature_is_the_one_that_the_secret_makes_alone() {
        let (keys, messages) = keys_and_messages();
        let items = items(&keys, &messages);
        for count in 0..=items.len() {
            let signed = sign_verified(&items[..count], &[9; 32]);
            assert_eq!(signed.len(), count);
            for ((key, message), signature) in items.iter().zip(signed) {
                let signature = signature.unwrap();
                assert_eq!(signature, key.secret().sign(*message));
                assert!(verify(&key.public_key(), *message, &signature));
            }
        }
    }

    #[test]
    fn only_the_wrong_signature_of_a_batch_is_withheld() {
        let (keys, messages) = keys_and_messages();
        let items = items(&keys, &messages);
        let right: Vec<G2Affine> =
            items.iter().map(|(key, message)| key.secret.0.sign(message.point())).collect();
        // Another key's signature, another message's, infinity, two that cancel out in a plain sum.
        let faults: [(&[usize], Vec<G2Affine>); 4] = [
            (&[0], vec![right[2]]),
            (&[3], vec![items[3].0.secret.0.sign(messages[0].point())]),
            (&[5], vec![G2Affine::default()]),
            (&[0, 2], vec![right[2], right[0]]),
        ];
        for (places, wrong) in faults {
            let mut signed = right.clone();
            for (place, wrong) in places.iter().zip(wrong) {
                signed[*place] = wrong;
            }
            let verified = verified(&items, &signed, &[9; 32]);
            for (index, signature) in verified.iter().enumerate() {
                assert_eq!(signature.is_none(), places.contains(&index), "{places:?} {index}");
            }
        }
    }
}
