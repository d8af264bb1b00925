//! The paths of the HTTP interface, in the spelling that validator clients use.

/// `POST`: asks for a signature. `{identifier}` is the validator's public key in hex of any case, with
/// or without `0x`.
pub const SIGN: &str = "/api/v1/eth2/sign/{identifier}";
/// `GET`: the public keys that can sign now.
pub const PUBLIC_KEYS: &str = "/api/v1/eth2/publicKeys";
/// `GET`: `OK` as long as the server answers.
pub const UPCHECK: &str = "/upcheck";
/// `GET`: whether everything that signing needs is at hand.
pub const HEALTHCHECK: &str = "/healthcheck";
/// `GET`: this interface as an OpenAPI document.
pub const OPENAPI: &str = "/openapi.yaml";
/// `GET`, on the metrics listener: figures in the Prometheus text format.
pub const METRICS: &str = "/metrics";
