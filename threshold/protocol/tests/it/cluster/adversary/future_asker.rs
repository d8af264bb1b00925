//! Asks its peers to co-sign what they must not: reveals of later epochs, second messages, fees for
//! itself, exits that nobody wants; and sends partial signatures of what nobody settled.

use eth_types::ExecutionAddress;
use eth_types::duty::Duty;
use threshold_protocol::KeyIndex;
use threshold_protocol::message::{CosignRequest, Partials, PeerMessage, Witness};

use super::{Adversary, Outgoing, World};
use crate::cluster::{duties, shares};
use crate::support::attestation;

pub(crate) struct FutureAsker;

impl Adversary for FutureAsker {
    fn act(&mut self, world: &mut World<'_>) -> Vec<Outgoing> {
        let network = &world.common.network;
        let slot = world.slot();
        let epoch = slot.epoch(network.slots_per_epoch());
        let seconds = world.now / 1_000;
        let validator = KeyIndex::new(5);
        let mine = ExecutionAddress::new([0x66; 20]);
        let other = KeyIndex::new(6);
        let mut wanted = vec![
            duties::randao(epoch.saturating_add(2), network),
            duties::randao(epoch.saturating_add(1_000), network),
            duties::selection_proof(slot.saturating_add(96), network),
            duties::sync_selection_proof(slot.saturating_add(200), 0, network),
            duties::sync_message(slot.saturating_add(2), 3, network),
            duties::registration_to(mine, validator, seconds, network),
            duties::registration(other, seconds, network),
            duties::registration(validator, seconds + 3_600, network),
        ];
        // One message of a kind is its due; these are more than one.
        wanted.extend((0..4).map(|number| duties::aggregate(slot, 10 + number, network)));
        wanted.extend((0..4).map(|head| duties::sync_message(slot, 10 + head, network)));
        // What has to be agreed on is not co-signed.
        wanted.push(attestation(slot, 66, epoch.saturating_sub(1), network));
        let partial = |duty: &Duty| shares::partial(world.me, duty.signing_root(), validator);
        let mut messages: Vec<PeerMessage> = wanted
            .into_iter()
            .map(|duty| {
                let partial = partial(&duty);
                PeerMessage::CosignRequest(CosignRequest { validator, duty, partial })
            })
            .collect();
        let exit = duties::exit(epoch, 7, network);
        let partial_of_exit = partial(&exit);
        messages.push(PeerMessage::Witness(Witness {
            validator,
            duty: exit,
            partial: partial_of_exit,
        }));
        // It would like the target epoch of every validator to be burnt.
        let [key, _] = world.instances();
        let vote = attestation(slot, 66, epoch.saturating_sub(1), network);
        let root = vote.signing_root();
        messages.push(PeerMessage::Partials(Partials {
            key,
            root,
            partials: (0..32)
                .map(KeyIndex::new)
                .map(|validator| (validator, shares::partial(world.me, root, validator)))
                .collect(),
        }));
        messages.iter().flat_map(|message| world.to_all(message)).collect()
    }
}
