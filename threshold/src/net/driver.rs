//! The task that owns the swarm: dials, opens streams, keeps relays, and hands streams to the
//! peers' tasks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping, relay};
use threshold_protocol::OperatorIndex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::addresses::{AddressBook, is_loopback};
use super::config::Roster;
use super::link::{LinkReport, LinkStream, PeerTask};
use super::peer::{Action, Connection, Peer, Verdict};
use super::relays::{Relays, Request, circuit};
use super::resolve::{has_name, resolve};
use super::streams::{StreamEvent, StreamOutcome};
use super::transport::{Behaviour, BehaviourEvent};
use super::{NetEvent, PeerShared, Shared};

/// Streams that wait for a peer's task. It takes one, which ends the link it carries; a second one
/// can come while that link's end waits for the node. More come only from a peer that floods.
const STREAM_QUEUE: usize = 2;

/// Reports and resolved names on their way to this task, which never waits for anyone.
const REPORT_QUEUE: usize = 64;

/// How long the peers' tasks and the connections may take to end; a little longer than the tasks
/// allow themselves.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(700);

/// A pause of the loop when nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// The state of the task.
pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    peers: BTreeMap<OperatorIndex, Entry>,
    by_peer_id: HashMap<PeerId, OperatorIndex>,
    relays: Relays,
    reports: mpsc::Receiver<(OperatorIndex, LinkReport)>,
    resolved: mpsc::Receiver<Resolved>,
    resolver: mpsc::Sender<Resolved>,
    tasks: JoinSet<()>,
    events: mpsc::Sender<NetEvent>,
    shutdown: CancellationToken,
}

struct Entry {
    peer_id: PeerId,
    shared: Arc<PeerShared>,
    state: Peer,
    streams: mpsc::Sender<LinkStream>,
    /// The dials that [`Action::Dial`] led to, one for each address at most.
    dials: HashMap<ConnectionId, Multiaddr>,
}

/// Addresses whose names were looked up.
enum Resolved {
    /// The address as it was, and what to dial for it.
    Peer(OperatorIndex, Multiaddr, Vec<Multiaddr>),
    Relay(usize, Vec<Multiaddr>),
}

impl Driver {
    /// Starts the peers' tasks; [`run`](Self::run) does the rest.
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        roster: Roster,
        lock_hash: [u8; 32],
        shared: Arc<Shared>,
        events: mpsc::Sender<NetEvent>,
        shutdown: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        let circuits: Vec<Multiaddr> =
            roster.relays.iter().map(|(id, address)| circuit(*id, address)).collect();
        let (report, reports) = mpsc::channel(REPORT_QUEUE);
        let (resolver, resolved) = mpsc::channel(REPORT_QUEUE);
        let mut tasks = JoinSet::new();
        let mut peers = BTreeMap::new();
        for (index, peer) in roster.peers {
            let Some(peer_shared) = shared.peers.get(&index) else { continue };
            let (streams, received) = mpsc::channel(STREAM_QUEUE);
            let task = PeerTask {
                shared: Arc::clone(peer_shared),
                lock_hash,
                streams: received,
                reports: report.clone(),
                events: events.clone(),
                shutdown: shutdown.clone(),
            };
            tasks.spawn(task.run());
            let we_are_lower = roster.me < index;
            let book = AddressBook::new(peer.addresses, circuits.clone(), we_are_lower, now);
            peer_shared.stats.addresses.store(book.len() as u64, Relaxed);
            let state = Peer::new(we_are_lower, book, now);
            let entry = Entry {
                peer_id: peer.peer_id,
                shared: Arc::clone(peer_shared),
                state,
                streams,
                dials: HashMap::new(),
            };
            peers.insert(index, entry);
        }
        Self {
            swarm,
            shared,
            peers,
            by_peer_id: roster.by_peer_id,
            relays: Relays::new(roster.relays, now),
            reports,
            resolved,
            resolver,
            tasks,
            events,
            shutdown,
        }
    }

    /// Runs until the node shuts down or drops its event receiver.
    pub(super) async fn run(mut self) {
        loop {
            let wake = self.act();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some((index, report)) = self.reports.recv() => self.on_report(index, report),
                Some(resolved) = self.resolved.recv() => self.on_resolved(resolved),
                () = tokio::time::sleep_until(wake.into()) => {}
                () = self.shutdown.cancelled() => break,
                () = self.events.closed() => break,
            }
        }
        self.shutdown.cancel();
        self.finish().await;
    }

    /// Lets the peers' tasks send what waits, with the swarm still running beneath them, and then
    /// closes the connections, so that the peers need not find out by silence.
    async fn finish(mut self) {
        let deadline = tokio::time::sleep(SHUTDOWN_TIMEOUT);
        tokio::pin!(deadline);
        let mut closing = false;
        loop {
            if self.tasks.is_empty() && !closing {
                closing = true;
                for entry in self.peers.values() {
                    // Fails only when there is no connection.
                    let _ = self.swarm.disconnect_peer_id(entry.peer_id);
                }
            }
            if closing && !self.peers.values().any(|entry| self.swarm.is_connected(&entry.peer_id))
            {
                return;
            }
            tokio::select! {
                Some(_) = self.tasks.join_next() => {}
                _ = self.swarm.select_next_some() => {}
                Some(_) = self.reports.recv() => {}
                () = &mut deadline => return,
            }
        }
    }

    /// Does all that is due and says when to look again.
    fn act(&mut self) -> Instant {
        let now = Instant::now();
        let mut wake = now + IDLE;
        for (index, entry) in &mut self.peers {
            while let Some(action) = entry.state.next_action(now) {
                match action {
                    Action::Open(connection) => {
                        self.swarm.behaviour_mut().streams.open(entry.peer_id, connection);
                    }
                    Action::Dial(address) if has_name(&address) => {
                        let (index, resolver) = (*index, self.resolver.clone());
                        tokio::spawn(async move {
                            let addresses = resolve(address.clone()).await;
                            let _ = resolver.send(Resolved::Peer(index, address, addresses)).await;
                        });
                    }
                    Action::Dial(address) => {
                        let addresses = vec![address.clone()];
                        dial(&mut self.swarm, entry, address, addresses, now);
                    }
                }
            }
            wake = entry.state.deadline().map_or(wake, |deadline| wake.min(deadline));
        }
        while let Some(Request { position, circuit }) = self.relays.next_request(now) {
            if has_name(&circuit) {
                let resolver = self.resolver.clone();
                tokio::spawn(async move {
                    let addresses = resolve(circuit).await;
                    let _ = resolver.send(Resolved::Relay(position, addresses)).await;
                });
            } else {
                self.reserve(position, Some(circuit));
            }
        }
        self.relays.deadline().map_or(wake, |deadline| wake.min(deadline))
    }

    fn on_resolved(&mut self, resolved: Resolved) {
        match resolved {
            Resolved::Peer(index, address, addresses) => {
                if let Some(entry) = self.peers.get_mut(&index) {
                    dial(&mut self.swarm, entry, address, addresses, Instant::now());
                }
            }
            Resolved::Relay(position, circuits) => {
                self.reserve(position, circuits.into_iter().next());
            }
        }
    }

    fn reserve(&mut self, position: usize, circuit: Option<Multiaddr>) {
        let listener = circuit.ok_or_else(|| "its name does not resolve".to_owned());
        let listener = listener
            .and_then(|circuit| self.swarm.listen_on(circuit).map_err(|error| error.to_string()));
        self.relays.asked(position, listener, Instant::now(), rand::random());
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer_id) else {
                    return;
                };
                let connection = Connection {
                    id: connection_id,
                    relayed: endpoint.is_relayed(),
                    inbound: endpoint.is_listener(),
                };
                let dialled = entry.dials.remove(&connection_id);
                let address = endpoint.get_remote_address();
                let operator = entry.shared.operator;
                tracing::debug!(%operator, %address, inbound = connection.inbound, "connection");
                entry.state.connected(connection, dialled.as_ref(), now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer_id) else {
                    return;
                };
                tracing::debug!(operator = %entry.shared.operator, ?cause, "connection closed");
                entry.state.closed(connection_id, now, rand::random());
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer_id),
                connection_id,
                error,
            } => {
                self.on_dial_error(&peer_id, connection_id, &error, now);
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, peer_id, .. } => {
                self.on_incoming_error(&error, &send_back_addr, peer_id);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if self.relays.closed(listener_id, now, rand::random()) {
                    tracing::warn!(?reason, "no reservation at a relay");
                    self.count_reservations();
                } else {
                    tracing::error!(?reason, "a listener closed");
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(event) => self.on_stream_event(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer_id) else {
                    return;
                };
                // The address that the peer sees us at tells whether we are on one host.
                let over_loopback = is_loopback(&info.observed_addr);
                entry.state.book.learn(&info.listen_addrs, over_loopback, Instant::now());
                entry.shared.stats.addresses.store(entry.state.book.len() as u64, Relaxed);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => match result {
                Ok(round_trip) => {
                    if let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer) {
                        entry.shared.stats.ping(round_trip);
                    }
                }
                Err(ping::Failure::Unsupported) => {}
                Err(error) => {
                    tracing::debug!(%peer, %error, "no answer to pings");
                    self.swarm.close_connection(connection);
                }
            },
            BehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal,
                ..
            }) => {
                self.relays.reserved(relay_peer_id);
                if !renewal {
                    tracing::info!(relay = %relay_peer_id, "reservation at relay");
                }
                self.count_reservations();
            }
            BehaviourEvent::HolePunching(event) => {
                let (peer, result) = (event.remote_peer_id, event.result);
                tracing::debug!(%peer, ?result, "hole punching");
            }
            _ => {}
        }
    }

    fn on_stream_event(&mut self, StreamEvent { peer: peer_id, connection, outcome }: StreamEvent) {
        let now = Instant::now();
        let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer_id) else { return };
        let (we_open, operator) = (entry.state.we_open(), entry.shared.operator);
        match outcome {
            StreamOutcome::Opened(stream) => self.hand_over(peer_id, connection, stream),
            StreamOutcome::Accepted(stream) if !we_open => {
                self.hand_over(peer_id, connection, stream);
            }
            StreamOutcome::Accepted(_) | StreamOutcome::AcceptedAgain => {
                tracing::warn!(%operator, "the peer opened a stream that is not its to open");
                self.end_link(peer_id, connection, Verdict::Breach, Duration::ZERO, now);
            }
            StreamOutcome::Unsupported => {
                tracing::warn!(
                    %operator,
                    protocol = %super::streams::PROTOCOL,
                    "the peer does not speak this node's protocol; it runs another version"
                );
                entry.state.open_failed(connection, true, now, rand::random());
                self.swarm.close_connection(connection);
            }
            StreamOutcome::Failed(error) => {
                tracing::debug!(%operator, error, "no stream");
                entry.state.open_failed(connection, false, now, rand::random());
                self.swarm.close_connection(connection);
            }
        }
    }

    fn hand_over(&mut self, peer_id: PeerId, connection: ConnectionId, stream: Stream) {
        let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer_id) else { return };
        let carried = entry.state.stream(connection, Instant::now())
            && entry.streams.try_send(LinkStream { connection, stream }).is_ok();
        if !carried {
            tracing::debug!(operator = %entry.shared.operator, "a stream came at a bad time");
            self.end_link(peer_id, connection, Verdict::NeverUp, Duration::ZERO, Instant::now());
        }
    }

    fn on_report(&mut self, index: OperatorIndex, report: LinkReport) {
        let now = Instant::now();
        let Some(entry) = self.peers.get_mut(&index) else { return };
        let peer_id = entry.peer_id;
        match report {
            LinkReport::Up { connection } => {
                let relayed = entry.state.link_up(connection, now);
                entry.shared.stats.relayed.store(relayed, Relaxed);
                tracing::info!(operator = %index, relayed, "peer connected");
            }
            LinkReport::Ended { connection, end, stood } => {
                self.end_link(peer_id, connection, end.judge(index), stood, now);
            }
        }
    }

    /// Closes the connection of a link that is over; after a breach all connections of the peer,
    /// which is then kept away for a while.
    fn end_link(
        &mut self,
        peer_id: PeerId,
        connection: ConnectionId,
        verdict: Verdict,
        stood: Duration,
        now: Instant,
    ) {
        let Some(entry) = entry(&mut self.peers, &self.by_peer_id, &peer_id) else { return };
        let verdict = entry.state.link_ended(connection, verdict, stood, now, rand::random());
        let harsh = matches!(verdict, Verdict::Breach | Verdict::Flapping);
        if harsh || verdict == Verdict::Mismatch {
            entry.shared.stats.breaches.fetch_add(1, Relaxed);
        }
        if harsh {
            let until = entry.state.kept_away_until();
            let operator = entry.shared.operator;
            tracing::warn!(%operator, wait = ?(until - now), "peer is kept away");
            self.swarm.behaviour_mut().streams.keep_away(peer_id, until);
            // Fails only when no connection is left.
            let _ = self.swarm.disconnect_peer_id(peer_id);
        } else {
            self.swarm.close_connection(connection);
        }
    }

    fn on_dial_error(
        &mut self,
        peer_id: &PeerId,
        connection: ConnectionId,
        error: &DialError,
        now: Instant,
    ) {
        let Some(entry) = entry(&mut self.peers, &self.by_peer_id, peer_id) else { return };
        let Some(dialled) = entry.dials.remove(&connection) else { return };
        let operator = entry.shared.operator;
        if let DialError::WrongPeerId { obtained, address } = error {
            let problem = "another node answers at the peer's address";
            tracing::warn!(%operator, %obtained, %address, problem);
        } else {
            tracing::debug!(%operator, address = %dialled, %error, "dial failed");
        }
        entry.shared.stats.dials_failed.fetch_add(1, Relaxed);
        entry.state.dial_failed(&dialled, now, rand::random());
    }

    fn on_incoming_error(&self, error: &ListenError, from: &Multiaddr, peer: Option<PeerId>) {
        let stranger = matches!(error, ListenError::Denied { cause }
            if cause.downcast_ref::<libp2p::allow_block_list::NotAllowed>().is_some());
        if !stranger {
            tracing::debug!(%from, %error, "incoming connection failed");
            return;
        }
        let count = self.shared.stats.strangers_refused.fetch_add(1, Relaxed) + 1;
        // Whoever floods the port fills no log: the 1st, 2nd, 4th, 8th .. refusal is written.
        if count.is_power_of_two() {
            let identity = peer.map(|peer| peer.to_string()).unwrap_or_default();
            tracing::warn!(%from, identity, count, "refused a peer that is not in the lock");
        }
    }

    fn count_reservations(&self) {
        let reservations = self.relays.reservations() as u64;
        self.shared.stats.relays_reserved.store(reservations, Relaxed);
    }
}

fn entry<'a>(
    peers: &'a mut BTreeMap<OperatorIndex, Entry>,
    by_peer_id: &HashMap<PeerId, OperatorIndex>,
    peer_id: &PeerId,
) -> Option<&'a mut Entry> {
    peers.get_mut(by_peer_id.get(peer_id)?)
}

/// Dials what an address stands for (it may be a name).
fn dial(
    swarm: &mut Swarm<Behaviour>,
    entry: &mut Entry,
    address: Multiaddr,
    resolved: Vec<Multiaddr>,
    now: Instant,
) {
    if resolved.is_empty() {
        entry.state.dial_failed(&address, now, rand::random());
        return;
    }
    let peer = Protocol::P2p(entry.peer_id);
    let resolved = resolved.into_iter().map(|address| address.with(peer.clone())).collect();
    // Not from the listening port: two nodes that dial each other from and to the same ports make
    // one TCP connection in which both believe to be the dialler, and the handshake fails.
    let options = DialOpts::peer_id(entry.peer_id)
        .condition(PeerCondition::Always)
        .addresses(resolved)
        .allocate_new_port()
        .build();
    let connection = options.connection_id();
    match swarm.dial(options) {
        Ok(()) => {
            entry.dials.insert(connection, address);
        }
        Err(error) => {
            tracing::debug!(operator = %entry.shared.operator, %address, %error, "dial failed");
            entry.state.dial_failed(&address, now, rand::random());
        }
    }
}
