//! A ring of frames from one thread to another, filled and read in place.
//!
//! One producer, one consumer, no locks, no waiting, no allocation after creation. The producer reserves a
//! slot, fills it and publishes it; the consumer peeks at the oldest and consumes it. The memory of a frame is
//! written once and read where it lies.
//!
//! Two things that plain rings lack:
//!
//! - **Overflow keeps the newest.** When `depth` frames wait, the producer drops the oldest and goes on. The
//!   consumer finds out at its next look, and counts what it missed. Only while the consumer is looking at the
//!   oldest frame can it not be dropped; one spare slot covers that moment, and beyond it the new frame is
//!   refused and counted.
//! - **Clear.** Either side drops all that waits: the consumer at once, the producer by raising the epoch, which
//!   each frame carries, so that the consumer discards what is older.
//!
//! How it is safe: a word holds the index of the oldest frame and a bit that tells that the consumer looks at it.
//! The consumer sets the bit before it reads a slot; the producer moves the index only while the bit is clear,
//! by compare and exchange on the same word. So a slot is never written while it is read. `tests/loom_ring.rs`
//! tries every interleaving.

use crate::time::MonoTime;

use sync::{Arc, AtomicU32, AtomicU64, Ordering, SlotCell};

/// Bytes of a cache line; slots start at one.
const LINE_BYTES: usize = 64;
/// Bytes of a slot's header; the payload starts behind it, in the same line.
const META_BYTES: usize = size_of::<SlotMeta>();
/// Bit of the tail word that tells that the consumer looks at the oldest frame.
const LOOKING: u64 = 1;
/// What one frame adds to the tail word.
const ONE: u64 = 2;
/// Least depth: after the producer dropped the oldest frame another must be there, because the consumer may
/// already know that the ring is not empty.
pub const RING_FRAMES_MIN: usize = 2;
/// Most frames that may wait.
pub const RING_FRAMES_MAX: usize = 1 << 16;
/// Most bytes of one frame's payload.
pub const RING_FRAME_BYTES_MAX: usize = 1 << 16;

const _: () = assert!(META_BYTES == 32, "a G.711 frame of 20 ms fills three lines");
const _: () = assert!(size_of::<Line>() == LINE_BYTES && align_of::<Line>() == LINE_BYTES);
const _: () = assert!(align_of::<SlotMeta>() <= LINE_BYTES);

/// What is known of a frame besides its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMeta {
    /// Extended sequence number.
    pub seq: u64,
    /// Extended media time, in units of the stream's clock.
    pub ts: u64,
    /// When the frame came in, so that whoever sends it on can tell what was added.
    pub at: MonoTime,
    /// First frame of a talkspurt.
    pub marker: bool,
}

/// Makes a ring in which `depth` frames of at most `frame_bytes` wait: [`RING_FRAMES_MIN`] to
/// [`RING_FRAMES_MAX`] and up to [`RING_FRAME_BYTES_MAX`], or the nearest of these.
pub fn frame_ring(depth: usize, frame_bytes: usize) -> (Producer, Consumer) {
    let depth = depth.clamp(RING_FRAMES_MIN, RING_FRAMES_MAX);
    let frame_bytes = frame_bytes.min(RING_FRAME_BYTES_MAX);
    let slot_lines = (META_BYTES + frame_bytes).div_ceil(LINE_BYTES);
    // The spare one.
    let slots = depth + 1;
    let shared = Arc::new(Shared {
        front: Padded(Front { head: AtomicU64::new(0), epoch: AtomicU32::new(0) }),
        tail: Padded(AtomicU64::new(0)),
        lines: sync::lines(slots * slot_lines),
        cells: (0..slots).map(|_| SlotCell::new()).collect(),
        slot_lines,
        frame_bytes,
    });
    let producer = Producer {
        shared: Arc::clone(&shared),
        depth: depth as u64,
        head: 0,
        head_slot: 0,
        tail: 0,
        epoch: 0,
        counters: ProducerCounters::default(),
    };
    let counters = ConsumerCounters::default();
    let consumer = Consumer { shared, seen: 0, seen_slot: 0, head: 0, counters };
    (producer, consumer)
}

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

impl Producer {
    /// Reserves the next slot. `None` if the ring is full and the consumer keeps the oldest frame in its hand; the
    /// frame is lost and counted.
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

    /// Reads how far the consumer is, and drops the oldest frames if that does not suffice. False if the
    /// oldest is being looked at and the spare slot is taken.
    #[cold]
    fn make_room(&mut self) -> bool {
        self.tail = self.shared.tail.0.load(Ordering::Acquire);
        while self.head - (self.tail >> 1) >= self.depth {
            if self.tail & LOOKING != 0 {
                return self.head - (self.tail >> 1) <= self.depth;
            }
            // Acquire: what the consumer read of earlier frames was read before this slot is written.
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
        // SAFETY: `head_slot` is below the number of slots, the slot of index `head`. `reserve` saw at most
        // `depth` frames between tail and head, of `depth + 1` slots, so no frame that the consumer may still
        // look at lies here; and the consumer does not look at `head` before it is published. The slice borrows
        // this `Slot`, which borrows the only producer.
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
        // SAFETY: as in `payload_mut`, nobody else touches this slot; the header lies at its start, which is
        // aligned to a line.
        unsafe { shared.meta(slot).write(slot_meta) };
        producer.head += 1;
        producer.head_slot = if slot + 1 == shared.cells.len() { 0 } else { slot + 1 };
        producer.counters.published += 1;
        // Release: the consumer that reads this index sees the slot as filled.
        shared.front.0.head.store(producer.head, Ordering::Release);
    }
}

impl Consumer {
    /// The oldest frame that holds, if one waits. Void frames before it are discarded.
    #[inline]
    pub fn peek(&mut self) -> Option<FrameRef<'_>> {
        loop {
            if !self.is_ready() {
                return None;
            }
            let slot = self.look();
            self.shared.check_read(slot);
            // SAFETY: `slot` is below the number of slots. `is_ready` saw a frame published, and the producer
            // drops none unless another stays, so the oldest is published; `look` set the bit, so the producer
            // neither drops it nor writes to its slot.
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
        // Release: what was read of the slot was read before the producer writes to it. No other store can come
        // between, because the producer leaves the word alone while the bit is set.
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
        // SAFETY: the bit in the tail word is set as long as `self` lives, so the producer does not write to
        // this slot. `len` was bounded by `publish`.
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

/// What the producer alone writes.
struct Front {
    /// Index of the next frame.
    head: AtomicU64,
    /// Frames of an older epoch are void.
    epoch: AtomicU32,
}

/// What both sides see.
struct Shared {
    front: Padded<Front>,
    /// Index of the oldest frame times two, and [`LOOKING`].
    tail: Padded<AtomicU64>,
    /// The slots, each at the start of a line: header, payload.
    lines: sync::Lines,
    /// One per slot: checks access under the model checker, nothing otherwise.
    cells: Box<[SlotCell]>,
    slot_lines: usize,
    frame_bytes: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cells, frame_bytes, .. } = self;
        write!(f, "Shared {{ slots: {}, frame_bytes: {frame_bytes} }}", cells.len())
    }
}

// SAFETY: `lines` is touched through a `Slot` or a `FrameRef` only, never by both at one slot at a time, as argued
// where they do; all else is atomic or never changes.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Shared {
    /// The header of `slot`.
    #[inline]
    fn meta(&self, slot: usize) -> *mut SlotMeta {
        self.base(slot).cast()
    }

    /// The payload of `slot`.
    #[inline]
    fn payload(&self, slot: usize) -> *mut u8 {
        // SAFETY: a slot is at least `META_BYTES` long.
        unsafe { self.base(slot).cast::<u8>().add(META_BYTES) }
    }

    #[inline]
    fn base(&self, slot: usize) -> *mut Line {
        debug_assert!(slot < self.cells.len());
        // SAFETY: callers pass a slot below `cells.len()`, and there are `slot_lines` lines for each of them.
        unsafe { sync::base(&self.lines).add(slot * self.slot_lines) }
    }

    #[inline]
    fn check_write(&self, slot: usize) {
        if let Some(cell) = self.cells.get(slot) {
            cell.write();
        }
    }

    #[inline]
    fn check_read(&self, slot: usize) {
        if let Some(cell) = self.cells.get(slot) {
            cell.read();
        }
    }
}

/// The header of a slot; any bytes are valid.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct SlotMeta {
    seq: u64,
    ts: u64,
    at: u64,
    epoch: u32,
    len_and_marker: u32,
}

/// A cache line of slots.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Keeps what one side writes off the line of what the other writes. Two lines, because processors fetch pairs.
#[repr(align(128))]
struct Padded<T>(T);

#[path = "ring/sync.rs"]
mod sync;

#[cfg(all(test, not(loom)))]
#[path = "ring/tests.rs"]
mod tests;
