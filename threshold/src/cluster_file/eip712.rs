//! What wallets sign for a cluster: EIP-712 typed data with one text field.
//!
//! The domain is name "Obol", version "1" and the execution chain's id; there is no contract. The three
//! types each hold one text: the configuration hash as `0x` hex, or the node record.

use eth_types::Root;
use sha3::{Digest, Keccak256};

const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId)";
const DOMAIN_NAME: &str = "Obol";
const DOMAIN_VERSION: &str = "1";

/// What one signature is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The creator's proposal: the configuration hash.
    CreatorConfigHash(&'a Root),
    /// An operator's consent: the configuration hash.
    OperatorConfigHash(&'a Root),
    /// An operator's node record.
    Enr(&'a str),
}

impl Message<'_> {
    /// The digest to sign or to recover from, on the chain with this id.
    #[must_use]
    pub fn digest(&self, chain_id: u64) -> [u8; 32] {
        let (message_type, text) = match self {
            Self::CreatorConfigHash(hash) => {
                ("CreatorConfigHash(string creator_config_hash)", hash.to_string())
            }
            Self::OperatorConfigHash(hash) => {
                ("OperatorConfigHash(string operator_config_hash)", hash.to_string())
            }
            Self::Enr(enr) => ("ENR(string enr)", (*enr).to_owned()),
        };
        // EIP-712: "\x19\x01" || domainSeparator || hashStruct(message); a text is encoded as its hash.
        keccak(&[
            b"\x19\x01",
            &domain_separator(chain_id),
            &keccak(&[&keccak(&[message_type.as_bytes()]), &keccak(&[text.as_bytes()])]),
        ])
    }
}

fn domain_separator(chain_id: u64) -> [u8; 32] {
    keccak(&[
        &keccak(&[DOMAIN_TYPE.as_bytes()]),
        &keccak(&[DOMAIN_NAME.as_bytes()]),
        &keccak(&[DOMAIN_VERSION.as_bytes()]),
        // A uint256, big-endian.
        &[0; 24],
        &chain_id.to_be_bytes(),
    ])
}

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pinned when the digests of real wallets' signatures recovered to those wallets.
    #[test]
    fn digests_are_those_that_wallets_sign() {
        let hash = Root::new([0x11; 32]);
        let digest = |message: Message<'_>, chain_id| hex::encode(message.digest(chain_id));
        assert_eq!(
            digest(Message::CreatorConfigHash(&hash), 1),
            "46c91dcf7684ad51df52e5c01a2b73df5a553d95a1450126593768319cde79d7"
        );
        assert_eq!(
            digest(Message::OperatorConfigHash(&hash), 1),
            "cff5f4d404409246befc8f0cf3cea7040c0e35f0df4f95aa5b93d4ec91201b0a"
        );
        assert_eq!(
            digest(Message::Enr("enr:-abc"), 560_048),
            "1d0b810b7bde6c70d6704a19b01f543f5db574759121796e54653a47c8af34b8"
        );
    }
}
