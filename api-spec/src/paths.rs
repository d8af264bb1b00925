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
/// `GET`: the slot and epoch at and above which slashing protection refuses.
pub const HIGH_WATERMARK: &str = "/api/v1/eth2/highWatermark";
/// `POST`: reads the key files again. `GET`: how that went.
pub const RELOAD: &str = "/reload";
/// `GET`, `POST`, `DELETE`: the key manager API's local keys.
pub const KEYSTORES: &str = "/eth/v1/keystores";
/// `GET`, `POST`, `DELETE`: the key manager API's remote keys: those that the cluster signs for.
pub const REMOTEKEYS: &str = "/eth/v1/remotekeys";
/// `GET`: 200 as long as the process runs, for a restart policy.
pub const LIVEZ: &str = "/livez";
/// `GET`: 200 if the node can sign now, else 503, for a load balancer.
pub const READYZ: &str = "/readyz";
/// `GET`: this interface as an OpenAPI document.
pub const OPENAPI: &str = "/openapi.yaml";
/// `GET`, on the metrics listener: figures in the Prometheus text format.
pub const METRICS: &str = "/metrics";
