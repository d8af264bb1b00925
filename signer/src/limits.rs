//! How much the server takes on at once, so that a flood is answered with 503 in no time and does not keep
//! what matters from being signed.
//!
//! Two things are bounded. The bytes of request bodies, over all connections ([`RequestLimits::reserve_body`]):
//! nothing is known of a request before it is read, so this bound is the same for all, and the first few
//! kilobytes of each body, which is all that most requests have, come from a store of their own that large
//! bodies cannot use up. Then, when the type is known, requests at work and waiting, by [`Urgency`]
//! ([`RequestLimits::admit`]): a block waits behind blocks only.
//!
//! The sizes are above what a client with 10,000 keys asks at once: 313 votes in each slot, as many sync
//! messages and aggregates, and at the start of an epoch a selection proof for every key.

use std::sync::Arc;
use std::time::Duration;

use api_spec::DutyType;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};

use crate::error::Refusal;
use crate::metrics::LimitMetrics;

/// What every body may have from the store for small ones. Requests of validator clients are under it,
/// except for whole blocks and payloads and some aggregates.
pub(crate) const SMALL_BODY: usize = 4 * KIB;
const KIB: usize = 1024;

/// The sizes of [`RequestLimits`].
#[derive(Debug, Clone, Copy)]
pub struct LimitSizes {
    /// Bodies that are being read or parsed at once, their first [`SMALL_BODY`] bytes counted.
    pub bodies: usize,
    /// Bytes of them beyond that, together.
    pub large_body_bytes: usize,
    /// Bodies over the size that is parsed in place, parsed at once.
    pub large_parses: usize,
    /// Limits of blocks and what goes with them.
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
            proposals: ClassSizes {
                // A client of 10,000 keys has a block every hundred slots or so.
                running: 256,
                waiting: 1024,
                patience: Duration::from_secs(4),
            },
            votes: ClassSizes {
                // A few slots' worth of a client of 10,000 keys.
                running: 2048,
                waiting: 8192,
                // Teku and Vero give up after 5 s.
                patience: Duration::from_secs(4),
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
    /// A block and what it is made of: needed at once, and rare.
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
            DutyType::Block
            | DutyType::BlockV2
            | DutyType::RandaoReveal
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
    /// In pieces of [`SMALL_BODY`].
    small: Arc<Semaphore>,
    /// In kibibytes.
    large: Arc<Semaphore>,
    parses: Semaphore,
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
                small: Arc::new(Semaphore::new(sizes.bodies)),
                large: Arc::new(Semaphore::new(sizes.large_body_bytes / KIB)),
                parses: Semaphore::new(sizes.large_parses),
                proposals: Class::new(sizes.proposals),
                votes: Class::new(sizes.votes),
                others: Class::new(sizes.others),
                metrics,
            }),
        }
    }

    /// Reserves memory for a body of up to [`SMALL_BODY`] bytes.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if too many bodies are being read.
    pub fn reserve_body(&self) -> Result<BodyMemory, Refusal> {
        match Arc::clone(&self.inner.small).try_acquire_owned() {
            Ok(small) => Ok(BodyMemory { limits: self.clone(), small, large: None }),
            Err(_) => Err(self.overloaded("bodies", "too many requests are being read")),
        }
    }

    /// Waits for one of the few places where large bodies are parsed.
    pub async fn large_parse(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.inner.parses.acquire().await.ok()
    }

    /// Admits a request of this type, at once or after a wait that is bounded in time and number.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`].
    pub async fn admit(&self, duty: DutyType) -> Result<Admitted<'_>, Refusal> {
        let urgency = Urgency::of(duty);
        let class = match urgency {
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

/// Memory that is reserved for one body, given back when dropped.
#[derive(Debug)]
pub struct BodyMemory {
    limits: RequestLimits,
    #[expect(dead_code, reason = "held until the body is gone")]
    small: OwnedSemaphorePermit,
    large: Option<OwnedSemaphorePermit>,
}

impl BodyMemory {
    /// Makes the reservation enough for `bytes` bytes.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if the bodies of all requests would be too large together.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.large.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.saturating_sub(SMALL_BODY).div_ceil(KIB).saturating_sub(held);
        if needed == 0 {
            return Ok(());
        }
        let more = u32::try_from(needed).unwrap_or(u32::MAX);
        match Arc::clone(&self.limits.inner.large).try_acquire_many_owned(more) {
            Ok(more) => {
                match &mut self.large {
                    Some(large) => large.merge(more),
                    none => *none = Some(more),
                }
                Ok(())
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                let reason = "the bodies of all requests are too large together";
                Err(self.limits.overloaded("bodies", reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(running: usize, waiting: usize) -> LimitSizes {
        let class = ClassSizes { running, waiting, patience: Duration::from_secs(4) };
        LimitSizes { proposals: class, votes: class, others: class, ..LimitSizes::default() }
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
        for name in ["ATTESTATION", "AGGREGATION_SLOT"] {
            held.push(limits.admit(duty(name)).await.unwrap());
            assert!(limits.admit(duty(name)).await.is_err(), "{name}");
        }
        assert!(limits.admit(duty("BLOCK_V2")).await.is_ok());
        assert!(limits.admit(duty("RANDAO_REVEAL")).await.is_ok());
    }

    #[test]
    fn large_bodies_share_a_bound_and_leave_small_ones_their_own() {
        let large_body_bytes = 100 * KIB;
        let sizes = LimitSizes { large_body_bytes, bodies: 3, ..LimitSizes::default() };
        let limits = RequestLimits::new(&sizes, None);
        let mut first = limits.reserve_body().unwrap();
        first.grow_to(SMALL_BODY + 60 * KIB).unwrap();
        first.grow_to(SMALL_BODY + 61 * KIB).unwrap();
        let mut second = limits.reserve_body().unwrap();
        second.grow_to(SMALL_BODY).unwrap();
        assert!(matches!(
            second.grow_to(SMALL_BODY + 40 * KIB),
            Err(Refusal::Overloaded { class: "bodies", .. })
        ));
        second.grow_to(SMALL_BODY + 39 * KIB).unwrap();
        let third = limits.reserve_body().unwrap();
        assert!(limits.reserve_body().is_err());
        drop(first);
        second.grow_to(SMALL_BODY + 100 * KIB).unwrap();
        drop(third);
        assert!(limits.reserve_body().is_ok());
    }
}
