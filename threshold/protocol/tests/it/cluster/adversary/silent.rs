//! Says nothing, hears everything.

use threshold_protocol::OperatorIndex;
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World};

pub(crate) struct Silent;

impl Adversary for Silent {
    fn send(&mut self, _: OperatorIndex, _: &PeerMessage, _: &mut World<'_>) -> Vec<Outgoing> {
        Vec::new()
    }
}
