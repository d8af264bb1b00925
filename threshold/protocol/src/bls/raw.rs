//! The one module that calls blst's raw functions: safe wrappers and nothing else.
//!
//! Every raw call gets references to values of the exact C layout (blst's own `repr(C)` types and
//! arrays of the length its header names), reads and writes only through them and keeps no pointer, so
//! each block is sound for any value; what the *values* have to satisfy to be meaningful is said at the
//! wrapper.
#![expect(
    unsafe_code,
    reason = "blst has no safe form of scalar arithmetic, point addition or signing a hashed message"
)]

use std::ptr;

use blst::{BLST_ERROR, MultiPoint, blst_fp12, blst_p1, blst_p2, blst_scalar, min_pk, p2_affines};
use zeroize::Zeroizing;

/// A point of E1; in G1 and not infinity wherever this crate keeps one.
pub(super) type G1Affine = blst::blst_p1_affine;
/// A point of E2; in G2 only where that was checked ([`g2_in_group`]).
pub(super) type G2Affine = blst::blst_p2_affine;

/// The ciphersuite of Ethereum's signatures (consensus-specs, phase0 beacon chain, "BLS signatures").
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes are not a usable public key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Flags or coordinates are not those of a compressed point.
    #[error("not the encoding of a compressed point")]
    Encoding,
    /// No point of the curve has this x coordinate.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// The point is outside of the subgroup of prime order.
    #[error("the point is not in the subgroup")]
    NotInGroup,
    /// The neutral element, which is no key and no signature by one.
    #[error("the point is infinity")]
    Infinity,
}

impl From<BLST_ERROR> for PointError {
    fn from(error: BLST_ERROR) -> Self {
        match error {
            BLST_ERROR::BLST_POINT_NOT_ON_CURVE => Self::NotOnCurve,
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::NotInGroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Infinity,
            _ => Self::Encoding,
        }
    }
}

/// Reads a public key: on the curve, in G1, not infinity (draft-irtf-cfrg-bls-signature `KeyValidate`).
pub(super) fn g1_key(bytes: &[u8; 48]) -> Result<G1Affine, PointError> {
    Ok(min_pk::PublicKey::key_validate(bytes)?.into())
}

/// Compresses a point of G1.
pub(super) fn g1_bytes(point: &G1Affine) -> [u8; 48] {
    min_pk::PublicKey::from(*point).compress()
}

/// Reads a signature: on the curve and not infinity. The subgroup is **not** checked.
pub(super) fn g2_on_curve(bytes: &[u8; 96]) -> Result<G2Affine, PointError> {
    let point: G2Affine = min_pk::Signature::uncompress(bytes)?.into();
    // SAFETY: reads one initialised point.
    if unsafe { blst::blst_p2_affine_is_inf(&point) } {
        return Err(PointError::Infinity);
    }
    Ok(point)
}

/// Compresses a point of E2.
pub(super) fn g2_bytes(point: &G2Affine) -> [u8; 96] {
    min_pk::Signature::from(*point).compress()
}

/// Whether a point of E2 is in the subgroup of prime order and not infinity.
pub(super) fn g2_in_group(point: &G2Affine) -> bool {
    min_pk::Signature::from(*point).validate(true).is_ok()
}

/// Hashes a message to G2 (RFC 9380, with the ciphersuite's tag).
pub(super) fn hash_to_g2(message: &[u8]) -> G2Affine {
    let mut point = blst_p2::default();
    // SAFETY: writes one point; reads `message` and `DST` within their lengths; no augmentation.
    unsafe {
        blst::blst_hash_to_g2(
            &mut point,
            message.as_ptr(),
            message.len(),
            DST.as_ptr(),
            DST.len(),
            ptr::null(),
            0,
        );
    }
    G2Projective(point).to_affine()
}

/// Whether `e(key, hash) = e(G1 generator, signature)`, for points in their subgroups.
///
/// False if `key` or `signature` is infinity: blst's Miller loop has no meaning there.
pub(super) fn pairing_holds(key: &G1Affine, hash: &G2Affine, signature: &G2Affine) -> bool {
    // SAFETY: reads two initialised points.
    let infinite =
        unsafe { blst::blst_p1_affine_is_inf(key) || blst::blst_p2_affine_is_inf(signature) };
    if infinite {
        return false;
    }
    // SAFETY: a constant that blst exports.
    let negative_generator = unsafe { blst::BLS12_381_NEG_G1 };
    blst_fp12::miller_loop_n(&[*hash, *signature], &[*key, negative_generator]).final_exp()
        == blst_fp12::default()
}

/// Whether the product of all `e(key, hash)` is `e(G1 generator, signature)`, for points in their
/// subgroups.
///
/// False if a key or the signature is infinity: blst's Miller loop has no meaning there.
pub(super) fn pairings_hold(pairs: &[(G1Affine, G2Affine)], signature: &G2Affine) -> bool {
    // SAFETY: reads one initialised point.
    let key_is_infinite = pairs.iter().any(|(key, _)| unsafe { blst::blst_p1_affine_is_inf(key) });
    // SAFETY: reads one initialised point.
    if key_is_infinite || unsafe { blst::blst_p2_affine_is_inf(signature) } {
        return false;
    }
    // SAFETY: a constant that blst exports.
    let negative_generator = unsafe { blst::BLS12_381_NEG_G1 };
    let (keys, hashes): (Vec<_>, Vec<_>) =
        pairs.iter().copied().chain([(negative_generator, *signature)]).unzip();
    blst_fp12::miller_loop_n(&hashes, &keys).final_exp() == blst_fp12::default()
}

/// The sum of scalar times point, 64-bit scalars; `None` unless there are equally many, at least one.
pub(super) fn g1_multi_scalar(points: &[G1Affine], scalars: &[u64]) -> Option<G1Affine> {
    let scalars = little_endian(points.len(), scalars)?;
    let sum = points.mult(&scalars, 64);
    Some(G1Projective(sum).to_affine())
}

/// The sum of scalar times point, 64-bit scalars; `None` unless there are equally many, at least one.
pub(super) fn g2_multi_scalar(points: &[G2Affine], scalars: &[u64]) -> Option<G2Affine> {
    let scalars = little_endian(points.len(), scalars)?;
    let sum = points.mult(&scalars, 64);
    Some(G2Projective(sum).to_affine())
}

fn little_endian(points: usize, scalars: &[u64]) -> Option<Vec<u8>> {
    (points > 0 && points == scalars.len())
        .then(|| scalars.iter().flat_map(|scalar| scalar.to_le_bytes()).collect())
}

/// A number modulo the group order r; wiped on drop (blst's scalar is), never shown or compared.
pub(super) struct Scalar(blst_scalar);

impl Scalar {
    /// Reads a big-endian number from 1 to r - 1; `None` for anything else.
    pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut scalar = blst_scalar::default();
        // SAFETY: writes one scalar, reads 32 bytes.
        unsafe { blst::blst_scalar_from_bendian(&mut scalar, bytes.as_ptr()) };
        // SAFETY: reads one initialised scalar.
        unsafe { blst::blst_sk_check(&scalar) }.then_some(Self(scalar))
    }

    /// Reduces 48 big-endian bytes modulo r, which leaves a bias of 2^-128; `None` if that is 0.
    pub(super) fn from_wide_be_bytes(bytes: &[u8; 48]) -> Option<Self> {
        let mut scalar = blst_scalar::default();
        // SAFETY: writes one scalar, reads the 48 bytes whose number is given.
        unsafe { blst::blst_scalar_from_be_bytes(&mut scalar, bytes.as_ptr(), bytes.len()) }
            .then_some(Self(scalar))
    }

    /// A number below 2^128, which is below r.
    pub(super) fn from_u128(number: u128) -> Self {
        let mut scalar = blst_scalar::default();
        for (byte, value) in scalar.b.iter_mut().zip(number.to_le_bytes()) {
            *byte = value;
        }
        Self(scalar)
    }

    /// A signed number, negative ones as r - |number|.
    pub(super) fn from_i128(number: i128) -> Self {
        let magnitude = Self::from_u128(number.unsigned_abs());
        if number < 0 { Self::from_u128(0).minus(&magnitude) } else { magnitude }
    }

    /// The hierarchical key derivation's master key (EIP-2333 `derive_master_SK`), never 0.
    pub(super) fn derive_master(seed: &[u8; 32]) -> Self {
        let mut scalar = blst_scalar::default();
        // SAFETY: writes one scalar, reads 32 bytes, the least that the function accepts.
        unsafe { blst::blst_derive_master_eip2333(&mut scalar, seed.as_ptr(), seed.len()) };
        Self(scalar)
    }

    /// 32 big-endian bytes.
    pub(super) fn to_be_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        // SAFETY: writes 32 bytes, reads one scalar.
        unsafe { blst::blst_bendian_from_scalar(bytes.as_mut_ptr(), &self.0) };
        bytes
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = blst_scalar::default();
        // SAFETY: writes one scalar, reads two. The answer (is it not 0) is of no interest here.
        let _ = unsafe { blst::blst_sk_add_n_check(&mut sum, &self.0, &other.0) };
        Self(sum)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut difference = blst_scalar::default();
        // SAFETY: writes one scalar, reads two. The answer (is it not 0) is of no interest here.
        let _ = unsafe { blst::blst_sk_sub_n_check(&mut difference, &self.0, &other.0) };
        Self(difference)
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = blst_scalar::default();
        // SAFETY: writes one scalar, reads two. The answer (is it not 0) is of no interest here.
        let _ = unsafe { blst::blst_sk_mul_n_check(&mut product, &self.0, &other.0) };
        Self(product)
    }

    /// `1 / self`; 0 for 0.
    pub(super) fn inverse(&self) -> Self {
        let mut inverse = blst_scalar::default();
        // SAFETY: writes one scalar, reads one.
        unsafe { blst::blst_sk_inverse(&mut inverse, &self.0) };
        Self(inverse)
    }

    /// `self` times the generator of G1, in constant time.
    pub(super) fn public_key(&self) -> G1Affine {
        let mut point = G1Affine::default();
        // SAFETY: writes one point and, the first pointer being null, no serialised form; reads one
        // scalar.
        unsafe { blst::blst_sk_to_pk2_in_g1(ptr::null_mut(), &mut point, &self.0) };
        point
    }

    /// `self` times a hashed message, in constant time.
    pub(super) fn sign(&self, hash: &G2Affine) -> G2Affine {
        let mut message = blst_p2::default();
        let mut point = G2Affine::default();
        // SAFETY: writes one point, reads one.
        unsafe { blst::blst_p2_from_affine(&mut message, hash) };
        // SAFETY: writes one point and, the first pointer being null, no serialised form; reads one
        // point and one scalar.
        unsafe { blst::blst_sign_pk2_in_g1(ptr::null_mut(), &mut point, &message, &self.0) };
        point
    }
}

/// A sum in G1 that is being built.
#[derive(Clone)]
pub(super) struct G1Projective(blst_p1);

impl G1Projective {
    pub(super) fn from_affine(point: &G1Affine) -> Self {
        let mut projective = blst_p1::default();
        // SAFETY: writes one point, reads one.
        unsafe { blst::blst_p1_from_affine(&mut projective, point) };
        Self(projective)
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = blst_p1::default();
        // SAFETY: writes one point, reads two.
        unsafe { blst::blst_p1_add_or_double(&mut sum, &self.0, &other.0) };
        Self(sum)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut negative = other.0;
        // SAFETY: changes one point in place.
        unsafe { blst::blst_p1_cneg(&mut negative, true) };
        self.plus(&Self(negative))
    }

    /// `scalar` times the point, which has to be in G1.
    pub(super) fn times(&self, scalar: &Scalar) -> Self {
        let mut product = blst_p1::default();
        // SAFETY: writes one point, reads one, and 255 bits of a scalar of 32 bytes.
        unsafe { blst::blst_p1_mult(&mut product, &self.0, scalar.0.b.as_ptr(), 255) };
        Self(product)
    }

    pub(super) fn is_infinity(&self) -> bool {
        // SAFETY: reads one point.
        unsafe { blst::blst_p1_is_inf(&self.0) }
    }

    pub(super) fn to_affine(&self) -> G1Affine {
        let mut affine = G1Affine::default();
        // SAFETY: writes one point, reads one.
        unsafe { blst::blst_p1_to_affine(&mut affine, &self.0) };
        affine
    }
}

/// A sum in E2 that is being built.
pub(super) struct G2Projective(blst_p2);

impl G2Projective {
    /// The neutral element.
    pub(super) const INFINITY: Self = Self(ZERO_P2);

    pub(super) fn double(&mut self) {
        let point = self.0;
        // SAFETY: writes one point, reads another.
        unsafe { blst::blst_p2_double(&mut self.0, &point) };
    }

    pub(super) fn add(&mut self, other: &G2Affine) {
        let point = self.0;
        // SAFETY: writes one point, reads two others. This addition also doubles, so equal points
        // from two peers cannot derail it.
        unsafe { blst::blst_p2_add_or_double_affine(&mut self.0, &point, other) };
    }

    pub(super) fn subtract(&mut self, other: &G2Affine) {
        let mut negative = *other;
        // SAFETY: writes one field element, reads another.
        unsafe { blst::blst_fp2_cneg(&mut negative.y, &other.y, true) };
        self.add(&negative);
    }

    pub(super) fn to_affine(&self) -> G2Affine {
        let mut affine = G2Affine::default();
        // SAFETY: writes one point, reads one.
        unsafe { blst::blst_p2_to_affine(&mut affine, &self.0) };
        affine
    }
}

const ZERO_P2: blst_p2 = {
    let zero = blst::blst_fp2 { fp: [blst::blst_fp { l: [0; 6] }; 2] };
    blst_p2 { x: zero, y: zero, z: zero }
};

/// The affine forms, with one inversion for all.
pub(super) fn g2_to_affine(points: &[G2Projective]) -> Vec<G2Affine> {
    if points.is_empty() {
        return Vec::new();
    }
    let points: Vec<blst_p2> = points.iter().map(|point| point.0).collect();
    p2_affines::from(&points).as_slice().to_vec()
}

/// The sum of points of G1; infinity for none.
pub(super) fn g1_sum(points: &[G1Affine]) -> G1Affine {
    if points.is_empty() {
        return G1Affine::default();
    }
    G1Projective(points.add()).to_affine()
}

/// The sum of points of E2; infinity for none.
pub(super) fn g2_sum(points: &[G2Affine]) -> G2Affine {
    if points.is_empty() {
        return G2Affine::default();
    }
    G2Projective(points.add()).to_affine()
}
