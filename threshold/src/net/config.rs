//! What the network is started with, and the roster that comes out of checking it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use libp2p::identity::{Keypair, PublicKey, secp256k1};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use threshold_protocol::OperatorIndex;
use zeroize::Zeroizing;

use super::addresses::{is_circuit, without_peer_id};
use super::error::NetError;

/// One operator of the cluster lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its position in the lock.
    pub index: OperatorIndex,
    /// The key of its ENR: a compressed secp256k1 point.
    pub public_key: [u8; 33],
}

/// What [`start`](super::start) needs to know.
pub struct NetConfig {
    /// The secret key of this node's ENR.
    pub identity: Zeroizing<[u8; 32]>,
    /// This node's position in the lock.
    pub me: OperatorIndex,
    /// All operators of the lock, this node among them.
    pub peers: Vec<PeerInfo>,
    /// The lock's hash; nodes of another lock are refused.
    pub lock_hash: [u8; 32],
    /// Where to listen, over TCP and, on the same port, over QUIC (`--p2p-tcp-address`). Port 0
    /// lets the system choose one.
    pub listen: Vec<SocketAddr>,
    /// An address under which the node is reached from outside (`--p2p-external-ip`).
    pub external_ip: Option<IpAddr>,
    /// A name under which the node is reached from outside (`--p2p-external-hostname`).
    pub external_hostname: Option<String>,
    /// Circuit relays, each ending with `/p2p/..` (`--p2p-relays`).
    pub relays: Vec<Multiaddr>,
    /// Addresses of other operators, each ending with `/p2p/..` (`--p2p-peers`). This node's own
    /// may be among them, so that all nodes can be given one list.
    pub static_peers: Vec<Multiaddr>,
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("identity", &"<redacted>")
            .field("me", &self.me)
            .field("peers", &self.peers)
            .field("lock_hash", &hex::encode(self.lock_hash))
            .field("listen", &self.listen)
            .field("external_ip", &self.external_ip)
            .field("external_hostname", &self.external_hostname)
            .field("relays", &self.relays)
            .field("static_peers", &self.static_peers)
            .finish()
    }
}

/// The libp2p identity that belongs to an ENR's public key.
///
/// # Errors
/// The bytes are no compressed secp256k1 point.
pub fn peer_id(public_key: &[u8; 33]) -> Result<PeerId, libp2p::identity::DecodingError> {
    let key = secp256k1::PublicKey::try_from_bytes(public_key)?;
    Ok(PublicKey::from(key).to_peer_id())
}

/// The checked configuration: who is who, and where.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) me: OperatorIndex,
    /// The other operators.
    pub(super) peers: BTreeMap<OperatorIndex, RosterPeer>,
    pub(super) by_peer_id: HashMap<PeerId, OperatorIndex>,
    /// Without `/p2p/..` at the end, with the relay's identity beside it.
    pub(super) relays: Vec<(PeerId, Multiaddr)>,
}

/// Another operator.
#[derive(Debug)]
pub(super) struct RosterPeer {
    pub(super) peer_id: PeerId,
    /// Configured addresses, without `/p2p/..` at the end.
    pub(super) addresses: Vec<Multiaddr>,
}

/// Turns the secret into libp2p's key pair and checks everything else.
pub(super) fn check(config: &NetConfig) -> Result<(Keypair, Roster), NetError> {
    let keypair = keypair(config)?;
    let mut roster = operators(config)?;
    for address in &config.static_peers {
        let Some(id) = last_peer_id(address) else {
            return Err(NetError::Address {
                address: address.clone(),
                problem: "of --p2p-peers has to end with /p2p/ and the peer's identity",
            });
        };
        if id == keypair.public().to_peer_id() {
            continue;
        }
        let known = roster.by_peer_id.get(&id).and_then(|index| roster.peers.get_mut(index));
        let Some(peer) = known else {
            return Err(NetError::Address {
                address: address.clone(),
                problem: "of --p2p-peers names a peer that is not in the cluster lock",
            });
        };
        peer.addresses.push(without_peer_id(address));
    }
    for address in &config.relays {
        let Some(id) = last_peer_id(address).filter(|_| !is_circuit(address)) else {
            return Err(NetError::Address {
                address: address.clone(),
                problem: "of --p2p-relays has to be a relay's own and to end with /p2p/ and its id",
            });
        };
        roster.relays.push((id, without_peer_id(address)));
    }
    Ok((keypair, roster))
}

fn keypair(config: &NetConfig) -> Result<Keypair, NetError> {
    // `try_from_bytes` wipes the copy it is given.
    let mut secret = Zeroizing::new(*config.identity);
    let secret =
        secp256k1::SecretKey::try_from_bytes(secret.as_mut_slice()).map_err(NetError::Identity)?;
    let keypair = secp256k1::Keypair::from(secret);
    let own = config.peers.iter().find(|peer| peer.index == config.me);
    let Some(own) = own else {
        return Err(NetError::NotAnOperator { me: config.me, operators: config.peers.len() });
    };
    let got = keypair.public().to_bytes();
    if own.public_key != got {
        return Err(NetError::ForeignIdentity { me: config.me, expected: own.public_key, got });
    }
    Ok(keypair.into())
}

fn operators(config: &NetConfig) -> Result<Roster, NetError> {
    let mut peers = BTreeMap::new();
    let mut by_peer_id = HashMap::new();
    let mut seen: HashMap<OperatorIndex, PeerId> = HashMap::new();
    for info in &config.peers {
        let id = peer_id(&info.public_key)
            .map_err(|source| NetError::PublicKey { operator: info.index, source })?;
        let same_key = by_peer_id.insert(id, info.index);
        let same_index = seen.insert(info.index, id).map(|_| info.index);
        if let Some(first) = same_key.or(same_index) {
            return Err(NetError::DuplicateOperator { first, second: info.index });
        }
        if info.index != config.me {
            peers.insert(info.index, RosterPeer { peer_id: id, addresses: Vec::new() });
        }
    }
    Ok(Roster { me: config.me, peers, by_peer_id, relays: Vec::new() })
}

fn last_peer_id(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(id)) => Some(id),
        _ => None,
    }
}
