//! Merkle proofs (consensus-specs `phase0/beacon-chain.md`, `is_valid_merkle_branch`, with generalized
//! indices as in `ssz/merkle-proofs.md`).

use crate::primitives::Root;

/// Whether `branch` leads from `leaf`, the node with generalized index `index`, to `root`; the lowest
/// sibling comes first. The branch has to have exactly as many siblings as the index is deep.
#[must_use]
pub fn is_valid_branch(leaf: Root, branch: &[Root], index: u64, root: Root) -> bool {
    if Some(branch.len()) != depth(index) {
        return false;
    }
    let mut node = leaf.into_bytes();
    let mut index = index;
    for sibling in branch {
        node = if index & 1 == 1 {
            ethereum_hashing::hash32_concat(sibling.as_bytes(), &node)
        } else {
            ethereum_hashing::hash32_concat(&node, sibling.as_bytes())
        };
        index >>= 1;
    }
    Root::new(node) == root
}

/// How far below the root a generalized index is; `None` for 0, which is none.
#[must_use]
pub fn depth(index: u64) -> Option<usize> {
    usize::try_from(index.checked_ilog2()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(left: Root, right: Root) -> Root {
        Root::new(ethereum_hashing::hash32_concat(left.as_bytes(), right.as_bytes()))
    }

    /// A tree of four leaves, whose generalized indices are 4 to 7.
    #[test]
    fn each_leaf_has_its_own_branch() {
        let leaves = [1, 2, 3, 4].map(|byte| Root::new([byte; 32]));
        let [a, b, c, d] = leaves;
        let (left, right) = (hash(a, b), hash(c, d));
        let root = hash(left, right);
        let branches = [[b, right], [a, right], [d, left], [c, left]];
        for (position, (leaf, branch)) in (4_u64..).zip(leaves.into_iter().zip(branches)) {
            for index in 0..16 {
                let valid = is_valid_branch(leaf, &branch, index, root);
                assert_eq!(valid, index == position, "leaf {position} at {index}");
            }
            assert!(!is_valid_branch(leaf, &branch[..1], position, root));
            assert!(!is_valid_branch(leaf, &branch, position, left));
        }
        assert!(is_valid_branch(root, &[], 1, root));
        assert!(!is_valid_branch(root, &[], 0, root));
    }
}
