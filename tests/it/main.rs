//! Clusters of real processes: `synod create cluster`, `synod run`, `synod demo`, asked over HTTP, killed,
//! restarted, started wrongly and lied to.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helper that cannot go on fails the test there"
)]

mod acceptance;
mod commands;
mod faults;
mod http;
mod keymanager;

mod liar;
mod refused;
mod restart;
mod shutdown;
mod signing;
mod slashing_protection;
mod standalone;
mod startup;
mod support;
