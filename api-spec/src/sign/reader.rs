//! Reads the values of a request whose type is known.

use std::borrow::Cow;

use eth_types::containers::{BeaconBlockHeader, RawBeaconBlock};
use eth_types::{Epoch, Root, Slot};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::Envelope;
use super::{MerkleProof, QUOTE_LIMIT, SignObject, SignRequestError};
use crate::duty_type::DutyType;
use crate::strict;

/// Proofs that are read of one request. Nimbus sends one for each property that it is told to prove.
const MAX_PROOFS: usize = 16;

/// Reads the fields of a request of one type.
pub(super) struct Reader {
    pub(super) duty_type: DutyType,
}

impl Reader {
    /// The signing root under either name; both names if both mean the same.
    pub(super) fn signing_root(
        &self,
        envelope: &Envelope<'_>,
    ) -> Result<Option<Root>, SignRequestError> {
        let read = |name: &str, raw: Option<&RawValue>| -> Result<Option<Root>, SignRequestError> {
            raw.map(|raw| self.read(name, raw)).transpose()
        };
        let camel = read("signingRoot", envelope.signing_root_camel)?;
        let snake = read("signing_root", envelope.signing_root)?;
        match (camel, snake) {
            (Some(camel), Some(snake)) if camel != snake => Err(self.bad(
                "signingRoot",
                format!("it is {camel}, but signing_root beside it is {snake}"),
            )),
            (camel, snake) => Ok(camel.or(snake)),
        }
    }

    /// The proofs of a block; of other types the field is not looked at.
    pub(super) fn proofs(
        &self,
        envelope: &Envelope<'_>,
    ) -> Result<Vec<MerkleProof>, SignRequestError> {
        let Some(raw) = envelope.proofs.filter(|_| self.duty_type == DutyType::BlockV2) else {
            return Ok(Vec::new());
        };
        let proofs: Vec<MerkleProof> = self.read("proofs", raw)?;
        if proofs.len() > MAX_PROOFS {
            let reason = format!("expected at most {MAX_PROOFS} proofs, found {}", proofs.len());
            return Err(self.bad("proofs", reason));
        }
        Ok(proofs)
    }

    pub(super) fn sign_object(
        &self,
        envelope: &Envelope<'_>,
    ) -> Result<SignObject, SignRequestError> {
        let (field, raw) = self.object_field(envelope)?;
        if self.duty_type.may_be_wrapped() {
            return self.wrapped(field, raw);
        }
        Ok(match self.duty_type {
            DutyType::Block => SignObject::Block(Box::new(self.object(field, raw)?)),
            DutyType::BlockV2 => self.block_v2(raw)?,
            DutyType::Attestation => SignObject::Attestation(self.object(field, raw)?),
            DutyType::AggregationSlot => {
                let AggregationSlot { slot } = self.object(field, raw)?;
                SignObject::AggregationSlot(slot)
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
            DutyType::AggregateAndProof
            | DutyType::AggregateAndProofV2
            | DutyType::ExecutionPayloadBid
            | DutyType::ExecutionPayloadEnvelope
            | DutyType::PayloadAttestationMessage
            | DutyType::ProposerPreferences
            | DutyType::BuilderRequestAuth => self.wrapped(field, raw)?,
        })
    }

    /// The field that holds the object: the specified one, or another that clients use.
    fn object_field<'a>(
        &self,
        envelope: &Envelope<'a>,
    ) -> Result<(&'static str, &'a RawValue), SignRequestError> {
        let specified = self.duty_type.object_field();
        let others = self.duty_type.other_object_fields().iter().copied();
        let mut found = std::iter::once(specified)
            .chain(others)
            .filter_map(|field| envelope.object(field).map(|raw| (field, raw)));
        let first = found.next().ok_or_else(|| self.missing(specified))?;
        match found.next() {
            None => Ok(first),
            Some((second, _)) => {
                Err(self.bad(first.0, format!("{second}, which means the same, is there as well")))
            }
        }
    }

    /// A block with its version. A header hashes the same under every version, so that one of a fork
    /// to come is taken; whole blocks exist for phase 0 and Altair only.
    fn block_v2(&self, raw: &RawValue) -> Result<SignObject, SignRequestError> {
        const HEADER: &str = "beacon_block.block_header";
        const WHOLE: &str = "beacon_block.block";
        let BeaconBlock { version, block, block_header } = self.object("beacon_block", raw)?;
        let Some(version) = version else { return Err(self.missing("beacon_block.version")) };
        match (block, block_header) {
            (None, Some(header)) => {
                let header: BeaconBlockHeader = self.object(HEADER, header)?;
                Ok(SignObject::BlockHeader(header))
            }
            (Some(block), None) if holds_whole_blocks(&version) => {
                let block: RawBeaconBlock = self.object(WHOLE, block)?;
                Ok(SignObject::Block(Box::new(block)))
            }
            (Some(_), Some(_)) => {
                Err(self.bad("beacon_block", "block and block_header are both there".to_owned()))
            }
            (None, None) if holds_whole_blocks(&version) => Err(self.missing(WHOLE)),
            (_, None) => Err(self.missing(HEADER)),
        }
    }

    /// An object that is bare or wrapped as `{"version", "data"}`.
    fn wrapped(&self, field: &str, raw: &RawValue) -> Result<SignObject, SignRequestError> {
        let Wrapper { version, data } = self.object(field, raw)?;
        // An auth has a field `data` of its own, which is a string.
        let is_own = self.duty_type == DutyType::BuilderRequestAuth;
        let data = data.filter(|data| !is_own || data.get().starts_with('{'));
        let (path, raw) = match data {
            Some(data) => (Cow::Owned(format!("{field}.data")), data),
            None => (Cow::Borrowed(field), raw),
        };
        let path = path.as_ref();
        Ok(match self.duty_type {
            DutyType::ExecutionPayloadBid => {
                self.expect_gloas(field, version)?;
                SignObject::ExecutionPayloadBid(self.object(path, raw)?)
            }
            DutyType::ExecutionPayloadEnvelope => {
                self.expect_gloas(field, version)?;
                SignObject::ExecutionPayloadEnvelope(self.object(path, raw)?)
            }
            DutyType::PayloadAttestationMessage => {
                SignObject::PayloadAttestation(self.object(path, raw)?)
            }
            DutyType::ProposerPreferences => {
                SignObject::ProposerPreferences(self.object(path, raw)?)
            }
            DutyType::BuilderRequestAuth => SignObject::BuilderRequestAuth(self.object(path, raw)?),
            // The form of an aggregate follows from its slot, whatever the version says.
            _ => SignObject::AggregateAndProof(Box::new(self.object(path, raw)?)),
        })
    }

    /// The containers of bids and payloads change with forks: only the form that is known is signed.
    fn expect_gloas(
        &self,
        field: &str,
        version: Option<&RawValue>,
    ) -> Result<(), SignRequestError> {
        let Some(version) = version else { return Ok(()) };
        let path = format!("{field}.version");
        let version: Cow<'_, str> = self.read(&path, version)?;
        if version.eq_ignore_ascii_case("GLOAS") {
            return Ok(());
        }
        let found: String = version.chars().take(QUOTE_LIMIT).collect();
        Err(self.bad(&path, format!("expected GLOAS, whose form is known, found {found:?}")))
    }

    /// Reads a field that has to be a JSON object.
    pub(super) fn object<'a, T: Deserialize<'a>>(
        &self,
        path: &str,
        raw: &'a RawValue,
    ) -> Result<T, SignRequestError> {
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
        let mut json = serde_json::Deserializer::from_str(raw.get());
        let mut track = serde_path_to_error::Track::new();
        strict::read(serde_path_to_error::Deserializer::new(&mut json, &mut track)).map_err(
            |error| {
                let inner = track.path().to_string();
                let separator = match inner.as_str() {
                    "." => return self.bad(path, reason(&error)),
                    text if text.starts_with('[') => "",
                    _ => ".",
                };
                self.bad(&format!("{path}{separator}{inner}"), reason(&error))
            },
        )
    }

    pub(super) fn missing(&self, field: &'static str) -> SignRequestError {
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

/// What tells a wrapped object from a bare one.
#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
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
