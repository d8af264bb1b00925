//! Honest nodes over real sockets: they connect, exchange frames, and find each other again.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helper that cannot go on fails the test there"
)]

use std::time::Duration;

use bytes::Bytes;
use threshold::net::{DisconnectReason, FrameTag, MAX_FRAME_BYTES, NetEvent, SendOutcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net_support::{
    Keys, Node, TAG, fixed_socket, known, start_cluster, until_meshed, until_true,
};

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_form_a_full_mesh_and_frames_arrive_in_order() {
    const FRAMES: u32 = 500;
    let keys = Keys::new(4);
    let mut nodes = start_cluster(&keys).await;
    until_meshed(&mut nodes).await;

    for node in &nodes {
        for number in 0..FRAMES {
            node.handle.broadcast(TAG, &Bytes::from(number.to_be_bytes().to_vec()));
        }
    }
    for (me, node) in nodes.iter_mut().enumerate() {
        let mut next = [0_u32; 4];
        while (0..4).any(|peer| peer != me && next[peer] < FRAMES) {
            match node.event().await {
                NetEvent::Frame { peer, bytes } => {
                    let expected = &mut next[peer.as_usize()];
                    assert_eq!(bytes.as_ref(), expected.to_be_bytes(), "of operator {peer}");
                    *expected += 1;
                }
                other => panic!("the links stand, but node {me} got {other:?}"),
            }
        }
        let snapshot = node.handle.snapshot();
        assert_eq!(node.handle.connected().len(), 3);
        for peer in snapshot.peers {
            assert_eq!((peer.links, peer.connected, peer.relayed), (1, true, false));
            assert_eq!(peer.frames_received, u64::from(FRAMES));
            assert_eq!(peer.bytes_received, 4 * u64::from(FRAMES));
            assert_eq!((peer.frames_dropped, peer.breaches), (0, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_that_dial_at_once_end_up_with_one_link() {
    let keys = Keys::new(2);
    for _ in 0..5 {
        // Each has to be told the other's before it starts.
        let sockets = [fixed_socket(), fixed_socket()];
        let mut configs = [keys.config(0), keys.config(1)];
        for (me, config) in configs.iter_mut().enumerate() {
            config.listen = vec![sockets[me]];
            config.static_peers = vec![keys.tcp(0, sockets[0]), keys.tcp(1, sockets[1])];
        }
        let [first, second] = configs;
        let (first, second) = tokio::join!(Node::start(first), Node::start(second));
        let mut nodes = [first, second];
        until_meshed(&mut nodes).await;
        for (me, node) in nodes.iter().enumerate() {
            assert_eq!(node.send(1 - me, vec![7; 100_000]), SendOutcome::Queued);
        }
        for (me, node) in nodes.iter_mut().enumerate() {
            assert_eq!(node.frame(1 - me).await.len(), 100_000);
            assert_eq!(node.handle.snapshot().peers[0].links, 1);
            node.handle.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_alone_carries_a_link() {
    let keys = Keys::new(2);
    let mut first = Node::start(keys.config(0)).await;
    let mut config = keys.config(1);
    config.static_peers = vec![keys.quic(0, first.socket())];
    let mut second = Node::start(config).await;
    first.until_connected(1).await;
    second.until_connected(0).await;
    assert_eq!(first.send(1, vec![1; MAX_FRAME_BYTES]), SendOutcome::Queued);
    assert_eq!(second.send(0, "over quic"), SendOutcome::Queued);
    assert_eq!(second.frame(0).await.len(), MAX_FRAME_BYTES);
    assert_eq!(first.frame(1).await, "over quic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_is_named_and_found_again_on_its_port() {
    let keys = Keys::new(3);
    let mut nodes = Vec::new();
    let socket = fixed_socket();
    for operator in 0..3 {
        let mut config = keys.config(operator);
        config.static_peers = known(&keys, &nodes);
        if operator == 2 {
            config.listen = vec![socket];
        }
        nodes.push(Node::start(config).await);
    }
    until_meshed(&mut nodes).await;

    for round in 0..3 {
        let knows = |node: &Node| node.handle.snapshot().peers[1].addresses > 0;
        until_true(|| nodes[..2].iter().all(knows)).await;
        let stopped = nodes.pop().unwrap();
        stopped.handle.shutdown().await;
        for node in &mut nodes {
            assert_eq!(node.until_disconnected(2).await, DisconnectReason::Closed);
            assert_eq!(node.send(2, "nobody is there"), SendOutcome::NotConnected);
        }
        // It knows nobody's address; the others have learnt its own.
        let mut config = keys.config(2);
        config.listen = vec![socket];
        let mut back = Node::start(config).await;
        for node in &mut nodes {
            node.until_connected(2).await;
        }
        for (other, node) in nodes.iter().enumerate() {
            let text = format!("round {round}");
            assert_eq!(node.send(2, text.clone()), SendOutcome::Queued);
            assert_eq!(back.frame(other).await, text);
        }
        nodes.push(back);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_without_a_word_is_missed_and_found_again() {
    let keys = Keys::new(2);
    let mut first = Node::start(keys.config(0)).await;
    // The node lives in a runtime of its own, so that everything of it can be frozen at once.
    let (socket, first_socket) = (fixed_socket(), first.socket());
    let config = |listen| {
        let mut config = Keys::new(2).config(1);
        config.listen = vec![listen];
        config.static_peers = vec![Keys::new(2).tcp(0, first_socket)];
        config
    };
    let frozen = freeze_after(config(socket), first.handle.clone()).await;
    first.until_connected(1).await;
    frozen.freeze();
    assert_eq!(first.until_disconnected(1).await, DisconnectReason::Silent);

    let mut back = Node::start(config(fixed_socket())).await;
    back.until_connected(0).await;
    first.until_connected(1).await;
    assert_eq!(first.send(1, "hello again"), SendOutcome::Queued);
    assert_eq!(back.frame(0).await, "hello again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_goes_dead_without_a_fin_is_noticed_by_both_sides_and_gone_around() {
    let keys = Keys::new(2);
    let mut first = Node::start(keys.config(0)).await;
    let proxy = Proxy::start(first.socket()).await;
    let mut config = keys.config(1);
    config.static_peers = vec![keys.tcp(0, proxy.socket)];
    let mut second = Node::start(config).await;
    first.until_connected(1).await;
    second.until_connected(0).await;

    proxy.cut.send_replace(true);
    assert_eq!(first.until_disconnected(1).await, DisconnectReason::Silent);
    assert_eq!(second.until_disconnected(0).await, DisconnectReason::Silent);
    // The proxy still accepts and stays dead; the addresses that the two told each other work.
    first.until_connected(1).await;
    second.until_connected(0).await;
    assert_eq!(first.send(1, "around"), SendOutcome::Queued);
    assert_eq!(second.frame(0).await, "around");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_found_under_a_name() {
    let keys = Keys::new(2);
    let mut first = Node::start(keys.config(0)).await;
    let mut config = keys.config(1);
    let (port, id) = (first.socket().port(), keys.peer_id(0));
    config.static_peers = vec![format!("/dns4/localhost/tcp/{port}/p2p/{id}").parse().unwrap()];
    let mut second = Node::start(config).await;
    first.until_connected(1).await;
    second.until_connected(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_loses_its_oldest_duties_and_nobody_else_loses_any() {
    const FRAME: usize = 256 << 10;
    const SLOTS: u64 = 400;
    let keys = Keys::new(3);
    let mut nodes = start_cluster(&keys).await;
    until_meshed(&mut nodes).await;
    let mut stalled = nodes.pop().unwrap();
    let mut reader = nodes.pop().unwrap();
    let sender = nodes.pop().unwrap();

    // The reader keeps up (it confirms each frame), the stalled one reads nothing: 100 MiB for
    // each, more than the queue and the buffers beneath it hold.
    for slot in 0..SLOTS {
        let mut frame = vec![0; FRAME];
        frame[..8].copy_from_slice(&slot.to_be_bytes());
        sender.handle.broadcast(FrameTag { slot, urgent: false }, &Bytes::from(frame));
        let got = reader.frame(0).await;
        assert_eq!(got[..8], slot.to_be_bytes());
    }
    let snapshot = sender.handle.snapshot();
    assert_eq!(snapshot.peers[0].frames_dropped, 0, "the reader lost nothing");
    assert!(snapshot.peers[1].frames_dropped > 0, "the queue of the stalled peer is bounded");
    assert_eq!(sender.handle.connected().len(), 2, "a stalled peer is no dead peer");

    // Now it wakes up: the frames of the newest duties are still there.
    let mut slots = Vec::new();
    while slots.last() != Some(&(SLOTS - 1)) {
        let frame = stalled.frame(0).await;
        slots.push(u64::from_be_bytes(frame[..8].try_into().unwrap()));
    }
    assert!(slots.is_sorted());
    let lost: Vec<u64> = (0..SLOTS).filter(|slot| !slots.contains(slot)).collect();
    let first_kept_after_loss = slots.iter().find(|slot| **slot > lost[0]).unwrap();
    assert!(
        lost.iter().all(|slot| slot < first_kept_after_loss),
        "what was lost is older than all that was kept of the queue: {lost:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_cannot_be_sent_are_refused_at_once() {
    let keys = Keys::new(2);
    let mut nodes = start_cluster(&keys).await;
    until_meshed(&mut nodes).await;
    assert_eq!(nodes[0].send(1, Bytes::new()), SendOutcome::Invalid);
    assert_eq!(nodes[0].send(1, vec![0; MAX_FRAME_BYTES + 1]), SendOutcome::Invalid);
    assert_eq!(nodes[0].send(0, "to itself"), SendOutcome::Invalid);
    assert_eq!(nodes[0].send(9, "to nobody"), SendOutcome::Invalid);
    assert_eq!(nodes[0].send(1, vec![0; MAX_FRAME_BYTES]), SendOutcome::Queued);
    assert_eq!(nodes[1].frame(0).await.len(), MAX_FRAME_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sent_before_a_node_stops() {
    let keys = Keys::new(2);
    let mut nodes = start_cluster(&keys).await;
    until_meshed(&mut nodes).await;
    for number in 0..100_u8 {
        assert_eq!(nodes[0].send(1, vec![number]), SendOutcome::Queued);
    }
    nodes[0].handle.shutdown().await;
    for number in 0..100_u8 {
        assert_eq!(nodes[1].frame(0).await.as_ref(), [number]);
    }
    assert_eq!(nodes[1].until_disconnected(0).await, DisconnectReason::Closed);
    assert_eq!(nodes[0].until_disconnected(1).await, DisconnectReason::Shutdown);
    assert_eq!(nodes[0].events.recv().await, None);
}

/// A node in a runtime of its own.
struct Frozen {
    freeze: std::sync::mpsc::Sender<()>,
}

impl Frozen {
    /// From now on its tasks do not run, but its sockets stay open: no FIN, no RST.
    fn freeze(&self) {
        self.freeze.send(()).unwrap();
    }
}

async fn freeze_after(
    config: threshold::net::NetConfig,
    watcher: threshold::net::NetHandle,
) -> Frozen {
    let (freeze, frozen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let node = runtime.block_on(async {
            let mut node = Node::start(config).await;
            node.until_connected(0).await;
            while frozen.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            node
        });
        // Neither is dropped before the test's process ends: sockets that are open and dead.
        std::mem::forget((runtime, node));
    });
    until_true(|| !watcher.connected().is_empty()).await;
    Frozen { freeze }
}

/// A TCP proxy whose way can go dead: connections stay open, nothing passes.
struct Proxy {
    socket: std::net::SocketAddr,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Proxy {
    async fn start(target: std::net::SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = listener.local_addr().unwrap();
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let to = tokio::net::TcpStream::connect(target).await.unwrap();
                let (from_read, from_write) = from.into_split();
                let (to_read, to_write) = to.into_split();
                tokio::spawn(pump(from_read, to_write, is_cut.clone()));
                tokio::spawn(pump(to_read, from_write, is_cut.clone()));
            }
        });
        Self { socket, cut }
    }
}

/// Passes bytes on until the way is cut.
async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut is_cut: tokio::sync::watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            () = async { let _ = is_cut.wait_for(|cut| *cut).await; } => break,
        };
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    // Both halves stay open, so that neither side is told.
    std::future::pending::<()>().await;
}
