//! One peer's send queue as the node's side and the link's side share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::frame::MAX_FRAME_BYTES;
use super::queue::{Dropped, FrameTag, SendQueue};

/// What became of a frame that was given to [`NetHandle::send`](super::NetHandle::send).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SendOutcome {
    /// It waits for the link; it may still be dropped if the link is too slow.
    Queued,
    /// The peer is not connected. On `Connected` the node sends what it still holds.
    NotConnected,
    /// The queue is full of frames of newer duties.
    Dropped,
    /// The frame is empty, longer than `MAX_FRAME_BYTES`, or for no peer of the cluster.
    Invalid,
}

/// The queue of one peer. It takes frames only while a link is up.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: SendQueue,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No link: nothing is taken.
    #[default]
    Closed,
    Open,
    /// What is in the queue still goes out, then the link ends.
    Draining,
}

impl Outbox {
    /// A link is up: frames are taken from now on.
    pub(super) fn open(&self) {
        self.lock().phase = Phase::Open;
    }

    /// The link is gone: what waits is thrown away and counted.
    pub(super) fn close(&self) -> Dropped {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.queue.clear()
    }

    /// Takes nothing more; [`next`](Self::next) ends once the queue is empty.
    pub(super) fn drain(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Puts a frame in line; never waits.
    pub(super) fn push(&self, tag: FrameTag, bytes: Bytes) -> (SendOutcome, Dropped) {
        if bytes.is_empty() || bytes.len() > MAX_FRAME_BYTES {
            return (SendOutcome::Invalid, Dropped::default());
        }
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return (SendOutcome::NotConnected, Dropped::default());
        }
        let pushed = state.queue.push(tag, bytes);
        drop(state);
        self.ready.notify_one();
        let outcome = if pushed.itself { SendOutcome::Dropped } else { SendOutcome::Queued };
        (outcome, pushed.dropped)
    }

    /// The next frame, when there is one; `None` when the outbox is drained.
    pub(super) async fn next(&self) -> Option<Bytes> {
        loop {
            let ready = self.ready.notified();
            {
                let mut state = self.lock();
                if let Some(frame) = state.queue.pop() {
                    return Some(frame);
                }
                if state.phase == Phase::Draining {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// The next frame if one waits right now.
    pub(super) fn try_next(&self) -> Option<Bytes> {
        self.lock().queue.pop()
    }

    /// Frames and bytes that wait.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.queue.frames(), state.queue.bytes())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock; its content is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
