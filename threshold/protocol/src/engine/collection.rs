//! Partial signatures as they come in, by signing root and validator: at the threshold they are
//! combined, and the signature is kept for whoever asks later (protocol.md, section 3).

use std::collections::{BTreeMap, VecDeque};

use eth_types::{Root, Signature};

use super::io::{CombineJob, Output, RequestId, Ticket};
use crate::bls::PartialSignature;
use crate::cluster::{KeyIndex, OperatorIndex, OperatorSet, PerOperator};
use crate::message::PARTIALS_PER_MESSAGE;
use crate::timing::UnixMillis;

/// Batches that are combined at the same time. Two keep two cores busy; more would only make the first
/// wait for the last.
const COMBINES_IN_FLIGHT: usize = 2;

/// Names a collection.
pub(super) type CollectionKey = (Root, KeyIndex);

/// The partial signatures of one validator over one root.
#[derive(Debug, Default)]
pub(super) struct Collection {
    partials: PerOperator<PartialSignature>,
    /// Operators whose partial was bad: no other one is taken from them.
    evicted: OperatorSet,
    combining: bool,
    signature: Option<Signature>,
    waiting: Vec<RequestId>,
    expires: UnixMillis,
}

impl Collection {
    /// An operator's partial signature.
    pub(super) fn partial_of(&self, operator: OperatorIndex) -> Option<PartialSignature> {
        self.partials.get(&operator).copied()
    }

    /// Operators whose partials are held.
    pub(super) fn contributors(&self) -> OperatorSet {
        self.partials.keys().copied().collect()
    }

    /// Whether a request waits for the signature.
    pub(super) const fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// All collections, and the combining of what is complete and wanted.
#[derive(Debug)]
pub(super) struct Collections {
    me: OperatorIndex,
    threshold: usize,
    map: BTreeMap<CollectionKey, Collection>,
    /// Complete and wanted, not yet handed out.
    ready: VecDeque<CollectionKey>,
    in_flight: BTreeMap<Ticket, Vec<CollectionKey>>,
    /// Operators that sent bad partials: theirs are used last.
    suspects: OperatorSet,
}

impl Collections {
    pub(super) const fn new(me: OperatorIndex, threshold: usize) -> Self {
        Self {
            me,
            threshold,
            map: BTreeMap::new(),
            ready: VecDeque::new(),
            in_flight: BTreeMap::new(),
            suspects: OperatorSet::EMPTY,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn get(&self, key: &CollectionKey) -> Option<&Collection> {
        self.map.get(key)
    }

    /// The collection, kept at least until `expires`.
    fn open(&mut self, key: CollectionKey, expires: UnixMillis) -> &mut Collection {
        let collection = self.map.entry(key).or_default();
        collection.expires = collection.expires.max(expires);
        collection
    }

    /// Keeps a partial signature. An operator's first one stands.
    pub(super) fn add(
        &mut self,
        key: CollectionKey,
        operator: OperatorIndex,
        partial: PartialSignature,
        expires: UnixMillis,
    ) {
        let collection = self.open(key, expires);
        if !collection.evicted.contains(operator) {
            collection.partials.entry(operator).or_insert(partial);
            self.note_if_ready(key);
        }
    }

    /// A request waits for the signature; it is given back at once if it is there.
    pub(super) fn await_signature(
        &mut self,
        key: CollectionKey,
        id: RequestId,
        expires: UnixMillis,
    ) -> Option<Signature> {
        let collection = self.open(key, expires);
        if collection.signature.is_some() {
            return collection.signature;
        }
        collection.waiting.push(id);
        self.note_if_ready(key);
        None
    }

    /// A request no longer waits.
    pub(super) fn forget_request(&mut self, key: &CollectionKey, id: RequestId) {
        if let Some(collection) = self.map.get_mut(key) {
            collection.waiting.retain(|waiting| *waiting != id);
        }
    }

    fn note_if_ready(&mut self, key: CollectionKey) {
        let Some(collection) = self.map.get_mut(&key) else { return };
        let complete = collection.partials.len() >= self.threshold;
        let open = collection.signature.is_none() && !collection.combining;
        if complete && open && collection.is_awaited() {
            collection.combining = true;
            self.ready.push_back(key);
        }
    }

    /// Hands out what is ready: at once while little is in flight, else what gathered meanwhile, as
    /// one batch for each root.
    pub(super) fn combine_ready(
        &mut self,
        mut new_ticket: impl FnMut() -> Ticket,
        out: &mut Vec<Output>,
    ) {
        while self.in_flight.len() < COMBINES_IN_FLIGHT {
            let Some((root, _)) = self.ready.front().copied() else { return };
            let mut batch = Vec::new();
            self.ready.retain(|key| {
                let take = key.0 == root && batch.len() < PARTIALS_PER_MESSAGE;
                if take {
                    batch.push(*key);
                }
                !take
            });
            let jobs = batch
                .iter()
                .map(|key| CombineJob { validator: key.1, partials: self.partials_in_order(key) })
                .collect();
            let ticket = new_ticket();
            self.in_flight.insert(ticket, batch);
            out.push(Output::Combine { ticket, root, jobs });
        }
    }

    fn partials_in_order(&self, key: &CollectionKey) -> Vec<(OperatorIndex, PartialSignature)> {
        let partials = self.map.get(key).map(|collection| &collection.partials);
        let mut partials: Vec<_> = partials
            .into_iter()
            .flatten()
            .map(|(operator, partial)| (*operator, *partial))
            .collect();
        // One's own is surely good, and those of operators that were caught come last: the first
        // that make the threshold are combined.
        partials
            .sort_by_key(|(operator, _)| (*operator != self.me, self.suspects.contains(*operator)));
        partials
    }

    /// The keys of a batch that came back, in order.
    pub(super) fn take_batch(&mut self, ticket: Ticket) -> Vec<CollectionKey> {
        self.in_flight.remove(&ticket).unwrap_or_default()
    }

    /// Takes over what combining gave. Returns the requests to answer.
    pub(super) fn finish(
        &mut self,
        key: CollectionKey,
        signature: Option<Signature>,
        culprits: OperatorSet,
    ) -> Vec<RequestId> {
        for culprit in culprits.iter() {
            self.suspects.insert(culprit);
        }
        let Some(collection) = self.map.get_mut(&key) else { return Vec::new() };
        collection.combining = false;
        for culprit in culprits.iter() {
            collection.partials.remove(&culprit);
            collection.evicted.insert(culprit);
        }
        if signature.is_some() {
            collection.signature = signature;
            return std::mem::take(&mut collection.waiting);
        }
        // With what came meanwhile it may be enough again. A failure that names nobody would only
        // repeat itself until another partial comes.
        if !culprits.is_empty() {
            self.note_if_ready(key);
        }
        Vec::new()
    }

    /// Drops what nobody will ask for any more.
    pub(super) fn prune(&mut self, now: UnixMillis) {
        self.map.retain(|_, collection| {
            collection.expires > now || collection.combining || collection.is_awaited()
        });
    }
}
