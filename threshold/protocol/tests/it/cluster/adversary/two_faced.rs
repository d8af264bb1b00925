//! An honest node to half of its peers, and silent to the others.

use threshold_protocol::OperatorIndex;
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World, now};

pub(crate) struct TwoFaced;

impl Adversary for TwoFaced {
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        _: &mut World<'_>,
    ) -> Vec<Outgoing> {
        if to.get().is_multiple_of(2) { vec![now(to, message.clone())] } else { Vec::new() }
    }
}
