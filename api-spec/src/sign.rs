//! A signing request: what validator clients send to `POST /api/v1/eth2/sign/{identifier}`.
//!
//! Clients differ in the order of fields, in spelling and in what they leave out. [`SignRequest`]
//! takes all of their forms:
//!
//! - fields in any order; unknown ones, and objects of other types than `type` says, are not looked at;
//! - `null` counts as absent;
//! - `type` and versions in any case; `signingRoot` and `signing_root`;
//! - integers quoted or bare, hex of any case with or without `0x`;
//! - aggregates bare and as `{"version", "data"}` under both of their types.
//!
//! It refuses what could mean two things: a field given twice, an array in place of an object, a whole
//! block beside a header.

use std::borrow::Cow;
use std::fmt;

use eth_types::containers::{
    AttestationData, BeaconBlockHeader, DepositMessage, RawAggregateAndProof, RawBeaconBlock,
    RawContributionAndProof, SyncAggregatorSelectionData, SyncCommitteeMessage,
    ValidatorRegistration, VoluntaryExit,
};
use eth_types::fork::ForkInfo;
use eth_types::{Epoch, Root, Slot};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::duty_type::DutyType;

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
}

/// Why a body is not a signing request.
#[derive(Debug, thiserror::Error)]
pub enum SignRequestError {
    /// The body is empty.
    #[error("the body is empty, expected a signing request as a JSON object")]
    Empty,
    /// The body is not JSON, or its outermost fields have the wrong types.
    #[error("the body is not a signing request: {0}")]
    Json(#[source] serde_json::Error),
    /// There is no `type`.
    #[error("type is missing, expected one of {}", Known)]
    MissingType,
    /// The `type` is none that is signed.
    #[error("type {found:?} is not supported, expected one of {}", Known)]
    UnknownType {
        /// The type, cut if it is long.
        found: String,
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
            Self::Empty | Self::Json(_) | Self::MissingType | Self::UnknownType { .. } => None,
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

/// The outermost fields. Objects stay text until the type is known: it may come after them.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    duty_type: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "signingRoot")]
    signing_root: Option<&'a RawValue>,
    #[serde(borrow)]
    fork_info: Option<&'a RawValue>,
    #[serde(borrow)]
    block: Option<&'a RawValue>,
    #[serde(borrow)]
    beacon_block: Option<&'a RawValue>,
    #[serde(borrow)]
    attestation: Option<&'a RawValue>,
    #[serde(borrow)]
    aggregation_slot: Option<&'a RawValue>,
    #[serde(borrow)]
    aggregate_and_proof: Option<&'a RawValue>,
    #[serde(borrow)]
    randao_reveal: Option<&'a RawValue>,
    #[serde(borrow)]
    deposit: Option<&'a RawValue>,
    #[serde(borrow)]
    voluntary_exit: Option<&'a RawValue>,
    #[serde(borrow)]
    sync_committee_message: Option<&'a RawValue>,
    #[serde(borrow)]
    sync_aggregator_selection_data: Option<&'a RawValue>,
    #[serde(borrow)]
    contribution_and_proof: Option<&'a RawValue>,
    #[serde(borrow)]
    validator_registration: Option<&'a RawValue>,
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
        let envelope: Envelope<'_> = envelope(body)?;
        let Some(type_text) = &envelope.duty_type else {
            return Err(SignRequestError::MissingType);
        };
        let duty_type: DutyType = type_text.parse().map_err(|_| SignRequestError::UnknownType {
            found: type_text.chars().take(QUOTE_LIMIT).collect(),
        })?;
        let reader = Reader { duty_type };
        let signing_root = match envelope.signing_root {
            Some(raw) => Some(reader.read("signingRoot", raw)?),
            None => None,
        };
        let fork_info = match (duty_type.needs_fork_info(), envelope.fork_info) {
            (true, Some(raw)) => Some(reader.object("fork_info", raw)?),
            (true, None) => return Err(reader.missing("fork_info")),
            (false, _) => None,
        };
        let object = reader.sign_object(&envelope)?;
        Ok(Self { duty_type, signing_root, fork_info, object })
    }
}

fn envelope(body: &[u8]) -> Result<Envelope<'_>, SignRequestError> {
    // A derived reader takes an array for a struct: fields by position, which nobody means.
    if body.trim_ascii_start().first() == Some(&b'[') {
        let error = serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &"a JSON object");
        return Err(SignRequestError::Json(error));
    }
    serde_json::from_slice(body).map_err(SignRequestError::Json)
}

/// Reads the fields of a request of one type.
struct Reader {
    duty_type: DutyType,
}

impl Reader {
    fn sign_object(&self, envelope: &Envelope<'_>) -> Result<SignObject, SignRequestError> {
        let raw = match self.duty_type {
            DutyType::Block => envelope.block,
            DutyType::BlockV2 => envelope.beacon_block,
            DutyType::Attestation => envelope.attestation,
            DutyType::AggregationSlot => envelope.aggregation_slot,
            DutyType::AggregateAndProof | DutyType::AggregateAndProofV2 => {
                envelope.aggregate_and_proof
            }
            DutyType::RandaoReveal => envelope.randao_reveal,
            DutyType::Deposit => envelope.deposit,
            DutyType::VoluntaryExit => envelope.voluntary_exit,
            DutyType::SyncCommitteeMessage => envelope.sync_committee_message,
            DutyType::SyncCommitteeSelectionProof => envelope.sync_aggregator_selection_data,
            DutyType::SyncCommitteeContributionAndProof => envelope.contribution_and_proof,
            DutyType::ValidatorRegistration => envelope.validator_registration,
        };
        let field = self.duty_type.object_field();
        let raw = raw.ok_or_else(|| self.missing(field))?;
        Ok(match self.duty_type {
            DutyType::Block => SignObject::Block(Box::new(self.object(field, raw)?)),
            DutyType::BlockV2 => self.block_v2(raw)?,
            DutyType::Attestation => SignObject::Attestation(self.object(field, raw)?),
            DutyType::AggregationSlot => {
                let AggregationSlot { slot } = self.object(field, raw)?;
                SignObject::AggregationSlot(slot)
            }
            DutyType::AggregateAndProof | DutyType::AggregateAndProofV2 => {
                SignObject::AggregateAndProof(Box::new(self.aggregate(raw)?))
            }
            DutyType::RandaoReveal => {
                let RandaoReveal { epoch } = self.object(field, raw)?;
                SignObject::RandaoReveal(epoch)
            }
            DutyType::Deposit => SignObject::Deposit(self.object(field, raw)?),
            DutyType::VoluntaryExit => SignObject::VoluntaryExit(self.object(field, raw)?),
            DutyType::SyncCommitteeMessage => {
                SignObject::SyncCommitteeMessage(self.object(field, raw)?)
            }
            DutyType::SyncCommitteeSelectionProof => {
                SignObject::SyncCommitteeSelectionProof(self.object(field, raw)?)
            }
            DutyType::SyncCommitteeContributionAndProof => {
                SignObject::SyncCommitteeContributionAndProof(Box::new(self.object(field, raw)?))
            }
            DutyType::ValidatorRegistration => {
                SignObject::ValidatorRegistration(self.object(field, raw)?)
            }
        })
    }

    /// A block with its version. A header hashes the same under every version, so that one of a fork
    /// to come is taken; whole blocks exist for phase 0 and Altair only.
    fn block_v2(&self, raw: &RawValue) -> Result<SignObject, SignRequestError> {
        const HEADER: &str = "beacon_block.block_header";
        const WHOLE: &str = "beacon_block.block";
        let BeaconBlock { version, block, block_header } = self.object("beacon_block", raw)?;
        let Some(version) = version else { return Err(self.missing("beacon_block.version")) };
        match (block, block_header) {
            (None, Some(header)) => Ok(SignObject::BlockHeader(self.object(HEADER, header)?)),
            (Some(block), None) if holds_whole_blocks(&version) => {
                Ok(SignObject::Block(Box::new(self.object(WHOLE, block)?)))
            }
            (Some(_), Some(_)) => {
                Err(self.bad("beacon_block", "block and block_header are both there".to_owned()))
            }
            (None, None) if holds_whole_blocks(&version) => Err(self.missing(WHOLE)),
            (_, None) => Err(self.missing(HEADER)),
        }
    }

    /// An aggregate, bare or as `{"version", "data"}`. The version is not looked at: the form of an
    /// aggregate follows from its slot.
    fn aggregate(&self, raw: &RawValue) -> Result<RawAggregateAndProof, SignRequestError> {
        let field = "aggregate_and_proof";
        let Wrapped { data } = self.object(field, raw)?;
        match data {
            Some(data) => self.object("aggregate_and_proof.data", data),
            None => self.object(field, raw),
        }
    }

    /// Reads a field that has to be a JSON object.
    fn object<'a, T: Deserialize<'a>>(
        &self,
        path: &str,
        raw: &'a RawValue,
    ) -> Result<T, SignRequestError> {
        // A derived reader takes an array for a struct: fields by position, which nobody means.
        if !raw.get().starts_with('{') {
            return Err(self.bad(path, "expected a JSON object".to_owned()));
        }
        self.read(path, raw)
    }

    fn read<'a, T: Deserialize<'a>>(
        &self,
        path: &str,
        raw: &'a RawValue,
    ) -> Result<T, SignRequestError> {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let inner = error.path().to_string();
            let separator = match inner.as_str() {
                "." => return self.bad(path, reason(error.inner())),
                text if text.starts_with('[') => "",
                _ => ".",
            };
            self.bad(&format!("{path}{separator}{inner}"), reason(error.inner()))
        })
    }

    fn missing(&self, field: &'static str) -> SignRequestError {
        SignRequestError::MissingField { duty_type: self.duty_type, field }
    }

    fn bad(&self, path: &str, reason: String) -> SignRequestError {
        SignRequestError::Field { duty_type: self.duty_type, path: path.to_owned(), reason }
    }
}

/// `aggregation_slot`.
#[derive(Deserialize)]
struct AggregationSlot {
    slot: Slot,
}

/// `randao_reveal`.
#[derive(Deserialize)]
struct RandaoReveal {
    epoch: Epoch,
}

/// `beacon_block` of `BLOCK_V2`.
#[derive(Deserialize)]
struct BeaconBlock<'a> {
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    block: Option<&'a RawValue>,
    #[serde(borrow)]
    block_header: Option<&'a RawValue>,
}

/// What tells a wrapped aggregate from a bare one.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

fn holds_whole_blocks(version: &str) -> bool {
    ["PHASE0", "ALTAIR"].iter().any(|whole| whole.eq_ignore_ascii_case(version))
}

/// The error without its position, which counts from the field's beginning and not the body's.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
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
