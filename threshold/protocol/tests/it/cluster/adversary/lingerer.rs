//! Says what is right as late as it can: endorsements and commits about T0 - D, so that some nodes
//! have a certificate in time and others do not; partial signatures a second late.

use rand::RngExt as _;
use threshold_protocol::OperatorIndex;
use threshold_protocol::agreement::{Body, InstanceKey};
use threshold_protocol::message::PeerMessage;

use super::{Adversary, Outgoing, World};

pub(crate) struct Lingerer;

/// T0 less D, in milliseconds after the slot's start: for attestations, for blocks.
const LAST_MOMENT: [u64; 2] = [4_750, 2_250];

impl Adversary for Lingerer {
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let after = match message {
            PeerMessage::Agreement(agreement) => {
                let last = match agreement.key {
                    InstanceKey::Attestation { .. } => LAST_MOMENT[0],
                    InstanceKey::Block { .. } => LAST_MOMENT[1],
                };
                let start = world.common.network.slot_start(agreement.key.slot());
                // In time for one, too late for another, about T0 for a third.
                let spread = [-60_i64, 0, 200][usize::from(to.get() % 3)];
                let at = (start + last).saturating_add_signed(spread);
                let early = matches!(agreement.body, Body::Candidate(_));
                if early { 0 } else { at.saturating_sub(world.now) + world.rng.random_range(0..30) }
            }
            PeerMessage::Partials(_) => 1_000,
            _ => 0,
        };
        vec![Outgoing { after, to, message: message.clone() }]
    }
}
