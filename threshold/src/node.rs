//! A node: one task that owns the protocol's [`Engine`], and handles that talk to it.
//!
//! The task waits for requests, frames, finished work and the clock, gives them to the engine, and
//! carries out what the engine wants, in order. Nothing in it blocks. Its time is shared out: clients'
//! requests, finished work and frames take turns, and each peer is charged for the time that its frames
//! take, so that one that sends nothing but work is read more slowly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{PublicKey, Signature};
use slashing_db::{Candidate, Refusal, SlashingDb};
use threshold_protocol::bls::{Threshold, ThresholdError};
use threshold_protocol::engine::{Config, Engine, Input, Output, Report, RequestId, SignFailure};
use threshold_protocol::identity::{Identities, IdentityError};
use threshold_protocol::message::PeerMessage;
use threshold_protocol::policy::{Policy, Validator};
use threshold_protocol::timing::{Timing, UnixMillis};
use threshold_protocol::{KeyIndex, OperatorIndex, OperatorSet, Quorum};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::net::{self, FrameTag, NetConfig, NetEvent, NetHandle};
use crate::node_log;
use crate::throttle::Throttle;
use crate::witness_file::{WitnessFile, WitnessFileError};
use crate::witness_keeper::WitnessKeeper;
use crate::work::{ValidatorKeys, Workshop};

/// Requests that wait for the task. Clients ask for thousands of signatures at the start of an epoch;
/// more than this at once are told to come again.
const REQUEST_QUEUE: usize = 8192;

/// Requests that wait for their signatures. Each ends within the request limit.
const REQUESTS_WAITING: usize = 32_768;

/// Old messages that are looked up in the slashing database's file at a time. A look-up and a commit
/// take turns, and commits are what duties wait for.
const LOOK_UPS: usize = 2;

/// The longest sleep. The clock may be set while the task sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What a node is made of.
#[derive(Debug)]
pub struct NodeConfig {
    /// The cluster's numbers.
    pub quorum: Quorum,
    /// The network.
    pub network: Network,
    /// When things happen in a slot.
    pub timing: Timing,
    /// What is co-signed.
    pub policy: Policy,
    /// The validators of the lock, in order.
    pub validators: Vec<Validator>,
    /// Their shares, in the same order.
    pub keys: Vec<ValidatorKeys>,
    /// The network of nodes; its identity signs agreement too.
    pub net: NetConfig,
    /// The slashing database, open.
    pub db: SlashingDb,
    /// The file of witnessed duties.
    pub witness_file: std::path::PathBuf,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network of nodes.
    #[error(transparent)]
    Net(#[from] net::NetError),
    /// The identities.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The cluster's numbers.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The file of witnessed duties.
    #[error(transparent)]
    Witness(#[from] WitnessFileError),
    /// No threads.
    #[error("cannot start threads")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// Why a node gives no signature.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The lock has no such validator.
    #[error("validator {0} is not in the cluster lock")]
    UnknownValidator(PublicKey),
    /// This node's slashing database refuses.
    #[error(transparent)]
    Slashing(Refusal),
    /// The cluster gave none.
    #[error(transparent)]
    Failed(#[from] SignFailure),
    /// Too many requests at once.
    #[error("more than {REQUEST_QUEUE} requests at once; ask again")]
    Busy,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopped,
}

/// What a node knows of its cluster at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterStatus {
    /// This operator.
    pub me: OperatorIndex,
    /// The cluster's numbers.
    pub quorum: Quorum,
    /// The connected peers, this operator not counted.
    pub connected: OperatorSet,
    /// The own validator client asked for nothing in the last two epochs.
    pub silent: bool,
}

impl ClusterStatus {
    /// Whether enough operators are connected to sign.
    #[must_use]
    pub const fn has_quorum(&self) -> bool {
        self.connected.len() + 1 >= self.quorum.threshold()
    }
}

/// Is told what is worth counting; called from the node's task, so it must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn report(&self, report: &Report);
}

/// An observer that counts nothing; the node logs all the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn report(&self, _: &Report) {}
}

/// A handle to a running node. Clones talk to the same one.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    validators: BTreeMap<PublicKey, KeyIndex>,
    public_keys: Vec<PublicKey>,
    db: SlashingDb,
    look_ups: Arc<Semaphore>,
    status: watch::Receiver<ClusterStatus>,
    net: NetHandle,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "all but the last command are the large one")]
enum Command {
    Sign { validator: KeyIndex, duty: Duty, reply: oneshot::Sender<Result<Signature, SignFailure>> },
    Shutdown(oneshot::Sender<()>),
}

impl Cluster {
    /// Binds the addresses and starts the node.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: NodeConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StartError> {
        let NodeConfig { quorum, network, timing, policy, validators, keys, net, db, witness_file } =
            config;
        let operators: Vec<[u8; 33]> = {
            let mut peers = net.peers.clone();
            peers.sort_by_key(|peer| peer.index);
            peers.iter().map(|peer| peer.public_key).collect()
        };
        let (me, lock_hash) = (net.me, eth_types::Root::new(net.lock_hash));
        let identities = Identities::new(&net.identity, me, &operators)?;
        let numbers = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let threshold = Threshold::new(numbers(quorum.operators()), numbers(quorum.threshold()))?;
        let (witness_file, kept) = WitnessFile::open(&witness_file, &network)?;
        let public_keys: Vec<PublicKey> =
            validators.iter().map(|validator| validator.public_key).collect();
        let by_key = public_keys.iter().copied().zip((0..).map(KeyIndex::new)).collect();
        let validator_count = validators.len();
        let (workshop, results) =
            Workshop::new(keys, threshold, db.clone()).map_err(StartError::Threads)?;
        let (net, events) = net::start(net).await?;
        let told = net.clone();
        let tell = Box::new(move |message: &PeerMessage| {
            told.broadcast(tag(message), &Bytes::from(message.encode()));
        });
        let witnesses =
            WitnessKeeper::start(witness_file, &kept, tell).map_err(StartError::Thread)?;

        let mut engine = Engine::new(Config {
            me,
            quorum,
            lock_hash,
            validators,
            network: network.clone(),
            timing,
            policy,
            auth: Arc::new(identities),
            started: now(),
        });
        for (operator, witness) in kept {
            engine.restore_witness(operator, witness);
        }
        let (commands, received) = mpsc::channel(REQUEST_QUEUE);
        let status = ClusterStatus { me, quorum, connected: OperatorSet::EMPTY, silent: true };
        let (status_sender, status) = watch::channel(status);
        let task = NodeTask {
            engine,
            workshop,
            net: net.clone(),
            network,
            validator_count,
            replies: BTreeMap::new(),
            next_request: 0,
            status: status_sender,
            witnesses,
            throttle: Throttle::default(),
            observer,
        };
        tokio::spawn(task.run(received, events, results));
        let look_ups = Arc::new(Semaphore::new(LOOK_UPS));
        let inner = Inner { commands, validators: by_key, public_keys, db, look_ups, status, net };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Has the cluster sign a duty with a validator's key. Answers within the request limit of
    /// [`Timing`]. The signature was verified against the validator's public key.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn sign(&self, validator: PublicKey, duty: Duty) -> Result<Signature, ClusterError> {
        let index = *self
            .inner
            .validators
            .get(&validator)
            .ok_or(ClusterError::UnknownValidator(validator))?;
        if let Some(candidate) = Candidate::from_duty(&duty) {
            // Early and read-only: what is asked for may not be what gets decided and recorded.
            self.check(validator, candidate).await?;
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Sign { validator: index, duty, reply };
        self.inner.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ClusterError::Busy,
            mpsc::error::TrySendError::Closed(_) => ClusterError::Stopped,
        })?;
        Ok(answer.await.map_err(|_| ClusterError::Stopped)??)
    }

    async fn check(&self, validator: PublicKey, candidate: Candidate) -> Result<(), ClusterError> {
        let verdict = match self.inner.db.check_in_memory(&validator, &candidate) {
            Some(verdict) => verdict,
            // Something old: the disk is asked.
            None => {
                let turns = Arc::clone(&self.inner.look_ups);
                let turn = turns.acquire_owned().await.map_err(|_| ClusterError::Stopped)?;
                let db = self.inner.db.clone();
                let look_up = move || {
                    let _turn = turn;
                    db.check(&validator, &candidate)
                };
                tokio::task::spawn_blocking(look_up).await.map_err(|_| ClusterError::Stopped)?
            }
        };
        verdict.map(drop).map_err(ClusterError::Slashing)
    }

    /// The validators, in the lock's order.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.inner.public_keys
    }

    /// What the node knows of its cluster.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        *self.inner.status.borrow()
    }

    /// Follows [`Self::status`].
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<ClusterStatus> {
        self.inner.status.clone()
    }

    /// The network of nodes: addresses, counters.
    #[must_use]
    pub fn net(&self) -> &NetHandle {
        &self.inner.net
    }

    /// The slashing database.
    #[must_use]
    pub fn slashing_db(&self) -> &SlashingDb {
        &self.inner.db
    }

    /// Stops the task and closes the links. Requests that wait are answered with
    /// [`ClusterError::Stopped`]. The slashing database stays open: its owner closes it.
    pub async fn shutdown(&self) {
        self.stop_signing().await;
        self.inner.net.shutdown().await;
    }

    /// The first half of [`Cluster::shutdown`], which has to follow: the links stay. Where several nodes of a
    /// process stop together, none then takes the others' going for a fault.
    pub async fn stop_signing(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inner.commands.send(Command::Shutdown(done)).await.is_ok() {
            // An error means that the task is gone, which is what is wanted.
            let _ = stopped.await;
        }
    }
}

/// The task's own state.
struct NodeTask {
    engine: Engine,
    workshop: Workshop,
    net: NetHandle,
    network: Network,
    validator_count: usize,
    replies: BTreeMap<RequestId, oneshot::Sender<Result<Signature, SignFailure>>>,
    next_request: u64,
    status: watch::Sender<ClusterStatus>,
    witnesses: WitnessKeeper,
    throttle: Throttle,
    observer: Arc<dyn Observer>,
}

impl NodeTask {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut events: mpsc::Receiver<NetEvent>,
        mut results: mpsc::Receiver<Input>,
    ) {
        self.feed(Input::Tick);
        loop {
            // In turns, at random: a flood of one kind leaves the others their share. What arrived goes
            // before the clock, for a message in time is in time; the engine looks at the clock after
            // each.
            tokio::select! {
                Some(result) = results.recv() => self.feed(result),
                event = events.recv() => match event {
                    Some(event) => self.on_net_event(event),
                    None => return,
                },
                command = commands.recv() => match command {
                    Some(Command::Sign { reply, .. })
                        if self.replies.len() >= REQUESTS_WAITING =>
                    {
                        let reason = format!("more than {REQUESTS_WAITING} requests at once");
                        // The client may have gone away meanwhile.
                        let _ = reply.send(Err(SignFailure::NotEnough(reason)));
                    }
                    Some(Command::Sign { validator, duty, reply }) => {
                        self.next_request += 1;
                        let id = RequestId(self.next_request);
                        self.replies.insert(id, reply);
                        self.feed(Input::Request { id, validator, duty });
                    }
                    Some(Command::Shutdown(done)) => {
                        // Nobody waits any more if this fails.
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                () = tokio::time::sleep(self.sleep()), if events.is_empty() => {
                    self.feed(Input::Tick);
                }
            }
            self.publish_status();
        }
    }

    fn sleep(&self) -> Duration {
        let wait = self.engine.next_timeout().map_or(LONGEST_SLEEP, |time| time.since(now()));
        // A millisecond at least: the clock's resolution.
        wait.clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    fn on_net_event(&mut self, event: NetEvent) {
        match event {
            // The network logs who comes and goes.
            NetEvent::Connected { peer } => self.feed(Input::Connected(peer)),
            NetEvent::Disconnected { peer, .. } => self.feed(Input::Disconnected(peer)),
            NetEvent::Frame { peer, bytes } => {
                let begun = Instant::now();
                match PeerMessage::decode(&bytes, &self.network, self.validator_count) {
                    Ok(message) => self.feed(Input::Message { from: peer, message }),
                    Err(error) => {
                        if let Some(unlogged) = self.throttle.admit(peer, "unusable", begun) {
                            let reason = &error as &(dyn std::error::Error + 'static);
                            tracing::warn!(
                                operator = %peer, reason, unlogged, "unusable message from peer"
                            );
                        }
                    }
                }
                self.net.charge(peer, begun.elapsed());
            }
        }
    }

    /// Gives the engine an input and carries out what follows, until nothing more follows.
    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in self.engine.handle(input, now()) {
                inputs.extend(self.carry_out(output));
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send(peer, message) => {
                let bytes = Bytes::from(message.encode());
                // A peer that is gone or too slow is counted by the network.
                let _ = self.net.send(peer, tag(&message), bytes);
            }
            Output::Broadcast(message) => {
                self.net.broadcast(tag(&message), &Bytes::from(message.encode()));
            }
            Output::Sign { ticket, jobs } => return self.workshop.sign(ticket, jobs),
            Output::Combine { ticket, root, jobs } => {
                return self.workshop.combine(ticket, root, jobs);
            }
            Output::Answer { id, outcome } => {
                if let Some(reply) = self.replies.remove(&id) {
                    // The client may have gone away meanwhile.
                    let _ = reply.send(outcome);
                }
            }
            Output::KeepWitness { operator, witness, tell } => {
                self.witnesses.keep(operator, witness, tell);
            }
            Output::Report(report) => {
                node_log::report(&report, &mut self.throttle);
                self.observer.report(&report);
            }
        }
        None
    }

    fn publish_status(&self) {
        let (connected, silent) = (self.engine.connected(), self.engine.is_silent());
        self.status.send_if_modified(|status| {
            let changed = status.connected != connected || status.silent != silent;
            let had_quorum = status.has_quorum();
            (status.connected, status.silent) = (connected, silent);
            node_log::quorum(had_quorum, status);
            changed
        });
    }
}

/// Agreement overtakes all else. What belongs to no slot is always current, so it is dropped last.
fn tag(message: &PeerMessage) -> FrameTag {
    let urgent = matches!(message, PeerMessage::Agreement(_) | PeerMessage::Partials(_));
    FrameTag { slot: message.slot().map_or(u64::MAX, |slot| slot.as_u64()), urgent }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
