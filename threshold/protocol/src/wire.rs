//! The bytes of [`PeerMessage`]s: protobuf (prost), so that messages can gain fields. Signatures are
//! over canonical SSZ bytes and never over these.
//!
//! What comes in is hostile: every count and length is checked here, duties are validated against the
//! network, and what leaves this module is well formed. Signatures are checked by those who count them.

use eth_types::duty::{Duty, DutyError};
use eth_types::network::Network;
use eth_types::{Root, Slot};
use prost::Message as _;

use crate::agreement::{
    AgreementMessage, Body, InstanceKey, InvalidValue, Prepared, Propose, RoundChange, Statement,
    UncheckedCertificate, UncheckedVote, Value, VoteKind,
};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, MAX_OPERATORS, OperatorIndex};
use crate::identity::IdentitySignature;
use crate::message::{
    CosignAnswer, CosignRefusal, CosignRequest, PARTIALS_PER_MESSAGE, Partials, PeerMessage,
    Status, Witness,
};

/// The longest message that is read, in bytes. The longest honest one is a PROPOSE of 16 operators
/// (three lists of 16 votes of about 200 bytes, 32 values) or an aggregate of 131,072 bits: 30 KiB.
pub const MAX_MESSAGE_BYTES: usize = 128 * 1024;

/// Values in one message: each operator's candidate and endorsement, with room for what they name.
const MAX_VALUES: usize = 4 * MAX_OPERATORS;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Longer than any honest message.
    #[error("message of {0} bytes; at most {MAX_MESSAGE_BYTES} are read")]
    TooLong(usize),
    /// No protobuf of the expected form.
    #[error("malformed message")]
    Protobuf(#[source] prost::DecodeError),
    /// A field is missing or has the wrong form.
    #[error("message with a missing or malformed {0}")]
    Field(&'static str),
    /// A list is longer than any honest one.
    #[error("message with {found} {what}; at most {limit} are read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many came.
        found: usize,
        /// How many are read.
        limit: usize,
    },
    /// A duty that this node would not sign in any circumstance.
    #[error("message with an unusable duty")]
    Duty(#[source] DutyError),
    /// A value that fits no instance.
    #[error("message with an invalid value")]
    Value(#[source] InvalidValue),
}

mod proto {
    //! The protobuf messages. Field numbers must not change.

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Envelope {
        #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6")]
        pub(super) content: Option<Content>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Content {
        #[prost(message, tag = "1")]
        Agreement(Agreement),
        #[prost(message, tag = "2")]
        Partials(Partials),
        #[prost(message, tag = "3")]
        CosignRequest(ValidatorDuty),
        #[prost(message, tag = "4")]
        CosignAnswer(CosignAnswer),
        #[prost(message, tag = "5")]
        Witness(ValidatorDuty),
        #[prost(message, tag = "6")]
        Status(Status),
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Key {
        #[prost(uint64, tag = "1")]
        pub(super) kind: u64,
        #[prost(uint64, tag = "2")]
        pub(super) slot: u64,
        #[prost(uint64, tag = "3")]
        pub(super) rest: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Agreement {
        #[prost(message, tag = "1")]
        pub(super) key: Option<Key>,
        /// 1 CANDIDATE .. 8 DECIDED, see `body_number`.
        #[prost(uint64, tag = "2")]
        pub(super) body: u64,
        #[prost(message, tag = "3")]
        pub(super) vote: Option<Vote>,
        #[prost(message, tag = "4")]
        pub(super) certificate: Option<Certificate>,
        #[prost(message, repeated, tag = "5")]
        pub(super) votes: Vec<Vote>,
        #[prost(message, repeated, tag = "6")]
        pub(super) endorsements: Vec<Vote>,
        #[prost(bytes = "vec", repeated, tag = "7")]
        pub(super) values: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Vote {
        #[prost(uint32, tag = "1")]
        pub(super) from: u32,
        #[prost(uint64, tag = "2")]
        pub(super) kind: u64,
        #[prost(uint32, tag = "3")]
        pub(super) round: u32,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) root: Vec<u8>,
        #[prost(bool, tag = "5")]
        pub(super) own: bool,
        #[prost(message, tag = "6")]
        pub(super) prepared: Option<Prepared>,
        #[prost(bytes = "vec", tag = "7")]
        pub(super) signature: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Prepared {
        #[prost(uint32, tag = "1")]
        pub(super) round: u32,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) root: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Certificate {
        #[prost(message, tag = "1")]
        pub(super) prepared: Option<Prepared>,
        #[prost(message, repeated, tag = "2")]
        pub(super) votes: Vec<Vote>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Partials {
        #[prost(message, tag = "1")]
        pub(super) key: Option<Key>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) root: Vec<u8>,
        /// Bit i of byte j: validator 8j + i of the lock.
        #[prost(bytes = "vec", tag = "3")]
        pub(super) bitmap: Vec<u8>,
        /// 96 bytes for each bit set, in order.
        #[prost(bytes = "vec", tag = "4")]
        pub(super) partials: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ValidatorDuty {
        #[prost(uint32, tag = "1")]
        pub(super) validator: u32,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) duty: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) partial: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct CosignAnswer {
        #[prost(uint32, tag = "1")]
        pub(super) validator: u32,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) root: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) partial: Vec<u8>,
        #[prost(uint64, tag = "4")]
        pub(super) refusal: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(uint32, tag = "1")]
        pub(super) from: u32,
        #[prost(bool, tag = "2")]
        pub(super) silent: bool,
        #[prost(uint64, tag = "3")]
        pub(super) slot: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) signature: Vec<u8>,
    }
}

impl PeerMessage {
    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let content = match self {
            Self::Agreement(message) => proto::Content::Agreement(agreement_out(message)),
            Self::Partials(partials) => proto::Content::Partials(partials_out(partials)),
            Self::CosignRequest(CosignRequest { validator, duty, partial }) => {
                proto::Content::CosignRequest(duty_out(*validator, duty, partial))
            }
            Self::CosignAnswer(answer) => {
                let (partial, refusal) = match &answer.outcome {
                    Ok(partial) => (partial.as_bytes().to_vec(), 0),
                    Err(refusal) => (Vec::new(), *refusal as u64),
                };
                proto::Content::CosignAnswer(proto::CosignAnswer {
                    validator: answer.validator.get(),
                    root: answer.root.as_bytes().to_vec(),
                    partial,
                    refusal,
                })
            }
            Self::Witness(Witness { validator, duty, partial }) => {
                proto::Content::Witness(duty_out(*validator, duty, partial))
            }
            Self::Status(status) => proto::Content::Status(proto::Status {
                from: u32::from(status.from.get()),
                silent: status.silent,
                slot: status.slot.as_u64(),
                signature: status.signature.0.to_vec(),
            }),
        };
        proto::Envelope { content: Some(content) }.encode_to_vec()
    }

    /// Reads a peer's bytes. `validators` is the number of validators in the lock.
    ///
    /// # Errors
    /// Why they are no message that an honest node of this cluster and network sends.
    pub fn decode(bytes: &[u8], network: &Network, validators: usize) -> Result<Self, WireError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(WireError::TooLong(bytes.len()));
        }
        let envelope = proto::Envelope::decode(bytes).map_err(WireError::Protobuf)?;
        Ok(match envelope.content.ok_or(WireError::Field("content"))? {
            proto::Content::Agreement(message) => Self::Agreement(agreement_in(message, network)?),
            proto::Content::Partials(partials) => {
                Self::Partials(partials_in(&partials, validators)?)
            }
            proto::Content::CosignRequest(request) => {
                let (validator, duty, partial) = duty_in(&request, network, validators)?;
                Self::CosignRequest(CosignRequest { validator, duty, partial })
            }
            proto::Content::CosignAnswer(answer) => {
                let outcome = if answer.refusal == 0 {
                    Ok(partial_in(&answer.partial)?)
                } else {
                    Err(CosignRefusal::from_number(answer.refusal)
                        .ok_or(WireError::Field("refusal"))?)
                };
                Self::CosignAnswer(CosignAnswer {
                    validator: validator_in(answer.validator, validators)?,
                    root: root_in(&answer.root)?,
                    outcome,
                })
            }
            proto::Content::Witness(witness) => {
                let (validator, duty, partial) = duty_in(&witness, network, validators)?;
                Self::Witness(Witness { validator, duty, partial })
            }
            proto::Content::Status(status) => Self::Status(Status {
                from: operator_in(status.from)?,
                silent: status.silent,
                slot: Slot::new(status.slot),
                signature: signature_in(&status.signature)?,
            }),
        })
    }
}

fn agreement_out(message: &AgreementMessage) -> proto::Agreement {
    let mut out = proto::Agreement {
        key: Some(key_out(&message.key)),
        values: message.values.iter().map(|value| value.duty().encode()).collect(),
        ..Default::default()
    };
    let votes_out = |votes: &[UncheckedVote]| votes.iter().map(vote_out).collect();
    match &message.body {
        Body::Candidate(vote) => (out.body, out.vote) = (1, Some(vote_out(vote))),
        Body::Endorse(vote) => (out.body, out.vote) = (2, Some(vote_out(vote))),
        Body::Split(votes) => (out.body, out.votes) = (3, votes_out(votes)),
        Body::Commit(vote, certificate) => {
            (out.body, out.vote) = (4, Some(vote_out(vote)));
            out.certificate = certificate.as_ref().map(certificate_out);
        }
        Body::RoundChange(change) => {
            (out.body, out.vote) = (5, Some(vote_out(&change.vote)));
            out.certificate = change.certificate.as_ref().map(certificate_out);
            out.endorsements = votes_out(&change.endorsements);
        }
        Body::Propose(propose) => {
            (out.body, out.vote) = (6, Some(vote_out(&propose.vote)));
            out.certificate = propose.certificate.as_ref().map(certificate_out);
            out.votes = votes_out(&propose.round_changes);
            out.endorsements = votes_out(&propose.endorsements);
        }
        Body::Prepare(vote) => (out.body, out.vote) = (7, Some(vote_out(vote))),
        Body::Decided(votes) => (out.body, out.votes) = (8, votes_out(votes)),
    }
    out
}

fn agreement_in(
    message: proto::Agreement,
    network: &Network,
) -> Result<AgreementMessage, WireError> {
    let key = key_in(message.key)?;
    at_most("values", message.values.len(), MAX_VALUES)?;
    let values = message
        .values
        .iter()
        .map(|bytes| {
            let duty = Duty::decode(bytes, network).map_err(WireError::Duty)?;
            Value::new(&key, duty, network).map_err(WireError::Value)
        })
        .collect::<Result<_, _>>()?;
    let vote = |vote: Option<proto::Vote>| vote_in(&key, &vote.ok_or(WireError::Field("vote"))?);
    let votes = |votes: Vec<proto::Vote>| -> Result<Vec<UncheckedVote>, WireError> {
        at_most("votes", votes.len(), MAX_OPERATORS)?;
        votes.iter().map(|vote| vote_in(&key, vote)).collect()
    };
    let certificate = |certificate: Option<proto::Certificate>| {
        certificate
            .map(|certificate| {
                Ok::<_, WireError>(UncheckedCertificate {
                    prepared: prepared_in(certificate.prepared.as_ref())?
                        .ok_or(WireError::Field("certificate"))?,
                    votes: votes(certificate.votes)?,
                })
            })
            .transpose()
    };
    let body = match message.body {
        1 => Body::Candidate(vote(message.vote)?),
        2 => Body::Endorse(vote(message.vote)?),
        3 => Body::Split(votes(message.votes)?),
        4 => Body::Commit(vote(message.vote)?, certificate(message.certificate)?),
        5 => Body::RoundChange(RoundChange {
            vote: vote(message.vote)?,
            certificate: certificate(message.certificate)?,
            endorsements: votes(message.endorsements)?,
        }),
        6 => Body::Propose(Propose {
            vote: vote(message.vote)?,
            round_changes: votes(message.votes)?,
            certificate: certificate(message.certificate)?,
            endorsements: votes(message.endorsements)?,
        }),
        7 => Body::Prepare(vote(message.vote)?),
        8 => Body::Decided(votes(message.votes)?),
        _ => return Err(WireError::Field("kind of agreement message")),
    };
    Ok(AgreementMessage { key, body, values })
}

fn partials_out(partials: &Partials) -> proto::Partials {
    let mut bitmap = Vec::new();
    let mut bytes = Vec::with_capacity(partials.partials.len() * PartialSignature::LEN);
    for (validator, partial) in &partials.partials {
        let byte = validator.as_usize() / 8;
        if bitmap.len() <= byte {
            bitmap.resize(byte + 1, 0_u8);
        }
        if let Some(byte) = bitmap.get_mut(byte) {
            *byte |= 1 << (validator.get() % 8);
        }
        bytes.extend_from_slice(partial.as_bytes());
    }
    proto::Partials {
        key: Some(key_out(&partials.key)),
        root: partials.root.as_bytes().to_vec(),
        bitmap,
        partials: bytes,
    }
}

fn partials_in(partials: &proto::Partials, validators: usize) -> Result<Partials, WireError> {
    at_most("bytes of bitmap", partials.bitmap.len(), validators.div_ceil(8))?;
    let ones: usize = partials.bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
    at_most("partial signatures", ones, PARTIALS_PER_MESSAGE)?;
    let chunks = partials.partials.chunks_exact(PartialSignature::LEN);
    if !chunks.remainder().is_empty() || chunks.len() != ones {
        return Err(WireError::Field("list of partial signatures"));
    }
    let positions = partials.bitmap.iter().zip(0_u32..).flat_map(|(byte, index)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| index * 8 + bit)
    });
    let partials_of = positions
        .zip(chunks)
        .map(|(position, bytes)| Ok((validator_in(position, validators)?, partial_in(bytes)?)))
        .collect::<Result<_, WireError>>()?;
    Ok(Partials {
        key: key_in(partials.key)?,
        root: root_in(&partials.root)?,
        partials: partials_of,
    })
}

fn duty_out(validator: KeyIndex, duty: &Duty, partial: &PartialSignature) -> proto::ValidatorDuty {
    proto::ValidatorDuty {
        validator: validator.get(),
        duty: duty.encode(),
        partial: partial.as_bytes().to_vec(),
    }
}

fn duty_in(
    message: &proto::ValidatorDuty,
    network: &Network,
    validators: usize,
) -> Result<(KeyIndex, Duty, PartialSignature), WireError> {
    Ok((
        validator_in(message.validator, validators)?,
        Duty::decode(&message.duty, network).map_err(WireError::Duty)?,
        partial_in(&message.partial)?,
    ))
}

fn key_out(key: &InstanceKey) -> proto::Key {
    let (kind, slot, rest) = key.to_parts();
    proto::Key { kind: u64::from(kind), slot, rest }
}

fn key_in(key: Option<proto::Key>) -> Result<InstanceKey, WireError> {
    key.and_then(|key| InstanceKey::from_parts(key.kind, key.slot, key.rest))
        .ok_or(WireError::Field("duty key"))
}

fn vote_out(vote: &UncheckedVote) -> proto::Vote {
    let statement = &vote.statement;
    proto::Vote {
        from: u32::from(vote.from.get()),
        kind: statement.kind as u64,
        round: statement.round,
        root: statement.root.as_bytes().to_vec(),
        own: statement.own,
        prepared: statement.prepared.as_ref().map(prepared_out),
        signature: vote.signature.0.to_vec(),
    }
}

fn vote_in(key: &InstanceKey, vote: &proto::Vote) -> Result<UncheckedVote, WireError> {
    Ok(UncheckedVote {
        from: operator_in(vote.from)?,
        statement: Statement {
            key: *key,
            kind: VoteKind::from_number(vote.kind).ok_or(WireError::Field("kind of vote"))?,
            round: vote.round,
            root: root_in(&vote.root)?,
            own: vote.own,
            prepared: prepared_in(vote.prepared.as_ref())?,
        },
        signature: signature_in(&vote.signature)?,
    })
}

fn prepared_out(prepared: &Prepared) -> proto::Prepared {
    proto::Prepared { round: prepared.round, root: prepared.root.as_bytes().to_vec() }
}

fn prepared_in(prepared: Option<&proto::Prepared>) -> Result<Option<Prepared>, WireError> {
    prepared
        .map(|prepared| Ok(Prepared { round: prepared.round, root: root_in(&prepared.root)? }))
        .transpose()
}

fn certificate_out(certificate: &UncheckedCertificate) -> proto::Certificate {
    proto::Certificate {
        prepared: Some(prepared_out(&certificate.prepared)),
        votes: certificate.votes.iter().map(vote_out).collect(),
    }
}

fn operator_in(operator: u32) -> Result<OperatorIndex, WireError> {
    u8::try_from(operator)
        .ok()
        .map(OperatorIndex::new)
        .filter(|operator| operator.as_usize() < MAX_OPERATORS)
        .ok_or(WireError::Field("operator"))
}

fn validator_in(validator: u32, validators: usize) -> Result<KeyIndex, WireError> {
    let validator = KeyIndex::new(validator);
    if validator.as_usize() < validators {
        Ok(validator)
    } else {
        Err(WireError::Field("validator"))
    }
}

fn root_in(bytes: &[u8]) -> Result<Root, WireError> {
    Root::try_from(bytes).map_err(|_| WireError::Field("root"))
}

fn partial_in(bytes: &[u8]) -> Result<PartialSignature, WireError> {
    let bytes = bytes.try_into().map_err(|_| WireError::Field("partial signature"))?;
    Ok(PartialSignature::new(bytes))
}

fn signature_in(bytes: &[u8]) -> Result<IdentitySignature, WireError> {
    let bytes = bytes.try_into().map_err(|_| WireError::Field("signature"))?;
    Ok(IdentitySignature(bytes))
}

const fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), WireError> {
    if found > limit { Err(WireError::TooMany { what, found, limit }) } else { Ok(()) }
}
