//! Partial signatures and signatures as hashes: what a share makes of a root, and what a threshold of
//! good partials makes of them.

use eth_types::{Root, Signature};
use sha2::{Digest, Sha256};
use threshold_protocol::bls::PartialSignature;
use threshold_protocol::engine::{Combination, CombineJob};
use threshold_protocol::{KeyIndex, OperatorIndex, OperatorSet};

/// What an operator's share makes of a root.
pub(crate) fn partial(
    operator: OperatorIndex,
    root: Root,
    validator: KeyIndex,
) -> PartialSignature {
    PartialSignature::new(bytes(&[1, operator.get()], root, validator))
}

/// The signature of a validator.
pub(crate) fn signature(root: Root, validator: KeyIndex) -> Signature {
    Signature::new(bytes(&[2], root, validator))
}

/// Combines first and looks for culprits only if that fails, as the real one does.
pub(crate) fn combine(root: Root, job: &CombineJob, threshold: usize) -> Combination {
    let CombineJob { validator, partials } = job;
    let is_good = |operator: OperatorIndex, bytes: PartialSignature| {
        bytes == partial(operator, root, *validator)
    };
    assert!(partials.len() >= threshold, "fewer partials than the threshold to combine");
    if partials.iter().take(threshold).all(|(operator, bytes)| is_good(*operator, *bytes)) {
        let signature = Some(signature(root, *validator));
        return Combination { signature, culprits: OperatorSet::EMPTY };
    }
    let bad = partials.iter().filter(|(operator, bytes)| !is_good(*operator, *bytes));
    let culprits: OperatorSet = bad.map(|(operator, _)| *operator).collect();
    let enough = partials.len() - culprits.len() >= threshold;
    Combination { signature: enough.then(|| signature(root, *validator)), culprits }
}

fn bytes(what: &[u8], root: Root, validator: KeyIndex) -> [u8; 96] {
    let mut bytes = [0; 96];
    for (part, chunk) in (0_u8..).zip(bytes.chunks_mut(32)) {
        let mut hash = Sha256::new();
        hash.update(what);
        hash.update(root.as_bytes());
        hash.update(validator.get().to_le_bytes());
        hash.update([part]);
        chunk.copy_from_slice(&hash.finalize());
    }
    bytes
}
