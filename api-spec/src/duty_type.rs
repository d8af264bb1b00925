//! The `type` of a signing request: which duty the validator client is at.

use std::fmt;
use std::str::FromStr;

/// Declares the types once: their names on the wire and the field that holds each one's object.
macro_rules! duty_types {
    ($($(#[$meta:meta])* $variant:ident = $wire:literal in $field:literal,)+) => {
        /// The `type` field of a signing request. [`FromStr`] reads it in any case, as clients of
        /// Web3Signer may send it; [`DutyType::as_str`] is the form of the specification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DutyType {
            $($(#[$meta])* $variant,)+
        }

        impl DutyType {
            /// Every type that is understood, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire, in upper case; also the `duty` label of metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }

            /// The field of the request that holds the object of this type.
            #[must_use]
            pub const fn object_field(self) -> &'static str {
                match self { $(Self::$variant => $field,)+ }
            }
        }
    };
}

duty_types! {
    /// A whole phase 0 block, in the deprecated form that Teku and Prysm still send for it.
    Block = "BLOCK" in "block",
    /// A block with its version: whole for phase 0 and Altair, a header from Bellatrix on.
    BlockV2 = "BLOCK_V2" in "beacon_block",
    /// An attestation.
    Attestation = "ATTESTATION" in "attestation",
    /// The proof that selects aggregators, over the slot.
    AggregationSlot = "AGGREGATION_SLOT" in "aggregation_slot",
    /// An aggregate; most clients use this deprecated name for every fork.
    AggregateAndProof = "AGGREGATE_AND_PROOF" in "aggregate_and_proof",
    /// An aggregate with its version.
    AggregateAndProofV2 = "AGGREGATE_AND_PROOF_V2" in "aggregate_and_proof",
    /// The proposer's contribution to the randomness of an epoch.
    RandaoReveal = "RANDAO_REVEAL" in "randao_reveal",
    /// A deposit of a new validator.
    Deposit = "DEPOSIT" in "deposit",
    /// A voluntary exit.
    VoluntaryExit = "VOLUNTARY_EXIT" in "voluntary_exit",
    /// A sync committee's vote for a block root.
    SyncCommitteeMessage = "SYNC_COMMITTEE_MESSAGE" in "sync_committee_message",
    /// The proof that selects a sync committee's aggregators.
    SyncCommitteeSelectionProof = "SYNC_COMMITTEE_SELECTION_PROOF" in "sync_aggregator_selection_data",
    /// A sync committee's aggregate.
    SyncCommitteeContributionAndProof = "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF" in "contribution_and_proof",
    /// The registration of a validator with block builders.
    ValidatorRegistration = "VALIDATOR_REGISTRATION" in "validator_registration",
    /// A builder's bid for the payload of a slot, from Gloas on.
    ExecutionPayloadBid = "EXECUTION_PAYLOAD_BID" in "execution_payload_bid",
    /// The payload of a slot, from Gloas on.
    ExecutionPayloadEnvelope = "EXECUTION_PAYLOAD_ENVELOPE" in "execution_payload_envelope",
    /// A payload timeliness committee's vote, from Gloas on.
    PayloadAttestationMessage = "PAYLOAD_ATTESTATION_MESSAGE" in "payload_attestation_message",
    /// What a proposer wants of builders, from Gloas on.
    ProposerPreferences = "PROPOSER_PREFERENCES" in "proposer_preferences",
    /// The proof that a request for a bid is the proposer's, from Gloas on.
    BuilderRequestAuth = "BUILDER_REQUEST_AUTH" in "builder_request_auth",
}

/// Types that are known and not signed, and why.
const NEVER_SIGNED: [(&str, &str); 3] = [
    (
        "BLS_TO_EXECUTION_CHANGE",
        "it takes the withdrawal key, and a signer holds signing keys only; sign it where the \
         withdrawal key is kept",
    ),
    ("INCLUSION_LIST", "inclusion lists are not part of any fork up to GLOAS"),
    ("BLOB_SIDECAR", "sidecars are covered by the signature of their block"),
];

impl DutyType {
    /// Names that clients sent before the specification had these types, and some still send.
    pub const OTHER_NAMES: [(&str, Self); 2] = [
        ("PAYLOAD_ATTESTATION", Self::PayloadAttestationMessage),
        ("REQUEST_AUTH", Self::BuilderRequestAuth),
    ];

    /// Whether the type is signed under a fork of the chain, so that the request must hold `fork_info`.
    /// Deposits, registrations and builder request auths are signed under the genesis fork version
    /// alone; their `fork_info` is not looked at (Nimbus sends one of zeros).
    #[must_use]
    pub const fn needs_fork_info(self) -> bool {
        !matches!(self, Self::Deposit | Self::ValidatorRegistration | Self::BuilderRequestAuth)
    }

    /// Other fields that clients put the object of this type in.
    #[must_use]
    pub const fn other_object_fields(self) -> &'static [&'static str] {
        match self {
            Self::PayloadAttestationMessage => &["payload_attestation_data", "payload_attestation"],
            Self::BuilderRequestAuth => &["request_auth"],
            _ => &[],
        }
    }

    /// Whether the object may be wrapped as `{"version", "data"}`. Bare ones are taken all the same.
    #[must_use]
    pub const fn may_be_wrapped(self) -> bool {
        matches!(
            self,
            Self::AggregateAndProof
                | Self::AggregateAndProofV2
                | Self::ExecutionPayloadBid
                | Self::ExecutionPayloadEnvelope
                | Self::PayloadAttestationMessage
                | Self::ProposerPreferences
                | Self::BuilderRequestAuth
        )
    }
}

/// The text is none of the types that are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownDutyType {
    /// No client is known to ask for such a type.
    Unknown,
    /// The type is known, and never signed.
    NeverSigned {
        /// Its name.
        name: &'static str,
        /// Why not.
        reason: &'static str,
    },
}

impl FromStr for DutyType {
    type Err = UnknownDutyType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_text = |name: &str| name.eq_ignore_ascii_case(text);
        let known = Self::ALL.iter().map(|known| (known.as_str(), *known)).chain(Self::OTHER_NAMES);
        known.into_iter().find(|(name, _)| is_text(name)).map(|(_, known)| known).ok_or_else(|| {
            match NEVER_SIGNED.into_iter().find(|(name, _)| is_text(name)) {
                Some((name, reason)) => UnknownDutyType::NeverSigned { name, reason },
                None => UnknownDutyType::Unknown,
            }
        })
    }
}

impl fmt::Display for DutyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_in_upper_and_lower_case() {
        for &known in DutyType::ALL {
            assert_eq!(known.as_str().parse(), Ok(known));
            assert_eq!(known.as_str().to_lowercase().parse(), Ok(known));
        }
    }

    #[test]
    fn a_type_that_nobody_signs_is_unknown() {
        for text in ["BLOCK_V3", "", " BLOCK"] {
            assert_eq!(text.parse::<DutyType>(), Err(UnknownDutyType::Unknown));
        }
    }

    #[test]
    fn older_names_stand_for_the_specified_types() {
        for (name, known) in DutyType::OTHER_NAMES {
            assert_eq!(name.to_lowercase().parse(), Ok(known));
        }
    }

    #[test]
    fn a_type_that_takes_another_key_is_refused_with_the_reason() {
        let error = "bls_to_execution_change".parse::<DutyType>().unwrap_err();
        let UnknownDutyType::NeverSigned { name, reason } = error else { panic!("{error:?}") };
        assert_eq!(name, "BLS_TO_EXECUTION_CHANGE");
        assert!(reason.contains("withdrawal key"));
    }
}
