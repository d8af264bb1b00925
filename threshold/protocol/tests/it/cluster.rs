//! Whole clusters in one process: real engines, a simulated network, simulated validator clients,
//! crashes, and a liar.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `simulation` | [`simulation::Cluster`]: the events of a cluster in order of time |
//! | `driver` | what a node's own program does: carries out what its engine wants |
//! | `node` | one operator's machine: an engine that can be killed, a disk that cannot |
//! | `links` | the network between nodes: delay, loss, disorder, partitions |
//! | `clients` | what validator clients ask for in a slot |
//! | `duties` | duties of all kinds |
//! | `history` | a slashing database of a few lines |
//! | `shares` | signatures without elliptic curves |
//! | `adversary` | what a liar does: one named strategy a file |
//! | `facts`, `invariants` | what was observed, and what must hold after every event |
//! | `event_log` | what happened, in a file, if a test fails |
//! | `property` | random walks |
//! | `liveness` | what has to be signed, and when |
//! | `hops` | how many messages one after another it takes |
//!
//! The slashing database, the invariants and the counts of quorums are the tests' own: they share no
//! code with the product.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and so do its helpers, which clippy does not exempt"
)]

mod adversary;
mod clients;
mod driver;
mod duties;
mod event_log;
mod facts;
mod history;
mod hops;
mod invariants;
mod links;
mod liveness;
mod node;
mod property;
mod shares;
mod simulation;
