//! One operator's machine: an engine that can be killed, and a disk that cannot.

use std::sync::Arc;

use eth_types::duty::DutyClass;
use eth_types::network::Network;
use threshold_protocol::engine::{Config, Engine, Input, OwnRefusal, SignJob, Ticket};
use threshold_protocol::message::Witness;
use threshold_protocol::policy::{Policy, Validator};
use threshold_protocol::timing::{Timing, UnixMillis};
use threshold_protocol::{KeyIndex, OperatorIndex, Quorum};

use super::history::History;
use super::shares;
use crate::support::{HashIdentity, LOCK_HASH};

/// What all nodes of a cluster are told.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) quorum: Quorum,
    pub(crate) network: Network,
    pub(crate) validators: Vec<Validator>,
    pub(crate) policy: Policy,
}

/// What outlives the engine.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) history: History,
    pub(crate) witnesses: Vec<(OperatorIndex, Witness)>,
}

/// An operator's machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) me: OperatorIndex,
    /// The engine, while the machine runs.
    pub(crate) engine: Option<Engine>,
    pub(crate) disk: Disk,
    /// Counts the starts: work of an earlier life is lost.
    pub(crate) life: u64,
    /// How far its clock is ahead of true time, in milliseconds.
    pub(crate) skew: i64,
    /// When it started last, on its own clock.
    pub(crate) started: u64,
    /// When it is to be woken, in true time.
    pub(crate) wake: Option<u64>,
    /// The disk refuses every commit.
    pub(crate) broken_disk: bool,
}

impl Node {
    /// A machine that is switched off.
    pub(crate) fn new(me: OperatorIndex, skew: i64) -> Self {
        Self {
            me,
            engine: None,
            disk: Disk::default(),
            life: 0,
            skew,
            started: 0,
            wake: None,
            broken_disk: false,
        }
    }

    /// Its clock.
    pub(crate) fn clock(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.skew)
    }

    /// When its clock shows a time.
    pub(crate) fn true_time(&self, clock: u64) -> u64 {
        clock.saturating_add_signed(-self.skew)
    }

    pub(crate) fn start(&mut self, common: &Common, now: u64) {
        self.life += 1;
        self.started = self.clock(now);
        self.wake = None;
        let mut engine = Engine::new(Config {
            me: self.me,
            quorum: common.quorum,
            lock_hash: LOCK_HASH,
            validators: common.validators.clone(),
            network: common.network.clone(),
            timing: Timing::for_network(&common.network),
            policy: common.policy.clone(),
            auth: Arc::new(HashIdentity(self.me)),
            started: UnixMillis::new(self.started),
        });
        for (operator, witness) in &self.disk.witnesses {
            engine.restore_witness(*operator, witness.clone());
        }
        self.engine = Some(engine);
    }

    /// Power off: all is lost but the disk.
    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.wake = None;
    }

    /// Records and signs a batch, one transaction.
    pub(crate) fn sign(&mut self, ticket: Ticket, jobs: &[SignJob]) -> Input {
        let results = jobs
            .iter()
            .map(|SignJob { validator, duty }| {
                if duty.class() == DutyClass::Slashable {
                    if self.broken_disk {
                        return Err(OwnRefusal::Failed("the disk is full".into()));
                    }
                    self.disk.history.record(*validator, duty).map_err(OwnRefusal::Slashable)?;
                }
                Ok(shares::partial(self.me, duty.signing_root(), *validator))
            })
            .collect();
        Input::Signed { ticket, results }
    }

    /// Whether the driver hands a request to the engine: its slashing database does not refuse.
    pub(crate) fn may_ask(&self, validator: KeyIndex, duty: &eth_types::duty::Duty) -> bool {
        self.disk.history.check(validator, duty).is_ok()
    }
}
