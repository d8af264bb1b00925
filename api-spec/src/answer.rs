//! What the server answers.

use eth_types::Signature;
use serde::{Deserialize, Serialize};

/// The answer to a signing request where JSON is asked for: `{"signature":"0x..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignAnswer {
    /// The validator's signature.
    pub signature: Signature,
}

/// The body of every answer other than 200: `{"error":"..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What was expected, what came, and where it helps what to do.
    pub error: String,
}

/// The body of the answer to a host that is not in the allow-list, in Web3Signer's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRefusedAnswer {
    /// Always `Host not authorized.`
    pub message: String,
}

/// The answer of `/healthcheck`, in the shape of Web3Signer (Vert.x health checks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// [`Status::Up`] only if every check is.
    pub status: Status,
    /// The single checks.
    pub checks: Vec<Check>,
    /// The same as `status`.
    pub outcome: Status,
}

/// One check of `/healthcheck`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked, such as `keys-check`.
    pub id: String,
    /// The outcome; of a check with checks of its own, [`Status::Up`] only if all of those are.
    pub status: Status,
    /// Figures and, where the check failed, a `cause`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, serde_json::Value>,
    /// Checks that this one sums up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Self>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// All is well.
    Up,
    /// Something is missing; the check's data say what.
    Down,
}

impl From<bool> for Status {
    fn from(up: bool) -> Self {
        if up { Self::Up } else { Self::Down }
    }
}

impl HealthAnswer {
    /// Sums up the checks.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        let status = all_up(&checks);
        Self { status, checks, outcome: status }
    }
}

impl Check {
    /// A check with an outcome of its own.
    #[must_use]
    pub fn single(id: &str, status: Status) -> Self {
        Self { id: id.to_owned(), status, data: serde_json::Map::new(), checks: Vec::new() }
    }

    /// A check that sums up others.
    #[must_use]
    pub fn group(id: &str, checks: Vec<Self>) -> Self {
        let status = all_up(&checks);
        Self { checks, ..Self::single(id, status) }
    }

    /// Adds a figure or a cause.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }
}

fn all_up(checks: &[Check]) -> Status {
    checks.iter().all(|check| check.status == Status::Up).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_answer_is_down_if_one_nested_check_is() {
        let failed = Check::single("config-files-loading", Status::Down)
            .with("keys-loaded", 3)
            .with("error-count", 1);
        let answer = HealthAnswer::new(vec![
            Check::single("default-check", Status::Up),
            Check::group("keys-check", vec![failed]),
        ]);
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(
            text,
            r#"{"status":"DOWN","checks":[{"id":"default-check","status":"UP"},{"id":"keys-check","status":"DOWN","checks":[{"id":"config-files-loading","status":"DOWN","data":{"error-count":1,"keys-loaded":3}}]}],"outcome":"DOWN"}"#
        );
    }
}
