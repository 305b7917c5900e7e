//! Order restored within a few packets and at most one ptime.

use std::time::Duration;

use crate::time::MonoTime;

/// Most frames that may wait.
pub const REORDER_FRAMES_MAX: usize = 64;

/// A frame on a receiver's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Extended sequence number.
    pub ext_seq: u64,
    /// Extended timestamp in clock units.
    pub ext_ts: u64,
    /// First frame of a talkspurt.
    pub marker: bool,
    /// Coded audio.
    pub payload: &'a [u8],
}

/// Restores the order of frames.
///
/// A frame in order passes at once, without a copy. One that is ahead waits for those before it,
/// but not longer than the given time, and not while more than the given number of packets come.
/// Frames that come out have increasing sequence numbers; what never came is a gap in them.
///
/// All storage is taken when it is made.
#[derive(Clone, Debug)]
pub struct Reorder {
    wait: Duration,
    slot_bytes: usize,
    /// The sequence number that passes at once; `None` before the first frame.
    next: Option<u64>,
    /// Frames that wait, by sequence number modulo their count.
    slots: Box<[Slot]>,
    bytes: Box<[u8]>,
    waiting: usize,
    counters: ReorderCounters,
}

/// Counts since the window was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderCounters {
    /// Frames that waited for others.
    pub held: u64,
    /// Frames that came after those behind them had gone; they are dropped.
    pub late: u64,
    /// Frames that were given up for lost when the wait or the window ended.
    pub missing: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    state: State,
    ext_seq: u64,
    ext_ts: u64,
    marker: bool,
    len: usize,
    due: MonoTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    /// A frame of audio.
    Audio,
    /// A packet without audio: it fills its place and yields nothing.
    Other,
}

impl Reorder {
    /// A window of `frames` packets (1 to [`REORDER_FRAMES_MAX`], else the nearest of these) of at
    /// most `frame_bytes` each, in which nobody waits longer than `wait`.
    pub fn new(frames: usize, frame_bytes: usize, wait: Duration) -> Self {
        let frames = frames.clamp(1, REORDER_FRAMES_MAX);
        let bytes = vec![0; frames.saturating_mul(frame_bytes)].into_boxed_slice();
        let slots = vec![Slot::EMPTY; frames].into_boxed_slice();
        let counters = ReorderCounters::default();
        Self { wait, slot_bytes: frame_bytes, next: None, slots, bytes, waiting: 0, counters }
    }

    /// Takes a frame and gives what is now in order to `sink`: nothing, the frame itself, or the
    /// frame and others that waited for it.
    ///
    /// A frame longer than the slots goes at once, after all that wait.
    #[inline]
    pub fn push(&mut self, now: MonoTime, frame: Frame<'_>, mut sink: impl FnMut(Frame<'_>)) {
        if self.waiting == 0 && self.next.is_none_or(|next| next == frame.ext_seq) {
            self.next = Some(frame.ext_seq + 1);
            sink(frame);
            return;
        }
        self.push_slow(now, State::Audio, frame, &mut sink);
    }

    /// True if a frame of this number would pass at once, in which case it counts as passed: the
    /// caller uses it where it lies.
    #[inline]
    pub fn passes(&mut self, ext_seq: u64) -> bool {
        let passes = self.waiting == 0 && self.next.is_none_or(|next| next == ext_seq);
        if passes {
            self.next = Some(ext_seq + 1);
        }
        passes
    }

    /// Takes the place of a packet that carries no audio (a telephone event), so that nobody waits
    /// for it.
    #[inline]
    pub fn pass_over(&mut self, now: MonoTime, ext_seq: u64, mut sink: impl FnMut(Frame<'_>)) {
        if self.waiting == 0 && self.next.is_none_or(|next| next == ext_seq) {
            self.next = Some(ext_seq + 1);
            return;
        }
        let frame = Frame { ext_seq, ext_ts: 0, marker: false, payload: &[] };
        self.push_slow(now, State::Other, frame, &mut sink);
    }

    /// Gives what waited long enough, and all that is in order behind it, to `sink`.
    pub fn poll(&mut self, now: MonoTime, mut sink: impl FnMut(Frame<'_>)) {
        while let Some(until) = self.newest_due(now) {
            self.release_below(until + 1, &mut sink);
            self.release_ready(&mut sink);
        }
    }

    /// Gives everything that waits to `sink`: the stream ends or changes.
    pub fn flush(&mut self, mut sink: impl FnMut(Frame<'_>)) {
        self.release_below(u64::MAX, &mut sink);
    }

    /// When [`Reorder::poll`] has something to do next.
    pub fn deadline(&self) -> Option<MonoTime> {
        if self.waiting == 0 {
            return None;
        }
        self.occupied().map(|slot| slot.due).min()
    }

    /// Counts since the window was made.
    pub const fn counters(&self) -> &ReorderCounters {
        &self.counters
    }

    #[cold]
    fn push_slow(
        &mut self,
        now: MonoTime,
        state: State,
        frame: Frame<'_>,
        sink: &mut impl FnMut(Frame<'_>),
    ) {
        let next = self.next.unwrap_or(frame.ext_seq);
        if frame.ext_seq < next {
            self.counters.late += 1;
            return;
        }
        let window = self.slots.len() as u64;
        if frame.payload.len() > self.slot_bytes && frame.ext_seq > next {
            self.release_below(frame.ext_seq, sink);
        } else if frame.ext_seq - next >= window {
            self.release_below(frame.ext_seq - window + 1, sink);
            self.release_ready(sink);
        }
        if self.next == Some(frame.ext_seq) {
            self.next = Some(frame.ext_seq + 1);
            if state == State::Audio {
                sink(frame);
            }
            self.release_ready(sink);
        } else {
            self.hold(now, state, frame);
        }
    }

    /// Copies a frame into its slot. The window was moved before, so the slot is free or holds a
    /// copy.
    fn hold(&mut self, now: MonoTime, state: State, frame: Frame<'_>) {
        let index = (frame.ext_seq % self.slots.len() as u64) as usize;
        let start = index * self.slot_bytes;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(bytes) = self.bytes.get_mut(start..start + frame.payload.len()) else { return };
        if slot.state != State::Empty {
            return;
        }
        bytes.copy_from_slice(frame.payload);
        *slot = Slot {
            state,
            ext_seq: frame.ext_seq,
            ext_ts: frame.ext_ts,
            marker: frame.marker,
            len: frame.payload.len(),
            due: now + self.wait,
        };
        self.waiting += 1;
        self.counters.held += 1;
    }

    /// The highest sequence number whose wait is over.
    fn newest_due(&self, now: MonoTime) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        self.occupied().filter(|slot| slot.due <= now).map(|slot| slot.ext_seq).max()
    }

    /// Releases what is in order now.
    fn release_ready(&mut self, sink: &mut impl FnMut(Frame<'_>)) {
        while self.waiting > 0 {
            let Some(next) = self.next else { return };
            if !self.release(next, sink) {
                return;
            }
            self.next = Some(next + 1);
        }
    }

    /// Releases all that wait below `end`, in order, and gives up what did not come.
    fn release_below(&mut self, end: u64, sink: &mut impl FnMut(Frame<'_>)) {
        let Some(mut next) = self.next else { return };
        while self.waiting > 0 && next < end {
            if !self.release(next, sink) {
                self.counters.missing += 1;
            }
            next += 1;
        }
        if next < end && end != u64::MAX {
            self.counters.missing += end - next;
            next = end;
        }
        self.next = Some(next);
    }

    /// Releases the frame numbered `ext_seq`; false if it does not wait here.
    fn release(&mut self, ext_seq: u64, sink: &mut impl FnMut(Frame<'_>)) -> bool {
        let index = (ext_seq % self.slots.len() as u64) as usize;
        let Some(slot) = self.slots.get_mut(index) else { return false };
        if slot.state == State::Empty || slot.ext_seq != ext_seq {
            return false;
        }
        let Slot { state, ext_ts, marker, len, .. } = std::mem::replace(slot, Slot::EMPTY);
        self.waiting -= 1;
        let start = index * self.slot_bytes;
        if state == State::Audio
            && let Some(payload) = self.bytes.get(start..start + len)
        {
            sink(Frame { ext_seq, ext_ts, marker, payload });
        }
        true
    }

    fn occupied(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.state != State::Empty)
    }
}

impl Slot {
    const EMPTY: Self = Self {
        state: State::Empty,
        ext_seq: 0,
        ext_ts: 0,
        marker: false,
        len: 0,
        due: MonoTime::ZERO,
    };
}

#[cfg(test)]
mod tests;
