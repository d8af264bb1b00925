//! One request: the record in the slashing database and the signature are made at the same time, the
//! signature sealed until the record is durable.
//!
//! Signatures are made by threads of their own, one for each core. Each takes what waits, up to a bound,
//! hashes each signing root once, signs, and verifies all of it together: with many requests in flight a
//! verification costs a fraction of a signature. The database commits what waits together, too. Nobody
//! waits for company: a request that is alone is served alone.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use eth_types::duty::{Duty, DutyClass, DutyKind, NonSlashableDuty};
use eth_types::{Root, Signature};
use slashing_db::{Candidate, Permit, RecordError, Refusal, Request, SlashingDb};
use threshold::share::{Sealed, WholeKey};
use threshold_protocol::bls::HashedMessage;
use tokio::sync::oneshot;

use super::load::StoredKey;
use crate::backend::SignError;

/// Requests that may wait for a thread: two seconds of work of one core, after which no client waits.
const QUEUE_BOUND: usize = 8192;

/// Signatures that a thread makes at once. The last one of a batch waits for the first; at about 0.2 ms
/// each that is 13 ms, and more would save little: the check of 64 together costs a twentieth of a
/// single one each, and its fixed part is spread.
const BATCH: usize = 64;

/// A record takes a few milliseconds; from here on it costs duties, and the operator should know.
const SLOW_RECORD: Duration = Duration::from_millis(500);

/// How often that is said: when a disk stalls, everything in flight is slow at once.
const SAY_SLOW_EVERY: Duration = Duration::from_secs(1);

/// The answer to a request: the signature, or why there is none.
pub type Answer = Result<Signature, SignError>;

/// Makes signatures.
#[derive(Debug)]
pub struct Signing {
    db: SlashingDb,
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    /// When a slow record was last logged.
    said_slow: Arc<Mutex<Option<Instant>>>,
}

impl Signing {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives none.
    pub fn start(db: SlashingDb) -> std::io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let queue = Arc::new(Queue::new(count));
        let threads = (0..count)
            .map(|index| {
                let queue = Arc::clone(&queue);
                thread::Builder::new().name(format!("synod-bls-{index}")).spawn(move || {
                    while let Some(batch) = queue.take() {
                        sign_batch(batch);
                    }
                })
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { db, queue, threads, said_slow: Arc::default() })
    }

    /// Starts on a duty; the answer comes through the receiver. It does not block, and what it starts
    /// is finished even if the receiver is dropped. When it returns, the record is queued: whatever is
    /// asked of the database from then on sees it.
    pub fn sign(&self, stored: &Arc<StoredKey>, duty: Duty) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let meeting = Arc::new(Meeting(Mutex::new(Some(Parts {
            answer: sender,
            sealed: None,
            permit: None,
        }))));
        let urgent = duty.kind() == DutyKind::Block;
        let root = duty.signing_root();
        let job = Job { stored: Arc::clone(stored), root, meeting: Arc::clone(&meeting) };
        // Before the record: what could not be signed is not recorded either.
        if !self.queue.push(job, urgent) {
            let reason = format!("{QUEUE_BOUND} signatures already wait for a thread");
            meeting.refuse(SignError::Timeout(reason));
            return receiver;
        }
        self.permit(stored, duty, meeting);
        receiver
    }

    /// The database, for questions.
    #[must_use]
    pub const fn slashing_db(&self) -> &SlashingDb {
        &self.db
    }

    /// Whether all threads run, the database's as well.
    ///
    /// # Errors
    /// One has ended, which only a fault in the program makes it do.
    pub fn alive(&self) -> Result<(), String> {
        if !self.db.is_running() {
            return Err("the slashing database's thread has ended".to_owned());
        }
        match self.threads.iter().filter(|thread| thread.is_finished()).count() {
            0 => Ok(()),
            ended => Err(format!("{ended} of {} signing threads have ended", self.threads.len())),
        }
    }

    /// Gets the permit, from the database for what is slashable.
    fn permit(&self, stored: &StoredKey, duty: Duty, meeting: Arc<Meeting>) {
        let validator = stored.validator();
        if duty.class() != DutyClass::Slashable {
            match NonSlashableDuty::try_from(duty) {
                Ok(duty) => meeting.permit(Permit::not_slashable(validator, &duty)),
                Err(error) => meeting.refuse(SignError::Internal(error.to_string())),
            }
            return;
        }
        let Some(candidate) = Candidate::from_duty(&duty) else {
            return meeting.refuse(SignError::Internal("no slashable message".to_owned()));
        };
        let (begun, said_slow) = (Instant::now(), Arc::clone(&self.said_slow));
        self.db.record_then(vec![Request { validator, candidate }], move |outcome| {
            say_if_slow(begun.elapsed(), &said_slow);
            match only(outcome) {
                Ok(permit) => meeting.permit(permit),
                Err(error) => meeting.refuse(error),
            }
        });
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a signing thread panicked");
            }
        }
    }
}

fn say_if_slow(took: Duration, said: &Mutex<Option<Instant>>) {
    if took <= SLOW_RECORD {
        return;
    }
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() >= SAY_SLOW_EVERY) {
        *said = Some(Instant::now());
        let millis = took.as_millis();
        tracing::warn!(millis, "the slashing database was slow to record; is the disk busy?");
    }
}

/// What the database said about a batch of one.
fn only(outcome: Result<Vec<Result<Permit, Refusal>>, RecordError>) -> Result<Permit, SignError> {
    match outcome.map(|mut results| results.pop()) {
        Ok(Some(Ok(permit))) => Ok(permit),
        Ok(Some(Err(refusal))) => Err(SignError::Slashing(refusal.to_string())),
        Ok(None) => Err(SignError::Internal("no answer from the slashing database".to_owned())),
        // Clients take 500 for worth another try.
        Err(error @ RecordError::QueueFull { .. }) => Err(SignError::Timeout(error.to_string())),
        Err(error) => Err(SignError::Unavailable(error.to_string())),
    }
}

/// Signs a batch, without those that were refused or whose client is gone meanwhile.
fn sign_batch(batch: Vec<Job>) {
    let jobs: Vec<Job> = batch.into_iter().filter(|job| job.meeting.is_awaited()).collect();
    let signed = catch_unwind(AssertUnwindSafe(|| {
        let mut messages: HashMap<Root, HashedMessage> = HashMap::new();
        for job in &jobs {
            messages.entry(job.root).or_insert_with(|| HashedMessage::new(&job.root));
        }
        let items: Vec<(&WholeKey, &HashedMessage)> = jobs
            .iter()
            .filter_map(|job| Some((job.stored.key(), messages.get(&job.root)?)))
            .collect();
        WholeKey::sign_all(&items)
    }));
    let Ok(signed) = signed else {
        tracing::error!("signing panicked");
        for job in &jobs {
            job.meeting.refuse(SignError::Internal("signing failed".to_owned()));
        }
        return;
    };
    for (job, sealed) in jobs.iter().zip(signed) {
        match sealed {
            Some(sealed) => job.meeting.sealed(sealed),
            None => {
                let validator = job.stored.validator();
                tracing::error!(
                    %validator,
                    "a signature came out wrong and is withheld: this machine's memory or processor has a \
                     fault"
                );
                let reason = "the signature came out wrong and is withheld".to_owned();
                job.meeting.refuse(SignError::Internal(reason));
            }
        }
    }
}

/// A signature to make.
#[derive(Debug)]
struct Job {
    stored: Arc<StoredKey>,
    root: Root,
    meeting: Arc<Meeting>,
}

/// What waits for a thread. Blocks go first: there is one of them in a slot, and it is worth most.
#[derive(Debug)]
struct Queue {
    threads: usize,
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    urgent: VecDeque<Job>,
    others: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn new(threads: usize) -> Self {
        Self { threads, waiting: Mutex::default(), woken: Condvar::new() }
    }

    /// Whether there was room.
    fn push(&self, job: Job, urgent: bool) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = if urgent { &mut waiting.urgent } else { &mut waiting.others };
        if queue.len() >= QUEUE_BOUND {
            return false;
        }
        queue.push_back(job);
        drop(waiting);
        self.woken.notify_one();
        true
    }

    /// This thread's part of what waits; waits for something. `None` once closed and empty.
    fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Waiting { urgent, others, closed } = &mut *waiting;
            let queue = if urgent.is_empty() { others } else { urgent };
            if !queue.is_empty() {
                let part = queue.len().div_ceil(self.threads).min(BATCH);
                return Some(queue.drain(..part).collect());
            }
            if *closed {
                return None;
            }
            waiting = self.woken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.woken.notify_all();
    }
}

/// Where a sealed signature and its permit meet: the later of the two opens the seal and answers.
/// `None` once answered.
#[derive(Debug)]
struct Meeting(Mutex<Option<Parts>>);

#[derive(Debug)]
struct Parts {
    answer: oneshot::Sender<Answer>,
    sealed: Option<Sealed<Signature>>,
    permit: Option<Permit>,
}

impl Meeting {
    fn permit(&self, permit: Permit) {
        self.arrive(|parts| parts.permit = Some(permit));
    }

    fn sealed(&self, sealed: Sealed<Signature>) {
        self.arrive(|parts| parts.sealed = Some(sealed));
    }

    fn refuse(&self, error: SignError) {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(parts) = parts {
            // The client may be gone.
            let _ = parts.answer.send(Err(error));
        }
    }

    /// Whether a signature would still be of use.
    fn is_awaited(&self) -> bool {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.as_ref().is_some_and(|parts| !parts.answer.is_closed())
    }

    fn arrive(&self, part: impl FnOnce(&mut Parts)) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut parts) = guard.take() else { return };
        part(&mut parts);
        match parts {
            Parts { answer, sealed: Some(sealed), permit: Some(permit) } => {
                drop(guard);
                let opened = sealed.release(permit);
                let _ =
                    answer.send(opened.map_err(|foreign| SignError::Internal(foreign.to_string())));
            }
            incomplete => *guard = Some(incomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use eth_types::containers::{AttestationData, Checkpoint};
    use eth_types::duty::Message;
    use eth_types::fork::{Fork, ForkInfo};
    use eth_types::network::Network;
    use eth_types::{Epoch, PublicKey, Slot};
    use slashing_db::{Identity, Options};
    use tempfile::TempDir;
    use threshold_protocol::bls::{SecretKey, verify};

    use super::super::cache::CacheKey;
    use super::super::scan::Source;
    use super::*;

    fn signing() -> (TempDir, Signing) {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity {
            genesis_validators_root: network().genesis_validators_root(),
            network: "mainnet".to_owned(),
            cluster_lock_hash: None,
        };
        let path = dir.path().join("slashing.sqlite");
        let db = SlashingDb::open(&path, &identity, Options::default()).unwrap();
        (dir, Signing::start(db).unwrap())
    }

    fn network() -> Network {
        Network::by_name("mainnet").unwrap()
    }

    fn stored(number: u8) -> Arc<StoredKey> {
        let secret = SecretKey::from_bytes(&[number; 32]).unwrap();
        Arc::new(StoredKey {
            key: Arc::new(WholeKey::new(secret)),
            source: Source::Raw { config: "key.yaml".into(), document: 0 },
            path: String::new(),
            fingerprint: CacheKey::fresh().fingerprint(&[]),
            also: Vec::new(),
        })
    }

    /// A duty of an epoch on mainnet.
    fn duty(epoch: u64, message: impl Fn(Epoch) -> Message) -> Duty {
        let (network, epoch) = (network(), Epoch::new(epoch));
        let version = network.fork_version_at(epoch).unwrap();
        let fork =
            Fork { previous_version: version, current_version: version, epoch: Epoch::new(0) };
        let genesis_validators_root = network.genesis_validators_root();
        let fork_info = ForkInfo { fork, genesis_validators_root };
        Duty::new(message(epoch), Some(&fork_info), &network).unwrap()
    }

    fn vote(epoch: u64, head: u8) -> Duty {
        duty(epoch, |epoch| {
            Message::Attestation(AttestationData {
                slot: Slot::new(epoch.as_u64() * 32),
                index: 0,
                beacon_block_root: Root::new([head; 32]),
                source: Checkpoint { epoch: epoch.saturating_sub(1), root: Root::ZERO },
                target: Checkpoint { epoch, root: Root::ZERO },
            })
        })
    }

    fn assert_signed(answer: Answer, validator: PublicKey, root: Root) {
        assert!(verify(&validator, &root, &answer.unwrap()));
    }

    #[tokio::test]
    async fn hundreds_of_requests_in_flight_each_get_their_own_signature() {
        let (_dir, signing) = signing();
        let keys: Vec<_> = (1..=50).map(stored).collect();
        let mut expected = Vec::new();
        for (index, key) in (0_u8..).zip(&keys) {
            let duties =
                [vote(400_000, 1), vote(400_001, index), duty(400_000, Message::RandaoReveal)];
            for duty in duties {
                let root = duty.signing_root();
                expected.push((key.validator(), root, signing.sign(key, duty)));
            }
        }
        for (validator, root, answer) in expected {
            assert_signed(answer.await.unwrap(), validator, root);
        }
    }

    #[tokio::test]
    async fn of_two_votes_asked_for_at_once_one_is_signed_and_then_only_that_one() {
        let (_dir, signing) = signing();
        let key = stored(1);
        let (one, other) = (vote(400_000, 1), vote(400_000, 2));
        let answers = [signing.sign(&key, one.clone()), signing.sign(&key, other.clone())];
        let [first, second] = answers;
        assert_signed(first.await.unwrap(), key.validator(), one.signing_root());
        assert!(matches!(second.await.unwrap(), Err(SignError::Slashing(_))));
        let again = signing.sign(&key, one.clone()).await.unwrap();
        assert_signed(again, key.validator(), one.signing_root());
    }

    #[tokio::test]
    async fn nothing_is_signed_when_nothing_can_be_recorded() {
        let (_dir, signing) = signing();
        signing.slashing_db().clone().close();
        let answer = signing.sign(&stored(1), vote(400_000, 1)).await.unwrap();
        assert!(matches!(answer, Err(SignError::Unavailable(_))));
        // What cannot be slashed needs no record.
        let randao = duty(400_000, Message::RandaoReveal);
        let root = randao.signing_root();
        let key = stored(1);
        let answer = signing.sign(&key, randao).await.unwrap();
        assert_signed(answer, key.validator(), root);
    }

    #[test]
    fn what_is_recorded_is_recorded_although_the_client_is_gone() {
        let (_dir, signing) = signing();
        let key = stored(1);
        drop(signing.sign(&key, vote(400_000, 1)));
        // Asked after it, so answered after it.
        let marks = signing.slashing_db().watermarks(Some(vec![key.validator()])).unwrap();
        assert_eq!(marks.validators.len(), 1);
    }

    #[test]
    fn a_full_queue_refuses_and_blocks_pass_what_waits() {
        let queue = Queue::new(1);
        let job = || {
            let (answer, _) = oneshot::channel();
            let parts = Parts { answer, sealed: None, permit: None };
            let meeting = Arc::new(Meeting(Mutex::new(Some(parts))));
            Job { stored: stored(1), root: Root::ZERO, meeting }
        };
        for _ in 0..QUEUE_BOUND {
            assert!(queue.push(job(), false));
        }
        assert!(!queue.push(job(), false));
        assert!(queue.push(job(), true));
        assert_eq!(queue.take().unwrap().len(), 1);
        assert_eq!(queue.take().unwrap().len(), BATCH);
    }
}
