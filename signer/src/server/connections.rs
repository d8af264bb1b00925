//! The connections that are open, and which of them makes room for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::activity::Activity;

/// While all connections are busy, this often it is looked whether one has become idle.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The open connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
    /// Told when a connection has ended.
    left: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    /// Told when the connection has to make room.
    close: Arc<Notify>,
}

impl Connections {
    /// At most `max` of them, and at least one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), open: Mutex::default(), left: Notify::new() }
    }

    /// Completes when one more connection may come: there is a place, or an idle connection that can make
    /// room.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let left = self.left.notified();
            {
                let open = self.lock();
                if open.connections.len() < self.max || open.any_idle() {
                    return;
                }
            }
            // A connection that becomes idle does not tell; it is found at the next look.
            let _ = tokio::time::timeout(LOOK_AGAIN, left).await;
        }
    }

    /// Takes a place; it is free again when that is dropped. If there is none, the idlest connection is told
    /// to end.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let (activity, close) = (Activity::new(), Arc::new(Notify::new()));
        let entry = Entry { activity: Arc::clone(&activity), close: Arc::clone(&close) };
        let mut open = self.lock();
        if open.connections.len() >= self.max {
            open.evict();
        }
        let id = open.next;
        open.next = open.next.wrapping_add(1);
        open.connections.insert(id, entry);
        drop(open);
        Place { connections: Arc::clone(self), id, activity, close }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn any_idle(&self) -> bool {
        self.connections.values().any(|entry| entry.activity.idleness().is_some())
    }

    fn idlest(&self) -> Option<u64> {
        self.connections
            .iter()
            .filter_map(|(id, entry)| Some((entry.activity.idleness()?, *id)))
            .max_by_key(|(idleness, _)| *idleness)
            .map(|(_, id)| id)
    }

    /// Tells the idlest connection to end, and gives its place away.
    fn evict(&mut self) {
        if let Some(entry) = self.idlest().and_then(|id| self.connections.remove(&id)) {
            entry.close.notify_one();
        }
    }
}

/// A connection's place among those that are open.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    /// What the connection is doing.
    pub(super) activity: Arc<Activity>,
    /// Told when the connection has to make room.
    pub(super) close: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().connections.remove(&self.id);
        self.connections.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_idlest_connection_makes_room_and_busy_ones_do_not() {
        let connections = Arc::new(Connections::new(2));
        let busy = connections.enter();
        let request = busy.activity.request(false);
        let idle = connections.enter();

        assert!(connections.wait_for_room().now_or_never().is_some());
        assert!(idle.close.notified().now_or_never().is_none());
        let third = connections.enter();
        assert!(idle.close.notified().now_or_never().is_some());
        assert!(busy.close.notified().now_or_never().is_none());
        // The one that was told to end gives no second place away when it does.
        drop(idle);
        let third_request = third.activity.request(false);
        assert!(connections.wait_for_room().now_or_never().is_none());

        drop(third_request);
        assert!(connections.wait_for_room().now_or_never().is_some());
        drop(third);
        assert!(connections.wait_for_room().now_or_never().is_some());
        drop(request);
    }
}
