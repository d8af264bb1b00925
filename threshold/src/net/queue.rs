//! The frames that wait for one peer. Pure: no clock, no sockets.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// The most frames that wait for one peer.
///
/// A validator client may ask for 10,000 selection proofs at the start of an epoch, one by one;
/// they have to fit while the peer's link catches its breath.
pub const MAX_QUEUED_FRAMES: usize = 16_384;

/// The most bytes that wait for one peer: some seconds of a slow uplink, and with 12 peers that
/// are all stuck not more than a small machine can hold.
pub const MAX_QUEUED_BYTES: usize = 16 << 20;

/// What the queue has to know about a frame to choose an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTag {
    /// The slot of the duty that the frame serves; when the queue is full the lowest goes first.
    pub slot: u64,
    /// Urgent frames overtake the others, and of one slot they are dropped last.
    pub urgent: bool,
}

/// What [`SendQueue::push`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pushed {
    /// The new frame served the oldest duty and was the one to go.
    pub(super) itself: bool,
    pub(super) dropped: Dropped,
}

/// Frames that were thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dropped {
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

/// A bounded queue that drops the oldest duty first.
///
/// Out come the urgent frames in the order they went in, then the others in the order they went in.
/// When a frame does not fit, frames are dropped by (slot, not urgent before urgent, age) until it
/// does; the new frame is itself the one to go if it serves the oldest duty.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// By place in line: urgent ones first, then by arrival.
    line: BTreeMap<Place, Waiting>,
    /// The same frames in the order in which they would be dropped.
    drop_order: BTreeSet<DropKey>,
    bytes: usize,
    arrivals: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    not_urgent: bool,
    arrival: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct DropKey {
    slot: u64,
    urgent: bool,
    arrival: u64,
}

#[derive(Debug)]
struct Waiting {
    slot: u64,
    bytes: Bytes,
}

impl SendQueue {
    /// Puts a frame in line and says what had to go for it (perhaps the frame itself).
    pub(super) fn push(&mut self, tag: FrameTag, bytes: Bytes) -> Pushed {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.bytes += bytes.len();
        self.line
            .insert(Place { not_urgent: !tag.urgent, arrival }, Waiting { slot: tag.slot, bytes });
        let own_key = DropKey { slot: tag.slot, urgent: tag.urgent, arrival };
        self.drop_order.insert(own_key);

        let mut pushed = Pushed { itself: false, dropped: Dropped::default() };
        while self.line.len() > MAX_QUEUED_FRAMES || self.bytes > MAX_QUEUED_BYTES {
            let Some((key, bytes)) = self.drop_first() else { break };
            pushed.itself |= key == own_key;
            pushed.dropped.frames += 1;
            pushed.dropped.bytes += bytes;
        }
        pushed
    }

    /// Takes the frame whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let (place, waiting) = self.line.pop_first()?;
        self.drop_order.remove(&DropKey {
            slot: waiting.slot,
            urgent: !place.not_urgent,
            arrival: place.arrival,
        });
        self.bytes -= waiting.bytes.len();
        Some(waiting.bytes)
    }

    /// Throws everything away and says how much it was.
    pub(super) fn clear(&mut self) -> Dropped {
        let dropped = Dropped { frames: self.line.len() as u64, bytes: self.bytes as u64 };
        self.line.clear();
        self.drop_order.clear();
        self.bytes = 0;
        dropped
    }

    /// Frames that wait.
    pub(super) fn frames(&self) -> usize {
        self.line.len()
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_first(&mut self) -> Option<(DropKey, u64)> {
        let key = self.drop_order.pop_first()?;
        let place = Place { not_urgent: !key.urgent, arrival: key.arrival };
        let waiting = self.line.remove(&place)?;
        self.bytes -= waiting.bytes.len();
        Some((key, waiting.bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(slot: u64, urgent: bool) -> FrameTag {
        FrameTag { slot, urgent }
    }

    fn drain(queue: &mut SendQueue) -> Vec<Bytes> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn urgent_frames_overtake_and_each_kind_keeps_its_order() {
        let mut queue = SendQueue::default();
        for (urgent, name) in [(false, "a"), (true, "b"), (false, "c"), (true, "d")] {
            queue.push(tag(1, urgent), Bytes::from(name));
        }
        assert_eq!(drain(&mut queue), ["b", "d", "a", "c"]);
        assert_eq!((queue.frames(), queue.bytes()), (0, 0));
        assert!(queue.drop_order.is_empty());
    }

    #[test]
    fn a_full_queue_drops_the_lowest_slot_first_and_of_it_the_oldest_not_urgent_one() {
        let mut queue = SendQueue::default();
        let quarter = Bytes::from(vec![0; MAX_QUEUED_BYTES / 4]);
        queue.push(tag(5, true), quarter.clone());
        queue.push(tag(6, false), quarter.clone());
        queue.push(tag(5, false), quarter.clone());
        let none = Pushed { itself: false, dropped: Dropped::default() };
        assert_eq!(queue.push(tag(7, false), quarter.clone()), none);
        let dropped = Dropped { frames: 1, bytes: quarter.len() as u64 };
        let one = Pushed { itself: false, dropped };

        assert_eq!(queue.push(tag(8, false), quarter.clone()), one);
        assert!(queue.drop_order.iter().all(|key| key.slot != 5 || key.urgent));
        assert_eq!(queue.push(tag(9, false), quarter.clone()), one);
        assert!(queue.drop_order.iter().all(|key| key.slot > 5));
        assert_eq!(queue.push(tag(1, true), quarter.clone()), Pushed { itself: true, dropped });
        let slots: Vec<u64> = queue.drop_order.iter().map(|key| key.slot).collect();
        assert_eq!(slots, [6, 7, 8, 9], "a late frame of an old duty pushes nothing out");
        assert_eq!(queue.bytes(), 4 * quarter.len());
    }

    #[test]
    fn the_number_of_frames_is_bounded_too() {
        let mut queue = SendQueue::default();
        for slot in 0..MAX_QUEUED_FRAMES as u64 {
            assert_eq!(queue.push(tag(slot, false), Bytes::from_static(b"x")).dropped.frames, 0);
        }
        assert_eq!(queue.push(tag(u64::MAX, false), Bytes::from_static(b"y")).dropped.frames, 1);
        assert_eq!(queue.frames(), MAX_QUEUED_FRAMES);
        assert_eq!(queue.drop_order.first().unwrap().slot, 1);
        assert_eq!(queue.clear().frames, MAX_QUEUED_FRAMES as u64);
        assert_eq!(queue.pop(), None);
    }
}
