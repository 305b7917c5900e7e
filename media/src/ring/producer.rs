//! The side that fills frames.

use super::sync::{Arc, Ordering};
use super::{FrameMeta, LOOKING, ONE, Shared, SlotMeta};

/// The side that fills frames.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    depth: u64,
    /// Index of the next frame.
    head: u64,
    /// The slot of that index.
    head_slot: usize,
    /// The tail word when it was last read: an old one only makes the ring look fuller.
    tail: u64,
    epoch: u32,
    counters: ProducerCounters,
}

/// Counts of the side that fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerCounters {
    /// Frames published.
    pub published: u64,
    /// Frames dropped unread to make room.
    pub dropped: u64,
    /// Frames refused because the consumer held the oldest one for too long.
    pub refused: u64,
}

impl Producer {
    pub(super) fn new(shared: Arc<Shared>, depth: usize) -> Self {
        Self {
            shared,
            depth: depth as u64,
            head: 0,
            head_slot: 0,
            tail: 0,
            epoch: 0,
            counters: ProducerCounters::default(),
        }
    }

    /// Reserves the next slot. `None` if the ring is full and the consumer keeps the oldest frame
    /// in its hand; the frame is lost and counted.
    #[inline]
    pub fn reserve(&mut self) -> Option<Slot<'_>> {
        if self.head - (self.tail >> 1) >= self.depth && !self.make_room() {
            self.counters.refused += 1;
            return None;
        }
        Some(Slot { producer: self })
    }

    /// Copies a frame in; false if it is too long or [`Producer::reserve`] yields nothing.
    #[inline]
    pub fn push(&mut self, meta: FrameMeta, payload: &[u8]) -> bool {
        let Some(mut slot) = self.reserve() else { return false };
        let Some(room) = slot.payload_mut().get_mut(..payload.len()) else { return false };
        room.copy_from_slice(payload);
        slot.publish(meta, payload.len());
        true
    }

    /// Makes all frames that wait void.
    pub fn clear(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.shared.front.0.epoch.store(self.epoch, Ordering::Release);
    }

    /// Frames that wait, void ones included. The consumer may have fewer by now.
    pub fn waiting(&self) -> usize {
        (self.head - (self.shared.tail.0.load(Ordering::Acquire) >> 1)) as usize
    }

    /// Most bytes of a frame's payload.
    pub fn frame_bytes(&self) -> usize {
        self.shared.frame_bytes
    }

    /// True once the consumer is gone.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.shared) < 2
    }

    /// Counts since the ring was made.
    pub const fn counters(&self) -> &ProducerCounters {
        &self.counters
    }

    /// Reads how far the consumer is, and drops the oldest frames if that does not suffice. False
    /// if the oldest is being looked at and the spare slot is taken.
    #[cold]
    fn make_room(&mut self) -> bool {
        self.tail = self.shared.tail.0.load(Ordering::Acquire);
        while self.head - (self.tail >> 1) >= self.depth {
            if self.tail & LOOKING != 0 {
                return self.head - (self.tail >> 1) <= self.depth;
            }
            // Acquire: what the consumer read of earlier frames was read before this slot is
            // written.
            let dropped = self.shared.tail.0.compare_exchange(
                self.tail,
                self.tail + ONE,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match dropped {
                Ok(_) => {
                    self.counters.dropped += 1;
                    self.tail += ONE;
                }
                Err(tail) => self.tail = tail,
            }
        }
        true
    }
}

/// A reserved slot. Dropping it unpublished gives it back.
#[derive(Debug)]
pub struct Slot<'a> {
    producer: &'a mut Producer,
}

impl Slot<'_> {
    /// Room for the payload, with what an earlier frame left in it.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let shared = &*self.producer.shared;
        let slot = self.producer.head_slot;
        shared.check_write(slot);
        // SAFETY: `head_slot` is below the number of slots, the slot of index `head`. `reserve` saw
        // at most `depth` frames between tail and head, of `depth + 1` slots, so no frame that the
        // consumer may still look at lies here; and the consumer does not look at `head` before it
        // is published. The slice borrows this `Slot`, which borrows the only producer.
        unsafe { std::slice::from_raw_parts_mut(shared.payload(slot), shared.frame_bytes) }
    }

    /// Publishes the first `len` bytes of the payload (all of it, if there are fewer) as a frame.
    #[inline]
    pub fn publish(self, meta: FrameMeta, len: usize) {
        let producer = self.producer;
        let shared = &*producer.shared;
        let slot = producer.head_slot;
        let slot_meta = SlotMeta {
            seq: meta.seq,
            ts: meta.ts,
            at: meta.at.as_nanos(),
            epoch: producer.epoch,
            len_and_marker: (len.min(shared.frame_bytes) as u32) << 1 | u32::from(meta.marker),
        };
        shared.check_write(slot);
        // SAFETY: as in `payload_mut`, nobody else touches this slot; the header lies at its start,
        // which is aligned to a line.
        unsafe { shared.meta(slot).write(slot_meta) };
        producer.head += 1;
        producer.head_slot = if slot + 1 == shared.cells.len() { 0 } else { slot + 1 };
        producer.counters.published += 1;
        // Release: the consumer that reads this index sees the slot as filled.
        shared.front.0.head.store(producer.head, Ordering::Release);
    }
}
