//! Web3Signer's key configuration files: YAML, one document for each key.
//!
//! The parser's events are used, not its values: a private key may be written as a bare hexadecimal
//! integer, whose text is what counts.

use std::fmt;
use std::path::PathBuf;

use saphyr_parser::{Event, Parser};
use zeroize::Zeroizing;

/// Longest file that is read: Web3Signer's default of `--key-store-config-file-max-size`.
pub(super) const MAX_CONFIG_BYTES: u64 = 100 * 1024 * 1024;

/// What is read of a document; other fields are left alone.
const FIELDS: [&str; 5] = ["type", "keyType", "privateKey", "keystoreFile", "keystorePasswordFile"];

/// What one document says.
pub(super) enum KeyConfig {
    /// `file-raw`: the key itself.
    Raw {
        /// 32 bytes, big-endian.
        secret: Zeroizing<[u8; 32]>,
    },
    /// `file-keystore`: an EIP-2335 keystore; paths as written.
    Keystore {
        /// The keystore.
        keystore: PathBuf,
        /// The file whose first line is the password.
        password: PathBuf,
    },
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw { .. } => f.write_str("Raw(..)"),
            Self::Keystore { keystore, .. } => f.debug_tuple("Keystore").field(keystore).finish(),
        }
    }
}

/// Why a document gives no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyConfigError {
    /// The file is not YAML; what follows in it is lost too.
    #[error("not YAML: {reason}")]
    Yaml { reason: String },
    /// The document is a list or a bare value.
    #[error("expected `name: value` lines, found something else")]
    NotAMapping,
    /// A field that the type needs is not there.
    #[error("`{field}` is missing")]
    Missing { field: &'static str },
    /// A field is there more than once, and which value is meant is not known.
    #[error("`{field}` is there twice")]
    Twice { field: &'static str },
    /// A type that Web3Signer has and this signer has not.
    #[error("type {found:?} is not supported: {instead}; supported are file-raw and file-keystore")]
    Unsupported { found: String, instead: &'static str },
    /// A type that nobody has.
    #[error("unknown type {found:?}; supported are file-raw and file-keystore")]
    UnknownType { found: String },
    /// Keys of the execution layer are not for validators.
    #[error("keyType {found:?} is not supported, expected BLS")]
    KeyType { found: String },
    /// `privateKey` is not 32 bytes of hex. The value is not shown.
    #[error("`privateKey` is not 32 bytes of hex")]
    PrivateKey,
}

/// Reads the documents of a file, in order. A file without any document gives an empty list.
pub(super) fn parse(text: &str) -> Vec<Result<KeyConfig, KeyConfigError>> {
    let mut documents = Vec::new();
    let mut document = Document::default();
    for event in Parser::new_from_str(text) {
        match event {
            Err(error) => {
                documents.push(Err(KeyConfigError::Yaml { reason: error.to_string() }));
                return documents;
            }
            Ok((Event::DocumentStart(_), _)) => document = Document::default(),
            Ok((Event::DocumentEnd, _)) => {
                let whole = std::mem::take(&mut document);
                // `---` at the end of a file, or comments only, is no document.
                if !whole.is_empty() {
                    documents.push(whole.key_config());
                }
            }
            Ok((event, _)) => document.take(event),
        }
    }
    documents
}

/// The scalar values of a document's top-level mapping, as text.
#[derive(Default)]
struct Document {
    values: Vec<(String, Zeroizing<String>)>,
    /// The fields that were there, whatever their values are.
    seen: Vec<&'static str>,
    /// One that was there again.
    twice: Option<&'static str>,
    key: Option<String>,
    /// How many mappings and lists are open; only what is directly in the first mapping counts.
    depth: usize,
    /// Something other than a mapping is at the top.
    other: bool,
}

impl Document {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::MappingStart(..) => self.depth += 1,
            Event::SequenceStart(..) => {
                self.other |= self.depth == 0;
                self.depth += 1;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 1 {
                    // The value of a key was a list or a mapping: nothing here is read from one.
                    self.key = None;
                }
            }
            Event::Scalar(text, ..) if self.depth == 0 => self.other |= !text.is_empty(),
            Event::Scalar(text, ..) if self.depth == 1 => match self.key.take() {
                None => {
                    self.see(&text);
                    self.key = Some(text.into_owned());
                }
                Some(key) => self.values.push((key, Zeroizing::new(text.into_owned()))),
            },
            Event::Alias(_) if self.depth == 1 => self.key = None,
            _ => {}
        }
    }

    fn see(&mut self, name: &str) {
        let Some(field) = FIELDS.into_iter().find(|field| *field == name) else { return };
        if self.seen.contains(&field) {
            self.twice = Some(field);
        }
        self.seen.push(field);
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && !self.other
    }

    fn get(&self, field: &'static str) -> Result<&str, KeyConfigError> {
        self.find(field).ok_or(KeyConfigError::Missing { field })
    }

    fn find(&self, field: &str) -> Option<&str> {
        let mut values = self.values.iter();
        values.find(|(key, _)| key == field).map(|(_, value)| value.as_str())
    }

    fn key_config(&self) -> Result<KeyConfig, KeyConfigError> {
        if self.other {
            return Err(KeyConfigError::NotAMapping);
        }
        if let Some(field) = self.twice {
            return Err(KeyConfigError::Twice { field });
        }
        let kind = self.get("type")?;
        if let Some(instead) = instead_of(kind) {
            return Err(KeyConfigError::Unsupported { found: kind.to_owned(), instead });
        }
        match self.find("keyType") {
            Some(found) if !found.eq_ignore_ascii_case("BLS") => {
                return Err(KeyConfigError::KeyType { found: found.to_owned() });
            }
            _ => {}
        }
        match kind {
            "file-raw" => Ok(KeyConfig::Raw { secret: secret(self.get("privateKey")?)? }),
            "file-keystore" => Ok(KeyConfig::Keystore {
                keystore: self.get("keystoreFile")?.into(),
                password: self.get("keystorePasswordFile")?.into(),
            }),
            _ => Err(KeyConfigError::UnknownType { found: kind.to_owned() }),
        }
    }
}

/// What to do instead of the types that Web3Signer knows and this signer does not.
fn instead_of(kind: &str) -> Option<&'static str> {
    match kind {
        "hashicorp" | "azure-secret" | "aws-secret" => {
            Some("fetch the key from the vault into an EIP-2335 keystore")
        }
        "azure-key" | "aws-kms" | "yubihsm" | "usb-armory" => {
            Some("such devices and services hold no BLS keys")
        }
        _ => None,
    }
}

fn secret(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyConfigError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|_| KeyConfigError::PrivateKey)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "3ee2224386c82ffea477e2adf28a2929f5c349165a4196158c7f3a2ecca40f35";

    fn one(text: &str) -> Result<KeyConfig, KeyConfigError> {
        let mut documents = parse(text);
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0)
    }

    #[track_caller]
    fn assert_raw(text: &str) {
        match one(text) {
            Ok(KeyConfig::Raw { secret }) => assert_eq!(hex::encode(secret.as_slice()), SECRET),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_raw_key_is_read_however_it_is_written() {
        assert_raw(&format!("type: file-raw\nkeyType: BLS\nprivateKey: 0x{SECRET}\n"));
        assert_raw(&format!("privateKey: \"{SECRET}\"\ntype: \"file-raw\"\n"));
        assert_raw(&format!(
            "---\n# a key\ntype: file-raw\nother: [1, {{a: b}}]\nprivateKey: '0X{SECRET}'\n"
        ));
        assert_raw(&format!("{{\"type\": \"file-raw\", \"privateKey\": \"0x{SECRET}\"}}"));
        assert_raw(&format!("type: file-raw\nkeyType: bls\nprivateKey: {}", SECRET.to_uppercase()));
    }

    #[test]
    fn documents_of_one_file_are_read_one_by_one_past_bad_ones() {
        let text = format!(
            "type: file-raw\nprivateKey: 0x{SECRET}\n---\ntype: nonsense\n---\ntype: file-keystore\n\
             keystoreFile: a.json\nkeystorePasswordFile: /p/a.txt\n---\n"
        );
        let documents = parse(&text);
        assert!(matches!(documents[0], Ok(KeyConfig::Raw { .. })));
        assert_eq!(
            *documents[1].as_ref().unwrap_err(),
            KeyConfigError::UnknownType { found: "nonsense".into() }
        );
        match &documents[2] {
            Ok(KeyConfig::Keystore { keystore, password }) => {
                assert_eq!((keystore, password), (&"a.json".into(), &"/p/a.txt".into()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(documents.len(), 3);
    }

    #[test]
    fn what_gives_no_key_is_refused_by_name() {
        let refused = |text: &str| one(text).unwrap_err().to_string();
        assert_eq!(refused("privateKey: 0x00"), "`type` is missing");
        assert_eq!(refused("type: file-raw"), "`privateKey` is missing");
        assert_eq!(
            refused("type: file-keystore\nkeystoreFile: a"),
            "`keystorePasswordFile` is missing"
        );
        assert_eq!(
            refused("- type: file-raw"),
            "expected `name: value` lines, found something else"
        );
        assert_eq!(refused("just text"), "expected `name: value` lines, found something else");
        assert_eq!(
            refused(&format!("type: file-raw\nkeyType: SECP256K1\nprivateKey: {SECRET}")),
            "keyType \"SECP256K1\" is not supported, expected BLS"
        );
        assert_eq!(
            refused("type: hashicorp\nserverHost: localhost"),
            "type \"hashicorp\" is not supported: fetch the key from the vault into an EIP-2335 \
             keystore; supported are file-raw and file-keystore"
        );
        assert_eq!(
            refused(&format!("type: file-raw\nprivateKey: {SECRET}\nprivateKey: {SECRET}")),
            "`privateKey` is there twice"
        );
        assert_eq!(
            refused(
                "type: file-keystore\nkeystoreFile: [a]\nkeystoreFile: a\nkeystorePasswordFile: b"
            ),
            "`keystoreFile` is there twice"
        );
        let secret = refused("type: file-raw\nprivateKey: 0xdeadbeef");
        assert_eq!(secret, "`privateKey` is not 32 bytes of hex");
        assert!(refused("type: [unclosed").starts_with("not YAML: "));
    }

    #[test]
    fn an_empty_file_has_no_documents() {
        for text in ["", "\n", "# nothing\n", "---\n"] {
            assert!(parse(text).is_empty(), "{text:?}");
        }
    }
}
