//! EIP-2335: the standard's own vectors, both ways, and every file that is refused.

use std::fs;
use std::path::Path;

use threshold::keystore::{
    KdfCost, Keystore, KeystoreError, Password, SHARE_PATH, read_files, write_files,
};
use threshold_protocol::bls::SecretKey;

use crate::support::{chain, mode_of, overwrite};

/// EIP-2335, "Test Cases".
const PASSWORD: &str = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
const SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const SCRYPT: &str = r#"{
    "crypto": {
        "kdf": {
            "function": "scrypt",
            "params": {
                "dklen": 32,
                "n": 262144,
                "p": 1,
                "r": 8,
                "salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
            },
            "message": ""
        },
        "checksum": {
            "function": "sha256",
            "params": {},
            "message": "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"
        },
        "cipher": {
            "function": "aes-128-ctr",
            "params": {
                "iv": "264daa3f303d7259501c93d997d84fe6"
            },
            "message": "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"
        }
    },
    "description": "This is a test keystore that uses scrypt to secure the secret.",
    "pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
    "path": "m/12381/60/3141592653/589793238",
    "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f",
    "version": 4
}"#;
const PBKDF2: &str = r#"{
    "crypto": {
        "kdf": {
            "function": "pbkdf2",
            "params": {
                "dklen": 32,
                "c": 262144,
                "prf": "hmac-sha256",
                "salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
            },
            "message": ""
        },
        "checksum": {
            "function": "sha256",
            "params": {},
            "message": "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1"
        },
        "cipher": {
            "function": "aes-128-ctr",
            "params": {
                "iv": "264daa3f303d7259501c93d997d84fe6"
            },
            "message": "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad"
        }
    },
    "description": "This is a test keystore that uses PBKDF2 to secure the secret.",
    "pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
    "path": "m/12381/60/0/0",
    "uuid": "64625def-3331-4eea-ab6f-782f3ed16a83",
    "version": 4
}"#;

fn secret() -> SecretKey {
    let mut bytes = [0; 32];
    hex::decode_to_slice(SECRET, &mut bytes).unwrap();
    SecretKey::from_bytes(&bytes).unwrap()
}

#[test]
fn the_vectors_of_the_standard_open_to_their_secret() {
    for vector in [SCRYPT, PBKDF2] {
        let keystore = Keystore::parse(vector.as_bytes()).unwrap();
        let opened = keystore.decrypt(&Password::new(PASSWORD).unwrap()).unwrap();
        assert_eq!(hex::encode(*opened.to_bytes()), SECRET);
        assert_eq!(keystore.public_key(), Some(opened.public_key()));
    }
}

#[test]
fn the_vectors_of_the_standard_are_written_as_they_were_read() {
    for vector in [SCRYPT, PBKDF2] {
        let written = Keystore::parse(vector.as_bytes()).unwrap().to_json().unwrap();
        let (ours, theirs): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&written).unwrap(), serde_json::from_str(vector).unwrap());
        assert_eq!(ours, theirs);
    }
}

#[test]
fn keys_come_back_from_every_kind_of_keystore() {
    let password = Password::new("pässword").unwrap();
    let light_scrypt = KdfCost::Scrypt { log_n: 4, r: 8, p: 2 };
    for cost in [KdfCost::INSECURE, KdfCost::SHARE, light_scrypt] {
        let written = Keystore::encrypt(&secret(), &password, cost, SHARE_PATH).unwrap();
        let read = Keystore::parse(written.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(read.path(), SHARE_PATH);
        assert_eq!(read.public_key(), Some(secret().public_key()));
        assert_eq!(*read.decrypt(&password).unwrap().to_bytes(), *secret().to_bytes());
        let wrong = read.decrypt(&Password::new("passwort").unwrap());
        assert!(matches!(wrong, Err(KeystoreError::Checksum)), "{cost:?}");
    }
}

#[test]
fn two_keystores_of_one_key_share_no_salt_and_no_cipher_text() {
    let password = Password::new("same").unwrap();
    let json = || {
        let keystore = Keystore::encrypt(&secret(), &password, KdfCost::INSECURE, "").unwrap();
        serde_json::from_str::<serde_json::Value>(&keystore.to_json().unwrap()).unwrap()
    };
    let (one, two) = (json(), json());
    for field in [
        "/crypto/kdf/params/salt",
        "/crypto/cipher/params/iv",
        "/crypto/cipher/message",
        "/crypto/checksum/message",
        "/uuid",
    ] {
        assert!(one.pointer(field).is_some(), "{field}");
        assert_ne!(one.pointer(field), two.pointer(field), "{field}");
    }
}

#[test]
fn keystore_files_are_for_the_owner_only_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (path, password_path) =
        (dir.path().join("keystore-0.json"), dir.path().join("keystore-0.txt"));
    let password = Password::generate().unwrap();
    let keystore = Keystore::encrypt(&secret(), &password, KdfCost::INSECURE, SHARE_PATH).unwrap();
    write_files(&keystore, &password, &path, &password_path).unwrap();
    assert_eq!((mode_of(&path), mode_of(&password_path)), (0o400, 0o400));
    assert_eq!(fs::read_to_string(&password_path).unwrap(), password.expose());
    assert_eq!(*read_files(&path, &password_path).unwrap().to_bytes(), *secret().to_bytes());

    let error = write_files(&keystore, &password, &path, &password_path).unwrap_err();
    assert!(chain(&error, dir.path()).starts_with("cannot write DIR/keystore-0.json: "), "{error}");
}

/// Writes `json` and `password` as a pair of files and gives the whole error of reading them.
fn refused(dir: &Path, json: &str, password: &[u8]) -> String {
    let (path, password_path) = (dir.join("keystore-0.json"), dir.join("keystore-0.txt"));
    overwrite(&path, json);
    overwrite(&password_path, password);
    chain(&read_files(&path, &password_path).unwrap_err(), dir)
}

#[test]
fn files_that_are_no_keystore_are_refused_with_their_name_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let light = PBKDF2.replace("262144", "16");
    let mut cases = String::new();
    let mut case = |desc: &str, json: &str, password: &[u8]| {
        cases += &format!("{desc}\n    {}\n", refused(dir.path(), json, password));
    };
    case("not JSON", "keystore", b"x");
    case("empty", "", b"x");
    case("a field is missing", &light.replace("\"uuid\"", "\"uid\""), b"x");
    case("version 3", &light.replace("\"version\": 4", "\"version\": 3"), b"x");
    case("another cipher", &light.replace("aes-128-ctr", "aes-256-gcm"), b"x");
    case("another checksum", &light.replace("\"sha256\"", "\"keccak256\""), b"x");
    case("another key derivation", &light.replace("pbkdf2", "argon2"), b"x");
    case("a short iv", &light.replace("264daa", ""), b"x");
    case("a long secret", &light.replace("cee03f", "cee03fcee03f"), b"x");
    case("a checksum that is not hex", &light.replace("8a9f5d", "8a9f5g"), b"x");
    case("a public key that is none", &light.replace("9612d7", "9612"), b"x");
    case("too costly", &PBKDF2.replace("262144", "262144000"), b"x");
    case("too large", &" ".repeat(64 * 1024 + 1), b"x");
    case("the wrong password", &light, b"x");
    case("an empty password", &light, b"\n");
    case("a password that is not text", &light, &[0xff]);
    case("a password that is too long", &light, &[b'x'; 4097]);
    case("a damaged secret", &PBKDF2.replace("cee03f", "cee03e"), PASSWORD.as_bytes());
    case("another public key", &PBKDF2.replace("9612d7", "9612d8"), PASSWORD.as_bytes());
    insta::assert_snapshot!(cases, @r#"
    not JSON
        cannot use keystore DIR/keystore-0.json: not the JSON of an EIP-2335 keystore: expected value at line 1 column 1
    empty
        cannot use keystore DIR/keystore-0.json: not the JSON of an EIP-2335 keystore: EOF while parsing a value at line 1 column 0
    a field is missing
        cannot use keystore DIR/keystore-0.json: not the JSON of an EIP-2335 keystore: missing field `uuid` at line 31 column 1
    version 3
        cannot use keystore DIR/keystore-0.json: keystore version 3 is not supported, expected 4 (EIP-2335)
    another cipher
        cannot use keystore DIR/keystore-0.json: cipher "aes-256-gcm" is not supported, expected aes-128-ctr
    another checksum
        cannot use keystore DIR/keystore-0.json: checksum "keccak256" is not supported, expected sha256
    another key derivation
        cannot use keystore DIR/keystore-0.json: kdf "argon2" is not supported, expected pbkdf2 or scrypt
    a short iv
        cannot use keystore DIR/keystore-0.json: crypto.cipher.params.iv has 13 bytes, expected 16
    a long secret
        cannot use keystore DIR/keystore-0.json: crypto.cipher.message has 35 bytes, expected 32
    a checksum that is not hex
        cannot use keystore DIR/keystore-0.json: crypto.checksum.message is not hex: Invalid character 'g' at position 5
    a public key that is none
        cannot use keystore DIR/keystore-0.json: pubkey is not 48 bytes of hex: expected 48 bytes of hex, found 94 hex digits
    too costly
        cannot use keystore DIR/keystore-0.json: key derivation parameter c is 262144000, accepted is 1 to 16777216
    too large
        cannot use keystore DIR/keystore-0.json: it has more than the 65536 bytes that are read
    the wrong password
        cannot open keystore DIR/keystore-0.json with the password in DIR/keystore-0.txt: the password is wrong or the keystore is damaged
    an empty password
        cannot use password file DIR/keystore-0.txt: the password is empty
    a password that is not text
        cannot use password file DIR/keystore-0.txt: a password has to be UTF-8 text
    a password that is too long
        cannot use password file DIR/keystore-0.txt: it has more than the 4096 bytes that are read
    a damaged secret
        cannot open keystore DIR/keystore-0.json with the password in DIR/keystore-0.txt: the password is wrong or the keystore is damaged
    another public key
        cannot use keystore DIR/keystore-0.json: the decrypted key has public key 0x9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07, but the file says 0x9612d8a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07
    "#);
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (path, password_path) =
        (dir.path().join("keystore-0.json"), dir.path().join("keystore-0.txt"));
    let error = read_files(&path, &password_path).unwrap_err();
    let expected = "cannot use keystore DIR/keystore-0.json: cannot read it: No such file or directory (os error 2)";
    assert_eq!(chain(&error, dir.path()), expected);
    overwrite(&path, PBKDF2);
    let error = read_files(&path, &password_path).unwrap_err();
    let expected = "cannot use password file DIR/keystore-0.txt: cannot read it: No such file or directory (os error 2)";
    assert_eq!(chain(&error, dir.path()), expected);
}

#[test]
fn a_keystore_of_zero_is_no_key() {
    let dir = tempfile::tempdir().unwrap();
    // Zero, encrypted: cipher text is the key stream, so that what comes out is all zeros.
    let password = Password::new("x").unwrap();
    let keystore = Keystore::encrypt(&secret(), &password, KdfCost::INSECURE, "").unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&keystore.to_json().unwrap()).unwrap();
    let text = |json: &serde_json::Value, field: &str| {
        json.pointer(field).and_then(|v| v.as_str()).unwrap().to_owned()
    };
    let cipher_text = hex::decode(text(&json, "/crypto/cipher/message")).unwrap();
    let zero: Vec<u8> =
        cipher_text.iter().zip(secret().to_bytes().iter()).map(|(a, b)| a ^ b).collect();
    // The checksum's key is the second half of the derived key.
    let salt = hex::decode(text(&json, "/crypto/kdf/params/salt")).unwrap();
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(b"x", &salt, 16, &mut key);
    let checksum = {
        use sha2::Digest;
        sha2::Sha256::new().chain_update(&key[16..]).chain_update(&zero).finalize()
    };
    *json.pointer_mut("/crypto/cipher/message").unwrap() = hex::encode(&zero).into();
    *json.pointer_mut("/crypto/checksum/message").unwrap() = hex::encode(checksum).into();
    assert_eq!(
        refused(dir.path(), &json.to_string(), b"x"),
        "cannot use keystore DIR/keystore-0.json: the decrypted bytes are not a BLS secret key: not a BLS \
         secret key: expected a number from 1 to the group order minus 1"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let password = Password::new("x").unwrap();
    let keystore = Keystore::encrypt(&secret(), &password, KdfCost::INSECURE, "").unwrap();
    let shown = format!("{keystore:?}");
    assert!(shown.contains("public_key") && !shown.contains("cipher"), "{shown}");
}
