//! Operators' identities: who signed an agreement message. Agreement messages can be shown to third
//! parties (certificates, proofs of lies), so the channel they came through is not enough.

use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};

use crate::cluster::OperatorIndex;

/// A secp256k1 ECDSA signature over a 32-byte digest: R || S, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdentitySignature(pub [u8; Self::LEN]);

impl IdentitySignature {
    /// Length in bytes.
    pub const LEN: usize = 64;
}

impl std::fmt::Debug for IdentitySignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}..")
    }
}

/// Signs for this node and verifies for all operators. A trait, so that simulations of many thousand
/// clusters can do without elliptic curves.
pub trait Authenticator: Send + Sync {
    /// Signs a digest with this node's identity.
    fn sign(&self, digest: &[u8; 32]) -> IdentitySignature;

    /// Whether `signature` is the operator's, over this digest.
    fn verify(
        &self,
        operator: OperatorIndex,
        digest: &[u8; 32],
        signature: &IdentitySignature,
    ) -> bool;
}

/// Why a set of identities is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// This node's secret is zero or above the group order.
    #[error("the identity key is no secp256k1 secret")]
    Secret,
    /// An operator's key is no point of the curve.
    #[error("the identity of operator {0} is no compressed secp256k1 public key")]
    Public(OperatorIndex),
    /// The secret belongs to no operator of the cluster, or to another one.
    #[error("the identity key is not that of operator {0}")]
    NotOurs(OperatorIndex),
}

/// The identities of the cluster lock (its operators' ENR keys).
pub struct Identities {
    secret: SigningKey,
    operators: Vec<VerifyingKey>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities")
            .field("secret", &"<redacted>")
            .field("operators", &self.operators.len())
            .finish()
    }
}

impl Identities {
    /// Takes the node's secret (32 bytes) and all operators' compressed public keys (33 bytes each) in
    /// the lock's order.
    ///
    /// # Errors
    /// A key is no key, or the secret is not that of operator `me`.
    pub fn new(
        secret: &[u8; 32],
        me: OperatorIndex,
        operators: &[[u8; 33]],
    ) -> Result<Self, IdentityError> {
        let secret = SigningKey::from_slice(secret).map_err(|_| IdentityError::Secret)?;
        let operators = (0..=u8::MAX)
            .zip(operators)
            .map(|(index, key)| {
                VerifyingKey::from_sec1_bytes(key)
                    .map_err(|_| IdentityError::Public(OperatorIndex::new(index)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if operators.get(me.as_usize()) != Some(secret.verifying_key()) {
            return Err(IdentityError::NotOurs(me));
        }
        Ok(Self { secret, operators })
    }
}

impl Authenticator for Identities {
    fn sign(&self, digest: &[u8; 32]) -> IdentitySignature {
        // RFC 6979: deterministic, so it needs no randomness. It cannot fail for a 32-byte digest; the
        // empty signature that stands for a failure verifies nowhere.
        let signature: Result<Signature, _> = self.secret.sign_prehash(digest);
        let mut bytes = [0; IdentitySignature::LEN];
        if let Ok(signature) = signature {
            bytes.copy_from_slice(&signature.to_bytes());
        }
        IdentitySignature(bytes)
    }

    fn verify(
        &self,
        operator: OperatorIndex,
        digest: &[u8; 32],
        signature: &IdentitySignature,
    ) -> bool {
        let (Some(key), Ok(signature)) =
            (self.operators.get(operator.as_usize()), Signature::from_slice(&signature.0))
        else {
            return false;
        };
        key.verify_prehash(digest, &signature).is_ok()
    }
}
