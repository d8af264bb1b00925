//! Blocks and attestations: the cluster agrees on one message, then each node records and signs it
//! (protocol.md, sections 2 and 3).

use std::collections::{BTreeMap, BTreeSet};

use eth_types::duty::{Duty, Message};
use eth_types::fork::ForkName;
use eth_types::{Root, Slot};

use super::io::{OwnRefusal, Report, RequestId, SignFailure, SignJob};
use super::{Engine, Output, Purpose, QueuedSign};
use crate::agreement::{AgreementMessage, Context, Effect, Instance, InstanceKey, Value, View};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, OperatorIndex, PerOperator, Quorum};
use crate::message::{PARTIALS_PER_MESSAGE, Partials, PeerMessage};
use crate::timing::{Schedule, UnixMillis, current_slot};

/// Roots of one instance for which one operator's partials are kept. An honest operator signs one; a
/// second leaves room for what an operator did before a restart.
const ROOTS_PER_OPERATOR: usize = 2;

/// Pre-Electra committees of one slot, at most: each has an instance of its own.
const MAX_COMMITTEES: u64 = 64;

/// Block instances of one slot that one peer's word alone opens. A slot has one proposer; at the turn of
/// an epoch clients with different views of the chain may name two.
const BLOCKS_PER_PEER: usize = 2;

/// How far ahead of the own clock peers' messages are taken, in slots: clocks differ a little.
const SLOTS_AHEAD: u64 = 1;

/// One slashable duty of the cluster.
#[derive(Debug)]
struct SlashableDuty {
    instance: Instance,
    /// The peer whose word opened it; none if the own client did.
    opened_by: Option<OperatorIndex>,
    expires: UnixMillis,
    reported_expiry: bool,
    /// Validators for which the own client asked in this instance, whatever data it asked for.
    asked: BTreeSet<KeyIndex>,
    /// Requests that wait, with the root each asked for.
    requests: Vec<(RequestId, KeyIndex, Root)>,
    own: BTreeMap<KeyIndex, OwnPart>,
    /// Validators that peers sent partials for and this node has no part of yet.
    named: BTreeSet<KeyIndex>,
    /// Roots for which each operator sent partials.
    roots: PerOperator<Vec<Root>>,
}

/// How far this node's part of a validator's signature is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnPart {
    Queued,
    Signed,
    Refused(OwnRefusal),
}

/// The slashable duties of the moment.
#[derive(Debug, Default)]
pub(super) struct Slashables {
    duties: BTreeMap<InstanceKey, SlashableDuty>,
}

impl Slashables {
    pub(super) fn len(&self) -> usize {
        self.duties.len()
    }

    /// The most values, and the most rounds, that one instance holds.
    pub(super) fn largest(&self) -> (usize, usize) {
        let sizes = self.duties.values().map(|duty| duty.instance.size());
        sizes.fold((0, 0), |most, size| (most.0.max(size.0), most.1.max(size.1)))
    }

    pub(super) fn next_timeout(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.duties.values().filter_map(|duty| duty.instance.next_timeout(now)).min()
    }

    pub(super) fn prune(&mut self, now: UnixMillis) {
        self.duties.retain(|_, duty| duty.expires > now);
    }

    /// How many block instances of a slot a peer's word alone opened.
    fn blocks_opened_by(&self, peer: OperatorIndex, slot: Slot) -> usize {
        let of_slot =
            |key: &InstanceKey| matches!(key, InstanceKey::Block { slot: of, .. } if *of == slot);
        let opened =
            self.duties.iter().filter(|(key, duty)| of_slot(key) && duty.opened_by == Some(peer));
        opened.count()
    }

    pub(super) fn describe(&self, key: &InstanceKey, quorum: Quorum) -> Option<String> {
        self.duties.get(key).map(|duty| duty.instance.describe(quorum))
    }

    /// What keeps this node's own part of a signature back, in words.
    pub(super) fn describe_own(&self, key: &InstanceKey, validator: KeyIndex) -> Option<String> {
        match self.duties.get(key)?.own.get(&validator)? {
            OwnPart::Refused(refusal) => Some(format!("this node did not sign: {refusal}")),
            OwnPart::Queued => Some(
                "this node's slashing database has not yet recorded it; is its disk busy?".into(),
            ),
            OwnPart::Signed => None,
        }
    }
}

impl Engine {
    pub(super) fn request_slashable(&mut self, id: RequestId, validator: KeyIndex, duty: Duty) {
        let network = self.config.network.clone();
        let Some(key) = InstanceKey::for_duty(&duty, validator, &network) else { return };
        let value = match Value::new(&key, duty, &network) {
            Ok(value) => value,
            Err(invalid) => return self.fail(id, SignFailure::Invalid(invalid)),
        };
        if !self.open(&key, None) {
            let failure = SignFailure::Window {
                slot: key.slot(),
                current: current_slot(&network, self.now),
                lateness: match key {
                    InstanceKey::Attestation { .. } => self.config.timing.attestation_lateness,
                    InstanceKey::Block { .. } => 0,
                },
            };
            return self.fail(id, failure);
        }
        if let Some(source) = value.source() {
            self.peers.note_own_source(source);
        }
        let root = value.root();
        let Some(duty) = self.slashables.duties.get_mut(&key) else { return };
        duty.asked.insert(validator);
        duty.requests.push((id, validator, root));
        let expires = duty.expires;
        // It waits for partials from the start: a quorum's partials are an answer even to a node that
        // has missed the agreement.
        self.enqueue(id, (root, validator), Purpose::Slashable(key), expires);
        self.drive(&key, |instance, ctx| instance.on_own_request(value, ctx));
        self.pursue(&key);
    }

    pub(super) fn on_agreement(&mut self, from: OperatorIndex, message: AgreementMessage) {
        let key = message.key;
        if !self.open(&key, Some(from)) {
            return;
        }
        self.drive(&key, |instance, ctx| instance.on_message(from, message, ctx));
        let sources: Vec<_> = self
            .slashables
            .duties
            .get(&key)
            .into_iter()
            .flat_map(|duty| duty.instance.own_endorsed_sources())
            .collect();
        for (operator, source) in sources {
            self.peers.note_endorsed_source(operator, source);
        }
        self.pursue(&key);
    }

    pub(super) fn on_partials(&mut self, from: OperatorIndex, partials: Partials) {
        let Partials { key, root, partials } = partials;
        if !self.open(&key, Some(from)) {
            return;
        }
        let Some(duty) = self.slashables.duties.get_mut(&key) else { return };
        let roots = duty.roots.entry(from).or_default();
        if !roots.contains(&root) {
            if roots.len() >= ROOTS_PER_OPERATOR {
                return;
            }
            roots.push(root);
        }
        let expires = duty.expires;
        for (validator, partial) in partials {
            let fits = match key {
                InstanceKey::Block { validator: proposer, .. } => proposer == validator,
                InstanceKey::Attestation { .. } => true,
            };
            if fits {
                duty.named.insert(validator);
                self.collections.add((root, validator), from, partial, expires);
            }
        }
        self.pursue(&key);
    }

    /// Lets the instances see the time.
    pub(super) fn time_instances(&mut self) {
        let keys: Vec<InstanceKey> = self
            .slashables
            .duties
            .iter()
            .filter(|(_, duty)| !duty.instance.is_decided() && !duty.reported_expiry)
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.drive(&key, |instance, ctx| instance.on_time(ctx));
            self.pursue(&key);
            self.report_expiry(&key);
        }
    }

    /// On (re)connect: what this node holds of the running instances.
    pub(super) fn send_slashables_to(&mut self, peer: OperatorIndex) {
        let mut messages = Vec::new();
        for (key, duty) in &self.slashables.duties {
            if duty.instance.is_over(self.now) {
                continue;
            }
            messages.extend(duty.instance.messages_for_newcomer().map(PeerMessage::Agreement));
            let Some(root) = duty.instance.settled().map(Value::root) else { continue };
            let own: Vec<(KeyIndex, PartialSignature)> = duty
                .own
                .keys()
                .filter_map(|validator| {
                    let collection = self.collections.get(&(root, *validator))?;
                    Some((*validator, collection.partial_of(self.config.me)?))
                })
                .collect();
            messages.extend(partials_messages(*key, root, &own));
        }
        self.out.extend(messages.into_iter().map(|message| Output::Send(peer, message)));
    }

    /// Opens an instance, for a peer or for the own client, if its slot is inside the window and such an
    /// instance can be. False if not.
    fn open(&mut self, key: &InstanceKey, peer: Option<OperatorIndex>) -> bool {
        if self.slashables.duties.contains_key(key) {
            return true;
        }
        let network = &self.config.network;
        let schedule = Schedule::new(key, network, &self.config.timing);
        let soonest = current_slot(network, self.now).saturating_add(SLOTS_AHEAD);
        let sound = match key {
            InstanceKey::Block { slot, validator } => {
                let opened = |peer| self.slashables.blocks_opened_by(peer, *slot);
                self.validator(*validator).is_some()
                    && peer.is_none_or(|peer| opened(peer) < BLOCKS_PER_PEER)
            }
            InstanceKey::Attestation { slot, committee } => {
                let fork = network.fork_at(slot.epoch(network.slots_per_epoch()));
                committee.is_some() == (fork < ForkName::Electra)
                    && committee.is_none_or(|committee| committee < MAX_COMMITTEES)
            }
        };
        if key.slot() > soonest || schedule.deadline <= self.now || !sound {
            return false;
        }
        let participates = schedule.start >= self.config.started + self.config.timing.warm_up;
        let instance = Instance::new(*key, schedule, participates, self.peers.liars());
        let duty = SlashableDuty {
            instance,
            opened_by: peer,
            // A slot more, for who asks late for what is signed.
            expires: schedule.deadline + network.slot_duration(),
            reported_expiry: false,
            asked: BTreeSet::new(),
            requests: Vec::new(),
            own: BTreeMap::new(),
            named: BTreeSet::new(),
            roots: PerOperator::new(),
        };
        self.slashables.duties.insert(*key, duty);
        true
    }

    /// Gives an instance an input and carries out the effects.
    fn drive(
        &mut self,
        key: &InstanceKey,
        step: impl FnOnce(&mut Instance, &Context<'_>) -> Vec<Effect>,
    ) {
        let view = self.view(key);
        // Taken out, so that the engine can be read while the instance works.
        let Some(mut duty) = self.slashables.duties.remove(key) else { return };
        let effects = step(&mut duty.instance, &self.context(view));
        self.slashables.duties.insert(*key, duty);
        for effect in effects {
            match effect {
                Effect::Broadcast(message) => {
                    self.out.push(Output::Broadcast(PeerMessage::Agreement(message)));
                }
                Effect::Send(peer, message) => {
                    self.out.push(Output::Send(peer, PeerMessage::Agreement(message)));
                }
                Effect::Settle(root) => {
                    let round =
                        self.slashables.duties.get(key).map_or(0, |duty| duty.instance.round());
                    self.out.push(Output::Report(Report::Settled { key: *key, root, round }));
                }
                Effect::Lie(lie) => {
                    self.peers.note_lie(lie.operator);
                    self.out.push(Output::Report(Report::Lie(lie)));
                }
            }
        }
    }

    /// Once settled: tells the requests for other messages so, and signs for every validator that
    /// there is evidence for.
    fn pursue(&mut self, key: &InstanceKey) {
        let View { silent, witnesses, duty_evidence, .. } = self.view(key);
        let me = self.config.me;
        let Some(duty) = self.slashables.duties.get_mut(key) else { return };
        let Some(value) = duty.instance.settled() else { return };
        let (root, settled) = (value.root(), value.duty().clone());
        let requests = std::mem::take(&mut duty.requests);
        let mut validators = duty.asked.clone();
        if let InstanceKey::Block { validator, .. } = key
            && duty_evidence
        {
            // Who vouches for a block has to sign it too, or a quorum that vouches is none that signs.
            validators.insert(*validator);
        }
        if silent {
            // Not for all that one peer names: it could burn the target epoch of validators that do
            // not attest in this slot.
            validators.extend(duty.named.iter().filter(|validator| {
                let peers = self.collections.get(&(root, **validator)).map_or(0, |collection| {
                    collection.contributors().iter().filter(|peer| *peer != me).count()
                });
                peers >= witnesses
            }));
        }
        validators.retain(|validator| !duty.own.contains_key(validator));
        for validator in &validators {
            duty.own.insert(*validator, OwnPart::Queued);
            duty.named.remove(validator);
        }
        for validator in validators {
            let job = SignJob { validator, duty: settled.clone() };
            self.queue_record(QueuedSign { job, purpose: Purpose::Slashable(*key) });
        }
        for (id, _, asked) in requests {
            if asked != root && self.requests.contains_key(&id) {
                self.fail(id, SignFailure::Outvoted { key: *key, asked, signed: root });
            }
        }
    }

    /// Releases the partials of a batch whose record is durable.
    pub(super) fn on_recorded(
        &mut self,
        batch: Vec<(InstanceKey, SignJob, Result<PartialSignature, OwnRefusal>)>,
    ) {
        let mut released =
            BTreeMap::<(InstanceKey, Root), Vec<(KeyIndex, PartialSignature)>>::new();
        for (key, job, result) in batch {
            let SignJob { validator, duty: signed } = job;
            let root = signed.signing_root();
            let Some(duty) = self.slashables.duties.get_mut(&key) else { continue };
            match result {
                Ok(partial) => {
                    duty.own.insert(validator, OwnPart::Signed);
                    let expires = duty.expires;
                    self.collections.add((root, validator), self.config.me, partial, expires);
                    released.entry((key, root)).or_default().push((validator, partial));
                }
                Err(reason) => {
                    duty.own.insert(validator, OwnPart::Refused(reason.clone()));
                    self.on_own_refusal(key, root, validator, reason);
                }
            }
        }
        for ((key, root), partials) in released {
            let messages = partials_messages(key, root, &partials);
            self.out.extend(messages.into_iter().map(Output::Broadcast));
        }
    }

    /// Others may still sign; where this share is indispensable the request fails at once.
    fn on_own_refusal(
        &mut self,
        key: InstanceKey,
        root: Root,
        validator: KeyIndex,
        reason: OwnRefusal,
    ) {
        if self.config.quorum.live_silent() == 0 {
            for id in self.waiting_for((root, validator)) {
                let failure = match &reason {
                    OwnRefusal::Slashable(reason) => SignFailure::Slashable(reason.clone()),
                    OwnRefusal::Failed(reason) => SignFailure::NotEnough(reason.clone()),
                };
                self.fail(id, failure);
            }
        }
        self.out.push(Output::Report(Report::RefusedOwn { validator, key, reason }));
    }

    fn report_expiry(&mut self, key: &InstanceKey) {
        let (now, quorum) = (self.now, self.config.quorum);
        let Some(duty) = self.slashables.duties.get_mut(key) else { return };
        if !duty.instance.is_over(now) {
            return;
        }
        duty.reported_expiry = true;
        let wanted = !duty.asked.is_empty() && duty.instance.settled().is_none();
        if wanted {
            let progress = duty.instance.describe(quorum);
            self.out.push(Output::Report(Report::Expired { key: *key, progress }));
        }
    }

    /// The own client asked for a RANDAO reveal: that is evidence of a proposal in the epoch.
    pub(super) fn note_proposer_evidence(&mut self, message: &Message, validator: KeyIndex) {
        if let Message::RandaoReveal(epoch) = message {
            self.peers.note_randao(*epoch, validator);
        }
    }
}

fn partials_messages(
    key: InstanceKey,
    root: Root,
    partials: &[(KeyIndex, PartialSignature)],
) -> Vec<PeerMessage> {
    let mut sorted = partials.to_vec();
    sorted.sort_by_key(|(validator, _)| *validator);
    sorted
        .chunks(PARTIALS_PER_MESSAGE)
        .map(|chunk| PeerMessage::Partials(Partials { key, root, partials: chunk.to_vec() }))
        .collect()
}
