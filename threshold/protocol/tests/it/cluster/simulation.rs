//! A cluster as a sequence of events in true time. One event is handled after the other, what nodes want
//! done becomes further events, and after each the invariants are checked. One seed, one course.

use std::collections::BTreeMap;

use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{Root, Signature, Slot};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use threshold_protocol::engine::{Input, Report, RequestId, SignFailure};
use threshold_protocol::message::PeerMessage;
use threshold_protocol::policy::Policy;
use threshold_protocol::{KeyIndex, OperatorIndex, Quorum};

use super::adversary::Liar;
use super::clients::Client;
use super::event_log::{EventLog, Happening};
use super::facts::Facts;
use super::links::{Links, Weather};
use super::node::{Common, Node};
use super::{duties, invariants};
use crate::support::{SLOT, hoodi};

/// Validators of a cluster: two attest in each slot of an epoch.
pub(crate) const VALIDATORS: u32 = 64;

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The name of its log.
    pub(crate) name: String,
    pub(crate) operators: usize,
    pub(crate) threshold: usize,
    pub(crate) seed: u64,
    /// How far each clock is ahead of true time, in milliseconds; zero for those not named.
    pub(crate) skews: Vec<i64>,
    pub(crate) policy: Policy,
    /// The slot in which everything starts; nodes are up two seconds before it.
    pub(crate) first_slot: Slot,
}

impl Setup {
    pub(crate) fn new(name: &str, operators: usize, threshold: usize, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            operators,
            threshold,
            seed,
            skews: Vec::new(),
            policy: Policy::default(),
            first_slot: SLOT,
        }
    }
}

/// A request of a client, and what came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) by: OperatorIndex,
    pub(crate) validator: KeyIndex,
    pub(crate) duty: Duty,
    /// In true time.
    pub(crate) at: u64,
    /// How often its client will ask again.
    pub(crate) more: u8,
    pub(crate) outcome: Option<(u64, Result<Signature, SignFailure>)>,
    /// Its node crashed: nobody answers.
    pub(crate) lost: bool,
}

impl Asked {
    pub(crate) fn is_signed(&self) -> bool {
        matches!(self.outcome, Some((_, Ok(_))))
    }
}

/// What is to happen at a time.
pub(super) enum Event {
    /// Bytes arrive, if the connection they were sent on still stands.
    Arrive { from: OperatorIndex, to: OperatorIndex, generation: u64, bytes: Vec<u8> },
    /// An engine is to be woken.
    Wake { operator: OperatorIndex, life: u64 },
    /// Work of a life is done: its result, and the roots that were signed, if it was that.
    Done { operator: OperatorIndex, life: u64, input: Input, signed: Vec<(KeyIndex, Root)> },
    /// A client asks; how many more times, if it fails.
    Ask { operator: OperatorIndex, validator: KeyIndex, duty: Duty, more: u8 },
    /// A slot begins in true time: the clients' plans are made.
    SlotBegins(Slot),
    /// The liar does what it likes.
    LiarsTurn,
    /// What the liar held back goes out.
    LiarSends { from: OperatorIndex, to: OperatorIndex, message: Box<PeerMessage> },
}

/// A cluster, its network and its clients.
pub(crate) struct Cluster {
    pub(crate) common: Common,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) weather: Weather,
    pub(crate) facts: Facts,
    pub(crate) asked: BTreeMap<RequestId, Asked>,
    /// What clients asked for and a node's slashing database refused at once.
    pub(crate) refused: Vec<Duty>,
    /// What nodes reported, and when.
    pub(crate) reports: Vec<(OperatorIndex, u64, Report)>,
    /// Messages sent, by name.
    pub(crate) sent: BTreeMap<&'static str, usize>,
    /// What clients do in a slot by themselves; off for tests that ask by hand.
    pub(crate) clients_ask: bool,
    pub(super) liars: Vec<Liar>,
    pub(super) links: Links,
    pub(super) rng: StdRng,
    pub(super) log: EventLog,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
}

impl Cluster {
    /// All nodes up and connected, two seconds before the first slot.
    pub(crate) fn new(setup: &Setup) -> Self {
        let network = hoodi();
        let quorum = Quorum::new(setup.operators, setup.threshold).unwrap();
        let zero = network.slot_start(setup.first_slot);
        let common = Common {
            quorum,
            network: network.clone(),
            validators: duties::validators(VALIDATORS),
            policy: setup.policy.clone(),
        };
        let skews = setup.skews.iter().copied().chain(std::iter::repeat(0));
        let mut cluster = Self {
            nodes: quorum.all().zip(skews).map(|(me, skew)| Node::new(me, skew)).collect(),
            clients: quorum.all().map(|_| Client::default()).collect(),
            facts: Facts::new(quorum, network, VALIDATORS as usize),
            common,
            now: zero - 2_000,
            weather: Weather::CALM,
            asked: BTreeMap::new(),
            refused: Vec::new(),
            reports: Vec::new(),
            sent: BTreeMap::new(),
            clients_ask: true,
            liars: Vec::new(),
            links: Links::new(),
            events: BTreeMap::new(),
            next_event: 0,
            rng: StdRng::seed_from_u64(setup.seed),
            log: EventLog::new(&setup.name, zero),
        };
        cluster.note(format!("{setup:?}"));
        for operator in quorum.all() {
            cluster.start(operator);
        }
        cluster.schedule(zero, Event::SlotBegins(setup.first_slot));
        cluster
    }

    pub(crate) fn network(&self) -> &Network {
        &self.common.network
    }

    pub(crate) fn operators(&self) -> impl Iterator<Item = OperatorIndex> + use<> {
        self.common.quorum.all()
    }

    pub(super) fn note(&mut self, words: String) {
        self.log.add(self.now, Happening::Other(words));
    }

    // Time.

    /// Handles all events up to a time.
    pub(crate) fn run_until(&mut self, time: u64) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= time
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.handle(event);
            invariants::check(&mut self.facts);
        }
        self.now = time;
    }

    pub(crate) fn run_for(&mut self, millis: u64) {
        self.run_until(self.now + millis);
    }

    /// Runs to so many milliseconds after a slot's start.
    pub(crate) fn run_to(&mut self, slot: Slot, millis: u64) {
        self.run_until(self.network().slot_start(slot) + millis);
    }

    /// The slot after the one of true time.
    pub(crate) fn next_slot(&self) -> Slot {
        self.network().slot_at(self.now).unwrap().saturating_add(1)
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((at.max(self.now), self.next_event), event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { from, to, generation, bytes } => {
                self.arrive(from, to, generation, &bytes);
            }
            Event::Wake { operator, life } => {
                let node = &self.nodes[operator.as_usize()];
                if node.life == life && node.wake == Some(self.now) {
                    self.feed(operator, Input::Tick);
                }
            }
            Event::Done { operator, life, input, signed } => {
                let node = &self.nodes[operator.as_usize()];
                if node.life == life && node.engine.is_some() {
                    self.note_released(operator, &input, &signed);
                    self.feed(operator, input);
                }
            }
            Event::Ask { operator, validator, duty, more } => {
                self.ask(operator, validator, duty, more);
            }
            Event::SlotBegins(slot) => self.begin_slot(slot),
            Event::LiarsTurn => self.liars_turn(),
            Event::LiarSends { from, to, message } => self.transmit(from, to, &message),
        }
    }

    // Machines and links.

    pub(crate) fn is_up(&self, operator: OperatorIndex) -> bool {
        self.nodes[operator.as_usize()].engine.is_some()
    }

    /// Switches a node on; it connects to all that it can reach.
    pub(crate) fn start(&mut self, operator: OperatorIndex) {
        if self.is_up(operator) {
            return;
        }
        self.note(format!("{operator} starts"));
        let common = self.common.clone();
        self.nodes[operator.as_usize()].start(&common, self.now);
        self.feed(operator, Input::Tick);
        for peer in self.operators() {
            self.connect(operator, peer);
        }
    }

    /// Kills a node; its peers notice at once, what it was about to do is not done.
    pub(crate) fn crash(&mut self, operator: OperatorIndex) {
        if !self.is_up(operator) {
            return;
        }
        self.note(format!("{operator} crashes"));
        self.nodes[operator.as_usize()].crash();
        for asked in self.asked.values_mut() {
            asked.lost |= asked.by == operator && asked.outcome.is_none();
        }
        for peer in self.operators() {
            self.disconnect(operator, peer);
        }
    }

    /// Cuts or mends the link between two nodes.
    pub(crate) fn set_cut(&mut self, a: OperatorIndex, b: OperatorIndex, cut: bool) {
        if a == b || !self.links.set_cut(a, b, cut) {
            return;
        }
        self.note(format!("link {a}-{b} {}", if cut { "is cut" } else { "stands" }));
        if cut {
            self.disconnect(a, b);
        } else {
            self.connect(a, b);
        }
    }

    /// Cuts all links between two groups, and mends all others.
    pub(crate) fn partition(&mut self, in_first_group: impl Fn(OperatorIndex) -> bool) {
        for a in self.operators() {
            for b in self.operators().filter(|b| *b > a) {
                self.set_cut(a, b, in_first_group(a) != in_first_group(b));
            }
        }
    }

    fn connect(&mut self, a: OperatorIndex, b: OperatorIndex) {
        if a == b || self.links.is_cut(a, b) || !self.is_up(a) || !self.is_up(b) {
            return;
        }
        self.links.renew(a, b);
        self.feed(a, Input::Connected(b));
        self.feed(b, Input::Connected(a));
    }

    fn disconnect(&mut self, a: OperatorIndex, b: OperatorIndex) {
        if a == b {
            return;
        }
        self.links.renew(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            if self.is_up(node) {
                self.feed(node, Input::Disconnected(peer));
            }
        }
    }
}
