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
}

impl DutyType {
    /// Whether the type is signed under a fork of the chain, so that the request must hold `fork_info`.
    /// Deposits and registrations are signed under the genesis fork version alone; their `fork_info`
    /// is not looked at (Nimbus sends one of zeros).
    #[must_use]
    pub const fn needs_fork_info(self) -> bool {
        !matches!(self, Self::Deposit | Self::ValidatorRegistration)
    }
}

/// The text is none of the types that are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDutyType;

impl FromStr for DutyType {
    type Err = UnknownDutyType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .ok_or(UnknownDutyType)
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
        assert_eq!("BLOCK_V3".parse::<DutyType>(), Err(UnknownDutyType));
        assert_eq!("".parse::<DutyType>(), Err(UnknownDutyType));
        assert_eq!(" BLOCK".parse::<DutyType>(), Err(UnknownDutyType));
    }
}
