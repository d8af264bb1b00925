//! A signing root hashed to the curve, once for all that is done with it.

use std::fmt;

use eth_types::primitives::Root;

use super::raw::{self, G2Affine};

/// A signing root with its point in G2.
///
/// Hashing costs as much as signing. Calls that take a [`Message`] accept a root and hash it each time;
/// whoever signs, combines and verifies the same root makes a `HashedMessage` first and passes that.
#[derive(Clone, Copy)]
pub struct HashedMessage {
    root: Root,
    point: G2Affine,
}

impl HashedMessage {
    /// Hashes the root (RFC 9380 `hash_to_curve` with Ethereum's ciphersuite).
    #[must_use]
    pub fn new(root: &Root) -> Self {
        Self { root: *root, point: raw::hash_to_g2(root.as_bytes()) }
    }

    /// The root that was hashed.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    pub(super) const fn point(&self) -> &G2Affine {
        &self.point
    }
}

/// What can be signed and verified: a [`Root`], hashed on the spot, or a [`HashedMessage`].
pub trait Message: sealed::Sealed {
    /// The message with its point.
    fn hashed(&self) -> HashedMessage;
}

impl Message for Root {
    fn hashed(&self) -> HashedMessage {
        HashedMessage::new(self)
    }
}

impl Message for HashedMessage {
    fn hashed(&self) -> Self {
        *self
    }
}

mod sealed {
    /// Keeps other types out: only the two that hash as Ethereum asks are messages.
    pub trait Sealed {}

    impl Sealed for eth_types::primitives::Root {}
    impl Sealed for super::HashedMessage {}
}

impl fmt::Debug for HashedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HashedMessage").field(&self.root).finish()
    }
}
