//! Liars. A liar runs an engine like everybody else; its strategy decides what becomes of what the
//! engine would send, and adds what it likes. It holds its own identity and its own share, and nobody
//! else's.

mod bad_partials;
mod equivocator;
mod flooder;
mod forger;
mod future_asker;
mod junk_proposer;
mod lingerer;
mod replayer;
mod silent;
mod two_faced;

use eth_types::Slot;
use eth_types::duty::Message;
use rand::rngs::StdRng;
use threshold_protocol::OperatorIndex;
use threshold_protocol::agreement::{
    AgreementMessage, Body, InstanceKey, Statement, UncheckedVote, Value, Vote,
};
use threshold_protocol::message::PeerMessage;

use super::clients::proposer;
use super::node::Common;
use super::simulation::{Cluster, Event};
use crate::support::{HashIdentity, LOCK_HASH, duty, root_of};

/// How often a liar has a turn of its own, in milliseconds.
const TURN: u64 = 100;

/// What a liar sends.
pub(crate) struct Outgoing {
    /// How long it holds it back, in milliseconds.
    pub(crate) after: u64,
    pub(crate) to: OperatorIndex,
    pub(crate) message: PeerMessage,
}

/// What a liar sees of the world.
pub(crate) struct World<'a> {
    pub(crate) me: OperatorIndex,
    pub(crate) identity: HashIdentity,
    /// True time: liars have good clocks.
    pub(crate) now: u64,
    pub(crate) common: &'a Common,
    pub(crate) rng: &'a mut StdRng,
}

impl World<'_> {
    pub(crate) fn peers(&self) -> Vec<OperatorIndex> {
        self.common.quorum.all().filter(|peer| *peer != self.me).collect()
    }

    /// The slot of the moment.
    pub(crate) fn slot(&self) -> Slot {
        self.common.network.slot_at(self.now).unwrap()
    }

    /// The instances of the moment: the attestation's and the block's.
    pub(crate) fn instances(&self) -> [InstanceKey; 2] {
        let slot = self.slot();
        [
            InstanceKey::Attestation { slot, committee: None },
            InstanceKey::Block { slot, validator: proposer(slot) },
        ]
    }

    /// A statement with the liar's signature.
    pub(crate) fn sign(&self, statement: Statement) -> UncheckedVote {
        Vote::sign(statement, self.me, &LOCK_HASH, &self.identity).unchecked()
    }

    /// Another value that could stand in the place of this one.
    pub(crate) fn twin(&self, value: &Value, key: &InstanceKey, number: u64) -> Value {
        let message = match value.duty().message() {
            Message::Attestation(data) => {
                let beacon_block_root = root_of("twin", number);
                Message::Attestation(eth_types::containers::AttestationData {
                    beacon_block_root,
                    ..*data
                })
            }
            Message::Block(header) => {
                let body_root = root_of("twin", number);
                Message::Block(eth_types::containers::BeaconBlockHeader { body_root, ..*header })
            }
            other => panic!("{other:?} is no value"),
        };
        let network = &self.common.network;
        Value::new(key, duty(message, network), network).unwrap()
    }

    /// An agreement message to a peer.
    pub(crate) fn agreement(key: InstanceKey, body: Body, values: Vec<Value>) -> PeerMessage {
        PeerMessage::Agreement(AgreementMessage { key, body, values })
    }

    /// The message, to all.
    pub(crate) fn to_all(&self, message: &PeerMessage) -> Vec<Outgoing> {
        self.peers().into_iter().map(|peer| now(peer, message.clone())).collect()
    }
}

/// The message, at once.
pub(crate) fn now(to: OperatorIndex, message: PeerMessage) -> Outgoing {
    Outgoing { after: 0, to, message }
}

/// A strategy.
pub(crate) trait Adversary {
    /// What goes out in the place of what an honest node would send.
    fn send(
        &mut self,
        to: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let _ = world;
        vec![now(to, message.clone())]
    }

    /// What goes out because of what came in.
    fn hear(
        &mut self,
        from: OperatorIndex,
        message: &PeerMessage,
        world: &mut World<'_>,
    ) -> Vec<Outgoing> {
        let _ = (from, message, world);
        Vec::new()
    }

    /// What goes out of its own accord, several times a second.
    fn act(&mut self, world: &mut World<'_>) -> Vec<Outgoing> {
        let _ = world;
        Vec::new()
    }
}

/// The strategies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Equivocator,
    BadPartials,
    Forger,
    Silent,
    Replayer,
    JunkProposer,
    FutureAsker,
    Flooder,
    TwoFaced,
    Lingerer,
}

impl Strategy {
    pub(crate) const ALL: [Self; 10] = [
        Self::Equivocator,
        Self::BadPartials,
        Self::Forger,
        Self::Silent,
        Self::Replayer,
        Self::JunkProposer,
        Self::FutureAsker,
        Self::Flooder,
        Self::TwoFaced,
        Self::Lingerer,
    ];

    fn adversary(self) -> Box<dyn Adversary> {
        match self {
            Self::Equivocator => Box::new(equivocator::Equivocator),
            Self::BadPartials => Box::new(bad_partials::BadPartials),
            Self::Forger => Box::new(forger::Forger),
            Self::Silent => Box::new(silent::Silent),
            Self::Replayer => Box::new(replayer::Replayer::default()),
            Self::JunkProposer => Box::new(junk_proposer::JunkProposer::default()),
            Self::FutureAsker => Box::new(future_asker::FutureAsker),
            Self::Flooder => Box::new(flooder::Flooder),
            Self::TwoFaced => Box::new(two_faced::TwoFaced),
            Self::Lingerer => Box::new(lingerer::Lingerer),
        }
    }
}

/// An operator that lies.
pub(crate) struct Liar {
    pub(crate) me: OperatorIndex,
    adversary: Box<dyn Adversary>,
}

impl Cluster {
    /// From now on an operator lies.
    pub(crate) fn corrupt(&mut self, operator: OperatorIndex, strategy: Strategy) {
        self.note(format!("{operator} lies: {strategy:?}"));
        self.facts.liars.insert(operator);
        self.liars.push(Liar { me: operator, adversary: strategy.adversary() });
        if self.liars.len() == 1 {
            self.schedule(self.now + TURN, Event::LiarsTurn);
        }
    }

    /// The liars' machines are set up anew, by honest people.
    pub(crate) fn reform(&mut self) {
        for liar in std::mem::take(&mut self.liars) {
            self.crash(liar.me);
            self.start(liar.me);
        }
    }

    pub(super) fn is_liar(&self, operator: OperatorIndex) -> bool {
        self.liars.iter().any(|liar| liar.me == operator)
    }

    pub(super) fn liars_turn(&mut self) {
        if self.liars.is_empty() {
            return;
        }
        self.schedule(self.now + TURN, Event::LiarsTurn);
        for operator in self.operators() {
            self.with_liar(operator, |adversary, world| adversary.act(world));
        }
    }

    pub(super) fn liar_hears(
        &mut self,
        me: OperatorIndex,
        from: OperatorIndex,
        message: &PeerMessage,
    ) {
        self.with_liar(me, |adversary, world| adversary.hear(from, message, world));
    }

    pub(super) fn liar_would_send(
        &mut self,
        me: OperatorIndex,
        to: OperatorIndex,
        message: &PeerMessage,
    ) {
        self.with_liar(me, |adversary, world| adversary.send(to, message, world));
    }

    fn with_liar(
        &mut self,
        me: OperatorIndex,
        turn: impl FnOnce(&mut dyn Adversary, &mut World<'_>) -> Vec<Outgoing>,
    ) {
        let Some(liar) = self.liars.iter_mut().find(|liar| liar.me == me) else { return };
        let identity = HashIdentity(me);
        let (now, common, rng) = (self.now, &self.common, &mut self.rng);
        let mut world = World { me, identity, now, common, rng };
        for Outgoing { after, to, message } in turn(&mut *liar.adversary, &mut world) {
            if after == 0 {
                self.transmit(me, to, &message);
            } else {
                let message = Box::new(message);
                self.schedule(now + after, Event::LiarSends { from: me, to, message });
            }
        }
    }
}
