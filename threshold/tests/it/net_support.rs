//! Nodes for the network's tests, and patience that only bounds a hang.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helper that cannot go on fails the test there"
)]

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
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An ordinary tag.
pub(crate) const TAG: FrameTag = FrameTag { slot: 1, urgent: false };

/// The keys of a cluster.
pub(crate) struct Keys {
    pub(crate) secrets: Vec<[u8; 32]>,
    pub(crate) lock_hash: [u8; 32],
}

impl Keys {
    pub(crate) fn new(operators: u8) -> Self {
        Self { secrets: (1..=operators).map(|n| [n; 32]).collect(), lock_hash: [0xaa; 32] }
    }

    pub(crate) fn keypair(&self, operator: usize) -> Keypair {
        keypair(self.secrets[operator])
    }

    pub(crate) fn peer_id(&self, operator: usize) -> PeerId {
        self.keypair(operator).public().to_peer_id()
    }

    pub(crate) fn operators(&self) -> Vec<PeerInfo> {
        let keys = self.secrets.iter().enumerate();
        keys.map(|(n, secret)| PeerInfo { index: index(n), public_key: public_key(*secret) })
            .collect()
    }

    /// Loopback, any port, no addresses of others.
    pub(crate) fn config(&self, operator: usize) -> NetConfig {
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
    pub(crate) fn tcp(&self, operator: usize, socket: SocketAddr) -> Multiaddr {
        tcp(socket).with(Protocol::P2p(self.peer_id(operator)))
    }

    /// The QUIC address of a node of this cluster.
    pub(crate) fn quic(&self, operator: usize, socket: SocketAddr) -> Multiaddr {
        Multiaddr::from(socket.ip())
            .with(Protocol::Udp(socket.port()))
            .with(Protocol::QuicV1)
            .with(Protocol::P2p(self.peer_id(operator)))
    }
}

pub(crate) fn keypair(secret: [u8; 32]) -> Keypair {
    let mut secret = secret;
    secp256k1::Keypair::from(secp256k1::SecretKey::try_from_bytes(&mut secret).unwrap()).into()
}

pub(crate) fn public_key(secret: [u8; 32]) -> [u8; 33] {
    let mut secret = secret;
    let secret = secp256k1::SecretKey::try_from_bytes(&mut secret).unwrap();
    secp256k1::Keypair::from(secret).public().to_bytes()
}

pub(crate) fn index(operator: usize) -> OperatorIndex {
    OperatorIndex::new(u8::try_from(operator).unwrap())
}

pub(crate) fn tcp(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

/// A running node and what it was told.
pub(crate) struct Node {
    pub(crate) handle: NetHandle,
    pub(crate) events: mpsc::Receiver<NetEvent>,
}

impl Node {
    pub(crate) async fn start(config: NetConfig) -> Self {
        Self::try_start(config).await.unwrap()
    }

    pub(crate) async fn try_start(config: NetConfig) -> Result<Self, NetError> {
        let (handle, events) = start(config).await?;
        Ok(Self { handle, events })
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.handle.listen_addresses()[0]
    }

    pub(crate) async fn event(&mut self) -> NetEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event within the patience").expect("the network runs")
    }

    /// The next event that the test looks for; the others are dropped.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(&NetEvent) -> Option<T>) -> T {
        loop {
            let event = self.event().await;
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    pub(crate) async fn until_connected(&mut self, to: usize) {
        let wanted = NetEvent::Connected { peer: index(to) };
        self.until(|event| (*event == wanted).then_some(())).await;
    }

    pub(crate) async fn until_disconnected(
        &mut self,
        from: usize,
    ) -> threshold::net::DisconnectReason {
        self.until(|event| match event {
            NetEvent::Disconnected { peer, reason } if *peer == index(from) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// The next frame of that peer.
    pub(crate) async fn frame(&mut self, from: usize) -> Bytes {
        self.until(|event| match event {
            NetEvent::Frame { peer, bytes } if *peer == index(from) => Some(bytes.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) fn send(&self, to: usize, bytes: impl Into<Bytes>) -> SendOutcome {
        self.handle.send(index(to), TAG, bytes.into())
    }
}

/// Starts a cluster in which each node knows the addresses of those before it.
pub(crate) async fn start_cluster(keys: &Keys) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for operator in 0..keys.secrets.len() {
        let mut config = keys.config(operator);
        config.static_peers = known(keys, &nodes);
        nodes.push(Node::start(config).await);
    }
    nodes
}

/// The addresses of the first operators' nodes.
pub(crate) fn known(keys: &Keys, nodes: &[Node]) -> Vec<Multiaddr> {
    nodes.iter().enumerate().map(|(n, node)| keys.tcp(n, node.socket())).collect()
}

/// A loopback socket address that stays free between a node's lives: below the range from which the
/// system takes ports for others (32768 on Linux, 49152 elsewhere).
pub(crate) fn fixed_socket() -> SocketAddr {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 500).unwrap();
    loop {
        let port = 20_000 + 20 * process + NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = SocketAddr::from(([127, 0, 0, 1], port));
        let free = std::net::TcpListener::bind(socket).is_ok()
            && std::net::UdpSocket::bind(socket).is_ok();
        if free {
            return socket;
        }
    }
}

/// Waits until every node has announced every other one.
pub(crate) async fn until_meshed(nodes: &mut [Node]) {
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
pub(crate) async fn until_true(mut holds: impl FnMut() -> bool) {
    let patient = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, patient).await.expect("the condition holds within the patience");
}
