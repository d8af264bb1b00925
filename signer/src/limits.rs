//! How much the server takes on at once, so that a flood is answered with 503 in no time and does not keep
//! what matters from being signed.
//!
//! Two things are bounded. The bytes of request bodies, over all connections ([`RequestLimits::reserve_body`]):
//! nothing is known of a request before it is read, so this bound is the same for all, and the first few
//! kilobytes of each body, which is all that most requests have, come from a store of their own that large
//! bodies cannot use up. Where that is not enough, the bodies that are the longest on their way make room.
//! Then, when the type is known, requests at work and waiting, by [`Urgency`]
//! ([`RequestLimits::admit`]): a block waits behind blocks only.
//!
//! The sizes are above what a client with 10,000 keys asks at once: 313 votes in each slot, as many sync
//! messages and aggregates, and at the start of an epoch a selection proof for every key.

mod bodies;

use std::sync::Arc;
use std::time::Duration;

use api_spec::DutyType;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use self::bodies::Bodies;
pub use self::bodies::BodyMemory;
use crate::error::Refusal;
use crate::metrics::LimitMetrics;

/// What every body may have from the store for small ones. Requests of validator clients are under it,
/// except for whole blocks and payloads and some aggregates.
pub(crate) const SMALL_BODY: usize = 4 * KIB;
const KIB: usize = 1024;
/// How long what is due within the slot waits. Together with the 2.5 s that a signature may take it is
/// less than the 5 s after which Teku and Vero give up.
const SLOT_PATIENCE: Duration = Duration::from_secs(2);

/// The sizes of [`RequestLimits`].
#[derive(Debug, Clone, Copy)]
pub struct LimitSizes {
    /// Bodies that are being read or parsed at once, their first [`SMALL_BODY`] bytes counted.
    pub bodies: usize,
    /// Bytes of them beyond that, together.
    pub large_body_bytes: usize,
    /// Bodies over the size that is parsed in place, parsed at once.
    pub large_parses: usize,
    /// Limits of blocks.
    pub blocks: ClassSizes,
    /// Limits of what goes with blocks.
    pub proposals: ClassSizes,
    /// Limits of what is due within the slot.
    pub votes: ClassSizes,
    /// Limits of everything else.
    pub others: ClassSizes,
}

/// The limits of one class of requests.
#[derive(Debug, Clone, Copy)]
pub struct ClassSizes {
    /// Requests at work at once.
    pub running: usize,
    /// Requests that wait for that; more are refused at once.
    pub waiting: usize,
    /// How long one waits before it is refused.
    pub patience: Duration,
}

impl Default for LimitSizes {
    fn default() -> Self {
        Self {
            // 64 MiB: one for every connection that is let in.
            bodies: crate::server::MAX_CONNECTIONS,
            // Four of the longest allowed, or about twenty whole payloads.
            large_body_bytes: 128 * KIB * KIB,
            // They take tens of milliseconds of CPU each.
            large_parses: 4,
            blocks: ClassSizes {
                // A client of 10,000 keys has a block every hundred slots or so.
                running: 128,
                waiting: 512,
                patience: SLOT_PATIENCE,
            },
            proposals: ClassSizes {
                // Those come with the blocks.
                running: 256,
                waiting: 1024,
                patience: SLOT_PATIENCE,
            },
            votes: ClassSizes {
                // A few slots' worth of a client of 10,000 keys.
                running: 2048,
                waiting: 8192,
                patience: SLOT_PATIENCE,
            },
            others: ClassSizes {
                // So many selection proofs at work delay a block that comes then by a fraction of a
                // second of CPU time.
                running: 1024,
                // A selection proof for each of 10,000 keys, twice.
                waiting: 20_480,
                // Lighthouse gives up after 12 s.
                patience: Duration::from_secs(10),
            },
        }
    }
}

/// How soon a signature is needed, and how much is lost without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A block: needed at once, and rare.
    Block,
    /// What a block is made of, and what goes with it: as urgent, and not to be waited for by blocks.
    Proposal,
    /// Votes and aggregates: needed within a third of a slot.
    Vote,
    /// Selection proofs, registrations, exits and the like: asked for ahead of time.
    Other,
}

impl Urgency {
    /// The urgency of a type of request.
    #[must_use]
    pub fn of(duty: DutyType) -> Self {
        match duty {
            DutyType::Block | DutyType::BlockV2 => Self::Block,
            DutyType::RandaoReveal
            | DutyType::ExecutionPayloadBid
            | DutyType::ExecutionPayloadEnvelope => Self::Proposal,
            DutyType::Attestation
            | DutyType::AggregateAndProof
            | DutyType::AggregateAndProofV2
            | DutyType::SyncCommitteeMessage
            | DutyType::SyncCommitteeContributionAndProof
            | DutyType::PayloadAttestationMessage => Self::Vote,
            _ => Self::Other,
        }
    }

    /// Its label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Proposal => "proposal",
            Self::Vote => "vote",
            Self::Other => "other",
        }
    }
}

/// What the server takes on at once; clones share it.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bodies: Arc<Bodies>,
    parses: Arc<Semaphore>,
    blocks: Class,
    proposals: Class,
    votes: Class,
    others: Class,
    metrics: Option<LimitMetrics>,
}

#[derive(Debug)]
struct Class {
    running: Semaphore,
    /// At work or waiting.
    all: Semaphore,
    patience: Duration,
}

impl Class {
    fn new(sizes: ClassSizes) -> Self {
        Self {
            running: Semaphore::new(sizes.running),
            all: Semaphore::new(sizes.running.saturating_add(sizes.waiting)),
            patience: sizes.patience,
        }
    }
}

impl RequestLimits {
    /// Limits of these sizes.
    #[must_use]
    pub fn new(sizes: &LimitSizes, metrics: Option<LimitMetrics>) -> Self {
        Self {
            inner: Arc::new(Inner {
                bodies: Arc::new(Bodies::new(sizes.bodies, sizes.large_body_bytes)),
                parses: Arc::new(Semaphore::new(sizes.large_parses)),
                blocks: Class::new(sizes.blocks),
                proposals: Class::new(sizes.proposals),
                votes: Class::new(sizes.votes),
                others: Class::new(sizes.others),
                metrics,
            }),
        }
    }

    /// Reserves memory for a body of up to [`SMALL_BODY`] bytes, after a short wait if there is none.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if too many bodies are being read.
    pub async fn reserve_body(&self) -> Result<BodyMemory, Refusal> {
        match Bodies::reserve(&self.inner.bodies).await {
            Some(memory) => Ok(memory),
            None => Err(self.bodies_overloaded("too many requests are being read")),
        }
    }

    /// Makes the reservation enough for `bytes` bytes, after a short wait if there is too little.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if the bodies of all requests would be too large together.
    pub async fn grow_body(&self, memory: &mut BodyMemory, bytes: usize) -> Result<(), Refusal> {
        if memory.grow_to(bytes).await {
            return Ok(());
        }
        Err(self.bodies_overloaded("the bodies of all requests are too large together"))
    }

    /// The refusal of a request whose body makes room for others ([`BodyMemory::given_up`]).
    pub(crate) fn given_up(&self) -> Refusal {
        self.bodies_overloaded("the body was still on its way when others needed its place")
    }

    /// Waits for one of the few places where large bodies are parsed. It goes to the thread that parses:
    /// that one goes on when the client is gone.
    pub async fn large_parse(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.inner.parses).acquire_owned().await.ok()
    }

    /// Admits a request of this type, at once or after a wait that is bounded in time and number.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`].
    pub async fn admit(&self, duty: DutyType) -> Result<Admitted<'_>, Refusal> {
        let urgency = Urgency::of(duty);
        let class = match urgency {
            Urgency::Block => &self.inner.blocks,
            Urgency::Proposal => &self.inner.proposals,
            Urgency::Vote => &self.inner.votes,
            Urgency::Other => &self.inner.others,
        };
        let Ok(counted) = class.all.try_acquire() else {
            return Err(self.overloaded(urgency.as_str(), "too many requests of this kind wait"));
        };
        match tokio::time::timeout(class.patience, class.running.acquire()).await {
            Ok(Ok(running)) => Ok(Admitted { _running: running, _counted: counted }),
            Ok(Err(_)) | Err(_) => {
                let waited = "it waited too long behind others of its kind";
                Err(self.overloaded(urgency.as_str(), waited))
            }
        }
    }

    fn bodies_overloaded(&self, reason: &'static str) -> Refusal {
        self.overloaded("bodies", reason)
    }

    fn overloaded(&self, class: &'static str, reason: &'static str) -> Refusal {
        if let Some(metrics) = &self.inner.metrics {
            metrics.shed(class);
        }
        Refusal::Overloaded { class, reason }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self::new(&LimitSizes::default(), None)
    }
}

/// A request that may be worked on; dropped when it is answered.
#[derive(Debug)]
pub struct Admitted<'a> {
    _running: SemaphorePermit<'a>,
    _counted: SemaphorePermit<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(running: usize, waiting: usize) -> LimitSizes {
        let class = ClassSizes { running, waiting, patience: Duration::from_secs(4) };
        let (blocks, proposals, votes, others) = (class, class, class, class);
        LimitSizes { blocks, proposals, votes, others, ..LimitSizes::default() }
    }

    fn duty(name: &str) -> DutyType {
        name.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_exceeds_the_queue_is_refused_at_once_and_what_is_in_it_after_its_patience() {
        let limits = RequestLimits::new(&sizes(1, 1), None);
        let attestation = duty("ATTESTATION");
        let running = limits.admit(attestation).await.unwrap();
        let waiting = {
            let limits = limits.clone();
            tokio::spawn(async move { limits.admit(attestation).await.map(drop) })
        };
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        assert!(matches!(
            limits.admit(attestation).await,
            Err(Refusal::Overloaded { class: "vote", .. })
        ));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(matches!(waiting.await.unwrap(), Err(Refusal::Overloaded { class: "vote", .. })));
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
        drop(running);
        assert!(limits.admit(attestation).await.is_ok());
    }

    #[tokio::test]
    async fn a_block_is_admitted_whatever_else_runs() {
        let limits = RequestLimits::new(&sizes(1, 0), None);
        let mut held = Vec::new();
        for name in ["ATTESTATION", "AGGREGATION_SLOT", "RANDAO_REVEAL"] {
            held.push(limits.admit(duty(name)).await.unwrap());
            assert!(limits.admit(duty(name)).await.is_err(), "{name}");
        }
        assert!(limits.admit(duty("BLOCK_V2")).await.is_ok());
        assert!(limits.admit(duty("BLOCK")).await.is_ok());
    }
}
