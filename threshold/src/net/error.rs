//! Why the network does not start, and why a link ended.

use std::io;
use std::net::SocketAddr;

use libp2p::Multiaddr;
use threshold_protocol::OperatorIndex;

/// The network cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The identity is no secp256k1 scalar.
    #[error("the node's identity is no secp256k1 secret key")]
    Identity(#[source] libp2p::identity::DecodingError),
    /// An operator's public key is no point.
    #[error("the public key of operator {operator} is no compressed secp256k1 point")]
    PublicKey {
        /// Whose key it is.
        operator: OperatorIndex,
        /// What is wrong with it.
        #[source]
        source: libp2p::identity::DecodingError,
    },
    /// Two operators have one index or one key.
    #[error("operators {first} and {second} of the lock are the same (index or public key)")]
    DuplicateOperator {
        /// The one that came first in the list.
        first: OperatorIndex,
        /// The one that repeats it.
        second: OperatorIndex,
    },
    /// The identity is not the one that the lock names for this node.
    #[error(
        "this node's key is not the one that the lock names for operator {me}: expected public key {}, got {}",
        hex::encode(.expected),
        hex::encode(.got)
    )]
    ForeignIdentity {
        /// This node's index.
        me: OperatorIndex,
        /// The lock's key.
        expected: [u8; 33],
        /// The key of the identity.
        got: [u8; 33],
    },
    /// This node's index is not among the operators.
    #[error("operator {me} is not in the lock, which has {operators} operators")]
    NotAnOperator {
        /// This node's index.
        me: OperatorIndex,
        /// How many operators there are.
        operators: usize,
    },
    /// A configured address has no peer id, or one that is not of the cluster.
    #[error("the address {address} {problem}")]
    Address {
        /// As configured.
        address: Multiaddr,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A listen address cannot be bound.
    #[error(
        "cannot listen on {address} ({transport}); another program may use it, see --p2p-tcp-address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `TCP` or `UDP for QUIC`.
        transport: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Encryption could not be set up.
    #[error("the encryption of the network cannot be set up")]
    Encryption(#[source] libp2p::noise::Error),
}

/// Why a link ended; it comes with [`NetEvent::Disconnected`](super::NetEvent::Disconnected).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer ended the link in good order.
    #[error("the peer closed the link")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing came any more, not even heartbeats.
    #[error("the peer went silent")]
    Silent,
    /// The peer announced a frame over the limit.
    #[error("the peer announced a frame of {length} bytes, at most {max} are allowed")]
    FrameTooLong {
        /// What it announced.
        length: u32,
        /// [`MAX_FRAME_BYTES`](super::MAX_FRAME_BYTES).
        max: usize,
    },
    /// A newer link of the same peer took over (it restarted, or a direct way was found).
    #[error("a newer connection of the peer took over")]
    Replaced,
    /// This node is shutting down.
    #[error("this node is shutting down")]
    Shutdown,
}

impl DisconnectReason {
    /// Whether the peer broke the protocol and is kept away for a while.
    pub(super) const fn is_breach(&self) -> bool {
        match self {
            Self::FrameTooLong { .. } => true,
            Self::Closed | Self::Broken(_) | Self::Silent | Self::Replaced | Self::Shutdown => {
                false
            }
        }
    }
}
