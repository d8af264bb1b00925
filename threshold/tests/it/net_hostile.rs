//! Strangers, another cluster's nodes, and a member that breaks the protocol.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helper that cannot go on fails the test there"
)]

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, StreamProtocol, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, Swarm, SwarmBuilder, noise, ping, tcp, yamux};
use threshold::net::{DisconnectReason, MAX_FRAME_BYTES, NetError, NetEvent, SendOutcome};

use crate::net_support::{
    Keys, Node, PATIENCE, index, keypair, public_key, start_cluster, until_meshed, until_true,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_and_counted_and_the_cluster_goes_on() {
    let keys = Keys::new(2);
    let mut nodes = start_cluster(&keys).await;
    until_meshed(&mut nodes).await;

    let mut stranger = Raw::new(keypair([0x77; 32]));
    let refused = stranger.try_open(nodes[0].socket(), keys.peer_id(0)).await;
    assert!(refused.is_none(), "a stranger got a stream");
    until_true(|| nodes[0].handle.snapshot().strangers_refused >= 1).await;

    assert_eq!(nodes[1].send(0, "still here"), SendOutcome::Queued);
    assert_eq!(nodes[0].frame(1).await, "still here");
    assert_eq!(nodes[0].handle.connected(), [index(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_another_lock_are_refused_on_both_sides() {
    let keys = Keys::new(3);
    let ours = Node::start(keys.config(0)).await;
    let mut other = keys.config(1);
    other.lock_hash = [0xbb; 32];
    other.static_peers = vec![keys.tcp(0, ours.socket())];
    let other = Node::start(other).await;

    let refused = |node: &Node| node.handle.snapshot().peers[0].breaches >= 1;
    until_true(|| refused(&ours) && refused(&other)).await;
    assert!(ours.handle.connected().is_empty() && other.handle.connected().is_empty());
    assert_eq!(ours.send(1, "secret of this cluster"), SendOutcome::NotConnected);

    // A third node with the right lock is not kept away with it.
    let mut right = keys.config(2);
    right.static_peers = vec![keys.tcp(0, ours.socket())];
    let mut right = Node::start(right).await;
    right.until_connected(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_length_ends_the_link_and_the_rest_goes_on() {
    let keys = Keys::new(3);
    let mut config = keys.config(1);
    let mut honest = Node::start(keys.config(0)).await;
    config.static_peers = vec![keys.tcp(0, honest.socket())];
    let mut second = Node::start(config).await;
    honest.until_connected(1).await;
    second.until_connected(0).await;

    // The operator with the lower index opens the stream, so the raw peer waits for it.
    let mut raw = Raw::new(keys.keypair(2));
    raw.dial(honest.socket(), keys.peer_id(0));
    let mut stream = raw.accept().await;
    raw.drive();
    say_hello(&mut stream, &keys).await;
    honest.until_connected(2).await;
    stream.write_all(&frame(b"well-formed")).await.unwrap();
    assert_eq!(honest.frame(2).await, "well-formed");

    let length = u32::try_from(MAX_FRAME_BYTES).unwrap() + 1;
    stream.write_all(&length.to_be_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let expected = DisconnectReason::FrameTooLong { length, max: MAX_FRAME_BYTES };
    assert_eq!(honest.until_disconnected(2).await, expected);
    until_true(|| honest.handle.snapshot().peers[1].breaches == 1).await;

    assert_eq!(second.send(0, "unharmed"), SendOutcome::Queued);
    assert_eq!(honest.frame(1).await, "unharmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_opens_streams_that_are_not_its_to_open_is_kept_away() {
    let keys = Keys::new(2);
    let node = Node::start(keys.config(0)).await;
    let mut raw = Raw::new(keys.keypair(1));
    let opened = raw.try_open(node.socket(), keys.peer_id(0)).await;
    drop(opened);
    raw.drive();
    until_true(|| node.handle.snapshot().peers[0].breaches >= 1).await;
    assert!(node.handle.connected().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_dials_again_gets_a_new_link_though_the_old_one_seems_to_stand() {
    let keys = Keys::new(2);
    let mut node = Node::start(keys.config(0)).await;
    let mut lives = Vec::new();
    for life in 0..2 {
        // The second life dials while the first one's connection is open and silent, as that of
        // a machine that lost its power.
        let mut raw = Raw::new(keys.keypair(1));
        let mut stream = raw.dial_until_accepted(node.socket(), keys.peer_id(0)).await;
        raw.drive();
        say_hello(&mut stream, &keys).await;
        if life == 1 {
            assert_eq!(node.until_disconnected(1).await, DisconnectReason::Replaced);
        }
        node.until_connected(1).await;
        stream.write_all(&frame(format!("life {life}").as_bytes())).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(node.frame(1).await, format!("life {life}"));
        lives.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_breaks_framing_again_and_again_is_kept_away_longer() {
    let keys = Keys::new(2);
    let mut node = Node::start(keys.config(0)).await;
    for breach in 1..=2 {
        let mut raw = Raw::new(keys.keypair(1));
        let mut stream = raw.dial_until_accepted(node.socket(), keys.peer_id(0)).await;
        raw.drive();
        say_hello(&mut stream, &keys).await;
        stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        node.until_disconnected(1).await;
        until_true(|| node.handle.snapshot().peers[0].breaches == breach).await;
        let mut again = Raw::new(keys.keypair(1));
        let refused = again.try_open(node.socket(), keys.peer_id(0)).await;
        assert!(refused.is_none(), "right after a breach the connection is refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_member_does_not_keep_the_others_from_being_heard() {
    const FLOOD: usize = 20_000;
    let keys = Keys::new(3);
    let mut honest = Node::start(keys.config(0)).await;
    let mut config = keys.config(1);
    config.static_peers = vec![keys.tcp(0, honest.socket())];
    let mut second = Node::start(config).await;
    second.until_connected(0).await;
    honest.until_connected(1).await;

    let mut raw = Raw::new(keys.keypair(2));
    raw.dial(honest.socket(), keys.peer_id(0));
    let mut stream = raw.accept().await;
    raw.drive();
    say_hello(&mut stream, &keys).await;
    honest.until_connected(2).await;
    let flood = tokio::spawn(async move {
        let frame = frame(&[0x55; 64]);
        for _ in 0..FLOOD {
            stream.write_all(&frame).await.unwrap();
        }
        stream.flush().await.unwrap();
        stream
    });
    // The flood is in full swing when the other one speaks.
    honest.frame(2).await;
    assert_eq!(second.send(0, "a vote"), SendOutcome::Queued);
    let mut flooded = 1;
    loop {
        match honest.event().await {
            NetEvent::Frame { peer, bytes } if peer == index(1) => {
                assert_eq!(bytes, "a vote");
                break;
            }
            NetEvent::Frame { .. } => flooded += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(flooded < FLOOD, "the vote came only after the whole flood");
    drop(flood);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let keys = Keys::new(2);
    let node = Node::start(keys.config(0)).await;
    let mut config = keys.config(1);
    config.listen = vec![node.socket()];
    let Err(error) = Node::try_start(config).await else { panic!("two nodes share a port") };
    assert!(error.to_string().contains(&node.socket().to_string()), "{error}");
    assert!(matches!(error, NetError::Listen { transport: "TCP", .. }));

    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = keys.config(1);
    config.listen = vec![udp.local_addr().unwrap()];
    let Err(error) = Node::try_start(config).await else { panic!("two programs share a port") };
    assert!(matches!(error, NetError::Listen { transport: "UDP for QUIC", .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ip_versions_can_have_one_port() {
    let keys = Keys::new(1);
    let port = crate::net_support::fixed_socket().port();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let mut config = keys.config(0);
    config.listen =
        vec![format!("0.0.0.0:{port}").parse().unwrap(), format!("[::]:{port}").parse().unwrap()];
    let node = Node::start(config).await;
    assert_eq!(node.handle.listen_addresses().len(), 2);
}

#[tokio::test]
async fn a_configuration_that_does_not_fit_together_is_refused_with_the_reason() {
    let keys = Keys::new(2);
    let own = keys.tcp(0, "127.0.0.1:1".parse().unwrap());

    let mut config = keys.config(0);
    config.identity = zeroize::Zeroizing::new(keys.secrets[1]);
    let error = refusal(config).await;
    assert!(matches!(error, NetError::ForeignIdentity { expected, got, .. }
        if expected == public_key(keys.secrets[0]) && got == public_key(keys.secrets[1])));

    let mut config = keys.config(0);
    config.identity = zeroize::Zeroizing::new([0; 32]);
    assert!(matches!(refusal(config).await, NetError::Identity(_)));

    let mut config = keys.config(0);
    config.me = index(5);
    assert!(matches!(refusal(config).await, NetError::NotAnOperator { operators: 2, .. }));

    let mut config = keys.config(0);
    config.peers[1].public_key = config.peers[0].public_key;
    assert!(matches!(refusal(config).await, NetError::DuplicateOperator { .. }));

    let mut config = keys.config(0);
    config.peers[1].index = index(0);
    assert!(matches!(refusal(config).await, NetError::DuplicateOperator { .. }));

    let mut config = keys.config(0);
    config.peers[1].public_key = [9; 33];
    assert!(matches!(refusal(config).await, NetError::PublicKey { .. }));

    let mut config = keys.config(0);
    config.static_peers = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    assert!(matches!(refusal(config).await, NetError::Address { .. }));

    let mut config = keys.config(0);
    let stranger = keypair([0x77; 32]).public().to_peer_id();
    config.static_peers = vec![format!("/ip4/127.0.0.1/tcp/1/p2p/{stranger}").parse().unwrap()];
    assert!(matches!(refusal(config).await, NetError::Address { .. }));

    let mut config = keys.config(0);
    config.relays = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    assert!(matches!(refusal(config).await, NetError::Address { .. }));

    let mut config = keys.config(0);
    config.static_peers = vec![own];
    Node::try_start(config).await.map(|_| ()).expect("its own address in the list is no mistake");
}

#[test]
fn the_secret_is_not_in_the_debug_output() {
    let config = Keys::new(1).config(0);
    let text = format!("{config:?}");
    assert!(text.contains("redacted"));
    assert!(!text.contains("1, 1, 1, 1") && !text.contains("01010101"), "{text}");
}

async fn refusal(config: threshold::net::NetConfig) -> NetError {
    match Node::try_start(config).await {
        Ok(_) => panic!("the configuration was accepted"),
        Err(error) => error,
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [length.to_be_bytes().as_slice(), payload].concat()
}

async fn say_hello(stream: &mut Stream, keys: &Keys) {
    let mut hello = [0; 40];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello[..8], *b"synod/1\n");
    assert_eq!(hello[8..], keys.lock_hash);
    stream.write_all(&hello).await.unwrap();
    stream.flush().await.unwrap();
}

const PROTOCOL: StreamProtocol = StreamProtocol::new("/synod/1");

/// A libp2p node that says on the wire whatever a test wants.
struct Raw {
    swarm: Option<Swarm<RawBehaviour>>,
    control: libp2p_stream::Control,
    incoming: libp2p_stream::IncomingStreams,
}

#[derive(NetworkBehaviour)]
struct RawBehaviour {
    streams: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

impl Raw {
    fn new(keypair: Keypair) -> Self {
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| RawBehaviour {
                streams: libp2p_stream::Behaviour::new(),
                ping: ping::Behaviour::default(),
            })
            .unwrap()
            .build();
        let mut control = swarm.behaviour().streams.new_control();
        let incoming = control.accept(PROTOCOL).unwrap();
        Self { swarm: Some(swarm), control, incoming }
    }

    fn dial(&mut self, socket: std::net::SocketAddr, peer: PeerId) {
        let address: Multiaddr = crate::net_support::tcp(socket);
        let address = address.with(libp2p::multiaddr::Protocol::P2p(peer));
        // Fails while there is a connection, which is as good.
        let _ = self.swarm.as_mut().unwrap().dial(address);
    }

    /// The stream that the other side opens.
    async fn accept(&mut self) -> Stream {
        let swarm = self.swarm.as_mut().unwrap();
        let accepted = async {
            loop {
                tokio::select! {
                    stream = self.incoming.next() => break stream.unwrap().1,
                    _ = swarm.select_next_some() => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, accepted).await.expect("the node opens a stream")
    }

    /// Dials once and again until the other side opens the stream on one of the connections.
    async fn dial_until_accepted(&mut self, socket: std::net::SocketAddr, peer: PeerId) -> Stream {
        let accepted = async {
            loop {
                self.dial(socket, peer);
                let pause = std::time::Duration::from_millis(300);
                if let Ok(stream) = tokio::time::timeout(pause, self.accept()).await {
                    break stream;
                }
                // The connection of the last attempt would be found good enough.
                let _ = self.swarm.as_mut().unwrap().disconnect_peer_id(peer);
            }
        };
        tokio::time::timeout(PATIENCE, accepted).await.expect("the node opens a stream")
    }

    /// Dials and opens a stream; `None` if the other side closes the connection instead.
    async fn try_open(&mut self, socket: std::net::SocketAddr, peer: PeerId) -> Option<Stream> {
        self.dial(socket, peer);
        let swarm = self.swarm.as_mut().unwrap();
        let control = &mut self.control;
        let mut opening = Box::pin(control.open_stream(peer, PROTOCOL));
        let opened = async {
            loop {
                tokio::select! {
                    stream = &mut opening => break stream.ok(),
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::ConnectionClosed { .. }
                        | SwarmEvent::OutgoingConnectionError { .. } => break None,
                        _ => {}
                    },
                }
            }
        };
        tokio::time::timeout(PATIENCE, opened).await.expect("refused or opened")
    }

    /// Runs the node in the background from now on.
    fn drive(&mut self) {
        let mut swarm = self.swarm.take().unwrap();
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
    }
}
