//! The memory of request bodies, and which body makes room when there is none.
//!
//! A client that begins a body and does not go on holds what is reserved for it until the body's time is
//! up. With HTTP/2 a few connections could hold everything that way. So when there is no memory, the body
//! that is the longest on its way is given up for the next one; a body that arrives as bodies do is there
//! long before it is its turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::{KIB, SMALL_BODY};

/// How long a request waits for memory before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// A small body that is on its way for less than this makes no room: it comes in a packet or two, with its
/// header. Short, because it also bounds how long stalled bodies can keep those that wait behind them.
const YOUNG_SMALL: Duration = Duration::from_millis(100);
/// A large body that is on its way for less than this makes no room: a whole payload takes a tenth of a
/// second.
const YOUNG_LARGE: Duration = Duration::from_millis(500);
/// A request that waits looks this often whether a body has become old enough to make room.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The memory of all bodies.
#[derive(Debug)]
pub(super) struct Bodies {
    /// In pieces of [`SMALL_BODY`].
    small: Arc<Semaphore>,
    /// In kibibytes.
    large: Arc<Semaphore>,
    unfinished: Mutex<Unfinished>,
}

/// The bodies that are on their way, the oldest first.
#[derive(Debug, Default)]
struct Unfinished {
    next: u64,
    small: BTreeMap<u64, Entry>,
    /// Those that have memory beyond [`SMALL_BODY`].
    large: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    /// Told when the body has to make room.
    give_up: Arc<Notify>,
}

/// Which store is exhausted.
#[derive(Debug, Clone, Copy)]
enum Store {
    Small,
    Large,
}

impl Bodies {
    pub(super) fn new(bodies: usize, large_bytes: usize) -> Self {
        Self {
            small: Arc::new(Semaphore::new(bodies)),
            large: Arc::new(Semaphore::new(large_bytes / KIB)),
            unfinished: Mutex::default(),
        }
    }

    /// Memory for a small body; `None` if there was none in time.
    pub(super) async fn reserve(self: &Arc<Self>) -> Option<BodyMemory> {
        let small = self.acquire(Store::Small, 1, None).await?;
        let give_up = Arc::new(Notify::new());
        let entry = Entry { since: Instant::now(), give_up: Arc::clone(&give_up) };
        let mut unfinished = self.lock();
        let id = unfinished.next;
        unfinished.next = id.wrapping_add(1);
        unfinished.small.insert(id, entry);
        drop(unfinished);
        Some(BodyMemory { bodies: Arc::clone(self), id, give_up, _small: small, large: None })
    }

    /// Takes from a store, for the body `asking` if it is on its way already. While there is too little,
    /// the oldest of the others that hold some are given up, one at each look.
    async fn acquire(
        &self,
        store: Store,
        permits: u32,
        asking: Option<u64>,
    ) -> Option<OwnedSemaphorePermit> {
        let semaphore = match store {
            Store::Small => &self.small,
            Store::Large => &self.large,
        };
        if let Ok(taken) = Arc::clone(semaphore).try_acquire_many_owned(permits) {
            return Some(taken);
        }
        // One future throughout, so as to keep its place in the queue.
        let taken = Arc::clone(semaphore).acquire_many_owned(permits);
        tokio::pin!(taken);
        let waited = async {
            loop {
                self.lock().make_room(store, asking);
                tokio::select! {
                    // Never closed.
                    taken = &mut taken => return taken.ok(),
                    () = sleep(LOOK_AGAIN) => {}
                }
            }
        };
        timeout(PATIENCE, waited).await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unfinished {
    /// Tells the oldest body that takes its memory from `store` to make room, unless it is young.
    fn make_room(&mut self, store: Store, asking: Option<u64>) {
        let (bodies, young) = match store {
            Store::Small => (&mut self.small, YOUNG_SMALL),
            Store::Large => (&mut self.large, YOUNG_LARGE),
        };
        let oldest = bodies.iter().find(|(id, _)| Some(**id) != asking);
        if let Some((&id, entry)) = oldest
            && entry.since.elapsed() >= young
            && let Some(entry) = bodies.remove(&id)
        {
            entry.give_up.notify_one();
        }
    }

    fn remove(&mut self, id: u64) {
        self.small.remove(&id);
        self.large.remove(&id);
    }
}

/// Memory that is reserved for one body, given back when dropped.
#[derive(Debug)]
pub struct BodyMemory {
    bodies: Arc<Bodies>,
    id: u64,
    give_up: Arc<Notify>,
    _small: OwnedSemaphorePermit,
    large: Option<OwnedSemaphorePermit>,
}

impl BodyMemory {
    /// Completes when the body has to make room for another one: drop it then.
    pub fn given_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let give_up = Arc::clone(&self.give_up);
        async move { give_up.notified().await }
    }

    /// The body is there: it makes no room any more.
    pub fn finished(&self) {
        self.bodies.lock().remove(self.id);
    }

    /// Makes the reservation enough for `bytes` bytes; whether there was as much in time.
    pub(super) async fn grow_to(&mut self, bytes: usize) -> bool {
        let held = self.large.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.saturating_sub(SMALL_BODY).div_ceil(KIB).saturating_sub(held);
        if needed == 0 {
            return true;
        }
        let more = u32::try_from(needed).unwrap_or(u32::MAX);
        let Some(more) = self.bodies.acquire(Store::Large, more, Some(self.id)).await else {
            return false;
        };
        match &mut self.large {
            Some(large) => large.merge(more),
            none => *none = Some(more),
        }
        let mut unfinished = self.bodies.lock();
        if let Some(entry) = unfinished.small.remove(&self.id) {
            unfinished.large.insert(self.id, entry);
        }
        true
    }
}

impl Drop for BodyMemory {
    fn drop(&mut self) {
        self.finished();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn bodies(count: usize, large_bytes: usize) -> Arc<Bodies> {
        Arc::new(Bodies::new(count, large_bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_share_a_bound_and_leave_small_ones_their_own() {
        let bodies = bodies(3, 100 * KIB);
        let mut first = bodies.reserve().await.unwrap();
        assert!(first.grow_to(SMALL_BODY + 60 * KIB).await);
        assert!(first.grow_to(SMALL_BODY + 61 * KIB).await);
        first.finished();
        let mut second = bodies.reserve().await.unwrap();
        assert!(second.grow_to(SMALL_BODY).await);
        assert!(!second.grow_to(SMALL_BODY + 40 * KIB).await);
        assert!(second.grow_to(SMALL_BODY + 39 * KIB).await);
        second.finished();
        let third = bodies.reserve().await.unwrap();
        third.finished();
        assert!(bodies.reserve().await.is_none());
        drop(first);
        assert!(second.grow_to(SMALL_BODY + 100 * KIB).await);
        drop(third);
        assert!(bodies.reserve().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_that_is_the_longest_on_its_way_makes_room_for_the_next() {
        let bodies = bodies(2, 0);
        let oldest = bodies.reserve().await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let young = bodies.reserve().await.unwrap();
        let young_given_up = young.given_up();
        let holder = tokio::spawn(async move {
            oldest.given_up().await;
            drop(oldest);
        });
        let begun = Instant::now();
        assert!(bodies.reserve().await.is_some());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        holder.await.unwrap();
        assert!(young_given_up.now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_are_young_or_whole_are_waited_for_and_make_no_room() {
        let bodies = bodies(2, 0);
        let whole = bodies.reserve().await.unwrap();
        whole.finished();
        tokio::time::advance(Duration::from_secs(10)).await;
        let young = bodies.reserve().await.unwrap();
        let holder = tokio::spawn(async move {
            young.given_up().await;
            drop(young);
        });
        let begun = Instant::now();
        let waited = bodies.reserve().await.unwrap();
        assert_eq!(begun.elapsed(), YOUNG_SMALL);
        holder.await.unwrap();
        waited.finished();
        assert!(bodies.reserve().await.is_none());
        assert!(whole.given_up().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_large_body_makes_room_and_a_small_one_does_not_for_a_large() {
        let bodies = bodies(3, 32 * KIB);
        let small = bodies.reserve().await.unwrap();
        let mut stalled = bodies.reserve().await.unwrap();
        assert!(stalled.grow_to(SMALL_BODY + 32 * KIB).await);
        tokio::time::advance(Duration::from_secs(1)).await;
        let holder = tokio::spawn(async move {
            stalled.given_up().await;
            drop(stalled);
        });
        let mut block = bodies.reserve().await.unwrap();
        assert!(block.grow_to(SMALL_BODY + 20 * KIB).await);
        holder.await.unwrap();
        assert!(small.given_up().now_or_never().is_none());
    }
}
