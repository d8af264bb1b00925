//! The bytes of a duty between nodes: one byte of kind, the fork version, the genesis validators root
//! of the domain, then the message in SSZ. Every duty has exactly one encoding.
//!
//! Lists of bids and payloads go as their roots, so that a payload of megabytes is as short as a vote.
//!
//! What only the network decides (the sizes of bitfields, the form of an aggregate) is not encoded:
//! both nodes know the network.

use ssz::{Decode as _, DecodeError, Encode as _};

use super::{Duty, DutyError, DutyKind, Message};
use crate::containers::{
    AggregateAndProof, AggregateForm, AttestationData, BeaconBlockHeader, BuilderRequestAuth,
    ContributionAndProof, DepositMessage, ExecutionPayloadBid, ExecutionPayloadEnvelope,
    MAX_BITS_BYTES, PayloadAttestationData, ProposerPreferences, Sizes,
    SyncAggregatorSelectionData, SyncCommitteeMessage, ValidatorRegistration, VoluntaryExit,
};
use crate::network::Network;
use crate::primitives::{Epoch, ForkVersion, Root, Slot};

/// Kind, fork version, genesis validators root.
const HEAD_BYTES: usize = 1 + ForkVersion::LEN + Root::LEN;

/// The longest encoded duty: an aggregate with all of its aggregation bits. Beside those, an aggregate
/// has less than 512 bytes.
pub const MAX_DUTY_BYTES: usize = HEAD_BYTES + 512 + MAX_BITS_BYTES;

impl Duty {
    /// The bytes that go between nodes; at most [`MAX_DUTY_BYTES`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut buf = Vec::with_capacity(HEAD_BYTES + size_of::<AttestationData>());
        buf.push(tag(self.kind()));
        buf.extend_from_slice(self.fork_version.as_bytes());
        buf.extend_from_slice(self.genesis_validators_root.as_bytes());
        match &self.message {
            Message::Block(header) => header.ssz_append(&mut buf),
            Message::Attestation(data) => data.ssz_append(&mut buf),
            Message::AggregationSlot(slot) => slot.ssz_append(&mut buf),
            Message::AggregateAndProof(aggregate) => aggregate.ssz_append(&mut buf),
            Message::RandaoReveal(epoch) => epoch.ssz_append(&mut buf),
            Message::Deposit(deposit) => deposit.ssz_append(&mut buf),
            Message::VoluntaryExit(exit) => exit.ssz_append(&mut buf),
            Message::SyncCommitteeMessage(message) => message.ssz_append(&mut buf),
            Message::SyncCommitteeSelectionProof(data) => data.ssz_append(&mut buf),
            Message::SyncCommitteeContributionAndProof(contribution) => {
                contribution.ssz_append(&mut buf);
            }
            Message::ValidatorRegistration(registration) => registration.ssz_append(&mut buf),
            Message::ExecutionPayloadBid(bid) => bid.ssz_append(&mut buf),
            Message::ExecutionPayloadEnvelope(envelope) => envelope.ssz_append(&mut buf),
            Message::PayloadAttestation(data) => data.ssz_append(&mut buf),
            Message::ProposerPreferences(preferences) => preferences.ssz_append(&mut buf),
            Message::BuilderRequestAuth(auth) => auth.ssz_append(&mut buf),
        }
        buf
    }

    /// Reads what [`Self::encode`] wrote, from a peer that may lie: everything that [`Self::new`]
    /// checks is checked again, and the signing root is computed anew.
    ///
    /// # Errors
    /// The bytes are no duty, or one of another network.
    pub fn decode(bytes: &[u8], network: &Network) -> Result<Self, DutyError> {
        if bytes.len() > MAX_DUTY_BYTES {
            return Err(DutyError::TooLong { max: MAX_DUTY_BYTES, found: bytes.len() });
        }
        let (&tag, rest) = bytes.split_first().ok_or_else(|| too_short(bytes))?;
        let (version, rest) = rest.split_first_chunk().ok_or_else(|| too_short(bytes))?;
        let (root, body) = rest.split_first_chunk().ok_or_else(|| too_short(bytes))?;
        let (version, root) = (ForkVersion::new(*version), Root::new(*root));

        let kind = DutyKind::ALL
            .into_iter()
            .find(|kind| self::tag(*kind) == tag)
            .ok_or(DutyError::UnknownTag { tag })?;
        let message = decode_message(kind, body, version, network)
            .map_err(|error| DutyError::Ssz { kind, reason: format!("{error:?}") })?;
        let expected = match message.epoch(network) {
            Some(_) => network.genesis_validators_root(),
            None => Root::ZERO,
        };
        if root != expected {
            return Err(DutyError::GenesisValidatorsRoot {
                kind,
                network: network.name().to_owned(),
                expected,
                found: root,
            });
        }
        Self::checked(message, version, root, network)
    }
}

fn decode_message(
    kind: DutyKind,
    body: &[u8],
    version: ForkVersion,
    network: &Network,
) -> Result<Message, DecodeError> {
    let sizes = Sizes::from(network.preset());
    Ok(match kind {
        DutyKind::Block => Message::Block(BeaconBlockHeader::from_ssz_bytes(body)?),
        DutyKind::Attestation => Message::Attestation(AttestationData::from_ssz_bytes(body)?),
        DutyKind::AggregationSlot => Message::AggregationSlot(Slot::from_ssz_bytes(body)?),
        DutyKind::AggregateAndProof => {
            let form = AggregateForm::from(network.fork_of_version(version));
            Message::AggregateAndProof(AggregateAndProof::from_ssz(body, form, sizes)?)
        }
        DutyKind::RandaoReveal => Message::RandaoReveal(Epoch::from_ssz_bytes(body)?),
        DutyKind::Deposit => Message::Deposit(DepositMessage {
            genesis_fork_version: version,
            ..DepositMessage::from_ssz_bytes(body)?
        }),
        DutyKind::VoluntaryExit => Message::VoluntaryExit(VoluntaryExit::from_ssz_bytes(body)?),
        DutyKind::SyncCommitteeMessage => {
            Message::SyncCommitteeMessage(SyncCommitteeMessage::from_ssz_bytes(body)?)
        }
        DutyKind::SyncCommitteeSelectionProof => {
            Message::SyncCommitteeSelectionProof(SyncAggregatorSelectionData::from_ssz_bytes(body)?)
        }
        DutyKind::SyncCommitteeContributionAndProof => {
            Message::SyncCommitteeContributionAndProof(ContributionAndProof::from_ssz(body, sizes)?)
        }
        DutyKind::ValidatorRegistration => {
            Message::ValidatorRegistration(ValidatorRegistration::from_ssz_bytes(body)?)
        }
        DutyKind::ExecutionPayloadBid => {
            Message::ExecutionPayloadBid(Box::new(ExecutionPayloadBid::from_ssz_bytes(body)?))
        }
        DutyKind::ExecutionPayloadEnvelope => Message::ExecutionPayloadEnvelope(Box::new(
            ExecutionPayloadEnvelope::from_ssz_bytes(body)?,
        )),
        DutyKind::PayloadAttestationMessage => {
            Message::PayloadAttestation(PayloadAttestationData::from_ssz_bytes(body)?)
        }
        DutyKind::ProposerPreferences => {
            Message::ProposerPreferences(ProposerPreferences::from_ssz_bytes(body)?)
        }
        DutyKind::BuilderRequestAuth => {
            Message::BuilderRequestAuth(BuilderRequestAuth::from_ssz_bytes(body)?)
        }
    })
}

fn too_short(bytes: &[u8]) -> DutyError {
    DutyError::TooShort { expected: HEAD_BYTES, found: bytes.len() }
}

/// The byte that stands for a kind. These never change: nodes of different releases read them.
const fn tag(kind: DutyKind) -> u8 {
    match kind {
        DutyKind::Block => 1,
        DutyKind::Attestation => 2,
        DutyKind::AggregationSlot => 3,
        DutyKind::AggregateAndProof => 4,
        DutyKind::RandaoReveal => 5,
        DutyKind::Deposit => 6,
        DutyKind::VoluntaryExit => 7,
        DutyKind::SyncCommitteeMessage => 8,
        DutyKind::SyncCommitteeSelectionProof => 9,
        DutyKind::SyncCommitteeContributionAndProof => 10,
        DutyKind::ValidatorRegistration => 11,
        DutyKind::ExecutionPayloadBid => 12,
        DutyKind::ExecutionPayloadEnvelope => 13,
        DutyKind::PayloadAttestationMessage => 14,
        DutyKind::ProposerPreferences => 15,
        DutyKind::BuilderRequestAuth => 16,
    }
}
