//! The secret of a validator, a share of its key or the whole, and the only way to a signature by it.
//!
//! A signature is computed while the slashing database commits, so it has to exist before the permit
//! does. It stays sealed until then: [`Sealed`] shows nothing, and opens only for a [`Permit`] that
//! covers the same validator and signing root.

use eth_types::{PublicKey, Root, Signature};
use slashing_db::Permit;
use threshold_protocol::bls::{
    HashedMessage, PartialSignature, SecretKey, SigningKey, SigningShare, sign_verified,
};

/// This operator's share of one validator's key.
#[derive(Debug)]
pub struct ValidatorShare {
    validator: PublicKey,
    share: SigningShare,
}

/// A permit for something else than what was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "permit for validator {permitted} and signing root {permitted_root} does not cover the signature \
     of validator {signed} over {signed_root}"
)]
pub struct ForeignPermit {
    permitted: PublicKey,
    permitted_root: Root,
    signed: PublicKey,
    signed_root: Root,
}

impl ValidatorShare {
    /// Takes the share of a validator's key.
    #[must_use]
    pub const fn new(validator: PublicKey, share: SigningShare) -> Self {
        Self { validator, share }
    }

    /// The validator.
    #[must_use]
    pub const fn validator(&self) -> PublicKey {
        self.validator
    }

    /// Computes a partial signature, sealed until there is a permit for it.
    #[must_use]
    pub fn sign(&self, message: &HashedMessage) -> SealedPartial {
        SealedPartial {
            validator: self.validator,
            root: *message.root(),
            signature: self.share.sign(message),
        }
    }
}

/// A partial signature that nobody may see yet.
pub type SealedPartial = Sealed<PartialSignature>;

/// A validator's whole key, as a signer without a cluster holds it.
#[derive(Debug)]
pub struct WholeKey(SigningKey);

impl WholeKey {
    /// Takes a key.
    #[must_use]
    pub fn new(secret: SecretKey) -> Self {
        Self(SigningKey::new(secret))
    }

    /// The validator.
    #[must_use]
    pub const fn validator(&self) -> PublicKey {
        self.0.public_key()
    }

    /// The secret, to be stored sealed.
    ///
    /// # Security
    /// Not for signing: only a [`Permit`] opens a signature.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        self.0.secret()
    }

    /// Computes signatures and verifies them, together; they stay sealed until there are permits for
    /// them. `None` for a signature that came out wrong, which no one may see.
    #[must_use]
    pub fn sign_all(items: &[(&Self, &HashedMessage)]) -> Vec<Option<Sealed<Signature>>> {
        let keys: Vec<_> = items.iter().map(|(key, message)| (&key.0, *message)).collect();
        sign_verified(&keys, &rand::random())
            .into_iter()
            .zip(items)
            .map(|(signature, (key, message))| {
                let (validator, root) = (key.validator(), *message.root());
                signature.map(|signature| Sealed { validator, root, signature })
            })
            .collect()
    }
}

/// A signature, partial or whole, that nobody may see yet.
pub struct Sealed<S> {
    validator: PublicKey,
    root: Root,
    signature: S,
}

impl<S> std::fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("validator", &self.validator)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl<S> Sealed<S> {
    /// Opens it for a permit, which is used up.
    ///
    /// # Errors
    /// The permit covers another validator or signing root.
    pub fn release(self, permit: Permit) -> Result<S, Box<ForeignPermit>> {
        if permit.validator() == self.validator && permit.signing_root() == self.root {
            return Ok(self.signature);
        }
        Err(Box::new(ForeignPermit {
            permitted: permit.validator(),
            permitted_root: permit.signing_root(),
            signed: self.validator,
            signed_root: self.root,
        }))
    }
}

#[cfg(test)]
mod tests {
    use eth_types::Epoch;
    use eth_types::duty::{Duty, Message, NonSlashableDuty};
    use eth_types::fork::{Fork, ForkInfo};
    use eth_types::network::Network;
    use threshold_protocol::bls::verify;

    use super::*;

    fn randao(epoch: u64) -> NonSlashableDuty {
        let network = Network::by_name("mainnet").unwrap();
        let epoch = Epoch::new(epoch);
        let version = network.fork_version_at(epoch).unwrap();
        let fork =
            Fork { previous_version: version, current_version: version, epoch: Epoch::new(0) };
        let genesis_validators_root = network.genesis_validators_root();
        let fork_info = ForkInfo { fork, genesis_validators_root };
        let duty = Duty::new(Message::RandaoReveal(epoch), Some(&fork_info), &network).unwrap();
        NonSlashableDuty::try_from(duty).unwrap()
    }

    #[test]
    fn only_the_permit_for_the_same_key_and_root_opens_a_signature() {
        let key = |byte| WholeKey::new(SecretKey::from_bytes(&[byte; 32]).unwrap());
        let (ours, other) = (key(1), key(2));
        let (duty, another) = (randao(400_000), randao(400_001));
        let root = duty.duty().signing_root();
        let message = HashedMessage::new(&root);
        let seal = || WholeKey::sign_all(&[(&ours, &message)]).pop().unwrap().unwrap();

        let error = seal().release(Permit::not_slashable(other.validator(), &duty)).unwrap_err();
        assert!(error.to_string().contains(&other.validator().to_string()), "{error}");
        assert!(seal().release(Permit::not_slashable(ours.validator(), &another)).is_err());
        let permit = Permit::not_slashable(ours.validator(), &duty);
        let signature = seal().release(permit).unwrap();
        assert!(verify(&ours.validator(), &root, &signature));
        assert!(!format!("{:?}{ours:?}", seal()).contains(&signature.to_string()[2..20]));
    }
}
