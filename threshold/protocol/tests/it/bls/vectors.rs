//! Published vectors: EIP-2333, ethereum/bls12-381-tests, and the signed requests of real clients.

use std::fs;
use std::path::Path;

use eth_types::keys::{PublicKey, Signature};
use eth_types::primitives::Root;
use num_bigint::BigUint;
use serde::Deserialize;
use threshold_protocol::bls::{
    AggregateError, PointError, SecretKey, aggregate, verify, verify_aggregate,
};

use super::root;

/// Gives the bytes it was made with, once: `SecretKey::generate` then derives EIP-2333's master key.
struct Fixed([u8; 32]);

impl rand::TryRng for Fixed {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unimplemented!("keys are made from bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unimplemented!("keys are made from bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl rand::TryCryptoRng for Fixed {}

/// EIP-2333, test cases 1 to 3 (those with a seed of 32 bytes).
#[test]
fn generated_key_is_the_master_key_of_eip_2333() {
    for (seed, expected) in [
        (
            "3141592653589793238462643383279502884197169399375105820974944592",
            "29757020647961307431480504535336562678282505419141012933316116377660817309383",
        ),
        (
            "0099ff991111002299dd7744ee3355bbdd8844115566cc55663355668888cc00",
            "27580842291869792442942448775674722299803720648445448686099262467207037398656",
        ),
        (
            "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
            "19022158461524446591288038168518313374041767046816487870552872741050760015818",
        ),
    ] {
        let mut bytes = [0; 32];
        hex::decode_to_slice(seed, &mut bytes).unwrap();
        let key = SecretKey::generate(&mut Fixed(bytes));
        assert_eq!(BigUint::from_bytes_be(&*key.to_bytes()).to_string(), expected);
    }
}

/// ethereum/bls12-381-tests: secret and public keys.
const KEYS: [(&str, &str); 3] = [
    (
        "263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3",
        "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a",
    ),
    (
        "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138",
        "b301803f8b5ac4a1133581fc676dfedc60d891dd5fa99028805e5ea5b08d3491af75d0707adab3b70c6a6a580217bf81",
    ),
    (
        "328388aff0d4a5b7dc9205abd374e7e98f3cd9f3418edb4eafda5fb16473d216",
        "b53d21a4cfd562c469cc81514d4ce5a6b577d8403d32a394dc265dd190b47fa9f829fdd7963afdf972e5e77854051f6f",
    ),
];

/// ethereum/bls12-381-tests: message byte, then `sign` by each key, then `aggregate` of the three.
const SIGNATURES: [(u8, [&str; 3], &str); 3] = [
    (
        0x00,
        [
            "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb5158090352ea1c5b0c9274504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55",
            "b23c46be3a001c63ca711f87a005c200cc550b9429d5f4eb38d74322144f1b63926da3388979e5321012fb1a0526bcd100b5ef5fe72628ce4cd5e904aeaa3279527843fae5ca9ca675f4f51ed8f83bbf7155da9ecc9663100a885d5dc6df96d9",
            "948a7cb99f76d616c2c564ce9bf4a519f1bea6b0a624a02276443c245854219fabb8d4ce061d255af5330b078d5380681751aa7053da2c98bae898edc218c75f07e24d8802a17cd1f6833b71e58f5eb5b94208b4d0bb3848cecb075ea21be115",
        ],
        "9683b3e6701f9a4b706709577963110043af78a5b41991b998475a3d3fd62abf35ce03b33908418efc95a058494a8ae504354b9f626231f6b3f3c849dfdeaf5017c4780e2aee1850ceaf4b4d9ce70971a3d2cfcd97b7e5ecf6759f8da5f76d31",
    ),
    (
        0x56,
        [
            "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98abbe1b68f85e49fe7652a55ec3d0591c20767677e33e5cbb1207315c41a9ac03be39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb",
            "af1390c3c47acdb37131a51216da683c509fce0e954328a59f93aebda7e4ff974ba208d9a4a2a2389f892a9d418d618418dd7f7a6bc7aa0da999a9d3a5b815bc085e14fd001f6a1948768a3f4afefc8b8240dda329f984cb345c6363272ba4fe",
            "a4efa926610b8bd1c8330c918b7a5e9bf374e53435ef8b7ec186abf62e1b1f65aeaaeb365677ac1d1172a1f5b44b4e6d022c252c58486c0a759fbdc7de15a756acc4d343064035667a594b4c2a6f0b0b421975977f297dba63ee2f63ffe47bb6",
        ],
        "ad38fc73846583b08d110d16ab1d026c6ea77ac2071e8ae832f56ac0cbcdeb9f5678ba5ce42bd8dce334cc47b5abcba40a58f7f1f80ab304193eb98836cc14d8183ec14cc77de0f80c4ffd49e168927a968b5cdaa4cf46b9805be84ad7efa77b",
    ),
    (
        0xab,
        [
            "91347bccf740d859038fcdcaf233eeceb2a436bcaaee9b2aa3bfb70efe29dfb2677562ccbea1c8e061fb9971b0753c240622fab78489ce96768259fc01360346da5b9f579e5da0d941e4c6ba18a0e64906082375394f337fa1af2b7127b0d121",
            "9674e2228034527f4c083206032b020310face156d4a4685e2fcaec2f6f3665aa635d90347b6ce124eb879266b1e801d185de36a0a289b85e9039662634f2eea1e02e670bc7ab849d006a70b2f93b84597558a05b879c8d445f387a5d5b653df",
            "ae82747ddeefe4fd64cf9cedb9b04ae3e8a43420cd255e3c7cd06a8d88b7c7f8638543719981c5d16fa3527c468c25f0026704a6951bde891360c7e8d12ddee0559004ccdbe6046b55bae1b257ee97f7cdb955773d7cf29adf3ccbb9975e4eb9",
        ],
        "9712c3edd73a209c742b8250759db12549b3eaf43b5ca61376d9f30e2747dbcf842d8b2ac0901d2a093713e20284a7670fcf6954e9ab93de991bb9b313e664785a075fc285806fa5224c82bde146561b446ccfc706a64b8579513cfc4ff1d930",
    ),
];

fn secret(text: &str) -> SecretKey {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).unwrap();
    SecretKey::from_bytes(&bytes).unwrap()
}

fn public(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn signature(text: &str) -> Signature {
    text.parse().unwrap()
}

#[test]
fn signatures_of_the_consensus_specs_come_out() {
    for (secret_key, public_key) in KEYS {
        assert_eq!(secret(secret_key).public_key(), public(public_key));
    }
    for (byte, expected, _) in SIGNATURES {
        for ((secret_key, public_key), expected) in KEYS.into_iter().zip(expected) {
            assert_eq!(secret(secret_key).sign(&root(byte)), signature(expected));
            assert!(verify(&public(public_key), &root(byte), &signature(expected)));
        }
    }
    // The smallest key: its public key is the generator.
    let one = secret("0000000000000000000000000000000000000000000000000000000000000001");
    assert_eq!(
        one.sign(&root(0x12)),
        signature(
            "a42ae16f1c2a5fa69c04cb5998d2add790764ce8dd45bf25b29b4700829232052b52352dcff1cf255b3a7810ad7269601810f03b2bc8b68cf289cf295b206770605a190b6842583e47c3d1c0f73c54907bfb2a602157d46a4353a20283018763"
        )
    );
}

#[test]
fn wrong_key_message_or_signature_does_not_verify() {
    let (_, signatures, _) = SIGNATURES[0];
    let (key, right) = (public(KEYS[0].1), signature(signatures[0]));
    assert!(verify(&key, &root(0), &right));
    assert!(!verify(&public(KEYS[1].1), &root(0), &right));
    assert!(!verify(&key, &root(1), &right));
    assert!(!verify(&key, &root(0), &signature(signatures[1])));

    // `verify_tampered_signature`: the last four bytes are 0xff.
    let mut tampered = *right.as_bytes();
    tampered[92..].fill(0xff);
    assert!(!verify(&key, &root(0), &Signature::new(tampered)));

    // `verify_infinity_pubkey_and_infinity_signature`: with infinity everything would hold.
    let (mut infinite_key, mut infinite) = ([0; 48], [0; 96]);
    infinite_key[0] = 0xc0;
    infinite[0] = 0xc0;
    assert!(!verify(&PublicKey::new(infinite_key), &root(0x12), &Signature::new(infinite)));
    assert!(!verify(&key, &root(0x12), &Signature::new(infinite)));
    assert!(!verify(&PublicKey::new(infinite_key), &root(0), &right));
}

#[test]
fn aggregates_of_the_consensus_specs_come_out() {
    let keys = KEYS.map(|(_, key)| public(key));
    for (byte, signatures, expected) in SIGNATURES {
        let sum = aggregate(&signatures.map(signature)).unwrap();
        assert_eq!(sum, signature(expected));
        assert!(verify_aggregate(&keys, &root(byte), &sum));
        // `fast_aggregate_verify_extra_pubkey`.
        assert!(!verify_aggregate(&[keys[0], keys[1], keys[2], keys[0]], &root(byte), &sum));
    }
    // `aggregate_na_signatures`, and what the specs leave to the caller: a member that is none.
    assert_eq!(aggregate(&[]), Err(AggregateError::Empty));
    let mut infinite = [0; 96];
    infinite[0] = 0xc0;
    let members = [signature(SIGNATURES[0].1[0]), Signature::new(infinite)];
    assert_eq!(
        aggregate(&members),
        Err(AggregateError::NotASignature { position: 1, source: PointError::Infinity })
    );
    // `fast_aggregate_verify_infinity_pubkey`.
    let mut infinite_key = [0; 48];
    infinite_key[0] = 0xc0;
    let sum = signature(SIGNATURES[0].2);
    let with_infinity = [keys[0], keys[1], keys[2], PublicKey::new(infinite_key)];
    assert!(!verify_aggregate(&with_infinity, &root(0), &sum));
    // Keys that cancel out: what is left is infinity.
    let mut opposite = *keys[0].as_bytes();
    opposite[0] ^= 0x20;
    let opposite = [keys[0], PublicKey::new(opposite)];
    assert!(!verify_aggregate(&opposite, &root(0), &sum));
    assert!(!verify_aggregate(&opposite, &root(0), &Signature::new(infinite)));
    // `fast_aggregate_verify_na_pubkeys_and_infinity_signature`.
    assert!(!verify_aggregate(&[], &root(0xab), &Signature::new(infinite)));
}

/// ethereum/bls12-381-tests `deserialization_G1`, `deserialization_G2`: refused forms.
#[test]
fn points_that_the_consensus_specs_refuse_are_refused() {
    let not_in_g1 = format!("81{}", "23456789abcdef01".repeat(6).get(..94).unwrap());
    let not_in_g2 = format!("81{}", "23456789abcdef01".repeat(12).get(..190).unwrap());
    let right = signature(SIGNATURES[0].1[0]);
    for key in [
        not_in_g1.as_str(),
        // Not on the curve.
        "8123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde0",
        // x is the field's modulus.
        "9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
        // No compression flag.
        "0491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a",
    ] {
        assert!(!verify(&public(key), &root(0), &right), "{key}");
    }
    let key = public(KEYS[0].1);
    for bytes in [
        not_in_g2.as_str(),
        // Infinity with the sign flag, and with a stray bit.
        &format!("e0{}", "00".repeat(95)),
        &format!("c0{}01", "00".repeat(94)),
    ] {
        assert!(!verify(&key, &root(0), &signature(bytes)), "{bytes}");
        assert!(aggregate(&[signature(bytes)]).is_err(), "{bytes}");
    }
}

/// What this test needs of a line of `sign-requests/*.jsonl`.
#[derive(Deserialize)]
struct SignedRequest {
    signing_root: Root,
    signature: Signature,
    pubkey: PublicKey,
}

/// The key that signed all of them.
const REQUESTS_KEY: &str = "3ee2224386c82ffea477e2adf28a2929f5c349165a4196158c7f3a2ecca40f35";

#[test]
fn signatures_of_recorded_requests_come_out() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/sign-requests");
    let Ok(files) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no vectors in {}", folder.display());
        return;
    };
    let key = secret(REQUESTS_KEY);
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            let request: SignedRequest = serde_json::from_str(line).unwrap();
            assert_eq!(key.public_key(), request.pubkey);
            assert_eq!(key.sign(&request.signing_root), request.signature, "{line}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no request in {}", folder.display());
}
