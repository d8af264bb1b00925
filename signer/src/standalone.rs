//! The signer without a cluster: whole validator keys behind the same HTTP interface and the same
//! slashing database, under Web3Signer's options and file formats.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`node`] | puts it together: [`StandaloneNode`](node::StandaloneNode) |
//! | [`store`] | [`KeyStore`](store::KeyStore): the keys that are known and where each came from; loading, reloading |
//! | [`edit`] | adding and removing keystores while it runs |
//! | `needed` | which files go with a key that is removed |
//! | [`signing`] | check, record and sign one request; the threads that sign |
//! | [`backend`] | the store and the signing behind the HTTP routes |
//! | `scan`, `key_config` | which files hold keys; Web3Signer's YAML |
//! | `load`, `budget`, `progress` | opening many keystores on all cores, within memory, and showing how far it is |
//! | `settle` | which keys there are after a load, and which files gave none |
//! | `cache` | the sealed file that spares a restart the key derivations |
//! | `refused` | what did not open, which spares a reload the key derivations |
//! | `turns` | one load or edit at a time |
//!
//! The keys are what the files say: after every load and reload exactly the keys whose files are there
//! and can be read are listed and sign, and those whose files were read before and cannot be for now. What a key signed stays in the slashing database whatever
//! happens to its file.

pub mod backend;
mod budget;
mod cache;
pub mod edit;
mod key_config;
mod load;
mod needed;
pub mod node;
mod progress;
mod refused;
mod scan;
mod settle;
pub mod signing;
pub mod store;
mod turns;
