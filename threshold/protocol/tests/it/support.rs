//! What the tests of agreement and of whole clusters share: a network, identities without elliptic
//! curves, and duties by a letter.

use eth_types::containers::{AttestationData, BeaconBlockHeader, Checkpoint};
use eth_types::duty::{Duty, Message};
use eth_types::fork::{Fork, ForkInfo};
use eth_types::network::Network;
use eth_types::{Epoch, Root, Slot};
use sha2::{Digest, Sha256};
use threshold_protocol::OperatorIndex;
use threshold_protocol::identity::{Authenticator, IdentitySignature};

/// The first slot of an epoch in Fulu, the current fork of hoodi. It is a multiple of 4 and of 3, so
/// that leaders are easy to name: operator 0 is in turn.
pub(crate) const SLOT: Slot = Slot::new(EPOCH.as_u64() * 32);

/// The epoch of [`SLOT`].
pub(crate) const EPOCH: Epoch = Epoch::new(60_000);

/// The lock hash of the cluster.
pub(crate) const LOCK_HASH: Root = Root::new([0xcc; 32]);

/// The network of all these tests: real fork epochs, slots of 12 s.
pub(crate) fn hoodi() -> Network {
    Network::by_name("hoodi").unwrap()
}

/// A duty of the network, under the fork version of its epoch.
pub(crate) fn duty(message: Message, network: &Network) -> Duty {
    let epoch = message.epoch(network).unwrap_or(EPOCH);
    let version = network.fork_version_at(epoch).unwrap();
    let fork = Fork { previous_version: version, current_version: version, epoch: Epoch::new(0) };
    let genesis_validators_root = network.genesis_validators_root();
    Duty::new(message, Some(&ForkInfo { fork, genesis_validators_root }), network).unwrap()
}

/// Attestation data of a slot: `head` makes the difference between two views of the chain.
pub(crate) fn attestation(slot: Slot, head: u64, source: Epoch, network: &Network) -> Duty {
    let target = slot.epoch(network.slots_per_epoch());
    let data = AttestationData {
        slot,
        index: 0,
        beacon_block_root: root_of("head", head),
        source: Checkpoint { epoch: source, root: root_of("checkpoint", source.as_u64()) },
        target: Checkpoint { epoch: target, root: root_of("checkpoint", target.as_u64()) },
    };
    duty(Message::Attestation(data), network)
}

/// A block of a slot: `body` makes the difference between two of them.
pub(crate) fn block(slot: Slot, proposer: u64, body: u64, network: &Network) -> Duty {
    let header = BeaconBlockHeader {
        slot,
        proposer_index: proposer,
        parent_root: root_of("block", slot.as_u64()),
        state_root: root_of("state", body),
        body_root: root_of("body", body),
    };
    duty(Message::Block(header), network)
}

/// A root that stands for the so-many-th thing of its kind.
pub(crate) fn root_of(kind: &str, number: u64) -> Root {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(number.to_le_bytes());
    Root::new(hash.finalize().into())
}

/// An operator's identity with a hash in place of a signature. Whoever holds one signs as that
/// operator and nobody else; a test that forges has to take another operator's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashIdentity(pub(crate) OperatorIndex);

impl HashIdentity {
    fn signature(operator: OperatorIndex, digest: &[u8; 32]) -> IdentitySignature {
        let mut hash = Sha256::new();
        hash.update([operator.get()]);
        hash.update(digest);
        let half: [u8; 32] = hash.finalize().into();
        let mut signature = [0; IdentitySignature::LEN];
        signature[..32].copy_from_slice(&half);
        signature[32..].copy_from_slice(&half);
        IdentitySignature(signature)
    }
}

impl Authenticator for HashIdentity {
    fn sign(&self, digest: &[u8; 32]) -> IdentitySignature {
        Self::signature(self.0, digest)
    }

    fn verify(
        &self,
        operator: OperatorIndex,
        digest: &[u8; 32],
        signature: &IdentitySignature,
    ) -> bool {
        Self::signature(operator, digest) == *signature
    }
}
