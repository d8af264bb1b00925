//! Nodes for the network's tests, and patience that only bounds a hang.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use libp2p::identity::{Keypair, secp256k1};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use threshold::net::{
    FrameTag, NetConfig, NetError, NetEvent, NetHandle, PeerInfo, SendOutcome, start,
};
use threshold_protocol::OperatorIndex;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Nothing here takes a tenth of it; a test that waits so long hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An ordinary tag.
pub const TAG: FrameTag = FrameTag { slot: 1, urgent: false };

/// The keys of a cluster.
pub struct Keys {
    pub secrets: Vec<[u8; 32]>,
    pub lock_hash: [u8; 32],
}

impl Keys {
    pub fn new(operators: u8) -> Self {
        Self { secrets: (1..=operators).map(|n| [n; 32]).collect(), lock_hash: [0xaa; 32] }
    }

    pub fn keypair(&self, operator: usize) -> Keypair {
        keypair(self.secrets[operator])
    }

    pub fn peer_id(&self, operator: usize) -> PeerId {
        self.keypair(operator).public().to_peer_id()
    }

    pub fn operators(&self) -> Vec<PeerInfo> {
        let keys = self.secrets.iter().enumerate();
        keys.map(|(n, secret)| PeerInfo { index: index(n), public_key: public_key(*secret) })
            .collect()
    }

    /// Loopback, any port, no addresses of others.
    pub fn config(&self, operator: usize) -> NetConfig {
        NetConfig {
            identity: Zeroizing::new(self.secrets[operator]),
            me: index(operator),
            peers: self.operators(),
            lock_hash: self.lock_hash,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            external_ip: None,
            external_hostname: None,
            relays: Vec::new(),
            static_peers: Vec::new(),
        }
    }

    /// The TCP address of a node of this cluster.
    pub fn tcp(&self, operator: usize, socket: SocketAddr) -> Multiaddr {
        tcp(socket).with(Protocol::P2p(self.peer_id(operator)))
    }

    /// The QUIC address of a node of this cluster.
    pub fn quic(&self, operator: usize, socket: SocketAddr) -> Multiaddr {
        Multiaddr::from(socket.ip())
            .with(Protocol::Udp(socket.port()))
            .with(Protocol::QuicV1)
            .with(Protocol::P2p(self.peer_id(operator)))
    }
}

pub fn keypair(secret: [u8; 32]) -> Keypair {
    let mut secret = secret;
    secp256k1::Keypair::from(secp256k1::SecretKey::try_from_bytes(&mut secret).unwrap()).into()
}

pub fn public_key(secret: [u8; 32]) -> [u8; 33] {
    let mut secret = secret;
    let secret = secp256k1::SecretKey::try_from_bytes(&mut secret).unwrap();
    secp256k1::Keypair::from(secret).public().to_bytes()
}

pub fn index(operator: usize) -> OperatorIndex {
    OperatorIndex::new(u8::try_from(operator).unwrap())
}

pub fn tcp(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

/// A running node and what it was told.
pub struct Node {
    pub handle: NetHandle,
    pub events: mpsc::Receiver<NetEvent>,
}

impl Node {
    pub async fn start(config: NetConfig) -> Self {
        Self::try_start(config).await.unwrap()
    }

    pub async fn try_start(config: NetConfig) -> Result<Self, NetError> {
        let (handle, events) = start(config).await?;
        Ok(Self { handle, events })
    }

    pub fn socket(&self) -> SocketAddr {
        self.handle.listen_addresses()[0]
    }

    pub async fn event(&mut self) -> NetEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event within the patience").expect("the network runs")
    }

    /// The next event that the test looks for; the others are dropped.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(&NetEvent) -> Option<T>) -> T {
        loop {
            let event = self.event().await;
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    pub async fn until_connected(&mut self, to: usize) {
        let wanted = NetEvent::Connected { peer: index(to) };
        self.until(|event| (*event == wanted).then_some(())).await;
    }

    pub async fn until_disconnected(&mut self, from: usize) -> threshold::net::DisconnectReason {
        self.until(|event| match event {
            NetEvent::Disconnected { peer, reason } if *peer == index(from) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// The next frame of that peer.
    pub async fn frame(&mut self, from: usize) -> Bytes {
        self.until(|event| match event {
            NetEvent::Frame { peer, bytes } if *peer == index(from) => Some(bytes.clone()),
            _ => None,
        })
        .await
    }

    pub fn send(&self, to: usize, bytes: impl Into<Bytes>) -> SendOutcome {
        self.handle.send(index(to), TAG, bytes.into())
    }
}

/// Starts a cluster in which each node knows the addresses of those before it.
pub async fn start_cluster(keys: &Keys) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for operator in 0..keys.secrets.len() {
        let mut config = keys.config(operator);
        config.static_peers =
            nodes.iter().enumerate().map(|(n, node)| keys.tcp(n, node.socket())).collect();
        nodes.push(Node::start(config).await);
    }
    nodes
}

/// Waits until every node has announced every other one.
pub async fn until_meshed(nodes: &mut [Node]) {
    let others = nodes.len() - 1;
    for node in nodes {
        let mut connected = Vec::new();
        while connected.len() < others {
            let peer = node
                .until(|event| match event {
                    NetEvent::Connected { peer } => Some(*peer),
                    _ => None,
                })
                .await;
            assert!(!connected.contains(&peer), "operator {peer} was announced twice");
            connected.push(peer);
        }
    }
}

/// Repeats a check until it holds.
pub async fn until_true(mut holds: impl FnMut() -> bool) {
    let patient = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, patient).await.expect("the condition holds within the patience");
}
