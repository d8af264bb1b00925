//! Opening and accepting the cluster's stream on a given connection.
//!
//! A connection between two operators carries at most one such stream, opened by the operator
//! with the lower index. `libp2p-stream` would choose a connection by itself and cannot say which
//! one it chose; here the driver decides, and learns the connection of each stream.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use either::Either;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

/// The stream's protocol. The number goes up with every change that older nodes would not
/// understand.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/synod/1");

/// How long the other side may take to accept the stream.
const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What happened on a connection.
#[derive(Debug)]
pub(super) struct StreamEvent {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) outcome: StreamOutcome,
}

/// See [`StreamEvent`].
#[derive(Debug)]
pub(super) enum StreamOutcome {
    /// The stream that [`Behaviour::open`] asked for.
    Opened(Stream),
    /// A stream that the peer opened.
    Accepted(Stream),
    /// The peer opened a second one.
    AcceptedAgain,
    /// The peer does not speak this version of the protocol.
    Unsupported,
    /// The stream did not come about; the connection is most likely gone.
    Failed(String),
}

/// A connection was refused because the peer broke the protocol a short time ago.
#[derive(Debug, thiserror::Error)]
#[error("the peer broke the protocol and is kept away for a while")]
pub(super) struct KeptAway;

/// Speaks [`PROTOCOL`] with operators, and nothing with relays.
#[derive(Debug)]
pub(super) struct Behaviour {
    /// Operators of the cluster, with the time until which each is kept away.
    operators: HashMap<PeerId, Option<Instant>>,
    pending: VecDeque<ToSwarm<StreamEvent, Either<OpenStream, Infallible>>>,
}

/// The command to a connection's handler.
#[derive(Debug)]
pub(super) struct OpenStream;

impl Behaviour {
    /// A behaviour for these operators.
    pub(super) fn new(operators: impl IntoIterator<Item = PeerId>) -> Self {
        Self {
            operators: operators.into_iter().map(|peer| (peer, None)).collect(),
            pending: VecDeque::new(),
        }
    }

    /// Asks for the stream on a connection; a [`StreamEvent`] tells how it went, unless the
    /// connection closes first.
    pub(super) fn open(&mut self, peer: PeerId, connection: ConnectionId) {
        self.pending.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: Either::Left(OpenStream),
        });
    }

    /// Refuses new connections of an operator until then.
    pub(super) fn keep_away(&mut self, peer: PeerId, until: Instant) {
        if let Some(kept_away) = self.operators.get_mut(&peer) {
            *kept_away = Some(until);
        }
    }

    fn handler(&self, peer: PeerId) -> Result<THandler<Self>, ConnectionDenied> {
        match self.operators.get(&peer) {
            Some(Some(until)) if *until > Instant::now() => Err(ConnectionDenied::new(KeptAway)),
            Some(_) => Ok(Either::Left(Handler::default())),
            None => Ok(Either::Right(dummy::ConnectionHandler)),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Either<Handler, dummy::ConnectionHandler>;
    type ToSwarm = StreamEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let outcome = match event {
            Either::Left(outcome) => outcome,
            Either::Right(never) => match never {},
        };
        self.pending.push_back(ToSwarm::GenerateEvent(StreamEvent { peer, connection, outcome }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // No waker: the driver polls the swarm after each call to `open`.
        self.pending.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// One connection's side of [`Behaviour`].
#[derive(Debug, Default)]
pub(super) struct Handler {
    asked_to_open: bool,
    accepted: bool,
    outcomes: VecDeque<StreamOutcome>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenStream;
    type ToBehaviour = StreamOutcome;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Some(outcome) = self.outcomes.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome));
        }
        if std::mem::take(&mut self.asked_to_open) {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
                .with_timeout(NEGOTIATION_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        // No waker: a connection polls its handler after each of the two calls below.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, OpenStream: OpenStream) {
        self.asked_to_open = true;
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        let outcome = match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => StreamOutcome::Opened(stream),
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => {
                if std::mem::replace(&mut self.accepted, true) {
                    // A flood of streams makes one event: the driver closes the connection on it.
                    if self.outcomes.iter().any(|o| matches!(o, StreamOutcome::AcceptedAgain)) {
                        return;
                    }
                    StreamOutcome::AcceptedAgain
                } else {
                    StreamOutcome::Accepted(stream)
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => match error {
                StreamUpgradeError::NegotiationFailed => StreamOutcome::Unsupported,
                StreamUpgradeError::Timeout => {
                    StreamOutcome::Failed("the peer did not accept the stream in time".to_owned())
                }
                StreamUpgradeError::Io(error) => StreamOutcome::Failed(error.to_string()),
                StreamUpgradeError::Apply(never) => match never {},
            },
            _ => return,
        };
        self.outcomes.push_back(outcome);
    }
}
