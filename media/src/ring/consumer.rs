//! The side that reads frames.

use super::sync::{Arc, Ordering};
use super::{FrameMeta, LOOKING, Shared, SlotMeta};
use crate::time::MonoTime;

/// The side that reads frames.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    /// Index of the next frame if nothing is dropped.
    seen: u64,
    /// The slot of that index.
    seen_slot: usize,
    /// The producer's index when it was last read: an old one only makes the ring look emptier.
    head: u64,
    counters: ConsumerCounters,
}

/// Counts of the side that reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCounters {
    /// Frames consumed.
    pub consumed: u64,
    /// Frames that overflow took away before they were read.
    pub skipped: u64,
    /// Frames that a clear made void.
    pub cleared: u64,
}

impl Consumer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, seen: 0, seen_slot: 0, head: 0, counters: ConsumerCounters::default() }
    }

    /// The oldest frame that holds, if one waits. Void frames before it are discarded.
    #[inline]
    pub fn peek(&mut self) -> Option<FrameRef<'_>> {
        loop {
            if !self.is_ready() {
                return None;
            }
            let slot = self.look();
            self.shared.check_read(slot);
            // SAFETY: `slot` is below the number of slots. `is_ready` saw a frame published, and
            // the producer drops none unless another stays, so the oldest is published; `look` set
            // the bit, so the producer neither drops it nor writes to its slot.
            let meta = unsafe { self.shared.meta(slot).read() };
            let age = self.shared.front.0.epoch.load(Ordering::Acquire).wrapping_sub(meta.epoch);
            if age == 0 || age > u32::MAX / 2 {
                return Some(FrameRef { consumer: self, slot, meta });
            }
            self.counters.cleared += 1;
            self.advance();
        }
    }

    /// Discards all that waits now.
    pub fn clear(&mut self) {
        let end = self.shared.front.0.head.load(Ordering::Acquire);
        while self.seen < end {
            self.look();
            if self.seen < end {
                self.counters.cleared += 1;
                self.advance();
            } else {
                self.put_back();
            }
        }
    }

    /// Frames that wait, void ones included.
    pub fn waiting(&self) -> usize {
        let tail = self.shared.tail.0.load(Ordering::Acquire) >> 1;
        self.shared.front.0.head.load(Ordering::Acquire).saturating_sub(tail) as usize
    }

    /// True once the producer is gone. What it published can still be read.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.shared) < 2
    }

    /// Counts since the ring was made.
    pub const fn counters(&self) -> &ConsumerCounters {
        &self.counters
    }

    /// True if a frame waits, as far as is known without asking, and else by asking.
    #[inline]
    fn is_ready(&mut self) -> bool {
        if self.seen < self.head {
            return true;
        }
        // Acquire: pairs with `publish`.
        self.head = self.shared.front.0.head.load(Ordering::Acquire);
        self.seen < self.head
    }

    /// Sets the bit and finds the slot of the oldest frame, which may not be the expected one.
    #[inline]
    fn look(&mut self) -> usize {
        // Acquire: sees what was published before the producer dropped frames.
        let index = self.shared.tail.0.fetch_or(LOOKING, Ordering::AcqRel) >> 1;
        if index != self.seen {
            self.counters.skipped += index - self.seen;
            self.seen = index;
            self.seen_slot = (index % self.shared.cells.len() as u64) as usize;
        }
        self.seen_slot
    }

    /// Gives the slot that is looked at to the producer.
    #[inline]
    fn advance(&mut self) {
        self.shared.check_read(self.seen_slot);
        self.seen += 1;
        self.seen_slot =
            if self.seen_slot + 1 == self.shared.cells.len() { 0 } else { self.seen_slot + 1 };
        // Release: what was read of the slot was read before the producer writes to it. No other
        // store can come between, because the producer leaves the word alone while the bit is set.
        self.shared.tail.0.store(self.seen << 1, Ordering::Release);
    }

    /// Stops looking without consuming.
    fn put_back(&self) {
        self.shared.check_read(self.seen_slot);
        self.shared.tail.0.store(self.seen << 1, Ordering::Release);
    }
}

/// The oldest frame. Dropping it unconsumed leaves it in the ring, where overflow may take it away.
#[derive(Debug)]
pub struct FrameRef<'a> {
    consumer: &'a mut Consumer,
    slot: usize,
    meta: SlotMeta,
}

impl FrameRef<'_> {
    /// What is known of the frame.
    #[inline]
    pub const fn meta(&self) -> FrameMeta {
        let SlotMeta { seq, ts, at, len_and_marker, .. } = self.meta;
        FrameMeta { seq, ts, at: MonoTime::from_nanos(at), marker: len_and_marker & 1 != 0 }
    }

    /// Its payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let shared = &*self.consumer.shared;
        shared.check_read(self.slot);
        // SAFETY: the bit in the tail word is set as long as `self` lives, so the producer does not
        // write to this slot. `len` was bounded by `publish`.
        unsafe { std::slice::from_raw_parts(shared.payload(self.slot), self.len()) }
    }

    /// Its payload, to be changed in place before it is sent on.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let shared = &*self.consumer.shared;
        shared.check_write(self.slot);
        // SAFETY: as in `payload`; the slice borrows `self` alone.
        unsafe { std::slice::from_raw_parts_mut(shared.payload(self.slot), self.len()) }
    }

    /// Takes the frame out of the ring.
    #[inline]
    pub fn consume(self) {
        self.consumer.counters.consumed += 1;
        self.consumer.advance();
        std::mem::forget(self);
    }

    const fn len(&self) -> usize {
        (self.meta.len_and_marker >> 1) as usize
    }
}

impl Drop for FrameRef<'_> {
    fn drop(&mut self) {
        self.consumer.put_back();
    }
}
