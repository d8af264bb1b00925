//! What the server answers.

use eth_types::{Epoch, Signature, Slot};
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

/// The answer of `/api/v1/eth2/highWatermark`: `{"epoch":"7","slot":"19998"}`, or `{}` if none is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWatermarkAnswer {
    /// No attestation is signed whose source or target epoch is this one or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// No block is signed whose slot is this one or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
}

/// The answer to `POST /reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadAnswer {
    /// `accepted`, or `error` if none was started.
    pub status: ReloadOutcome,
    /// What happens now, or why nothing does.
    pub message: String,
}

/// Whether a reload was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadOutcome {
    /// It was.
    Accepted,
    /// It was not.
    Error,
}

/// The answer to `GET /reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadStatusAnswer {
    /// Where the last one is.
    pub status: ReloadProgress,
    /// When it ended or, while none has, when it began (RFC 3339, UTC); absent before any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_operation_time: Option<String>,
    /// What went wrong in the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Where a reload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadProgress {
    /// None was asked for yet.
    Idle,
    /// One is under way.
    Running,
    /// The last one read every file.
    Completed,
    /// The last one could not read some files.
    CompletedWithErrors,
    /// The last one broke off; nothing changed.
    Failed,
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
