//! The BLS threshold maths from outside: published vectors, every set of operators, hostile bytes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and so do its helpers, which clippy does not exempt"
)]

mod batches;
mod combining;
mod hostile;
mod shares;
mod vectors;

use eth_types::keys::PublicKey;
use eth_types::primitives::Root;
use rand::SeedableRng;
use rand::rngs::StdRng;
use threshold_protocol::bls::{
    CombineItem, HashedMessage, PartialSignature, PublicShares, SecretKey, SecretShare, ShareIndex,
    SigningShare, Threshold, split,
};

/// The clusters that the tests go through: alone, pairs, and n = 4 to 13 with their usual thresholds.
const CLUSTERS: [(u8, u8); 12] = [
    (1, 1),
    (2, 2),
    (3, 2),
    (3, 3),
    (4, 3),
    (4, 4),
    (5, 3),
    (5, 4),
    (6, 4),
    (7, 5),
    (10, 7),
    (13, 9),
];

/// One validator of a cluster, with everything that its operators and its dealer know.
struct Validator {
    threshold: Threshold,
    key: SecretKey,
    /// As dealt, operator 1 first.
    shares: Vec<SecretShare>,
    /// Scaled, operator 1 first.
    signing: Vec<SigningShare>,
    public: PublicShares,
}

impl Validator {
    fn new(n: u8, t: u8, seed: u64) -> Self {
        let threshold = Threshold::new(n, t).unwrap();
        let mut rng = StdRng::seed_from_u64(seed);
        let key = SecretKey::generate(&mut rng);
        let shares = split(&key, threshold, &mut rng).unwrap();
        let public =
            PublicShares::new(&key.public_key(), &public_shares(&shares), threshold).unwrap();
        let signing =
            shares.iter().map(|share| SigningShare::new(copy(share), threshold).unwrap()).collect();
        Self { threshold, key, shares, signing, public }
    }

    /// The partial signatures of all operators, operator 1 first.
    fn partials(&self, message: &HashedMessage) -> Vec<(ShareIndex, PartialSignature)> {
        self.signing.iter().map(|share| (share.index(), share.sign(message))).collect()
    }

    /// The partial signatures of the given operators, in that order.
    fn item(&self, message: &HashedMessage, operators: &[u8]) -> CombineItem<'_> {
        let all = self.partials(message);
        let partials = operators.iter().map(|&i| all[usize::from(i) - 1]).collect();
        CombineItem { shares: &self.public, partials }
    }
}

/// A second value of a secret that has no `Clone`.
fn copy(share: &SecretShare) -> SecretShare {
    SecretShare::from_bytes(share.index(), &share.to_bytes()).unwrap()
}

fn public_shares(shares: &[SecretShare]) -> Vec<PublicKey> {
    shares.iter().map(SecretShare::public_share).collect()
}

fn root(byte: u8) -> Root {
    Root::new([byte; 32])
}

fn index(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// All sets of `t` operators out of `n`, each ascending.
fn subsets(n: u8, t: u8) -> Vec<Vec<ShareIndex>> {
    (0_u32..1 << n)
        .filter(|set| set.count_ones() == u32::from(t))
        .map(|set| (1..=n).filter(|i| set >> (i - 1) & 1 == 1).map(index).collect())
        .collect()
}
