//! Nodes that can reach each other over a relay only.
#![expect(clippy::unwrap_used, reason = "a test's helper that cannot go on fails the test there")]

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, SwarmBuilder, identify, noise, ping, relay, tcp, yamux};
use threshold::net::SendOutcome;

use crate::net_support::{Keys, Node, keypair, until_true};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_know_only_a_relay_find_each_other() {
    let keys = Keys::new(2);
    let (relay, _server) = start_relay().await;
    let mut nodes = Vec::new();
    for operator in 0..2 {
        let mut config = keys.config(operator);
        // No listening socket: there is no direct way.
        config.listen = Vec::new();
        config.relays = vec![relay.clone()];
        nodes.push(Node::start(config).await);
    }
    for (me, node) in nodes.iter_mut().enumerate() {
        node.until_connected(1 - me).await;
    }
    for node in &nodes {
        let snapshot = node.handle.snapshot();
        assert_eq!(snapshot.relays_reserved, 1);
        until_true(|| node.handle.snapshot().peers[0].relayed).await;
    }
    for (me, node) in nodes.iter().enumerate() {
        assert_eq!(node.send(1 - me, format!("from {me}")), SendOutcome::Queued);
    }
    for (me, node) in nodes.iter_mut().enumerate() {
        assert_eq!(node.frame(1 - me).await, format!("from {}", 1 - me));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_over_a_relay_moves_to_a_direct_connection_where_there_is_one() {
    let keys = Keys::new(2);
    let (relay, _server) = start_relay().await;
    let mut nodes = Vec::new();
    for operator in 0..2 {
        let mut config = keys.config(operator);
        config.relays = vec![relay.clone()];
        nodes.push(Node::start(config).await);
    }
    let direct = |node: &Node| {
        let peer = &node.handle.snapshot().peers[0];
        peer.connected && !peer.relayed
    };
    // Nobody reads the events: they are few, and the links do not wait for them.
    until_true(|| nodes.iter().all(direct)).await;
    for (me, node) in nodes.iter().enumerate() {
        assert_eq!(node.send(1 - me, "direct"), SendOutcome::Queued);
    }
    for (me, node) in nodes.iter_mut().enumerate() {
        assert_eq!(node.frame(1 - me).await, "direct");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_was_away_is_asked_again() {
    let keys = Keys::new(2);
    let (relay, server) = start_relay().await;
    let mut nodes = Vec::new();
    for operator in 0..2 {
        let mut config = keys.config(operator);
        config.listen = Vec::new();
        config.relays = vec![relay.clone()];
        nodes.push(Node::start(config).await);
    }
    for (me, node) in nodes.iter_mut().enumerate() {
        node.until_connected(1 - me).await;
    }
    server.abort();
    for (me, node) in nodes.iter_mut().enumerate() {
        node.until_disconnected(1 - me).await;
    }
    let reserved = |node: &Node| node.handle.snapshot().relays_reserved;
    until_true(|| nodes.iter().all(|node| reserved(node) == 0)).await;

    let (_, _server) = start_relay_at(without_peer_id(relay)).await;
    for (me, node) in nodes.iter_mut().enumerate() {
        node.until_connected(1 - me).await;
    }
    until_true(|| nodes.iter().all(|node| reserved(node) == 1)).await;
}

#[derive(NetworkBehaviour)]
struct Server {
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

fn without_peer_id(mut address: Multiaddr) -> Multiaddr {
    assert!(matches!(address.pop(), Some(Protocol::P2p(_))));
    address
}

/// A circuit relay on some loopback port, and the task that it runs in.
async fn start_relay() -> (Multiaddr, tokio::task::JoinHandle<()>) {
    start_relay_at("/ip4/127.0.0.1/tcp/0".parse().unwrap()).await
}

async fn start_relay_at(listen: Multiaddr) -> (Multiaddr, tokio::task::JoinHandle<()>) {
    let mut swarm = SwarmBuilder::with_existing_identity(keypair([0x99; 32]))
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|keypair| {
            let id = keypair.public().to_peer_id();
            Server {
                relay: relay::Behaviour::new(id, relay::Config::default()),
                identify: identify::Behaviour::new(identify::Config::new(
                    "/relay/1".to_owned(),
                    keypair.public(),
                )),
                ping: ping::Behaviour::default(),
            }
        })
        .unwrap()
        .build();
    swarm.listen_on(listen).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    swarm.add_external_address(address.clone());
    let address = address.with(Protocol::P2p(*swarm.local_peer_id()));
    let server = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (address, server)
}
