//! A ring of frames from one thread to another, filled and read in place.
//!
//! One producer, one consumer, no locks, no waiting, no allocation after creation. The producer
//! reserves a slot, fills it and publishes it; the consumer peeks at the oldest and consumes it.
//! The memory of a frame is written once and read where it lies.
//!
//! Two things that plain rings lack:
//!
//! - **Overflow keeps the newest.** When `depth` frames wait, the producer drops the oldest and
//!   goes on. The consumer finds out at its next look, and counts what it missed. Only while the
//!   consumer is looking at the oldest frame can it not be dropped; one spare slot covers that
//!   moment, and beyond it the new frame is refused and counted.
//! - **Clear.** Either side drops all that waits: the consumer at once, the producer by raising the
//!   epoch, which each frame carries, so that the consumer discards what is older.
//!
//! How it is safe: a word holds the index of the oldest frame and a bit that tells that the
//! consumer looks at it. The consumer sets the bit before it reads a slot; the producer moves the
//! index only while the bit is clear, by compare and exchange on the same word. So a slot is never
//! written while it is read. `tests/loom_ring.rs` tries every interleaving.

mod consumer;
mod producer;
mod sync;

use crate::time::MonoTime;

pub use consumer::{Consumer, ConsumerCounters, FrameRef};
pub use producer::{Producer, ProducerCounters, Slot};
use sync::{Arc, AtomicU32, AtomicU64, SlotCell};

/// Bytes of a cache line; slots start at one.
const LINE_BYTES: usize = 64;
/// Bytes of a slot's header; the payload starts behind it, in the same line.
const META_BYTES: usize = size_of::<SlotMeta>();
/// Bit of the tail word that tells that the consumer looks at the oldest frame.
const LOOKING: u64 = 1;
/// What one frame adds to the tail word.
const ONE: u64 = 2;
/// Least depth: after the producer dropped the oldest frame another must be there, because the
/// consumer may already know that the ring is not empty.
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
    (Producer::new(Arc::clone(&shared), depth), Consumer::new(shared))
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

// SAFETY: `lines` is touched through a `Slot` or a `FrameRef` only, never by both at one slot at a
// time, as argued where they do; all else is atomic or never changes.
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
        // SAFETY: callers pass a slot below `cells.len()`, and there are `slot_lines` lines for
        // each of them.
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

/// Keeps what one side writes off the line of what the other writes. Two lines, because processors
/// fetch pairs.
#[repr(align(128))]
struct Padded<T>(T);

#[cfg(all(test, not(loom)))]
mod tests;
