//! Duties of which a second signature does no harm: the asked node sends the message with its part,
//! peers check policy and answer with theirs (protocol.md, sections 1 and 4).

use std::collections::BTreeMap;

use eth_types::Root;
use eth_types::duty::Duty;

use super::collection::CollectionKey;
use super::io::{OwnRefusal, Report, RequestId, SignFailure, SignJob};
use super::{Engine, Output, Purpose, QueuedSign};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, OperatorIndex, OperatorSet, PerOperator};
use crate::message::{CosignAnswer, CosignRefusal, CosignRequest, DutyMoment, PeerMessage};
use crate::policy::{is_deterministic, messages_per_operator};
use crate::timing::UnixMillis;

/// Epochs for which a co-signed duty is kept: its own and the two in which it may be asked for ahead.
const EPOCHS_KEPT: u64 = 3;

/// Co-signed duties that are kept for one operator, whatever the number of validators: where few
/// validators make up the whole sync committee, each has some hundred of them in [`EPOCHS_KEPT`].
const COSIGNS_PER_OPERATOR: usize = 65_536;

/// And for each validator: one selection proof and one registration in each epoch, and some more.
const COSIGNS_PER_VALIDATOR: usize = 8;

/// A co-signed message of one validator.
#[derive(Debug)]
struct Cosign {
    /// What is to be signed or asked of peers; dropped once only its root matters, for an aggregate
    /// may be large.
    duty: Option<Duty>,
    expires: UnixMillis,
    /// The own validator client asked for it.
    own_asked: bool,
    own: OwnPart,
    /// Peers that asked and have not been told this node's part.
    owed: OperatorSet,
    /// Peers that have been told this node's part, in a message that they keep.
    told: OperatorSet,
    /// Peers that have asked.
    asked_by: OperatorSet,
    refusals: PerOperator<CosignRefusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnPart {
    None,
    Signing,
    Signed,
    Failed,
}

/// The co-signed duties of the moment.
#[derive(Debug, Default)]
pub(super) struct Cosigns {
    entries: BTreeMap<CollectionKey, Cosign>,
    /// The messages that each operator had co-signed for a validator's duty: it gets one, or a few.
    granted: BTreeMap<(OperatorIndex, KeyIndex, DutyMoment), (Root, UnixMillis)>,
    /// How many of them are each operator's.
    granted_to: PerOperator<usize>,
}

impl Cosigns {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn prune(&mut self, now: UnixMillis) {
        self.entries.retain(|_, entry| entry.expires > now);
        self.granted.retain(|_, (_, expires)| *expires > now);
        self.granted_to = PerOperator::new();
        for (operator, _, _) in self.granted.keys() {
            *self.granted_to.entry(*operator).or_default() += 1;
        }
    }

    /// Lets an operator have one message for each of a validator's duties, and no more of them than
    /// `bound` at once.
    fn grant(
        &mut self,
        to: (OperatorIndex, KeyIndex, DutyMoment),
        root: Root,
        expires: UnixMillis,
        bound: usize,
    ) -> Result<(), CosignRefusal> {
        if let Some((granted, _)) = self.granted.get(&to) {
            return if *granted == root { Ok(()) } else { Err(CosignRefusal::SecondMessage) };
        }
        let held = self.granted_to.entry(to.0).or_default();
        if *held >= bound {
            return Err(CosignRefusal::TooMany);
        }
        *held += 1;
        self.granted.insert(to, (root, expires));
        Ok(())
    }

    /// Forgets the message where only its root matters still.
    fn drop_idle_duty(&mut self, key: &CollectionKey) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.own != OwnPart::Signing
            && !entry.own_asked
        {
            entry.duty = None;
        }
    }

    /// A peer that is gone may have lost what it was told.
    pub(super) fn forget_told(&mut self, peer: OperatorIndex) {
        for entry in self.entries.values_mut() {
            entry.told.remove(peer);
        }
    }

    /// What peers said instead of signing, in words.
    pub(super) fn describe_refusals(&self, key: &CollectionKey) -> Option<String> {
        let entry = self.entries.get(key)?;
        if entry.refusals.is_empty() {
            return None;
        }
        Some(refusals_in_words(&entry.refusals))
    }
}

fn refusals_in_words(refusals: &PerOperator<CosignRefusal>) -> String {
    let words: Vec<String> =
        refusals.iter().map(|(peer, reason)| format!("operator {peer}: {reason}")).collect();
    words.join("; ")
}

impl Engine {
    pub(super) fn request_cosign(&mut self, id: RequestId, validator: KeyIndex, duty: Duty) {
        let checked = self.check_policy(validator, &duty);
        if let Err(refusal) = checked {
            return self.fail(id, SignFailure::Policy(refusal));
        }
        self.note_proposer_evidence(duty.message(), validator);
        let key = (duty.signing_root(), validator);
        let expires = self.cosign_expiry();
        self.enqueue(id, key, Purpose::Cosign, expires);
        let entry = self.open_cosign(key, duty, expires);
        entry.own_asked = true;
        // A client that asks again is worth asking the peers again.
        entry.refusals.clear();
        match entry.own {
            OwnPart::None | OwnPart::Failed => self.sign_cosign(key),
            OwnPart::Signing => {}
            OwnPart::Signed => self.tell_all(key),
        }
    }

    pub(super) fn on_cosign_request(&mut self, from: OperatorIndex, request: CosignRequest) {
        let CosignRequest { validator, duty, partial } = request;
        let key = (duty.signing_root(), validator);
        if let Err(reason) = self.admit(from, &key, &duty) {
            let (root, validator) = key;
            let report = Report::RefusedPeer { operator: from, validator, reason };
            self.out.push(Output::Report(report));
            let answer = CosignAnswer { validator, root, outcome: Err(reason) };
            self.out.push(Output::Send(from, PeerMessage::CosignAnswer(answer)));
            return;
        }
        let expires = self.cosign_expiry();
        self.collections.add(key, from, partial, expires);
        let own_client_only = self.config.policy.own_client_only;
        let entry = self.open_cosign(key, duty, expires);
        entry.refusals.remove(&from);
        // Who asks again has not got what it was told.
        let again = !entry.asked_by.insert(from);
        if entry.told.contains(from) && !again {
            return;
        }
        entry.owed.insert(from);
        match entry.own {
            OwnPart::None | OwnPart::Failed if own_client_only && !entry.own_asked => {
                let (root, validator) = key;
                let outcome = Err(CosignRefusal::OwnClientOnly);
                let answer = CosignAnswer { validator, root, outcome };
                self.out.push(Output::Send(from, PeerMessage::CosignAnswer(answer)));
            }
            OwnPart::None | OwnPart::Failed => self.sign_cosign(key),
            OwnPart::Signing => {}
            OwnPart::Signed => self.pay_owed(key),
        }
        self.cosigns.drop_idle_duty(&key);
    }

    pub(super) fn on_cosign_answer(&mut self, from: OperatorIndex, answer: CosignAnswer) {
        let key = (answer.root, answer.validator);
        // What nobody here has asked for, or been asked for, is not kept.
        let Some(entry) = self.cosigns.entries.get_mut(&key) else { return };
        let expires = entry.expires;
        match answer.outcome {
            Ok(partial) => {
                entry.refusals.remove(&from);
                self.collections.add(key, from, partial, expires);
            }
            Err(refusal) => {
                entry.refusals.insert(from, refusal);
                let quorum = self.config.quorum;
                // A peer that signs only for its own client may sign once that has asked.
                let final_ones = entry
                    .refusals
                    .values()
                    .filter(|refusal| **refusal != CosignRefusal::OwnClientOnly)
                    .count();
                if quorum.operators() - final_ones < quorum.threshold() {
                    let words = refusals_in_words(&entry.refusals);
                    for id in self.waiting_for(key) {
                        self.fail(id, SignFailure::RefusedByPeers(words.clone()));
                    }
                }
            }
        }
    }

    pub(super) fn on_cosign_signed(
        &mut self,
        job: SignJob,
        result: Result<PartialSignature, OwnRefusal>,
    ) {
        let key = (job.duty.signing_root(), job.validator);
        let Some(entry) = self.cosigns.entries.get_mut(&key) else { return };
        let expires = entry.expires;
        match result {
            Ok(partial) => {
                entry.own = OwnPart::Signed;
                self.collections.add(key, self.config.me, partial, expires);
                self.tell_after_signing(key);
            }
            Err(_) => {
                entry.own = OwnPart::Failed;
                let owed = std::mem::take(&mut entry.owed);
                let (root, validator) = key;
                let answer = CosignAnswer { validator, root, outcome: Err(CosignRefusal::Failed) };
                for peer in owed.iter() {
                    let message = PeerMessage::CosignAnswer(answer.clone());
                    self.out.push(Output::Send(peer, message));
                }
            }
        }
        self.cosigns.drop_idle_duty(&key);
    }

    /// On (re)connect: what this node's client still waits for.
    pub(super) fn send_cosigns_to(&mut self, peer: OperatorIndex) {
        let keys: Vec<CollectionKey> = self
            .cosigns
            .entries
            .iter()
            .filter(|(key, entry)| {
                let awaited = self
                    .collections
                    .get(key)
                    .is_some_and(super::collection::Collection::is_awaited);
                entry.own == OwnPart::Signed && awaited
            })
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let Some(message) = self.cosign_request(key) else { continue };
            if let Some(entry) = self.cosigns.entries.get_mut(&key) {
                entry.told.insert(peer);
            }
            self.out.push(Output::Send(peer, message));
        }
    }

    fn check_policy(&self, validator: KeyIndex, duty: &Duty) -> Result<DutyMoment, CosignRefusal> {
        let known = self.validator(validator).ok_or(CosignRefusal::UnknownValidator)?;
        self.config.policy.check(duty, known, &self.config.network, self.now)
    }

    /// Whether a peer's request is in order, and not one differing message too many of its kind.
    fn admit(
        &mut self,
        from: OperatorIndex,
        key: &CollectionKey,
        duty: &Duty,
    ) -> Result<(), CosignRefusal> {
        let (root, validator) = *key;
        let moment = self.check_policy(validator, duty)?;
        let expires = self.cosign_expiry();
        let of_validators = self.config.validators.len().saturating_mul(COSIGNS_PER_VALIDATOR);
        let bound = COSIGNS_PER_OPERATOR.saturating_add(of_validators);
        for number in 0..messages_per_operator(moment.kind) {
            let moment = DutyMoment { part: moment.part + number, ..moment };
            match self.cosigns.grant((from, validator, moment), root, expires, bound) {
                Err(CosignRefusal::SecondMessage) => {}
                outcome => return outcome,
            }
        }
        Err(CosignRefusal::SecondMessage)
    }

    fn cosign_expiry(&self) -> UnixMillis {
        let network = &self.config.network;
        let slots = network.slots_per_epoch().get().saturating_mul(EPOCHS_KEPT);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        self.now + network.slot_duration().saturating_mul(slots)
    }

    fn open_cosign(&mut self, key: CollectionKey, duty: Duty, expires: UnixMillis) -> &mut Cosign {
        let entry = self.cosigns.entries.entry(key).or_insert_with(|| Cosign {
            duty: None,
            expires,
            own_asked: false,
            own: OwnPart::None,
            owed: OperatorSet::EMPTY,
            told: OperatorSet::EMPTY,
            asked_by: OperatorSet::EMPTY,
            refusals: PerOperator::new(),
        });
        // A sync message's slot is not signed: the same root is asked for again in the next slot if no
        // block came, and peers look at the slot.
        if entry.duty.as_ref().is_none_or(|held| held.slot() < duty.slot()) {
            entry.duty = Some(duty);
        }
        entry.expires = entry.expires.max(expires);
        entry
    }

    fn sign_cosign(&mut self, key: CollectionKey) {
        let Some(entry) = self.cosigns.entries.get_mut(&key) else { return };
        // Every request brings it.
        let Some(duty) = entry.duty.clone() else { return };
        entry.own = OwnPart::Signing;
        let job = SignJob { validator: key.1, duty };
        self.sign_now(QueuedSign { job, purpose: Purpose::Cosign });
    }

    fn tell_after_signing(&mut self, key: CollectionKey) {
        match self.cosigns.entries.get(&key) {
            Some(entry) if entry.own_asked => self.tell_all(key),
            Some(_) => self.pay_owed(key),
            None => {}
        }
    }

    /// The own client asks: all peers are asked, and told this node's part with it.
    fn tell_all(&mut self, key: CollectionKey) {
        let Some(message) = self.cosign_request(key) else { return };
        let connected = self.peers.connected();
        if let Some(entry) = self.cosigns.entries.get_mut(&key) {
            entry.told = connected;
            entry.owed = OperatorSet::EMPTY;
        }
        self.out.push(Output::Broadcast(message));
    }

    /// Peers asked: they are told this node's part; all of them if every client will ask the same, so
    /// that the others are answered at once.
    fn pay_owed(&mut self, key: CollectionKey) {
        let (root, validator) = key;
        let own =
            self.collections.get(&key).and_then(|collection| collection.partial_of(self.config.me));
        let Some(partial) = own else { return };
        let Some(entry) = self.cosigns.entries.get_mut(&key) else { return };
        let answer = CosignAnswer { validator, root, outcome: Ok(partial) };
        let owed = std::mem::take(&mut entry.owed);
        let first = entry.told.is_empty();
        let duty = entry.duty.as_ref();
        if first && duty.is_some_and(|duty| is_deterministic(duty.message())) {
            // Who has not been asked yet does not keep it, and is told again when it asks.
            entry.told = owed;
            self.out.push(Output::Broadcast(PeerMessage::CosignAnswer(answer)));
            return;
        }
        for peer in owed.iter() {
            entry.told.insert(peer);
            self.out.push(Output::Send(peer, PeerMessage::CosignAnswer(answer.clone())));
        }
    }

    fn cosign_request(&self, key: CollectionKey) -> Option<PeerMessage> {
        let entry = self.cosigns.entries.get(&key)?;
        let partial = self.collections.get(&key)?.partial_of(self.config.me)?;
        Some(PeerMessage::CosignRequest(CosignRequest {
            validator: key.1,
            duty: entry.duty.clone()?,
            partial,
        }))
    }
}

#[cfg(test)]
mod tests {
    use eth_types::Slot;
    use eth_types::duty::DutyKind;

    use super::*;

    #[test]
    fn an_operator_is_granted_one_message_a_duty_and_so_many_duties_until_they_expire() {
        let mut cosigns = Cosigns::default();
        let (one, other) = (OperatorIndex::new(1), OperatorIndex::new(2));
        let (root, another) = (Root::new([1; 32]), Root::new([2; 32]));
        let expires = UnixMillis::new(1000);
        let duty =
            |slot| DutyMoment { kind: DutyKind::AggregationSlot, slot: Slot::new(slot), part: 0 };
        let mut grant = |operator, slot, root| {
            cosigns.grant((operator, KeyIndex::new(0), duty(slot)), root, expires, 2)
        };
        assert_eq!(grant(one, 1, root), Ok(()));
        assert_eq!(grant(one, 1, root), Ok(()), "again the same");
        assert_eq!(grant(one, 1, another), Err(CosignRefusal::SecondMessage));
        assert_eq!(grant(one, 2, root), Ok(()));
        assert_eq!(grant(one, 3, root), Err(CosignRefusal::TooMany));
        assert_eq!(grant(one, 2, root), Ok(()), "what was granted stays granted");
        assert_eq!(grant(other, 3, root), Ok(()), "each operator has its own");
        cosigns.prune(expires);
        let later = UnixMillis::new(2000);
        let asked = (one, KeyIndex::new(0), duty(3));
        assert_eq!(cosigns.grant(asked, root, later, 2), Ok(()));
    }
}
