//! The key derivation functions of EIP-2335 and the bounds within which a file may ask for them.

use hex::FromHexError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::KeystoreError;
use super::json::Module;
use super::password::Password;

/// A derived key: its half for the cipher, and its half for the checksum.
pub(super) type DerivedKey = [[u8; 16]; 2];

/// Length of a derived key.
const DERIVED_KEY_BYTES: u64 = 32;

/// Bytes of a salt that this program makes.
const SALT_BYTES: usize = 32;

/// Longest salt accepted. It is hashed once; the bound keeps a hostile file small.
const MAX_SALT_BYTES: usize = 256;

/// Most PBKDF2 rounds accepted: 64 times the field's usual 2^18, some seconds of one core.
const MAX_PBKDF2_ROUNDS: u32 = 1 << 24;

/// Most memory a scrypt keystore may ask for: twice what the field's usual parameters
/// (n = 2^18, r = 8) need.
const MAX_SCRYPT_MEMORY_BYTES: u64 = 512 * 1024 * 1024;

/// Most work (n·r·p) a scrypt keystore may ask for: 16 times the field's usual n = 2^18, r = 8,
/// p = 1.
const MAX_SCRYPT_WORK: u64 = 1 << 25;

/// How costly it is to try a password. Chosen when a keystore is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KdfCost {
    /// PBKDF2 with HMAC-SHA-256.
    Pbkdf2 {
        /// Iterations.
        rounds: u32,
    },
    /// scrypt.
    Scrypt {
        /// Binary logarithm of the cost parameter n.
        log_n: u8,
        /// Block size.
        r: u32,
        /// Parallelisation.
        p: u32,
    },
}

impl KdfCost {
    /// What share keystores are written with: PBKDF2, 2^18 rounds. Their passwords are random, so
    /// stretching adds little, and a node with many validators has to start in reasonable time.
    pub const SHARE: Self = Self::Pbkdf2 { rounds: 1 << 18 };
    /// For passwords that a person chose: scrypt with the field's usual n = 2^18, r = 8, p = 1.
    pub const SCRYPT: Self = Self::Scrypt { log_n: 18, r: 8, p: 1 };
    /// Next to no cost, for throwaway clusters of tests and demonstrations.
    ///
    /// # Security
    /// Protects nothing. Never for a key that holds funds.
    pub const INSECURE: Self = Self::Pbkdf2 { rounds: 1 << 4 };
}

/// A key derivation function with its parameters, checked against the bounds of this module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kdf {
    cost: KdfCost,
    salt: Vec<u8>,
}

impl Kdf {
    /// With a fresh random salt.
    pub(super) fn new(cost: KdfCost) -> Result<Self, KeystoreError> {
        let salt = super::random_bytes::<SALT_BYTES>()?.to_vec();
        Self::checked(cost, salt)
    }

    /// Reads and checks the `kdf` module of a keystore file.
    pub(super) fn from_module(module: Module<Value>) -> Result<Self, KeystoreError> {
        let Module { function, params, .. } = module;
        let (cost, dklen, salt) = match function.as_str() {
            "pbkdf2" => {
                let params: Pbkdf2Params = parse_params(params)?;
                if params.prf != PRF {
                    return Err(KeystoreError::Function {
                        module: "kdf.params.prf",
                        expected: PRF,
                        found: params.prf,
                    });
                }
                (KdfCost::Pbkdf2 { rounds: params.c }, params.dklen, params.salt)
            }
            "scrypt" => {
                let params: ScryptParams = parse_params(params)?;
                let cost = KdfCost::Scrypt { log_n: log2(params.n)?, r: params.r, p: params.p };
                (cost, params.dklen, params.salt)
            }
            _ => {
                return Err(KeystoreError::Function {
                    module: "kdf",
                    expected: "pbkdf2 or scrypt",
                    found: function,
                });
            }
        };
        if dklen != DERIVED_KEY_BYTES {
            return Err(KeystoreError::KdfParameter {
                name: "dklen",
                found: dklen,
                accepted: "exactly 32",
            });
        }
        let salt = hex::decode(&salt).map_err(|source: FromHexError| KeystoreError::Hex {
            field: "crypto.kdf.params.salt",
            source,
        })?;
        Self::checked(cost, salt)
    }

    /// The `kdf` module of a keystore file.
    pub(super) fn to_module(&self) -> Result<Module<Value>, KeystoreError> {
        let salt = hex::encode(&self.salt);
        let dklen = DERIVED_KEY_BYTES;
        let (function, params) = match self.cost {
            KdfCost::Pbkdf2 { rounds: c } => {
                let params = Pbkdf2Params { dklen, c, prf: PRF.to_owned(), salt };
                ("pbkdf2", serde_json::to_value(params))
            }
            KdfCost::Scrypt { log_n, r, p } => {
                let params = ScryptParams { dklen, n: 1 << log_n, r, p, salt };
                ("scrypt", serde_json::to_value(params))
            }
        };
        let params = params.map_err(KeystoreError::Json)?;
        Ok(Module { function: function.to_owned(), params, message: String::new() })
    }

    /// Derives the key. This is the slow step: milliseconds to seconds of one core.
    pub(super) fn derive(
        &self,
        password: &Password,
    ) -> Result<Zeroizing<DerivedKey>, KeystoreError> {
        let mut key = Zeroizing::new(DerivedKey::default());
        let output = key.as_flattened_mut();
        let password = password.expose().as_bytes();
        match self.cost {
            KdfCost::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &self.salt, rounds, output);
            }
            KdfCost::Scrypt { log_n, r, p } => {
                let params = scrypt::Params::new(log_n, r, p).map_err(|_| WORK_ERROR)?;
                scrypt::scrypt(password, &self.salt, &params, output).map_err(|_| WORK_ERROR)?;
            }
        }
        Ok(key)
    }

    /// Memory that [`Kdf::derive`] holds while it runs.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self.cost {
            KdfCost::Pbkdf2 { .. } => 0,
            KdfCost::Scrypt { log_n, r, .. } => scrypt_memory_bytes(log_n, r),
        }
    }

    fn checked(cost: KdfCost, salt: Vec<u8>) -> Result<Self, KeystoreError> {
        if salt.is_empty() || salt.len() > MAX_SALT_BYTES {
            return Err(KeystoreError::KdfParameter {
                name: "salt length",
                found: salt.len() as u64,
                accepted: "1 to 256 bytes",
            });
        }
        match cost {
            KdfCost::Pbkdf2 { rounds } => {
                if rounds == 0 || rounds > MAX_PBKDF2_ROUNDS {
                    return Err(KeystoreError::KdfParameter {
                        name: "c",
                        found: rounds.into(),
                        accepted: "1 to 16777216",
                    });
                }
            }
            KdfCost::Scrypt { log_n, r, p } => check_scrypt(log_n, r, p)?,
        }
        Ok(Self { cost, salt })
    }
}

/// The only pseudo-random function that EIP-2335 names for PBKDF2.
const PRF: &str = "hmac-sha256";

/// What the scrypt crate itself would refuse; nothing within the bounds above.
const WORK_ERROR: KeystoreError = KeystoreError::KdfParameter {
    name: "n, r or p",
    found: 0,
    accepted: "parameters that RFC 7914 allows",
};

#[derive(Serialize, Deserialize)]
struct Pbkdf2Params {
    dklen: u64,
    c: u32,
    prf: String,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct ScryptParams {
    dklen: u64,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

fn parse_params<T: for<'de> Deserialize<'de>>(params: Value) -> Result<T, KeystoreError> {
    serde_json::from_value(params).map_err(KeystoreError::Json)
}

fn log2(n: u64) -> Result<u8, KeystoreError> {
    // RFC 7914 section 6: N is a power of two larger than 1.
    if n < 2 || !n.is_power_of_two() {
        return Err(KeystoreError::KdfParameter {
            name: "n",
            found: n,
            accepted: "a power of two above 1",
        });
    }
    Ok(u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX))
}

fn check_scrypt(log_n: u8, r: u32, p: u32) -> Result<(), KeystoreError> {
    if r == 0 || p == 0 {
        return Err(KeystoreError::KdfParameter {
            name: "r or p",
            found: 0,
            accepted: "1 or more",
        });
    }
    let memory = scrypt_memory_bytes(log_n, r);
    if memory > MAX_SCRYPT_MEMORY_BYTES {
        return Err(KeystoreError::KdfParameter {
            name: "memory (128*n*r)",
            found: memory,
            accepted: "at most 536870912 bytes",
        });
    }
    let work = (memory / 128).saturating_mul(p.into());
    if work > MAX_SCRYPT_WORK {
        return Err(KeystoreError::KdfParameter {
            name: "work (n*r*p)",
            found: work,
            accepted: "at most 33554432",
        });
    }
    Ok(())
}

/// 128·n·r, at the largest number instead of wrapping (RFC 7914 section 2).
fn scrypt_memory_bytes(log_n: u8, r: u32) -> u64 {
    let n = 1u64.checked_shl(log_n.into()).unwrap_or(u64::MAX);
    n.saturating_mul(r.into()).saturating_mul(128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(function: &str, params: Value) -> Result<Kdf, KeystoreError> {
        Kdf::from_module(Module { function: function.to_owned(), params, message: String::new() })
    }

    #[test]
    fn parameters_a_hostile_file_could_ask_for_are_refused() {
        let scrypt =
            |n: u64, r: u64, p: u64| json!({"dklen": 32, "n": n, "r": r, "p": p, "salt": "00"});
        let pbkdf2 =
            |c: u64, prf: &str, salt: &str| json!({"dklen": 32, "c": c, "prf": prf, "salt": salt});
        let long_salt = "00".repeat(257);
        #[rustfmt::skip]
        let cases = [
            ("scrypt", scrypt(1 << 20, 8, 1), "key derivation parameter memory (128*n*r) is 1073741824, accepted is at most 536870912 bytes"),
            ("scrypt", scrypt(1 << 63, 8, 1), "key derivation parameter memory (128*n*r) is 18446744073709551615, accepted is at most 536870912 bytes"),
            ("scrypt", scrypt(1 << 18, 8, 17), "key derivation parameter work (n*r*p) is 35651584, accepted is at most 33554432"),
            ("scrypt", scrypt(1 << 18, 0, 1), "key derivation parameter r or p is 0, accepted is 1 or more"),
            ("scrypt", scrypt(1 << 18, 8, 0), "key derivation parameter r or p is 0, accepted is 1 or more"),
            ("scrypt", scrypt(1000, 8, 1), "key derivation parameter n is 1000, accepted is a power of two above 1"),
            ("scrypt", scrypt(1, 8, 1), "key derivation parameter n is 1, accepted is a power of two above 1"),
            ("scrypt", json!({"dklen": 64, "n": 2, "r": 8, "p": 1, "salt": "00"}), "key derivation parameter dklen is 64, accepted is exactly 32"),
            ("pbkdf2", pbkdf2((1 << 24) + 1, "hmac-sha256", "00"), "key derivation parameter c is 16777217, accepted is 1 to 16777216"),
            ("pbkdf2", pbkdf2(0, "hmac-sha256", "00"), "key derivation parameter c is 0, accepted is 1 to 16777216"),
            ("pbkdf2", pbkdf2(1, "hmac-md5", "00"), "kdf.params.prf \"hmac-md5\" is not supported, expected hmac-sha256"),
            ("pbkdf2", pbkdf2(1, "hmac-sha256", ""), "key derivation parameter salt length is 0, accepted is 1 to 256 bytes"),
            ("pbkdf2", pbkdf2(1, "hmac-sha256", &long_salt), "key derivation parameter salt length is 257, accepted is 1 to 256 bytes"),
            ("pbkdf2", pbkdf2(1, "hmac-sha256", "zz"), "crypto.kdf.params.salt is not hex"),
            ("argon2", json!({}), "kdf \"argon2\" is not supported, expected pbkdf2 or scrypt"),
        ];
        for (function, params, reason) in cases {
            let error = parse(function, params.clone()).unwrap_err();
            assert_eq!(error.to_string(), reason, "{function} {params}");
        }
    }

    #[test]
    fn the_largest_accepted_parameters_are_accepted() {
        assert!(Kdf::checked(KdfCost::Scrypt { log_n: 19, r: 8, p: 1 }, vec![0]).is_ok());
        assert!(Kdf::checked(KdfCost::Scrypt { log_n: 18, r: 8, p: 16 }, vec![0; 256]).is_ok());
        assert!(Kdf::checked(KdfCost::Pbkdf2 { rounds: 1 << 24 }, vec![0]).is_ok());
        let scrypt = Kdf::checked(KdfCost::SCRYPT, vec![0]).unwrap();
        assert_eq!(scrypt.memory_bytes(), 256 * 1024 * 1024);
    }

    #[test]
    fn modules_come_back_as_they_were_written() {
        for cost in [KdfCost::SHARE, KdfCost::SCRYPT, KdfCost::INSECURE] {
            let kdf = Kdf::new(cost).unwrap();
            assert_eq!(Kdf::from_module(kdf.to_module().unwrap()).unwrap(), kdf);
            assert_eq!(kdf.salt.len(), SALT_BYTES);
        }
    }
}
