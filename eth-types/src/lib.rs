//! The vocabulary of the workspace: slots, epochs, keys, roots, the SSZ containers a validator signs,
//! [`Duty`], domains, signing roots and networks.
//!
//! No I/O and no crate of ours below it. What comes from outside is parsed here once; a value of one
//! of these types is well formed from then on.
#![forbid(unsafe_code)]

pub mod containers;
pub mod duty;
pub mod fork;
pub mod keys;
pub mod merkle;
pub mod network;
pub mod primitives;

pub use duty::{Duty, DutyClass, DutyError, DutyKind, Message, NonSlashableDuty};
pub use fork::{Fork, ForkInfo, ForkName};
pub use keys::{PublicKey, Signature};
pub use network::{Network, NetworkError, Preset};
pub use primitives::{Epoch, ExecutionAddress, ForkVersion, Root, Slot};
