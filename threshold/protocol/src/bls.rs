//! BLS12-381 threshold signatures: the one place of the workspace that does curve arithmetic.
//!
//! The scheme is Ethereum's (consensus-specs, `BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_`): public
//! keys in G1 (48 bytes compressed), signatures in G2 (96 bytes compressed), messages are 32-byte
//! signing roots.
//!
//! # Sharing
//! A validator key is `f(0)` of a polynomial `f` of degree t-1; operator i holds the Shamir share
//! `f(i)`, i from 1 to n. That is what keystores and cluster locks contain ([`SecretShare`], public
//! shares), and any other tool can read it.
//!
//! # Scaling, which is Synod's own
//! Interpolating t signatures at 0 takes Lagrange coefficients, which are fractions modulo r and so
//! cost a full-width multiplication each. Their common denominator `D` depends on (n, t) only
//! ([`Threshold::denominator`]): 3 for (4, 3), 360 for (7, 5). A node therefore multiplies its share by
//! `D^-1` once, when it loads it ([`SigningShare`]), and signs with that: `D * lambda_i` are small
//! signed integers, and [`combine()`] is a short double-and-add. **A partial signature on the wire is one
//! by the scaled share**; it verifies against the scaled public share, which [`PublicShares`] keeps.
//!
//! # Which call
//! | to | call |
//! | --- | --- |
//! | make or read a whole key | [`SecretKey::generate`], [`SecretKey::from_bytes`] |
//! | split it, put it together | [`split`], [`recover_secret`] |
//! | check a cluster lock's public shares | [`PublicShares::new`], [`check_public_shares`] |
//! | sign with whole keys, checked | [`sign_verified`] |
//! | sign as one operator | [`SigningShare::sign`] |
//! | turn partials of one root into verified signatures | [`combine_and_verify`] |
//! | check one partial of a peer that lied before | [`PublicShares::verify_partial`] |
//! | check a finished signature | [`verify()`], [`verify_aggregate`] |
//!
//! # Side channels
//! What touches a secret (deriving, splitting, scaling, public keys, signing) is blst's constant-time
//! arithmetic. Combining and verifying work on public data and take shortcuts.
//!
//! # Purity
//! Randomness and the seed of random coefficients are arguments; nothing here reads a clock, starts a
//! thread or touches the operating system.

mod batch;
mod combine;
mod combine_batch;
mod keys;
mod lagrange;
mod message;
mod public_shares;
mod raw;
mod sharing;
mod signing;
mod threshold;
mod verify;
mod whole_key;

pub use combine::{CombineError, combine};
pub use combine_batch::{CombineFailure, CombineItem, Verified, combine_and_verify};
pub use keys::{KeyError, SecretKey};
pub use message::{HashedMessage, Message};
pub use public_shares::{PublicShares, PublicSharesError, check_public_shares, recover_public_key};
pub use raw::PointError;
pub use sharing::{RecoverError, SecretShare, SplitError, recover_secret, split};
pub use signing::{PartialSignature, SigningShare};
pub use threshold::{MAX_OPERATORS, ShareIndex, Threshold, ThresholdError};
pub use verify::{AggregateError, aggregate, verify, verify_aggregate};
pub use whole_key::{SigningKey, sign_verified};
