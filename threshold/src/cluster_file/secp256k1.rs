//! Signatures of wallets and nodes in cluster files: secp256k1 with a recovery byte.

use eth_types::ExecutionAddress;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

/// R || S || V.
const SIGNATURE_BYTES: usize = 65;

/// Why no public key comes out of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Not 65 bytes; several times 65 are the signatures of a contract account's owners.
    #[error("a signature by a key has {SIGNATURE_BYTES} bytes, this one has {0}")]
    Length(usize),
    /// V is not 0, 1, 27 or 28.
    #[error("the last byte of a signature is 0, 1, 27 or 28, not {0}")]
    RecoveryByte(u8),
    /// R and S are no signature of anything.
    #[error("the bytes are not a secp256k1 signature")]
    NotASignature,
}

/// The public key whose signature of `digest` this is. Another digest gives another key, so the caller
/// has to compare.
pub(super) fn recover(digest: &[u8; 32], signature: &[u8]) -> Result<VerifyingKey, RecoverError> {
    let length_error = RecoverError::Length(signature.len());
    let signature = <&[u8; SIGNATURE_BYTES]>::try_from(signature).map_err(|_| length_error)?;
    let [rs @ .., v] = signature;
    // 27 and 28 are Ethereum's older form.
    let recovery = match v {
        0 | 27 => RecoveryId::new(false, false),
        1 | 28 => RecoveryId::new(true, false),
        _ => return Err(RecoverError::RecoveryByte(*v)),
    };
    let signature = Signature::from_slice(rs).map_err(|_| RecoverError::NotASignature)?;
    VerifyingKey::recover_from_prehash(digest, &signature, recovery)
        .map_err(|_| RecoverError::NotASignature)
}

/// The address of the account with this key: the last 20 bytes of the Keccak hash of its coordinates.
pub(super) fn address(key: &VerifyingKey) -> ExecutionAddress {
    let point = key.to_sec1_point(false);
    // The first byte says that the form is uncompressed.
    let hash = Keccak256::digest(point.as_bytes().get(1..).unwrap_or_default());
    let mut address = [0; ExecutionAddress::LEN];
    for (to, from) in address.iter_mut().rev().zip(hash.iter().rev()) {
        *to = *from;
    }
    ExecutionAddress::new(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enr::Identity;

    /// A private key whose address every Ethereum developer knows: the first of common test wallets.
    fn known_identity() -> Identity {
        Identity::from_hex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
            .unwrap()
    }

    #[test]
    fn the_address_of_a_known_key_is_its_known_address() {
        let expected = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
        assert_eq!(address(known_identity().public_key()).to_string(), expected);
    }

    #[test]
    fn the_signer_is_recovered_from_both_forms_of_v() {
        let identity = known_identity();
        for digest in [[1; 32], [2; 32], [3; 32], [4; 32]] {
            let mut signature = identity.sign_digest_recoverable(&digest);
            assert_eq!(recover(&digest, &signature).as_ref(), Ok(identity.public_key()));
            signature[64] += 27;
            assert_eq!(recover(&digest, &signature).as_ref(), Ok(identity.public_key()));
            assert_ne!(recover(&[9; 32], &signature).as_ref(), Ok(identity.public_key()));
        }
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let mut signature = known_identity().sign_digest_recoverable(&[1; 32]);
        assert_eq!(recover(&[1; 32], &signature[..64]), Err(RecoverError::Length(64)));
        assert_eq!(recover(&[1; 32], &[]), Err(RecoverError::Length(0)));
        signature[64] = 2;
        assert_eq!(recover(&[1; 32], &signature), Err(RecoverError::RecoveryByte(2)));
        assert_eq!(recover(&[1; 32], &[0; 65]), Err(RecoverError::NotASignature));
    }
}
