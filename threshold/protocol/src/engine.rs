//! The protocol of one node as a pure state machine: requests, messages and the time go in
//! ([`Input`]), work and answers come out ([`Output`]).
//!
//! [`Engine::handle`] takes every input; [`Engine::next_timeout`] says when to call it with
//! [`Input::Tick`] at the latest. Outputs are to be carried out in order. What takes long or needs a
//! secret (recording, signing, combining) is handed out with a [`Ticket`] and comes back as an input,
//! so that the engine never waits.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `io` | [`Input`], [`Output`] and what they are made of |
//! | `collection` | partial signatures by root and validator; combining |
//! | `slashable` | blocks and attestations: agreement, then signing what was settled |
//! | `cosign` | duties of which a second signature does no harm |
//! | `witness` | exits and deposits: signed when enough operators asked |
//! | `peers` | who is connected, whose validator client is silent, what the node knows |

mod collection;
mod cosign;
mod io;
mod peers;
mod slashable;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use eth_types::Root;
use eth_types::duty::DutyClass;
use eth_types::network::Network;

use self::collection::{CollectionKey, Collections};
use self::cosign::Cosigns;
pub use self::io::{
    Combination, CombineJob, Input, Load, Output, OwnRefusal, Report, RequestId, SignFailure,
    SignJob, Ticket,
};
use self::peers::Peers;
use self::slashable::Slashables;
use self::witness::Witnesses;
use crate::agreement::InstanceKey;
use crate::cluster::{KeyIndex, OperatorIndex, OperatorSet, Quorum};
use crate::identity::Authenticator;
use crate::message::{PARTIALS_PER_MESSAGE, PeerMessage};
use crate::policy::{Policy, Validator};
use crate::timing::{Timing, UnixMillis, current_epoch};

/// A clock that goes back by less than this is not set back, only corrected.
const CLOCK_JITTER: Duration = Duration::from_secs(2);

/// What an engine is made of.
pub struct Config {
    /// This operator.
    pub me: OperatorIndex,
    /// The cluster's numbers.
    pub quorum: Quorum,
    /// The cluster's lock hash.
    pub lock_hash: Root,
    /// The validators in the lock's order.
    pub validators: Vec<Validator>,
    /// The network.
    pub network: Network,
    /// When things happen in a slot.
    pub timing: Timing,
    /// What is co-signed.
    pub policy: Policy,
    /// This node's identity, and the operators' keys.
    pub auth: Arc<dyn Authenticator>,
    /// When the node started: it takes no part in slots that began before it.
    pub started: UnixMillis,
}

/// A request that waits.
#[derive(Debug)]
struct Pending {
    key: CollectionKey,
    purpose: Purpose,
}

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Slashable(InstanceKey),
    Cosign,
    Witness,
}

/// What is to be signed with the own share, and why.
#[derive(Debug)]
struct QueuedSign {
    job: SignJob,
    purpose: Purpose,
}

/// The protocol of one node.
pub struct Engine {
    config: Config,
    now: UnixMillis,
    requests: BTreeMap<RequestId, Pending>,
    /// When requests end; one that was answered before stays in here until then.
    deadlines: BTreeSet<(UnixMillis, RequestId)>,
    collections: Collections,
    slashables: Slashables,
    cosigns: Cosigns,
    witnesses: Witnesses,
    peers: Peers,
    /// Slashable duties to sign: one batch at a time, for each is one transaction.
    record_queue: VecDeque<QueuedSign>,
    recording: bool,
    signing: BTreeMap<Ticket, Vec<QueuedSign>>,
    next_ticket: u64,
    next_prune: UnixMillis,
    out: Vec<Output>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("me", &self.config.me)
            .field("now", &self.now)
            .field("requests", &self.requests.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A node that has just started.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let now = config.started;
        Self {
            collections: Collections::new(config.me, config.quorum.threshold()),
            slashables: Slashables::default(),
            cosigns: Cosigns::default(),
            witnesses: Witnesses::default(),
            peers: Peers::default(),
            requests: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            record_queue: VecDeque::new(),
            recording: false,
            signing: BTreeMap::new(),
            next_ticket: 0,
            next_prune: now,
            out: Vec::new(),
            now,
            config,
        }
    }

    /// Takes an input. `now` is the node's clock. A time a little before the last one counts as the
    /// last one; a clock that is set back further is followed, as if the node had started then.
    #[must_use]
    pub fn handle(&mut self, input: Input, now: UnixMillis) -> Vec<Output> {
        if now + CLOCK_JITTER < self.now {
            self.follow_clock_back(now);
        }
        self.now = self.now.max(now);
        match input {
            Input::Request { id, validator, duty } => {
                self.peers.note_own_request(self.now);
                match duty.class() {
                    DutyClass::Slashable => self.request_slashable(id, validator, duty),
                    DutyClass::CoSigned => self.request_cosign(id, validator, duty),
                    DutyClass::Witnessed => self.request_witnessed(id, validator, duty),
                }
            }
            Input::Cancel(id) => self.forget(id),
            Input::Connected(peer) => self.on_connected(peer),
            Input::Disconnected(peer) => self.on_disconnected(peer),
            Input::Message { from, message } => self.on_message(from, message),
            Input::Signed { ticket, results } => self.on_signed(ticket, results),
            Input::Combined { ticket, results } => self.on_combined(ticket, results),
            Input::Tick => {}
        }
        self.on_time();
        std::mem::take(&mut self.out)
    }

    /// The clock was ahead and has been set right. What the node said in slots that have yet to come
    /// may be forgotten, so it takes no part in those that have begun.
    fn follow_clock_back(&mut self, now: UnixMillis) {
        let ahead = self.now.since(now);
        self.now = now;
        self.next_prune = now;
        self.config.started = now;
        let latest = now + self.config.timing.request_limit;
        let waiting = std::mem::take(&mut self.deadlines);
        self.deadlines = waiting.into_iter().map(|(time, id)| (time.min(latest), id)).collect();
        self.out.push(Output::Report(Report::ClockSetBack { ahead }));
    }

    /// When [`Input::Tick`] is due at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<UnixMillis> {
        let requests = self.deadlines.first().map(|(deadline, _)| *deadline);
        let instances = self.slashables.next_timeout(self.now);
        let status = self.next_status_time();
        [requests, instances, status, Some(self.next_prune)].into_iter().flatten().min()
    }

    /// The peers that are connected.
    #[must_use]
    pub fn connected(&self) -> OperatorSet {
        self.peers.connected()
    }

    /// Whether enough operators are connected, this one included, to sign anything.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.connected().len() + 1 >= self.config.quorum.threshold()
    }

    /// Whether the own validator client is silent.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.peers.is_silent(self.now, &self.config.network)
    }

    /// How much is held in memory.
    #[must_use]
    pub fn load(&self) -> Load {
        let (values, rounds) = self.slashables.largest();
        Load {
            requests: self.requests.len(),
            instances: self.slashables.len(),
            values,
            rounds,
            collections: self.collections.len(),
            cosigns: self.cosigns.len(),
            witnesses: self.witnesses.len(),
        }
    }

    fn on_message(&mut self, from: OperatorIndex, message: PeerMessage) {
        if from == self.config.me || !self.config.quorum.contains(from) {
            return;
        }
        match message {
            PeerMessage::Agreement(message) => self.on_agreement(from, message),
            PeerMessage::Partials(partials) => self.on_partials(from, partials),
            PeerMessage::CosignRequest(request) => self.on_cosign_request(from, request),
            PeerMessage::CosignAnswer(answer) => self.on_cosign_answer(from, answer),
            PeerMessage::Witness(witness) => self.on_witness(from, witness),
            PeerMessage::Status(status) => self.on_status(from, status),
        }
    }

    fn on_connected(&mut self, peer: OperatorIndex) {
        if peer == self.config.me || !self.config.quorum.contains(peer) {
            return;
        }
        self.peers.connect(peer);
        self.send_status_to(peer);
        self.send_slashables_to(peer);
        self.send_cosigns_to(peer);
        self.send_witnesses_to(peer);
    }

    fn on_disconnected(&mut self, peer: OperatorIndex) {
        self.peers.disconnect(peer);
        self.cosigns.forget_told(peer);
    }

    /// Runs everything that time alone brings about, and hands out what is ready.
    fn on_time(&mut self) {
        self.time_instances();
        self.announce_status();
        self.expire_requests();
        self.flush_records();
        let next_ticket = &mut self.next_ticket;
        let new_ticket = || {
            *next_ticket += 1;
            Ticket(*next_ticket)
        };
        self.collections.combine_ready(new_ticket, &mut self.out);
        if self.now >= self.next_prune {
            self.prune();
        }
    }

    fn prune(&mut self) {
        self.next_prune = self.now + self.config.network.slot_duration();
        self.collections.prune(self.now);
        self.slashables.prune(self.now);
        self.cosigns.prune(self.now);
        let epoch = current_epoch(&self.config.network, self.now);
        self.peers.prune(epoch);
    }

    // Requests.

    /// Lets a request wait for a signature; answers at once if it is there.
    fn enqueue(
        &mut self,
        id: RequestId,
        key: CollectionKey,
        purpose: Purpose,
        expires: UnixMillis,
    ) {
        if let Some(signature) = self.collections.await_signature(key, id, expires) {
            self.answer(id, Ok(signature));
            return;
        }
        let deadline = self.now + self.config.timing.request_limit;
        self.requests.insert(id, Pending { key, purpose });
        self.deadlines.insert((deadline, id));
    }

    fn answer(&mut self, id: RequestId, outcome: Result<eth_types::Signature, SignFailure>) {
        self.out.push(Output::Answer { id, outcome });
    }

    fn fail(&mut self, id: RequestId, failure: SignFailure) {
        self.forget(id);
        self.answer(id, Err(failure));
    }

    fn forget(&mut self, id: RequestId) {
        if let Some(pending) = self.requests.remove(&id) {
            self.collections.forget_request(&pending.key, id);
        }
    }

    /// The requests that wait for a signature.
    fn waiting_for(&self, key: CollectionKey) -> Vec<RequestId> {
        let waits = |pending: &Pending| pending.key == key;
        self.requests.iter().filter(|(_, p)| waits(p)).map(|(id, _)| *id).collect()
    }

    fn expire_requests(&mut self) {
        while let Some((deadline, id)) = self.deadlines.first().copied() {
            if deadline > self.now {
                return;
            }
            self.deadlines.pop_first();
            let Some(pending) = self.requests.get(&id) else { continue };
            let reason = self.why_unanswered(pending);
            self.fail(id, SignFailure::NotEnough(reason));
        }
    }

    /// Why a request got no signature in time, in words for the operator.
    fn why_unanswered(&self, pending: &Pending) -> String {
        let quorum = self.config.quorum;
        let (key, needed) = (pending.key, quorum.threshold());
        let contributors = self
            .collections
            .get(&key)
            .map(collection::Collection::contributors)
            .unwrap_or_default();
        let mut reasons = Vec::new();
        let absent: OperatorSet = quorum
            .all()
            .filter(|operator| *operator != self.config.me && !self.connected().contains(*operator))
            .collect();
        if quorum.operators() - absent.len() < needed {
            reasons.push(format!(
                "too few operators: {} of {} are connected, {needed} are needed",
                quorum.operators() - absent.len(),
                quorum.operators(),
            ));
        }
        match pending.purpose {
            Purpose::Slashable(instance) => {
                if let Some(progress) = self.slashables.describe(&instance, quorum) {
                    reasons.push(format!("agreement: {progress}"));
                }
                reasons.extend(self.slashables.describe_own(&instance, key.1));
            }
            Purpose::Cosign => reasons.extend(self.cosigns.describe_refusals(&key)),
            Purpose::Witness => reasons.push(
                "such a request is kept, and signed once enough operators have asked for the same: \
                 ask again then"
                    .into(),
            ),
        }
        reasons.push(format!("{} of {needed} partial signatures came in time", contributors.len()));
        if !absent.is_empty() {
            reasons.push(format!("operators not connected: {absent}"));
        }
        reasons.join("; ")
    }

    // Signing with the own share, and combining.

    /// Queues a slashable duty: it is recorded and signed with what gathers meanwhile.
    fn queue_record(&mut self, queued: QueuedSign) {
        self.record_queue.push_back(queued);
    }

    /// At once when idle, else what gathered while the last batch was in flight.
    fn flush_records(&mut self) {
        if self.recording || self.record_queue.is_empty() {
            return;
        }
        let size = self.record_queue.len().min(PARTIALS_PER_MESSAGE);
        let batch: Vec<QueuedSign> = self.record_queue.drain(..size).collect();
        self.recording = true;
        self.hand_out(batch);
    }

    /// Signs what needs no record; nothing gains by waiting.
    fn sign_now(&mut self, queued: QueuedSign) {
        self.hand_out(vec![queued]);
    }

    fn hand_out(&mut self, batch: Vec<QueuedSign>) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let jobs = batch.iter().map(|queued| queued.job.clone()).collect();
        self.signing.insert(ticket, batch);
        self.out.push(Output::Sign { ticket, jobs });
    }

    fn on_signed(
        &mut self,
        ticket: Ticket,
        results: Vec<Result<crate::bls::PartialSignature, OwnRefusal>>,
    ) {
        let Some(batch) = self.signing.remove(&ticket) else { return };
        if batch.iter().any(|queued| matches!(queued.purpose, Purpose::Slashable(_))) {
            self.recording = false;
        }
        // A result that is missing is one that failed.
        let failed = std::iter::repeat_with(|| Err(OwnRefusal::Failed("no result".into())));
        let mut recorded = Vec::new();
        for (queued, result) in batch.into_iter().zip(results.into_iter().chain(failed)) {
            let QueuedSign { job, purpose } = queued;
            match purpose {
                Purpose::Slashable(key) => recorded.push((key, job, result)),
                Purpose::Cosign => self.on_cosign_signed(job, result),
                Purpose::Witness => self.on_witness_signed(job, result),
            }
        }
        self.on_recorded(recorded);
    }

    fn on_combined(&mut self, ticket: Ticket, results: Vec<Combination>) {
        let failed = std::iter::repeat_with(|| Combination {
            signature: None,
            culprits: OperatorSet::EMPTY,
        });
        let batch = self.collections.take_batch(ticket);
        for (key, result) in batch.into_iter().zip(results.into_iter().chain(failed)) {
            for operator in result.culprits.iter() {
                let (root, validator) = key;
                let report = Report::BadPartial { operator, validator, root };
                self.out.push(Output::Report(report));
            }
            let waiting = self.collections.finish(key, result.signature, result.culprits);
            for id in waiting {
                self.requests.remove(&id);
                if let Some(signature) = result.signature {
                    self.answer(id, Ok(signature));
                }
            }
        }
    }

    fn validator(&self, key: KeyIndex) -> Option<&Validator> {
        self.config.validators.get(key.as_usize())
    }
}
