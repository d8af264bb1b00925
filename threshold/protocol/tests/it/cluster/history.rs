//! A slashing database of a few lines, independent of the product's: one root for each block slot and
//! each target epoch, and no vote around another. It outlives the engine of its node.

use std::collections::BTreeMap;

use eth_types::duty::{Duty, Message};
use eth_types::{Epoch, Root, Slot};
use threshold_protocol::KeyIndex;

/// What a node has signed.
#[derive(Debug, Default)]
pub(crate) struct History {
    blocks: BTreeMap<(KeyIndex, Slot), Root>,
    /// By validator and target: source and root.
    votes: BTreeMap<(KeyIndex, Epoch), (Epoch, Root)>,
}

impl History {
    /// Whether the duty could be recorded now; if not, why.
    pub(crate) fn check(&self, validator: KeyIndex, duty: &Duty) -> Result<(), String> {
        let root = duty.signing_root();
        match duty.message() {
            Message::Block(header) => match self.blocks.get(&(validator, header.slot)) {
                Some(signed) if *signed != root => {
                    Err(format!("block {signed} of slot {} was signed", header.slot))
                }
                _ => Ok(()),
            },
            Message::Attestation(data) => {
                let (source, target) = (data.source.epoch, data.target.epoch);
                for ((_, other_target), (other_source, signed)) in
                    self.votes.iter().filter(|((other, _), _)| *other == validator)
                {
                    let double = *other_target == target && *signed != root;
                    let around = source < *other_source && *other_target < target;
                    let inside = *other_source < source && target < *other_target;
                    if double || around || inside {
                        return Err(format!("vote {signed} for epoch {other_target} was signed"));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks and records.
    pub(crate) fn record(&mut self, validator: KeyIndex, duty: &Duty) -> Result<(), String> {
        self.check(validator, duty)?;
        let root = duty.signing_root();
        match duty.message() {
            Message::Block(header) => {
                self.blocks.insert((validator, header.slot), root);
            }
            Message::Attestation(data) => {
                self.votes.insert((validator, data.target.epoch), (data.source.epoch, root));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether this message was recorded.
    pub(crate) fn holds(&self, validator: KeyIndex, root: Root) -> bool {
        let block = self.blocks.iter().any(|((v, _), r)| *v == validator && *r == root);
        block || self.votes.iter().any(|((v, _), (_, r))| *v == validator && *r == root)
    }
}
