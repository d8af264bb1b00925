//! A signing request: what validator clients send to `POST /api/v1/eth2/sign/{identifier}`.
//!
//! Clients differ in the order of fields, in spelling and in what they leave out. [`SignRequest`]
//! takes all of their forms:
//!
//! - fields in any order; unknown ones, and objects of other types than `type` says, are not looked at;
//! - `null` counts as absent;
//! - `type` and versions in any case; `signingRoot` and `signing_root`;
//! - integers quoted or bare, hex of any case with or without `0x`;
//! - aggregates, and what Gloas adds, bare and as `{"version", "data"}`;
//! - other names that clients have for Gloas' types and their objects.
//!
//! It refuses what could mean two things: a field given twice, two different signing roots, an array in
//! place of an object, a whole block beside a header.

mod envelope;
mod reader;

use std::borrow::Cow;
use std::fmt;

use eth_types::containers::{
    AttestationData, BeaconBlockHeader, BuilderRequestAuth, DepositMessage, ExecutionPayloadBid,
    ExecutionPayloadEnvelope, PayloadAttestationData, ProposerPreferences, RawAggregateAndProof,
    RawBeaconBlock, RawContributionAndProof, SyncAggregatorSelectionData, SyncCommitteeMessage,
    ValidatorRegistration, VoluntaryExit,
};
use eth_types::fork::ForkInfo;
use eth_types::primitives::quoted_u64;
use eth_types::{Epoch, ExecutionAddress, Root, Slot};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use self::envelope::Envelope;
use self::reader::Reader;
use crate::duty_type::{DutyType, UnknownDutyType};

/// Longest piece of a request that an error quotes, in characters.
const QUOTE_LIMIT: usize = 64;

/// A signing request that was read. Its object still has the sizes of any network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// The `type`.
    pub duty_type: DutyType,
    /// The signing root that the client computed, if it sent one.
    pub signing_root: Option<Root>,
    /// The fork as the client sees it; absent for the types that are not signed under one.
    pub fork_info: Option<ForkInfo>,
    /// What is to be signed.
    pub object: SignObject,
    /// Proofs of fields of a block's body, in Nimbus's verifying extension of `BLOCK_V2`.
    pub proofs: Vec<MerkleProof>,
}

/// That a value is a field of a block's body, whose root is in the header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MerkleProof {
    /// The generalized index of the field in the body.
    #[serde(with = "quoted_u64")]
    pub index: u64,
    /// The siblings on the way from the field to the root, the lowest first.
    pub proof: Vec<Root>,
    /// The field, if the client tells it: 32 bytes, or 20 with zeros after them.
    #[serde(default, deserialize_with = "leaf")]
    pub value: Option<Root>,
}

/// Reads 32 bytes of hex, or an address as the leaf that it is in a tree.
fn leaf<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Root>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else { return Ok(None) };
    let leaf = text.parse::<Root>().or_else(|_| {
        text.parse::<ExecutionAddress>().map(|address| {
            let mut leaf = [0; Root::LEN];
            leaf[..ExecutionAddress::LEN].copy_from_slice(address.as_bytes());
            Root::new(leaf)
        })
    });
    leaf.map(Some).map_err(|_| D::Error::custom("expected 20 or 32 bytes of hex"))
}

/// The object of a signing request, in the form it has on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignObject {
    /// `BLOCK`, or `BLOCK_V2` with `block`: a whole block of phase 0 or Altair.
    Block(Box<RawBeaconBlock>),
    /// `BLOCK_V2` with `block_header`.
    BlockHeader(BeaconBlockHeader),
    /// `ATTESTATION`.
    Attestation(AttestationData),
    /// `AGGREGATION_SLOT`.
    AggregationSlot(Slot),
    /// `AGGREGATE_AND_PROOF` and `AGGREGATE_AND_PROOF_V2`.
    AggregateAndProof(Box<RawAggregateAndProof>),
    /// `RANDAO_REVEAL`.
    RandaoReveal(Epoch),
    /// `DEPOSIT`.
    Deposit(DepositMessage),
    /// `VOLUNTARY_EXIT`.
    VoluntaryExit(VoluntaryExit),
    /// `SYNC_COMMITTEE_MESSAGE`.
    SyncCommitteeMessage(SyncCommitteeMessage),
    /// `SYNC_COMMITTEE_SELECTION_PROOF`.
    SyncCommitteeSelectionProof(SyncAggregatorSelectionData),
    /// `SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF`.
    SyncCommitteeContributionAndProof(Box<RawContributionAndProof>),
    /// `VALIDATOR_REGISTRATION`.
    ValidatorRegistration(ValidatorRegistration),
    /// `EXECUTION_PAYLOAD_BID`.
    ExecutionPayloadBid(Box<ExecutionPayloadBid>),
    /// `EXECUTION_PAYLOAD_ENVELOPE`.
    ExecutionPayloadEnvelope(Box<ExecutionPayloadEnvelope>),
    /// `PAYLOAD_ATTESTATION_MESSAGE`.
    PayloadAttestation(PayloadAttestationData),
    /// `PROPOSER_PREFERENCES`.
    ProposerPreferences(ProposerPreferences),
    /// `BUILDER_REQUEST_AUTH`.
    BuilderRequestAuth(BuilderRequestAuth),
}

/// Why a body is not a signing request.
#[derive(Debug, thiserror::Error)]
pub enum SignRequestError {
    /// The body is empty.
    #[error("the body is empty, expected a signing request as a JSON object")]
    Empty,
    /// The body is not JSON, or its outermost fields have the wrong types.
    #[error("the body is not a signing request: {reason}")]
    Json {
        /// What is wrong, and where.
        reason: String,
    },
    /// There is no `type`.
    #[error("type is missing, expected one of {}", Known)]
    MissingType,
    /// The `type` is none that is signed.
    #[error("type {found:?} is not supported, expected one of {}", Known)]
    UnknownType {
        /// The type, cut if it is long.
        found: String,
    },
    /// The `type` is known, and never signed.
    #[error("type {name} is not signed: {reason}")]
    NeverSigned {
        /// The type.
        name: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A field that the type needs is missing.
    #[error("{field} is missing: type {duty_type} needs it")]
    MissingField {
        /// The type.
        duty_type: DutyType,
        /// The path of the field.
        field: &'static str,
    },
    /// A field cannot be read.
    #[error("{path}: {reason}")]
    Field {
        /// The type.
        duty_type: DutyType,
        /// The path of the field, such as `attestation.target.epoch`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl SignRequestError {
    /// The type of the request, where it could be read.
    #[must_use]
    pub fn duty_type(&self) -> Option<DutyType> {
        match self {
            Self::Empty
            | Self::Json { .. }
            | Self::MissingType
            | Self::UnknownType { .. }
            | Self::NeverSigned { .. } => None,
            Self::MissingField { duty_type, .. } | Self::Field { duty_type, .. } => {
                Some(*duty_type)
            }
        }
    }
}

/// The list of known types, for errors.
struct Known;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, known) in DutyType::ALL.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{known}")?;
        }
        Ok(())
    }
}

impl SignRequest {
    /// Reads a request's body.
    ///
    /// # Errors
    /// See [`SignRequestError`]; every error names the field and what is wrong with it.
    pub fn from_json(body: &[u8]) -> Result<Self, SignRequestError> {
        if body.trim_ascii().is_empty() {
            return Err(SignRequestError::Empty);
        }
        let envelope: Envelope<'_> = serde_json::from_slice(body)
            .map_err(|error| SignRequestError::Json { reason: error.to_string() })?;
        let Some(type_text) = &envelope.duty_type else {
            return Err(SignRequestError::MissingType);
        };
        let duty_type: DutyType = type_text.parse().map_err(|error| match error {
            UnknownDutyType::Unknown => SignRequestError::UnknownType {
                found: type_text.chars().take(QUOTE_LIMIT).collect(),
            },
            UnknownDutyType::NeverSigned { name, reason } => {
                SignRequestError::NeverSigned { name, reason }
            }
        })?;
        let reader = Reader { duty_type };
        let signing_root = reader.signing_root(&envelope)?;
        let fork_info = match (duty_type.needs_fork_info(), envelope.fork_info) {
            (true, Some(raw)) => Some(reader.object("fork_info", raw)?),
            (true, None) => return Err(reader.missing("fork_info")),
            (false, _) => None,
        };
        let object = reader.sign_object(&envelope)?;
        let proofs = reader.proofs(&envelope)?;
        Ok(Self { duty_type, signing_root, fork_info, object, proofs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORK_INFO: &str = r#""fork_info":{"fork":{"previous_version":"0x00000001","current_version":"0x00000002","epoch":"3"},"genesis_validators_root":"0x0404040404040404040404040404040404040404040404040404040404040404"}"#;

    fn read(fields: &str) -> Result<SignRequest, SignRequestError> {
        SignRequest::from_json(format!("{{{fields}}}").as_bytes())
    }

    #[test]
    fn a_request_is_read_whole() {
        let text = format!(
            r#""randao_reveal":{{"epoch":7}},"type":"randao_reveal",{FORK_INFO},"signing_root":null"#
        );
        let request = read(&text).unwrap();
        assert_eq!(request.duty_type, DutyType::RandaoReveal);
        assert_eq!(request.signing_root, None);
        assert_eq!(request.object, SignObject::RandaoReveal(Epoch::new(7)));
        let fork_info = request.fork_info.unwrap();
        assert_eq!(fork_info.fork.epoch, Epoch::new(3));
        assert_eq!(fork_info.genesis_validators_root, Root::new([4; 32]));
    }

    #[test]
    fn fork_info_is_not_looked_at_where_it_does_not_count() {
        let key = "11".repeat(48);
        let text = format!(
            r#""type":"VALIDATOR_REGISTRATION","fork_info":"nonsense","validator_registration":{{"fee_recipient":"{}","gas_limit":"1","timestamp":2,"pubkey":"{key}"}}"#,
            "22".repeat(20)
        );
        let request = read(&text).unwrap();
        assert_eq!(request.fork_info, None);
        let SignObject::ValidatorRegistration(registration) = request.object else {
            panic!("{:?}", request.object)
        };
        assert_eq!((registration.gas_limit, registration.timestamp), (1, 2));
    }

    #[test]
    fn an_error_names_the_field_and_knows_the_type_once_it_was_read() {
        for (fields, duty_type, text) in [
            (r#""type":"NONE""#.to_owned(), None, r#"type "NONE" is not supported"#),
            (
                r#""type":"RANDAO_REVEAL""#.to_owned(),
                Some(DutyType::RandaoReveal),
                "fork_info is missing: type RANDAO_REVEAL needs it",
            ),
            (
                format!(
                    r#""type":"ATTESTATION",{FORK_INFO},"attestation":{{"slot":"1","index":"x"}}"#
                ),
                Some(DutyType::Attestation),
                "attestation.index: ",
            ),
            (
                format!(r#""type":"BLOCK_V2",{FORK_INFO},"beacon_block":{{"version":"FULU"}}"#),
                Some(DutyType::BlockV2),
                "beacon_block.block_header is missing: type BLOCK_V2 needs it",
            ),
            (
                format!(r#""type":"DEPOSIT",{FORK_INFO},"deposit":[]"#),
                Some(DutyType::Deposit),
                "deposit: expected a JSON object",
            ),
        ] {
            let error = read(&fields).unwrap_err();
            assert_eq!(error.duty_type(), duty_type, "{fields}");
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }
}
