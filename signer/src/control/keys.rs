//! Which validator a key in somebody's file is.

use std::collections::HashMap;
use std::sync::Arc;

use eth_types::PublicKey;
use threshold::cluster_file::VerifiedLock;
use threshold_protocol::OperatorIndex;

/// The keys of a signer.
///
/// In a cluster a validator has many: its own, and the public key of each operator's share, under which
/// Charon's validator clients and Dirk's distributed accounts keep their records. All of them are true
/// records of the validator, whoever's share they are of: taking them over makes a node stricter, never
/// laxer.
#[derive(Debug, Clone)]
pub struct KeyMap(Option<Arc<HashMap<PublicKey, KeyOwner>>>);

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// The validator.
    pub validator: PublicKey,
    /// The operator, if the key is the public key of a share.
    pub share_of: Option<OperatorIndex>,
}

impl KeyMap {
    /// Any key is a validator's own: for a signer with whole keys, which may come after their records.
    #[must_use]
    pub const fn any() -> Self {
        Self(None)
    }

    /// The validators of a cluster and their shares.
    #[must_use]
    pub fn of_lock(lock: &VerifiedLock) -> Self {
        let mut owners = HashMap::new();
        for validator in lock.validators() {
            let key = validator.public_key();
            owners.insert(key, KeyOwner { validator: key, share_of: None });
            for (share, operator) in validator.public_shares().iter().zip(0..) {
                let share_of = Some(OperatorIndex::new(operator));
                owners.insert(*share, KeyOwner { validator: key, share_of });
            }
        }
        Self(Some(Arc::new(owners)))
    }

    /// Whose `key` is; `None` if it is nobody's here.
    #[must_use]
    pub fn owner(&self, key: &PublicKey) -> Option<KeyOwner> {
        match &self.0 {
            None => Some(KeyOwner { validator: *key, share_of: None }),
            Some(owners) => owners.get(key).copied(),
        }
    }
}
