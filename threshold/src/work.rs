//! What takes long, off the node's task: recording, signing, combining.
//!
//! The CPU's work runs on a pool of its own threads; the slashing database has its writer thread. The
//! results come back through a channel in which a place is reserved before the work starts, so that
//! nobody who finishes has to wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eth_types::Root;
use eth_types::duty::{DutyClass, NonSlashableDuty};
use rayon::prelude::*;
use slashing_db::{Candidate, Permit, RecordError, Refusal, Request, SlashingDb};
use threshold_protocol::bls::{
    CombineItem, HashedMessage, PartialSignature, PublicShares, Threshold, combine_and_verify,
};
use threshold_protocol::engine::{Combination, CombineJob, Input, OwnRefusal, SignJob, Ticket};
use threshold_protocol::{OperatorIndex, OperatorSet};
use tokio::sync::mpsc;

use crate::share::{SealedPartial, ValidatorShare};

/// Work in flight. The engine hands out one batch to record and two to combine at a time; the rest are
/// co-signatures, one for each request that is under way.
const IN_FLIGHT: usize = 4096;

/// A record takes a few milliseconds; from here on it costs duties, and the operator should know.
const SLOW_RECORD: Duration = Duration::from_millis(500);

/// From so many signatures on a batch is combined in halves, on two cores: each half still has enough
/// to share one verification.
const SPLIT_COMBINES_FROM: usize = 32;

/// A validator of the cluster: this operator's share and everybody's public shares.
#[derive(Debug)]
pub struct ValidatorKeys {
    /// This operator's share.
    pub share: ValidatorShare,
    /// Public shares of all operators.
    pub public: PublicShares,
}

/// Starts work and gives back its results.
pub(crate) struct Workshop {
    keys: Arc<Vec<ValidatorKeys>>,
    threshold: Threshold,
    db: SlashingDb,
    pool: rayon::ThreadPool,
    results: mpsc::Sender<Input>,
}

impl Workshop {
    /// Starts the threads. Results come out of the receiver, to be given to the engine.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn new(
        keys: Vec<ValidatorKeys>,
        threshold: Threshold,
        db: SlashingDb,
    ) -> Result<(Self, mpsc::Receiver<Input>), rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|index| format!("synod-bls-{index}"))
            .build()?;
        let (results, received) = mpsc::channel(IN_FLIGHT);
        Ok((Self { keys: Arc::new(keys), threshold, db, pool, results }, received))
    }

    /// Records what is slashable and signs. The signatures come back after the commit. If nothing more
    /// can be started, the refusals are given back at once.
    pub(crate) fn sign(&self, ticket: Ticket, jobs: Vec<SignJob>) -> Option<Input> {
        let Ok(place) = self.results.clone().try_reserve_owned() else {
            let refusal = OwnRefusal::Failed(format!("more than {IN_FLIGHT} signatures under way"));
            let results = jobs.iter().map(|_| Err(refusal.clone())).collect();
            return Some(Input::Signed { ticket, results });
        };
        let rendezvous = Arc::new(Rendezvous {
            ticket,
            halves: Mutex::new(Halves { place: Some(place), sealed: None, permits: None }),
        });
        self.record(&jobs, &rendezvous);
        let keys = Arc::clone(&self.keys);
        self.pool.spawn(move || {
            let messages: HashMap<Root, HashedMessage> = jobs
                .iter()
                .map(|job| job.duty.signing_root())
                .collect::<std::collections::HashSet<_>>()
                .into_iter()
                .map(|root| (root, HashedMessage::new(&root)))
                .collect();
            let sealed = jobs
                .par_iter()
                .map(|job| {
                    let keys = keys.get(job.validator.as_usize())?;
                    Some(keys.share.sign(messages.get(&job.duty.signing_root())?))
                })
                .collect();
            rendezvous.meet(|halves| halves.sealed = Some(sealed));
        });
        None
    }

    /// Gets the permits: from the database for what is slashable, in one transaction.
    fn record(&self, jobs: &[SignJob], rendezvous: &Arc<Rendezvous>) {
        let mut permits: Vec<Option<Result<Permit, OwnRefusal>>> = Vec::with_capacity(jobs.len());
        let mut batch = Vec::new();
        for job in jobs {
            let permit = match (self.keys.get(job.validator.as_usize()), job.duty.class()) {
                (None, _) => Some(Err(OwnRefusal::Failed("no share of this validator".into()))),
                (Some(keys), DutyClass::Slashable) => {
                    let validator = keys.share.validator();
                    Candidate::from_duty(&job.duty).map_or_else(
                        || Some(Err(OwnRefusal::Failed("no slashable message".into()))),
                        |candidate| {
                            batch.push(Request { validator, candidate });
                            None
                        },
                    )
                }
                (Some(keys), DutyClass::CoSigned | DutyClass::Witnessed) => {
                    let validator = keys.share.validator();
                    Some(match NonSlashableDuty::try_from(job.duty.clone()) {
                        Ok(duty) => Ok(Permit::not_slashable(validator, &duty)),
                        Err(error) => Err(OwnRefusal::Failed(error.to_string())),
                    })
                }
            };
            permits.push(permit);
        }
        if batch.is_empty() {
            let permits = fill(permits, Vec::new());
            rendezvous.meet(|halves| halves.permits = Some(permits));
            return;
        }
        let rendezvous = Arc::clone(rendezvous);
        let (records, begun) = (batch.len(), Instant::now());
        self.db.record_then(batch, move |outcome| {
            let took = begun.elapsed();
            if took > SLOW_RECORD {
                tracing::warn!(
                    records,
                    millis = took.as_millis(),
                    "the slashing database was slow to record; is the disk busy?"
                );
            }
            let recorded = recorded(outcome);
            let permits = fill(permits, recorded);
            rendezvous.meet(|halves| halves.permits = Some(permits));
        });
    }

    /// Combines and verifies. If nothing more can be started, a failure is given back at once.
    pub(crate) fn combine(
        &self,
        ticket: Ticket,
        root: Root,
        jobs: Vec<CombineJob>,
    ) -> Option<Input> {
        let Ok(place) = self.results.clone().try_reserve_owned() else {
            return Some(Input::Combined { ticket, results: Vec::new() });
        };
        let (keys, threshold) = (Arc::clone(&self.keys), self.threshold);
        self.pool.spawn(move || {
            let message = HashedMessage::new(&root);
            let size =
                if jobs.len() >= SPLIT_COMBINES_FROM { jobs.len().div_ceil(2) } else { jobs.len() };
            let results: Vec<Vec<Combination>> = jobs
                .par_chunks(size.max(1))
                .map(|jobs| combine(&keys, threshold, &message, jobs))
                .collect();
            let results = results.into_iter().flatten().collect();
            place.send(Input::Combined { ticket, results });
        });
        None
    }
}

/// What the database said, as permits and refusals; none for what it did not get to.
fn recorded(
    outcome: Result<Vec<Result<Permit, Refusal>>, RecordError>,
) -> Vec<Result<Permit, OwnRefusal>> {
    match outcome {
        Ok(results) => results
            .into_iter()
            .map(|result| result.map_err(|refusal| OwnRefusal::Slashable(refusal.to_string())))
            .collect(),
        // Nothing of the batch was recorded; `fill` says so for each.
        Err(error) => vec![Err(OwnRefusal::Failed(error.to_string()))],
    }
}

/// Puts the database's answers into their places. One error for the whole batch stands for each.
fn fill(
    permits: Vec<Option<Result<Permit, OwnRefusal>>>,
    recorded: Vec<Result<Permit, OwnRefusal>>,
) -> Vec<Result<Permit, OwnRefusal>> {
    let for_all = match recorded.as_slice() {
        [Err(OwnRefusal::Failed(reason))] => Some(reason.clone()),
        _ => None,
    };
    let mut recorded = recorded.into_iter();
    permits
        .into_iter()
        .map(|permit| {
            permit.or_else(|| recorded.next()).unwrap_or_else(|| {
                let reason = for_all.clone().unwrap_or_else(|| "no answer".into());
                Err(OwnRefusal::Failed(reason))
            })
        })
        .collect()
}

fn combine(
    keys: &[ValidatorKeys],
    threshold: Threshold,
    message: &HashedMessage,
    jobs: &[CombineJob],
) -> Vec<Combination> {
    let items: Vec<CombineItem<'_>> = jobs
        .iter()
        .filter_map(|job| {
            let partials = job
                .partials
                .iter()
                .filter_map(|(operator, partial)| Some((operator.share_index()?, *partial)))
                .collect();
            Some(CombineItem { shares: &keys.get(job.validator.as_usize())?.public, partials })
        })
        .collect();
    // Every job's validator is in the lock; were one not, no signature is better than another's.
    if items.len() != jobs.len() {
        return Vec::new();
    }
    combine_and_verify(threshold, message, &items, rand::random())
        .into_iter()
        .map(|result| {
            let (signature, culprits) = match result {
                Ok(verified) => (Some(verified.signature), verified.culprits),
                Err(failure) => (None, failure.culprits),
            };
            let culprits: OperatorSet =
                culprits.into_iter().map(OperatorIndex::from_share_index).collect();
            Combination { signature, culprits }
        })
        .collect()
}

/// Where sealed partials and permits meet: the later of the two opens the seals and sends.
struct Rendezvous {
    ticket: Ticket,
    halves: Mutex<Halves>,
}

struct Halves {
    place: Option<mpsc::OwnedPermit<Input>>,
    sealed: Option<Vec<Option<SealedPartial>>>,
    permits: Option<Vec<Result<Permit, OwnRefusal>>>,
}

impl Rendezvous {
    fn meet(&self, arrive: impl FnOnce(&mut Halves)) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        arrive(&mut halves);
        if halves.sealed.is_none() || halves.permits.is_none() {
            return;
        }
        let (Some(sealed), Some(permits), Some(place)) =
            (halves.sealed.take(), halves.permits.take(), halves.place.take())
        else {
            return;
        };
        drop(halves);
        let results = sealed.into_iter().zip(permits).map(|(sealed, permit)| open(sealed, permit));
        place.send(Input::Signed { ticket: self.ticket, results: results.collect() });
    }
}

fn open(
    sealed: Option<SealedPartial>,
    permit: Result<Permit, OwnRefusal>,
) -> Result<PartialSignature, OwnRefusal> {
    let permit = permit?;
    let sealed = sealed.ok_or_else(|| OwnRefusal::Failed("no share of this validator".into()))?;
    sealed.release(permit).map_err(|foreign| OwnRefusal::Failed(foreign.to_string()))
}
