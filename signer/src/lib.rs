//! The HTTP signer: the interface that validator clients know from Web3Signer, before whoever signs.
//!
//! A request goes through these modules in this order: [`server`] (connections), [`router`] (what
//! surrounds the routes, [`host`], [`error`]), `routes::sign` (extract, call, answer), [`duty`] (what
//! came over the wire becomes a typed duty whose signing root is checked), [`backend`] (who signs).
//! The program's options are in [`config`].
#![forbid(unsafe_code)]

pub mod accept;
mod access_log;
pub mod assemble;
pub mod backend;
pub mod block_proof;
mod body;
pub mod cluster_backend;
pub mod cluster_metrics;
pub mod cmd;
pub mod config;
pub mod control;
pub mod duty;
pub mod error;
pub mod host;
pub mod keymanager;
pub mod limits;
pub mod listener;
pub mod metrics;
mod net_metrics;
mod open_files;
pub mod origin;
pub mod router;
mod routes;
pub mod server;
pub mod serving;
pub mod shutdown;
pub mod standalone;
pub mod telemetry;
pub mod tls;
