//! Takes part in everything and gives partial signatures that are none.

use threshold_protocol::OperatorIndex;
use threshold_protocol::bls::PartialSignature;
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World, now};

pub(crate) struct BadPartials;

const BAD: PartialSignature = PartialSignature::new([0xbb; 96]);

impl Adversary for BadPartials {
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        _: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let mut message = message.clone();
        match &mut message {
            PeerMessage::Partials(partials) => {
                for (_, partial) in &mut partials.partials {
                    *partial = BAD;
                }
            }
            PeerMessage::CosignRequest(request) => request.partial = BAD,
            PeerMessage::CosignAnswer(answer) => answer.outcome = Ok(BAD),
            PeerMessage::Witness(witness) => witness.partial = BAD,
            PeerMessage::Agreement(_) | PeerMessage::Status(_) => {}
        }
        vec![now(to, message)]
    }
}
