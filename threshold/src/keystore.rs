//! EIP-2335 keystores: a BLS secret, whole or a share, encrypted with a password in a JSON file.
//!
//! Version 4 of the format, both of its key derivation functions (PBKDF2 and scrypt), its one cipher
//! (AES-128-CTR) and its one checksum (SHA-256), read and written. What a file may ask of the machine
//! is bounded (`kdf`), so a hostile file costs at most 512 MiB and some seconds.
//!
//! | to | call |
//! | --- | --- |
//! | read a keystore file with its password file | [`read_files`] |
//! | write such a pair | [`write_files`] |
//! | work on text instead of files | [`Keystore::parse`], [`Keystore::decrypt`], [`Keystore::encrypt`], [`Keystore::to_json`] |

mod batch;
mod file;
mod json;
mod kdf;
mod password;

use std::fmt;

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use eth_types::PublicKey;
use eth_types::primitives::HexError;
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use threshold_protocol::bls::{KeyError, SecretKey};
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) use self::batch::{KeystorePair, open_all, read_all};
pub use self::file::{KeystoreFileError, MAX_KEYSTORE_BYTES, read_file, read_files, write_files};
use self::json::{CipherParams, CryptoJson, KeystoreJson, Module, VersionJson};
pub use self::kdf::KdfCost;
use self::kdf::{DerivedKey, Kdf};
pub use self::password::{MAX_PASSWORD_BYTES, Password, PasswordError};

/// The derivation path that share keystores name, the field's path of the first validator key
/// (EIP-2334). Shares come out of no tree; readers that ask for a path get a well-formed one.
pub const SHARE_PATH: &str = "m/12381/3600/0/0/0";

/// The version of the format (EIP-2335, "Version").
const VERSION: u64 = 4;

const CIPHER: &str = "aes-128-ctr";
const CHECKSUM: &str = "sha256";
const IV_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 32;
const SECRET_BYTES: usize = 32;

/// A keystore, well formed and within bounds, but not opened.
pub struct Keystore {
    kdf: Kdf,
    iv: [u8; IV_BYTES],
    checksum: [u8; CHECKSUM_BYTES],
    cipher_text: [u8; SECRET_BYTES],
    public_key: Option<PublicKey>,
    path: String,
    description: String,
    uuid: String,
}

/// Why a text is no usable keystore, or a keystore gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// Not JSON, or not the fields of the format.
    #[error("not the JSON of an EIP-2335 keystore")]
    Json(#[source] serde_json::Error),
    /// Another version of the format.
    #[error("keystore version {found} is not supported, expected {VERSION} (EIP-2335)")]
    Version {
        /// The version in the file.
        found: u64,
    },
    /// A construction that EIP-2335 does not define.
    #[error("{module} {found:?} is not supported, expected {expected}")]
    Function {
        /// Which module of the file.
        module: &'static str,
        /// What is supported.
        expected: &'static str,
        /// What the file names.
        found: String,
    },
    /// A key derivation parameter out of bounds.
    #[error("key derivation parameter {name} is {found}, accepted is {accepted}")]
    KdfParameter {
        /// Which.
        name: &'static str,
        /// The file's value.
        found: u64,
        /// The values accepted.
        accepted: &'static str,
    },
    /// A field is not hex.
    #[error("{field} is not hex")]
    Hex {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: hex::FromHexError,
    },
    /// A field has another length than the format gives it.
    #[error("{field} has {found} bytes, expected {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The `pubkey` field is no public key.
    #[error("pubkey is not 48 bytes of hex")]
    PublicKey(#[source] HexError),
    /// The checksum does not match. A wrong password and a damaged file look the same.
    #[error(
        "the checksum does not match: the password is wrong, or the salt, the encrypted key or the \
         checksum in the file is damaged"
    )]
    Checksum,
    /// What was decrypted is no BLS secret key.
    #[error("the decrypted bytes are not a BLS secret key")]
    Secret(#[source] KeyError),
    /// The secret is not that of the file's `pubkey`.
    #[error("the decrypted key has public key {found}, but the file says {expected}")]
    PublicKeyMismatch {
        /// The file's `pubkey`.
        expected: PublicKey,
        /// The public key of what was decrypted.
        found: PublicKey,
    },
    /// The operating system has no randomness to give.
    #[error("no randomness from the operating system")]
    Randomness(#[from] SysError),
}

impl Keystore {
    /// Reads a keystore. Nothing is derived or decrypted yet, so this is cheap.
    ///
    /// # Errors
    /// The text is not version 4 of the format, or asks for more than the bounds allow.
    pub fn parse(text: &[u8]) -> Result<Self, KeystoreError> {
        let VersionJson { version } = serde_json::from_slice(text).map_err(KeystoreError::Json)?;
        if version != VERSION {
            return Err(KeystoreError::Version { found: version });
        }
        let json: KeystoreJson = serde_json::from_slice(text).map_err(KeystoreError::Json)?;
        let CryptoJson { kdf, checksum, cipher } = json.crypto;
        expect_function("checksum", CHECKSUM, checksum.function)?;
        expect_function("cipher", CIPHER, cipher.function)?;
        let public_key = match json.pubkey.as_str() {
            "" => None,
            text => Some(text.parse().map_err(KeystoreError::PublicKey)?),
        };
        Ok(Self {
            kdf: Kdf::from_module(kdf)?,
            iv: fixed_hex("crypto.cipher.params.iv", &cipher.params.iv)?,
            checksum: fixed_hex("crypto.checksum.message", &checksum.message)?,
            cipher_text: fixed_hex("crypto.cipher.message", &cipher.message)?,
            public_key,
            path: json.path,
            description: json.description,
            uuid: json.uuid,
        })
    }

    /// Encrypts a key, whole or a share, under a password. `path` is the key's EIP-2334 path, empty if
    /// it has none. Takes as long as `cost` says.
    ///
    /// # Errors
    /// `cost` is out of bounds, or the operating system has no randomness.
    pub fn encrypt(
        secret: &SecretKey,
        password: &Password,
        cost: KdfCost,
        path: &str,
    ) -> Result<Self, KeystoreError> {
        let kdf = Kdf::new(cost)?;
        let key = kdf.derive(password)?;
        let iv = random_bytes()?;
        let mut cipher_text = secret.to_bytes();
        apply_cipher(&key, &iv, cipher_text.as_mut());
        Ok(Self {
            kdf,
            iv,
            checksum: checksum(&key, &cipher_text),
            cipher_text: *cipher_text,
            public_key: Some(secret.public_key()),
            path: path.to_owned(),
            description: String::new(),
            uuid: uuid_text(),
        })
    }

    /// Opens the keystore. Takes as long as its key derivation does.
    ///
    /// # Errors
    /// The password is wrong or the file damaged ([`KeystoreError::Checksum`]), or what comes out is
    /// not the key that `pubkey` names.
    pub fn decrypt(&self, password: &Password) -> Result<SecretKey, KeystoreError> {
        let key = self.kdf.derive(password)?;
        if !bool::from(checksum(&key, &self.cipher_text).ct_eq(&self.checksum)) {
            return Err(KeystoreError::Checksum);
        }
        let mut secret = Zeroizing::new(self.cipher_text);
        apply_cipher(&key, &self.iv, secret.as_mut());
        let secret = SecretKey::from_bytes(&secret).map_err(KeystoreError::Secret)?;
        let found = secret.public_key();
        match self.public_key {
            Some(expected) if expected != found => {
                Err(KeystoreError::PublicKeyMismatch { expected, found })
            }
            _ => Ok(secret),
        }
    }

    /// The public key that the file names. It is checked only by [`Keystore::decrypt`].
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        self.public_key
    }

    /// The EIP-2334 path that the file names, possibly empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Memory that [`Keystore::decrypt`] needs for its key derivation: with scrypt commonly 256 MiB,
    /// so that not many should be opened at once.
    #[must_use]
    pub fn kdf_memory_bytes(&self) -> u64 {
        self.kdf.memory_bytes()
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never for a keystore that [`Keystore::encrypt`] or [`Keystore::parse`] made; the serializer's
    /// error is passed on all the same.
    pub fn to_json(&self) -> Result<String, KeystoreError> {
        let json = KeystoreJson {
            crypto: CryptoJson {
                kdf: self.kdf.to_module()?,
                checksum: Module {
                    function: CHECKSUM.to_owned(),
                    params: serde_json::Map::new().into(),
                    message: hex::encode(self.checksum),
                },
                cipher: Module {
                    function: CIPHER.to_owned(),
                    params: CipherParams { iv: hex::encode(self.iv) },
                    message: hex::encode(self.cipher_text),
                },
            },
            description: self.description.clone(),
            pubkey: self.public_key.map(hex::encode).unwrap_or_default(),
            path: self.path.clone(),
            uuid: self.uuid.clone(),
            version: VERSION,
        };
        serde_json::to_string_pretty(&json).map_err(KeystoreError::Json)
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore")
            .field("public_key", &self.public_key)
            .field("uuid", &self.uuid)
            .finish_non_exhaustive()
    }
}

/// EIP-2335, "Secret decryption": the first half of the derived key is the cipher's. CTR mode is its
/// own inverse.
fn apply_cipher(key: &DerivedKey, iv: &[u8; IV_BYTES], data: &mut [u8]) {
    let [cipher_key, _] = key;
    ctr::Ctr128BE::<Aes128>::new(cipher_key.into(), iv.into()).apply_keystream(data);
}

/// EIP-2335, "Password verification": the second half of the derived key, then the cipher text.
fn checksum(key: &DerivedKey, cipher_text: &[u8; SECRET_BYTES]) -> [u8; CHECKSUM_BYTES] {
    let [_, checksum_key] = key;
    Sha256::new_with_prefix(checksum_key).chain_update(cipher_text).finalize().into()
}

fn expect_function(
    module: &'static str,
    expected: &'static str,
    found: String,
) -> Result<(), KeystoreError> {
    if found == expected {
        Ok(())
    } else {
        Err(KeystoreError::Function { module, expected, found })
    }
}

fn fixed_hex<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], KeystoreError> {
    let bytes = hex::decode(text).map_err(|source| KeystoreError::Hex { field, source })?;
    <[u8; N]>::try_from(bytes).map_err(|bytes| KeystoreError::Length {
        field,
        expected: N,
        found: bytes.len(),
    })
}

/// Fresh bytes from the operating system.
fn random_bytes<const N: usize>() -> Result<[u8; N], SysError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

/// Upper case, as other tools of the field write it.
fn uuid_text() -> String {
    Uuid::new_v4().hyphenated().to_string().to_uppercase()
}
