//! Ethereum node records (EIP-778) of identity scheme v4: how a cluster names its operators.
//!
//! An operator's record holds its secp256k1 public key and a signature that proves it has the secret.
//! Records are read strictly: one encoding per record, every rule of EIP-778 checked, so that two
//! different texts are two different records. [`Identity`] is the secret side.

mod identity;

use std::fmt;
use std::str::FromStr;

use alloy_rlp::{BufMut, Encodable, Header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

pub use self::identity::{
    ENR_KEY_FILES, ENR_KEY_MODE, Identity, IdentityError, RECOVERABLE_SIGNATURE_BYTES,
};

/// Largest record in its binary form (EIP-778).
pub const MAX_ENR_BYTES: usize = 300;

/// The text form's prefix.
const PREFIX: &str = "enr:";
/// The one identity scheme there is, `v4`.
const SCHEME: &[u8] = b"v4";
/// R || S.
const SIGNATURE_BYTES: usize = 64;
/// A compressed secp256k1 public key.
const PUBLIC_KEY_BYTES: usize = 33;

/// A node record, its signature verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Enr {
    text: String,
    sequence: u64,
    public_key: VerifyingKey,
}

/// Why a text is no node record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrError {
    /// Another prefix.
    #[error("a node record starts with {PREFIX:?}")]
    Prefix,
    /// Larger than EIP-778 allows.
    #[error("a node record has at most {MAX_ENR_BYTES} bytes, this one is longer")]
    TooLong,
    /// Not URL-safe base64 without padding.
    #[error("not URL-safe base64 without padding")]
    Base64(#[source] base64::DecodeError),
    /// Not canonical RLP of the record's shape.
    #[error("not the canonical RLP of a node record")]
    Rlp(#[source] alloy_rlp::Error),
    /// Bytes after the record.
    #[error("{0} bytes after the end of the record")]
    Trailing(usize),
    /// The signature is not 64 bytes.
    #[error("the signature has {0} bytes, expected {SIGNATURE_BYTES}")]
    SignatureLength(usize),
    /// Keys are not in strictly ascending order: one is there twice, or the order is wrong.
    #[error("key {second:?} follows {first:?}: keys have to ascend, each once")]
    KeyOrder {
        /// The key before.
        first: String,
        /// The key that breaks the order.
        second: String,
    },
    /// A key without its value.
    #[error("key {0:?} has no value")]
    NoValue(String),
    /// A key that has to be there is not.
    #[error("key {0:?} is missing")]
    Missing(&'static str),
    /// The identity scheme is not v4.
    #[error("identity scheme {0:?} is not supported, expected \"v4\"")]
    Scheme(String),
    /// The public key is no compressed point of secp256k1.
    #[error("\"secp256k1\" is not a compressed public key")]
    PublicKey,
    /// The signature is not by the record's key.
    #[error("the signature is not one by the record's key")]
    Signature,
}

impl Enr {
    /// Reads the text form, `enr:` and base64.
    ///
    /// # Errors
    /// See [`EnrError`]; every rule of EIP-778 that the text breaks.
    pub fn parse(text: &str) -> Result<Self, EnrError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(EnrError::Prefix)?;
        // 4 characters are 3 bytes.
        if encoded.len() > MAX_ENR_BYTES.div_ceil(3) * 4 {
            return Err(EnrError::TooLong);
        }
        let record = URL_SAFE_NO_PAD.decode(encoded).map_err(EnrError::Base64)?;
        if record.len() > MAX_ENR_BYTES {
            return Err(EnrError::TooLong);
        }
        let (sequence, public_key) = decode(&record)?;
        // Nothing was lenient on the way, so this is the record's only text.
        Ok(Self { text: text.to_owned(), sequence, public_key })
    }

    /// Makes and signs a record: sequence number 0 and no addresses, as cluster files have them (the
    /// record names an operator; where its node can be reached changes, and is told elsewhere).
    #[must_use]
    pub fn for_identity(identity: &Identity) -> Self {
        let public_key = *identity.public_key();
        let content =
            encode_content(0, &[(b"id", SCHEME), (b"secp256k1", &identity.public_key_bytes())]);
        let signature = identity.sign_digest(&content_digest(&content));
        let mut record = Vec::with_capacity(MAX_ENR_BYTES);
        let signature_item: &[u8] = &signature;
        let payload_length = signature_item.length() + content.len();
        Header { list: true, payload_length }.encode(&mut record);
        signature_item.encode(&mut record);
        record.put_slice(&content);
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&record));
        Self { text, sequence: 0, public_key }
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The sequence number: the record's version.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The operator's public key.
    #[must_use]
    pub fn public_key(&self) -> &VerifyingKey {
        &self.public_key
    }

    /// The operator's public key, compressed.
    #[must_use]
    pub fn public_key_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        compress(&self.public_key)
    }
}

impl FromStr for Enr {
    type Err = EnrError;

    fn from_str(text: &str) -> Result<Self, EnrError> {
        Self::parse(text)
    }
}

impl fmt::Display for Enr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Enr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Compresses a public key to its 33 bytes.
fn compress(key: &VerifyingKey) -> [u8; PUBLIC_KEY_BYTES] {
    let mut bytes = [0; PUBLIC_KEY_BYTES];
    bytes.copy_from_slice(key.to_sec1_point(true).as_bytes());
    bytes
}

/// EIP-778, "v4" identity scheme: what is signed is the list without the signature.
fn content_digest(items: &[u8]) -> [u8; 32] {
    let mut content = Vec::with_capacity(items.len() + 3);
    Header { list: true, payload_length: items.len() }.encode(&mut content);
    content.put_slice(items);
    Keccak256::digest(&content).into()
}

/// The items of the list that are signed: sequence number, then keys and values.
fn encode_content(sequence: u64, pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut items = Vec::with_capacity(MAX_ENR_BYTES);
    sequence.encode(&mut items);
    for (key, value) in pairs {
        key.encode(&mut items);
        value.encode(&mut items);
    }
    items
}

/// Checks a binary record wholly; gives its sequence number and public key.
fn decode(record: &[u8]) -> Result<(u64, VerifyingKey), EnrError> {
    let mut rest = record;
    let mut items = Header::decode_bytes(&mut rest, true).map_err(EnrError::Rlp)?;
    if !rest.is_empty() {
        return Err(EnrError::Trailing(rest.len()));
    }
    let signature = string(&mut items)?;
    if signature.len() != SIGNATURE_BYTES {
        return Err(EnrError::SignatureLength(signature.len()));
    }
    let digest = content_digest(items);
    let sequence = <u64 as alloy_rlp::Decodable>::decode(&mut items).map_err(EnrError::Rlp)?;

    let (mut scheme, mut public_key, mut previous) = (None, None, None::<&[u8]>);
    while !items.is_empty() {
        let key = string(&mut items)?;
        if let Some(first) = previous.filter(|first| *first >= key) {
            return Err(EnrError::KeyOrder { first: lossy(first), second: lossy(key) });
        }
        previous = Some(key);
        if items.is_empty() {
            return Err(EnrError::NoValue(lossy(key)));
        }
        match key {
            b"id" => scheme = Some(string(&mut items)?),
            b"secp256k1" => public_key = Some(string(&mut items)?),
            _ => skip(&mut items)?,
        }
    }
    let scheme = scheme.ok_or(EnrError::Missing("id"))?;
    if scheme != SCHEME {
        return Err(EnrError::Scheme(lossy(scheme)));
    }
    let public_key = public_key.ok_or(EnrError::Missing("secp256k1"))?;
    // SEC1 has an uncompressed form too.
    if public_key.len() != PUBLIC_KEY_BYTES {
        return Err(EnrError::PublicKey);
    }
    let public_key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| EnrError::PublicKey)?;
    let signature = Signature::from_slice(signature).map_err(|_| EnrError::Signature)?;
    public_key.verify_prehash(&digest, &signature).map_err(|_| EnrError::Signature)?;
    Ok((sequence, public_key))
}

fn string<'a>(items: &mut &'a [u8]) -> Result<&'a [u8], EnrError> {
    Header::decode_bytes(items, false).map_err(EnrError::Rlp)
}

/// Steps over a value that is not looked at, of any kind, and checks that all of it is canonical.
fn skip(items: &mut &[u8]) -> Result<(), EnrError> {
    skip_nested(items, MAX_NESTING)
}

/// How deep lists in a value may nest; no value of a known key nests at all.
const MAX_NESTING: u8 = 8;

fn skip_nested(items: &mut &[u8], depth: u8) -> Result<(), EnrError> {
    let header = Header::decode(items).map_err(EnrError::Rlp)?;
    let too_short = EnrError::Rlp(alloy_rlp::Error::InputTooShort);
    let (mut value, rest) = items.split_at_checked(header.payload_length).ok_or(too_short)?;
    *items = rest;
    if header.list {
        let depth = depth.checked_sub(1).ok_or(EnrError::Rlp(alloy_rlp::Error::UnexpectedList))?;
        while !value.is_empty() {
            skip_nested(&mut value, depth)?;
        }
    }
    Ok(())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EIP-778's example: sequence number 1, IPv4 127.0.0.1, UDP port 30303.
    const EIP778_TEXT: &str = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8";
    const EIP778_SECRET: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

    fn example_identity() -> Identity {
        Identity::from_hex(EIP778_SECRET).unwrap()
    }

    /// A signed record of any content, well formed or not.
    fn sign(identity: &Identity, items: &[u8]) -> String {
        let signature: &[u8] = &identity.sign_digest(&content_digest(items));
        text_of(signature, items)
    }

    fn text_of(signature: &[u8], items: &[u8]) -> String {
        let mut record = Vec::new();
        let payload_length = signature.length() + items.len();
        Header { list: true, payload_length }.encode(&mut record);
        signature.encode(&mut record);
        record.extend_from_slice(items);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(record))
    }

    #[test]
    fn the_example_of_the_standard_is_read_and_made_again() {
        let enr = Enr::parse(EIP778_TEXT).unwrap();
        let identity = example_identity();
        assert_eq!(enr.public_key(), identity.public_key());
        assert_eq!(enr.sequence(), 1);
        assert_eq!(enr.to_string(), EIP778_TEXT);

        let key = identity.public_key_bytes();
        let items = encode_content(
            1,
            &[
                (b"id", b"v4"),
                (b"ip", &[127, 0, 0, 1]),
                (b"secp256k1", &key),
                (b"udp", &[0x76, 0x5f]),
            ],
        );
        assert_eq!(sign(&identity, &items), EIP778_TEXT);
    }

    #[test]
    fn a_record_of_an_identity_is_read_back() {
        let identity = Identity::generate().unwrap();
        let enr = identity.enr();
        assert_eq!(Enr::parse(enr.as_str()).unwrap(), enr);
        assert_eq!(enr.public_key(), identity.public_key());
        assert_eq!(enr.sequence(), 0);
        // The length that the field's cluster files have.
        assert!(enr.as_str().starts_with("enr:-HW4Q"), "{enr}");
    }

    #[test]
    fn records_that_break_a_rule_are_refused() {
        let identity = example_identity();
        let key: &[u8] = &identity.public_key_bytes();
        let pairs = |pairs: &[(&[u8], &[u8])]| sign(&identity, &encode_content(0, pairs));
        let uncompressed = identity.public_key().to_sec1_point(false);
        let good = encode_content(0, &[(b"id", b"v4"), (b"secp256k1", key)]);
        let mut no_value = encode_content(0, &[(b"id", b"v4"), (b"secp256k1", key)]);
        b"zz".as_slice().encode(&mut no_value);
        let mut long_form = vec![0x81, 0x00];
        long_form.extend_from_slice(&good[1..]);

        let mut other_signature = identity.sign_digest(&[7; 32]);
        other_signature[0] ^= 1;
        let signed = URL_SAFE_NO_PAD.decode(&sign(&identity, &good)[4..]).unwrap();
        let trailing = [signed.as_slice(), &[0]].concat();

        let cases = [
            (EIP778_TEXT.replace("enr:", "ENR:"), r#"a node record starts with "enr:""#),
            (format!("{EIP778_TEXT}="), "not URL-safe base64 without padding"),
            (
                format!("{}9", &EIP778_TEXT[..EIP778_TEXT.len() - 1]),
                "not URL-safe base64 without padding",
            ),
            (EIP778_TEXT.replace('_', "/"), "not URL-safe base64 without padding"),
            (
                format!("{PREFIX}{}", "A".repeat(401)),
                "a node record has at most 300 bytes, this one is longer",
            ),
            (
                format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(trailing)),
                "1 bytes after the end of the record",
            ),
            (
                format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&signed[..90])),
                "not the canonical RLP of a node record",
            ),
            (sign(&identity, &long_form), "not the canonical RLP of a node record"),
            (
                pairs(&[(b"secp256k1", key), (b"id", b"v4")]),
                r#"key "id" follows "secp256k1": keys have to ascend, each once"#,
            ),
            (
                pairs(&[(b"id", b"v4"), (b"secp256k1", key), (b"secp256k1", key)]),
                r#"key "secp256k1" follows "secp256k1": keys have to ascend, each once"#,
            ),
            (sign(&identity, &no_value), r#"key "zz" has no value"#),
            (pairs(&[(b"secp256k1", key)]), r#"key "id" is missing"#),
            (pairs(&[(b"id", b"v4")]), r#"key "secp256k1" is missing"#),
            (
                pairs(&[(b"id", b"v5"), (b"secp256k1", key)]),
                r#"identity scheme "v5" is not supported, expected "v4""#,
            ),
            (
                pairs(&[(b"id", b"v4"), (b"secp256k1", uncompressed.as_bytes())]),
                r#""secp256k1" is not a compressed public key"#,
            ),
            (
                pairs(&[(b"id", b"v4"), (b"secp256k1", &[2; 32])]),
                r#""secp256k1" is not a compressed public key"#,
            ),
            (text_of(&other_signature, &good), "the signature is not one by the record's key"),
            (text_of(&[1; 63], &good), "the signature has 63 bytes, expected 64"),
            (text_of(&[0xff; 64], &good), "the signature is not one by the record's key"),
            (
                sign(&Identity::generate().unwrap(), &good),
                "the signature is not one by the record's key",
            ),
        ];
        for (text, reason) in cases {
            assert_eq!(
                Enr::parse(&text).map_err(|e| e.to_string()),
                Err(reason.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn values_that_are_lists_are_stepped_over() {
        let identity = example_identity();
        let mut items =
            encode_content(0, &[(b"id", b"v4"), (b"secp256k1", &identity.public_key_bytes())]);
        b"zz".as_slice().encode(&mut items);
        items.extend_from_slice(&[0xc3, 0x01, 0xc1, 0x02]);
        assert!(Enr::parse(&sign(&identity, &items)).is_ok());
        // The inner list says it is longer than the outer one.
        items.truncate(items.len() - 2);
        items.extend_from_slice(&[0xc2, 0x02]);
        assert!(Enr::parse(&sign(&identity, &items)).is_err());
    }
}
