//! Exits and deposits: a node signs only what its own operator asked for, and t operators have to ask.
//! Their parts are kept, across restarts too, until they have (protocol.md, section 1).

use std::collections::{BTreeMap, BTreeSet};

use eth_types::duty::{Duty, DutyClass, DutyKind, Message};

use super::collection::CollectionKey;
use super::io::{OwnRefusal, Report, RequestId, SignFailure, SignJob};
use super::{Engine, Output, Purpose, QueuedSign};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, OperatorIndex};
use crate::message::{CosignRefusal, PeerMessage, Witness};
use crate::timing::UnixMillis;

/// Messages of one kind and validator for which one operator's parts are kept: exits at a few epochs.
const MESSAGES_PER_OPERATOR: usize = 4;

/// The witnessed duties that operators have asked for.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    /// What this node's operator asked for.
    own: BTreeMap<CollectionKey, Duty>,
    /// Which messages each operator has given parts of.
    by_operator: BTreeMap<(OperatorIndex, KeyIndex, DutyKind), BTreeSet<eth_types::Root>>,
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    New,
    Already,
    TooMany,
}

impl Witnesses {
    pub(super) fn len(&self) -> usize {
        self.by_operator.values().map(BTreeSet::len).sum()
    }
}

impl Engine {
    /// Gives back what [`Output::KeepWitness`] had kept, after a start and before anything else.
    pub fn restore_witness(&mut self, operator: OperatorIndex, witness: Witness) {
        let me = self.config.me;
        if self.hold_witness(operator, &witness) == Held::New && operator == me {
            let key = (witness.duty.signing_root(), witness.validator);
            self.witnesses.own.insert(key, witness.duty);
        }
    }

    pub(super) fn request_witnessed(&mut self, id: RequestId, validator: KeyIndex, duty: Duty) {
        if let Err(refusal) = self.check_witnessed(validator, &duty) {
            return self.fail(id, SignFailure::Policy(refusal));
        }
        let key = (duty.signing_root(), validator);
        self.enqueue(id, key, Purpose::Witness, UnixMillis::new(u64::MAX));
        match self.own_witness(key) {
            None => {
                let job = SignJob { validator, duty };
                self.sign_now(QueuedSign { job, purpose: Purpose::Witness });
            }
            // It may not have been kept the first time, and then the peers were not told.
            Some(partial) => {
                let witness = Witness { validator, duty, partial };
                let operator = self.config.me;
                self.out.push(Output::KeepWitness { operator, witness, tell: true });
            }
        }
    }

    pub(super) fn on_witness_signed(
        &mut self,
        job: SignJob,
        result: Result<PartialSignature, OwnRefusal>,
    ) {
        let SignJob { validator, duty } = job;
        let key = (duty.signing_root(), validator);
        let partial = match result {
            Ok(partial) => partial,
            Err(reason) => {
                for id in self.waiting_for(key) {
                    self.fail(id, SignFailure::NotEnough(reason.to_string()));
                }
                return;
            }
        };
        let me = self.config.me;
        let witness = Witness { validator, duty: duty.clone(), partial };
        if self.hold_witness(me, &witness) == Held::New {
            self.witnesses.own.insert(key, duty);
        }
        self.out.push(Output::KeepWitness { operator: me, witness, tell: true });
    }

    pub(super) fn on_witness(&mut self, from: OperatorIndex, witness: Witness) {
        if self.check_witnessed(witness.validator, &witness.duty).is_err() {
            return;
        }
        match self.hold_witness(from, &witness) {
            Held::New => {
                self.out.push(Output::KeepWitness { operator: from, witness, tell: false });
            }
            Held::Already => {}
            Held::TooMany => {
                let (validator, reason) = (witness.validator, CosignRefusal::TooMany);
                self.out.push(Output::Report(Report::RefusedPeer {
                    operator: from,
                    validator,
                    reason,
                }));
            }
        }
    }

    /// On (re)connect: this node's parts.
    pub(super) fn send_witnesses_to(&mut self, peer: OperatorIndex) {
        for (key, duty) in &self.witnesses.own {
            let Some(partial) = self.own_witness(*key) else { continue };
            let witness = Witness { validator: key.1, duty: duty.clone(), partial };
            self.out.push(Output::Send(peer, PeerMessage::Witness(witness)));
        }
    }

    fn own_witness(&self, key: CollectionKey) -> Option<PartialSignature> {
        self.collections.get(&key)?.partial_of(self.config.me)
    }

    /// Holds a part in memory.
    fn hold_witness(&mut self, operator: OperatorIndex, witness: &Witness) -> Held {
        let root = witness.duty.signing_root();
        let kind = witness.duty.kind();
        let of_operator = (operator, witness.validator, kind);
        let roots = self.witnesses.by_operator.entry(of_operator).or_default();
        if roots.contains(&root) {
            return Held::Already;
        }
        // The own operator may ask for what it likes.
        if roots.len() >= MESSAGES_PER_OPERATOR && operator != self.config.me {
            return Held::TooMany;
        }
        roots.insert(root);
        let key = (root, witness.validator);
        self.collections.add(key, operator, witness.partial, UnixMillis::new(u64::MAX));
        Held::New
    }

    fn check_witnessed(&self, validator: KeyIndex, duty: &Duty) -> Result<(), CosignRefusal> {
        let known = self.validator(validator).ok_or(CosignRefusal::UnknownValidator)?;
        if duty.class() != DutyClass::Witnessed {
            return Err(CosignRefusal::WrongClass);
        }
        match duty.message() {
            Message::Deposit(deposit) if deposit.pubkey != known.public_key => {
                Err(CosignRefusal::PublicKey)
            }
            // It promises a builder's money, slot by slot: a cluster's keys are validators' keys.
            Message::ExecutionPayloadBid(_) => Err(CosignRefusal::BuildersMessage),
            _ => Ok(()),
        }
    }
}
