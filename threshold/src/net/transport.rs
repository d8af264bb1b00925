//! The swarm: transports, encryption, the behaviours, and the sockets it listens on.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use libp2p::allow_block_list::{self, AllowedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::transport::TransportError;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, dcutr, identify, noise, ping, relay, tcp, yamux};
use socket2::{Domain, Socket, Type};

use super::config::{NetConfig, Roster};
use super::error::NetError;
use super::streams;

/// Handshakes that strangers can keep open at one time. Each lasts [`CONNECT_TIMEOUT`] at most.
const MAX_PENDING_INBOUND: u32 = 128;

/// Connections of one peer: the link's, one more from dialling at the same time, two over relays,
/// and those that a restarted peer has left behind.
const MAX_CONNECTIONS_PER_PEER: u32 = 8;

/// How long dialling and the handshakes may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection without a link is kept: both sides may have dialled, and the second one
/// is the spare if the first breaks soon.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Round trips are measured this often; whether a link lives is seen by heartbeats.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A relay that does not answer this long is given up and asked for a new reservation.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams that a peer may be negotiating on one connection at one time (it needs six at most).
const MAX_NEGOTIATING_STREAMS: usize = 16;

/// Streams open on one connection at one time: the cluster's, ping and identify in both directions,
/// and those being negotiated; a relay's connection carries one more for each circuit.
const MAX_STREAMS: u32 = 64;

/// How often, and after what pause, UDP is tried on a port that is free for TCP. With port 0 each
/// attempt takes another port. On a fixed one, the QUIC socket of a node that stopped in this
/// process lives on until its last connection has drained, which takes up to three seconds.
const UDP_ATTEMPTS: usize = 40;
const UDP_RETRY: Duration = Duration::from_millis(100);

/// Everything the swarm speaks.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    // Refusing comes first: the others then never hear of a stranger.
    allowed: allow_block_list::Behaviour<AllowedPeers>,
    limits: connection_limits::Behaviour,
    pub(super) streams: streams::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::client::Behaviour,
    hole_punching: dcutr::Behaviour,
}

/// Builds the swarm; it does not listen yet.
pub(super) fn build(keypair: Keypair, roster: &Roster) -> Result<Swarm<Behaviour>, NetError> {
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, multiplexing)
        .map_err(NetError::Encryption)?
        .with_quic_config(|mut config| {
            config.max_concurrent_stream_limit = MAX_STREAMS;
            config
        })
        .with_relay_client(noise::Config::new, multiplexing)
        .map_err(NetError::Encryption)?
        .with_behaviour(|keypair, relay| behaviour(keypair, relay, roster))
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(MAX_NEGOTIATING_STREAMS)
        })
        .with_connection_timeout(CONNECT_TIMEOUT)
        .build();
    Ok(swarm)
}

/// Binds every configured address, TCP and QUIC, and returns them with the ports that they got.
pub(super) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    config: &NetConfig,
) -> Result<Vec<SocketAddr>, NetError> {
    let mut bound = Vec::new();
    for address in &config.listen {
        let address = free_port(*address).await?;
        let (tcp, quic) = multiaddrs(address.ip().into(), address.port());
        for (multiaddr, transport) in [(tcp, TCP), (quic, QUIC)] {
            swarm
                .listen_on(multiaddr)
                .map_err(|error| listen_error(address, transport, transport_error(error)))?;
        }
        bound.push(address);
    }
    let hosts = [
        config.external_ip.map(Protocol::from),
        config.external_hostname.clone().map(|name| Protocol::Dns(name.into())),
    ];
    for host in hosts.into_iter().flatten() {
        for address in &bound {
            let (tcp, quic) = multiaddrs(host.clone(), address.port());
            swarm.add_external_address(tcp);
            swarm.add_external_address(quic);
        }
    }
    Ok(bound)
}

const TCP: &str = "TCP";
const QUIC: &str = "UDP for QUIC";

fn behaviour(keypair: &Keypair, relay: relay::client::Behaviour, roster: &Roster) -> Behaviour {
    let mut allowed = allow_block_list::Behaviour::default();
    for peer in roster.peers.values() {
        allowed.allow_peer(peer.peer_id);
    }
    for (relay, _) in &roster.relays {
        allowed.allow_peer(*relay);
    }
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_INBOUND))
        .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
    // The driver keeps addresses itself, within its own bounds.
    let identify = identify::Config::new(streams::PROTOCOL.to_string(), keypair.public())
        .with_agent_version(concat!("synod/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
    Behaviour {
        allowed,
        limits: connection_limits::Behaviour::new(limits),
        streams: streams::Behaviour::new(roster.peers.values().map(|peer| peer.peer_id)),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        relay,
        hole_punching: dcutr::Behaviour::new(keypair.public().to_peer_id()),
    }
}

fn multiplexing() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(usize::try_from(MAX_STREAMS).unwrap_or(usize::MAX));
    config
}

/// Binds the address once without `SO_REUSEPORT`, with which libp2p would share a port with
/// another program and get half of its connections; and finds a port that both transports can have.
async fn free_port(address: SocketAddr) -> Result<SocketAddr, NetError> {
    let mut attempts = UDP_ATTEMPTS;
    loop {
        attempts -= 1;
        let bound =
            bind(address, Type::STREAM).map_err(|error| listen_error(address, TCP, error))?;
        match bind(bound, Type::DGRAM) {
            Ok(_) => return Ok(bound),
            Err(error) if attempts == 0 => return Err(listen_error(address, QUIC, error)),
            Err(error) => tracing::debug!(%bound, %error, "the port is free for TCP only"),
        }
        if address.port() != 0 {
            tokio::time::sleep(UDP_RETRY).await;
        }
    }
}

/// Binds as libp2p does (no IPv4 on an IPv6 socket), gives the port back and says which it was.
fn bind(address: SocketAddr, kind: Type) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A port whose last connections still linger is free; one that is listened on is not.
    if cfg!(unix) && kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    if kind == Type::STREAM {
        socket.listen(1)?;
    }
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn multiaddrs(host: Protocol<'_>, port: u16) -> (Multiaddr, Multiaddr) {
    let host = Multiaddr::empty().with(host);
    let tcp = host.clone().with(Protocol::Tcp(port));
    let quic = host.with(Protocol::Udp(port)).with(Protocol::QuicV1);
    (tcp, quic)
}

const fn listen_error(address: SocketAddr, transport: &'static str, source: io::Error) -> NetError {
    NetError::Listen { address, transport, source }
}

fn transport_error(error: TransportError<io::Error>) -> io::Error {
    match error {
        TransportError::Other(error) => error,
        TransportError::MultiaddrNotSupported(address) => {
            io::Error::new(io::ErrorKind::Unsupported, format!("{address} is not supported"))
        }
    }
}
