//! BLS public keys, signatures and commitments as bytes of checked length. Whether the bytes are a point of the
//! curve is checked where they are used (`threshold-protocol`'s `bls`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::primitives::fixed_bytes;

fixed_bytes!(
    /// A compressed BLS12-381 public key (G1, 48 bytes).
    PublicKey,
    48
);
fixed_bytes!(
    /// A compressed BLS12-381 signature (G2, 96 bytes).
    Signature,
    96
);
fixed_bytes!(
    /// A compressed commitment to a blob (G1, 48 bytes).
    KzgCommitment,
    48
);
