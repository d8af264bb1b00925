//! Forks, and what they do to a signature: the fork version and the genesis validators root are mixed
//! into the domain, and the domain into the signing root.
//!
//! The functions carry the names of the consensus specifications
//! (`specs/phase0/beacon-chain.md`, "Misc").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tree_hash::TreeHash;

use crate::primitives::{Epoch, ForkVersion, Root, fixed_bytes};

/// The epoch that stands for "never" in a fork schedule.
pub const FAR_FUTURE_EPOCH: Epoch = Epoch::new(u64::MAX);

/// The forks of the consensus layer whose containers this crate knows, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForkName {
    /// Genesis of the beacon chain.
    Phase0,
    /// Sync committees.
    Altair,
    /// The merge.
    Bellatrix,
    /// Withdrawals.
    Capella,
    /// Blobs; exits are signed with Capella's version from here on (EIP-7044).
    Deneb,
    /// Attestations over several committees (EIP-7549).
    Electra,
    /// Data columns.
    Fulu,
    /// Payloads apart from blocks (EIP-7732); aggregates become progressive containers.
    Gloas,
}

impl ForkName {
    /// Every fork, oldest first.
    pub const ALL: [Self; 8] = [
        Self::Phase0,
        Self::Altair,
        Self::Bellatrix,
        Self::Capella,
        Self::Deneb,
        Self::Electra,
        Self::Fulu,
        Self::Gloas,
    ];

    /// The name in upper case, as a signing request's `version` and a configuration's keys have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phase0 => "PHASE0",
            Self::Altair => "ALTAIR",
            Self::Bellatrix => "BELLATRIX",
            Self::Capella => "CAPELLA",
            Self::Deneb => "DENEB",
            Self::Electra => "ELECTRA",
            Self::Fulu => "FULU",
            Self::Gloas => "GLOAS",
        }
    }
}

impl fmt::Display for ForkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no fork of [`ForkName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a fork from PHASE0 to GLOAS, found {found:?}")]
pub struct UnknownForkError {
    /// The text.
    pub found: String,
}

impl FromStr for ForkName {
    type Err = UnknownForkError;

    /// Reads the name in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|fork| fork.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownForkError { found: text.chars().take(32).collect() })
    }
}

impl Serialize for ForkName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ForkName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The `fork` of a signing request. `epoch` is the activation epoch of `current_version` for most
/// clients, and the message's own epoch for Lodestar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The version before `epoch`.
    pub previous_version: ForkVersion,
    /// The version from `epoch` on.
    pub current_version: ForkVersion,
    /// Where the one ends and the other begins.
    pub epoch: Epoch,
}

impl Fork {
    /// The version for a message of `epoch` (the choice that consensus-specs `get_domain` makes).
    #[must_use]
    pub fn version_at(&self, epoch: Epoch) -> ForkVersion {
        if epoch < self.epoch { self.previous_version } else { self.current_version }
    }
}

/// The `fork_info` of a signing request, in Web3Signer's JSON shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkInfo {
    /// The fork as the client sees it.
    pub fork: Fork,
    /// Which chain it is.
    pub genesis_validators_root: Root,
}

fixed_bytes!(
    /// What a signature is for: the first four bytes of its domain.
    DomainType,
    4
);

impl DomainType {
    /// Blocks.
    pub const BEACON_PROPOSER: Self = Self::new([0, 0, 0, 0]);
    /// Attestations.
    pub const BEACON_ATTESTER: Self = Self::new([1, 0, 0, 0]);
    /// RANDAO reveals.
    pub const RANDAO: Self = Self::new([2, 0, 0, 0]);
    /// Deposits.
    pub const DEPOSIT: Self = Self::new([3, 0, 0, 0]);
    /// Voluntary exits.
    pub const VOLUNTARY_EXIT: Self = Self::new([4, 0, 0, 0]);
    /// Attestation aggregators' selection proofs.
    pub const SELECTION_PROOF: Self = Self::new([5, 0, 0, 0]);
    /// Aggregates.
    pub const AGGREGATE_AND_PROOF: Self = Self::new([6, 0, 0, 0]);
    /// Sync committee messages.
    pub const SYNC_COMMITTEE: Self = Self::new([7, 0, 0, 0]);
    /// Sync committee aggregators' selection proofs.
    pub const SYNC_COMMITTEE_SELECTION_PROOF: Self = Self::new([8, 0, 0, 0]);
    /// Sync committee contributions.
    pub const CONTRIBUTION_AND_PROOF: Self = Self::new([9, 0, 0, 0]);
    /// Bids and payloads (consensus-specs `DOMAIN_BEACON_BUILDER`).
    pub const BEACON_BUILDER: Self = Self::new([0x0b, 0, 0, 0]);
    /// Payload attestations (consensus-specs `DOMAIN_PTC_ATTESTER`).
    pub const PTC_ATTESTER: Self = Self::new([0x0c, 0, 0, 0]);
    /// Proposer preferences (consensus-specs `DOMAIN_PROPOSER_PREFERENCES`).
    pub const PROPOSER_PREFERENCES: Self = Self::new([0x0d, 0, 0, 0]);
    /// Requests to builders (builder-specs `DOMAIN_BUILDER_REQUEST_AUTH`).
    pub const BUILDER_REQUEST_AUTH: Self = Self::new([0x0b, 0, 0, 1]);
    /// Validator registrations (builder-specs `DOMAIN_APPLICATION_BUILDER`).
    pub const APPLICATION_BUILDER: Self = Self::new([0, 0, 0, 1]);
}

fixed_bytes!(
    /// A domain type, and the first 28 bytes of the fork data root.
    Domain,
    32
);

/// `compute_fork_data_root`: which chain and which fork of it.
#[must_use]
pub fn compute_fork_data_root(current_version: ForkVersion, genesis_validators_root: Root) -> Root {
    let mut version = Root::ZERO.into_bytes();
    version[..ForkVersion::LEN].copy_from_slice(current_version.as_bytes());
    hash_pair(&version, genesis_validators_root.as_bytes())
}

/// `compute_domain`. Deposits, validator registrations and builder request auths take the network's genesis fork version
/// and [`Root::ZERO`].
#[must_use]
pub fn compute_domain(
    domain_type: DomainType,
    fork_version: ForkVersion,
    genesis_validators_root: Root,
) -> Domain {
    let mut domain = compute_fork_data_root(fork_version, genesis_validators_root).into_bytes();
    domain.copy_within(..Domain::LEN - DomainType::LEN, DomainType::LEN);
    domain[..DomainType::LEN].copy_from_slice(domain_type.as_bytes());
    Domain::new(domain)
}

/// `compute_signing_root` of an object whose hash tree root is `object_root`.
#[must_use]
pub fn compute_signing_root(object_root: Root, domain: Domain) -> Root {
    hash_pair(object_root.as_bytes(), domain.as_bytes())
}

/// [`compute_signing_root`] of the object itself.
#[must_use]
pub fn signing_root_of(object: &impl TreeHash, domain: Domain) -> Root {
    compute_signing_root(object.tree_hash_root().into(), domain)
}

/// A container of two 32-byte leaves hashes to the hash of both.
fn hash_pair(left: &[u8; 32], right: &[u8; 32]) -> Root {
    Root::new(ethereum_hashing::hash32_concat(left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fork digests that mainnet's nodes announce are the first four bytes of the fork data root
    /// (up to Electra).
    #[test]
    fn fork_data_roots_begin_with_mainnets_fork_digests() {
        let root = "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
        let root = root.parse().unwrap();
        for (version, digest) in [
            ("00000000", "b5303f2a"),
            ("01000000", "afcaaba0"),
            ("02000000", "4a26c58b"),
            ("03000000", "bba4da96"),
            ("04000000", "6a95a1a9"),
            ("05000000", "ad532ceb"),
        ] {
            let found = compute_fork_data_root(version.parse().unwrap(), root);
            assert_eq!(hex::encode(&found.as_bytes()[..4]), digest, "version {version}");
        }
    }

    #[test]
    fn domains_of_deposits_and_registrations_are_the_published_ones() {
        let mainnet = ForkVersion::ZERO;
        for (domain_type, expected) in [
            (
                DomainType::DEPOSIT,
                "0x03000000f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9",
            ),
            (
                DomainType::APPLICATION_BUILDER,
                "0x00000001f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9",
            ),
        ] {
            assert_eq!(compute_domain(domain_type, mainnet, Root::ZERO).to_string(), expected);
        }
    }

    #[test]
    fn version_is_the_previous_one_before_the_forks_epoch_and_the_current_one_from_it_on() {
        let fork = Fork {
            previous_version: ForkVersion::new([1; 4]),
            current_version: ForkVersion::new([2; 4]),
            epoch: Epoch::new(10),
        };
        for (epoch, expected) in [(0, 1), (9, 1), (10, 2), (u64::MAX, 2)] {
            assert_eq!(fork.version_at(Epoch::new(epoch)), ForkVersion::new([expected; 4]));
        }
    }

    #[test]
    fn fork_names_are_read_in_any_case_and_unknown_ones_are_refused() {
        for text in ["ELECTRA", "electra", "Electra"] {
            assert_eq!(text.parse(), Ok(ForkName::Electra));
        }
        let error = "HEZE".parse::<ForkName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected the name of a fork from PHASE0 to GLOAS, found \"HEZE\""
        );
    }
}
