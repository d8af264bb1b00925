//! From what came over the wire to a typed duty of the network. A free function, since both types
//! belong to other crates.

use api_spec::{SignObject, SignRequest};
use eth_types::containers::ContainerError;
use eth_types::duty::{Duty, Message};
use eth_types::network::Network;

use crate::block_proof::{self, BlockRule};
use crate::error::Refusal;

/// Makes the request's object a duty of `network` and compares its signing root with the one that the
/// client sent, if it sent one. The sent root is never signed.
///
/// # Errors
/// The object is not one of this network, the client means another message than it sent, or a block
/// does not prove what `rule` demands.
pub fn from_request(
    request: SignRequest,
    network: &Network,
    rule: &BlockRule,
) -> Result<Duty, Refusal> {
    let message = message(request.object, network)?;
    let duty = Duty::new(message, request.fork_info.as_ref(), network)?;
    if let Some(sent) = request.signing_root
        && sent != duty.signing_root()
    {
        return Err(Refusal::SigningRootMismatch { sent, computed: duty.signing_root() });
    }
    block_proof::check(&request.proofs, &duty, rule, network)?;
    Ok(duty)
}

/// Gives the object the sizes of the network's preset and of the fork of its slot.
fn message(object: SignObject, network: &Network) -> Result<Message, ContainerError> {
    Ok(match object {
        SignObject::Block(block) => Message::Block(block.header(network)?),
        SignObject::BlockHeader(header) => Message::Block(header),
        SignObject::Attestation(data) => Message::Attestation(data),
        SignObject::AggregationSlot(slot) => Message::AggregationSlot(slot),
        SignObject::AggregateAndProof(aggregate) => {
            Message::AggregateAndProof(aggregate.resolve(network)?)
        }
        SignObject::RandaoReveal(epoch) => Message::RandaoReveal(epoch),
        SignObject::Deposit(deposit) => Message::Deposit(deposit),
        SignObject::VoluntaryExit(exit) => Message::VoluntaryExit(exit),
        SignObject::SyncCommitteeMessage(message) => Message::SyncCommitteeMessage(message),
        SignObject::SyncCommitteeSelectionProof(data) => Message::SyncCommitteeSelectionProof(data),
        SignObject::SyncCommitteeContributionAndProof(contribution) => {
            Message::SyncCommitteeContributionAndProof(contribution.resolve(network)?)
        }
        SignObject::ValidatorRegistration(registration) => {
            Message::ValidatorRegistration(registration)
        }
        SignObject::ExecutionPayloadBid(bid) => Message::ExecutionPayloadBid(bid),
        SignObject::ExecutionPayloadEnvelope(envelope) => {
            Message::ExecutionPayloadEnvelope(envelope)
        }
        SignObject::PayloadAttestation(data) => Message::PayloadAttestation(data),
        SignObject::ProposerPreferences(preferences) => Message::ProposerPreferences(preferences),
        SignObject::BuilderRequestAuth(auth) => Message::BuilderRequestAuth(auth),
    })
}

impl From<ContainerError> for Refusal {
    fn from(error: ContainerError) -> Self {
        Self::Malformed(error.to_string())
    }
}
