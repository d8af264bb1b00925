//! Versions of the cluster files' format, and what each changed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the format that is read; [`FileVersion::WRITTEN`] is the one written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum FileVersion {
    /// The first with several deposit amounts.
    V1_8,
    /// Adds `consensus_protocol`.
    V1_9,
    /// Adds `target_gas_limit` and `compounding`.
    V1_10,
    /// Lets an operator's signature be several, by the owners of a contract account.
    V1_11,
}

/// A version that is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {found:?} of the cluster files is not supported, expected v1.8.0 to v1.11.0")]
pub struct VersionError {
    /// The version in the file.
    pub found: String,
}

impl FileVersion {
    /// The version that this program writes.
    pub const WRITTEN: Self = Self::V1_10;

    const ALL: [Self; 4] = [Self::V1_8, Self::V1_9, Self::V1_10, Self::V1_11];

    /// As in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_8 => "v1.8.0",
            Self::V1_9 => "v1.9.0",
            Self::V1_10 => "v1.10.0",
            Self::V1_11 => "v1.11.0",
        }
    }
}

impl FromStr for FileVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| VersionError { found: text.to_owned() })
    }
}

impl TryFrom<String> for FileVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<FileVersion> for &'static str {
    fn from(version: FileVersion) -> Self {
        version.as_str()
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
