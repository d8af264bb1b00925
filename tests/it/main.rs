//! Clusters of real processes: `synod create cluster`, `synod run`, `synod demo`, asked over HTTP, killed,
//! restarted, started wrongly and lied to.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's helper that cannot go on fails the test there"
)]

mod signing;
mod support;
