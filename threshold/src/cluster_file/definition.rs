//! `cluster-definition.json`: what the operators agreed on before there was a key.

use eth_types::{ForkVersion, Root};
use serde::{Deserialize, Serialize};

use super::hashes::{self, LimitError};
use super::json::{self, Gwei, HexBytes, OptionalAddress};
use super::version::FileVersion;

/// The key generation algorithm's name when it is left to the program.
pub const DEFAULT_DKG_ALGORITHM: &str = "default";

/// The file as it stands; nothing of it is checked but its shape. The order of the fields is the
/// file's. [`ClusterDefinition::seal`] fills in both hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterDefinition {
    /// The cluster's name, for people.
    pub name: String,
    /// Who proposed the cluster, if that was signed.
    #[serde(default)]
    pub creator: Creator,
    /// The operators; an operator's share index is its place here, counted from 1.
    pub operators: Vec<Operator>,
    /// Makes two clusters of the same configuration two clusters.
    pub uuid: String,
    /// The format's version, which says how the rest is hashed.
    pub version: FileVersion,
    /// When it was made: RFC 3339.
    pub timestamp: String,
    /// How many validators the cluster is to have.
    pub num_validators: u64,
    /// How many operators it takes to sign.
    pub threshold: u64,
    /// For each validator, where its money goes.
    pub validators: Vec<ValidatorAddresses>,
    /// How keys are generated.
    pub dkg_algorithm: String,
    /// The network, by its genesis fork version.
    pub fork_version: ForkVersion,
    /// Deposits prepared for each validator; `None` is the default of the program that reads it.
    pub deposit_amounts: Option<Vec<Gwei>>,
    /// The agreement protocol asked for; empty is none in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus_protocol: Option<String>,
    /// The gas limit that the validators' registrations vote for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_gas_limit: Option<u64>,
    /// Whether the validators compound their rewards (0x02 withdrawal credentials).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compounding: Option<bool>,
    /// Hash of the configuration: all of the above but records and signatures.
    pub config_hash: Root,
    /// Hash of everything above.
    pub definition_hash: Root,
}

/// Who proposed the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Creator {
    /// The account that signed; none if nothing was signed.
    pub address: OptionalAddress,
    /// EIP-712 signature of the configuration hash.
    pub config_signature: HexBytes,
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The account that signed; none if nothing was signed.
    pub address: OptionalAddress,
    /// The node record that names the operator.
    pub enr: String,
    /// EIP-712 signature of the configuration hash.
    pub config_signature: HexBytes,
    /// EIP-712 signature of the node record.
    pub enr_signature: HexBytes,
}

impl Operator {
    /// An operator known by its node record alone, as clusters made without a wallet have them.
    #[must_use]
    pub fn unsigned(enr: String) -> Self {
        Self {
            address: OptionalAddress::default(),
            enr,
            config_signature: HexBytes::default(),
            enr_signature: HexBytes::default(),
        }
    }

    /// Whether any account signed for this operator.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.config_signature.is_empty() || !self.enr_signature.is_empty()
    }
}

/// Where one validator's money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorAddresses {
    /// Tips and MEV.
    #[serde(rename = "fee_recipient_address")]
    pub fee_recipient: OptionalAddress,
    /// Stake and rewards.
    #[serde(rename = "withdrawal_address")]
    pub withdrawal: OptionalAddress,
}

impl ClusterDefinition {
    /// The configuration hash that the content has.
    ///
    /// # Errors
    /// A field is longer than the format allows.
    pub fn computed_config_hash(&self) -> Result<Root, LimitError> {
        hashes::config_hash(self)
    }

    /// The definition hash that the content has, the stated configuration hash being part of it.
    ///
    /// # Errors
    /// A field is longer than the format allows.
    pub fn computed_definition_hash(&self) -> Result<Root, LimitError> {
        hashes::definition_hash(self)
    }

    /// Fills in both hashes. Call it when the content is complete.
    ///
    /// # Errors
    /// A field is longer than the format allows.
    pub fn seal(mut self) -> Result<Self, LimitError> {
        self.config_hash = hashes::config_hash(&self)?;
        self.definition_hash = hashes::definition_hash(&self)?;
        Ok(self)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never; the serializer's error is passed on all the same.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        json::to_text(self)
    }
}
