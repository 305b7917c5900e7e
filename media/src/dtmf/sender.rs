//! Digits in, event packets out (RFC 4733 2.5.1).

use std::fmt;

use arrayvec::ArrayVec;

use super::{Digit, DtmfError, EVENT_BYTES, Event};

/// Most digits that may wait.
pub const DIGITS_MAX: usize = 64;
/// Shortest digit that receivers must hear (ITU-T Q.24).
pub const DIGIT_MS_MIN: u32 = 40;
/// Longest digit.
pub const DIGIT_MS_MAX: u32 = 10_000;
/// Length of a digit of which nothing else was said.
pub const DIGIT_MS_DEFAULT: u32 = 100;
/// Shortest gap: room for the two repetitions of the end packet at 20 ms.
pub const GAP_MS_MIN: u32 = 40;
/// Longest gap.
pub const GAP_MS_MAX: u32 = 10_000;
/// Length of a gap of which nothing else was said.
pub const GAP_MS_DEFAULT: u32 = 60;

/// Copies of the packet that ends an event or a segment (RFC 4733 2.5.1.4).
const END_COPIES: u8 = 3;
/// Power of the tone, in dB below 0 dBm0: what gateways commonly send.
const VOLUME_DB: u8 = 10;
/// Longest duration of one segment, in clock units (RFC 4733 2.5.1.3).
const SEGMENT_UNITS_MAX: u32 = 0xffff;

/// Sends digits, one event packet a tick.
#[derive(Clone, Debug)]
pub struct Sender {
    clock_hz: u32,
    ptime_units: u32,
    waiting: ArrayVec<Waiting, DIGITS_MAX>,
    state: State,
}

/// What to send on a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// No digits: audio goes on.
    Idle,
    /// This event packet in place of audio.
    Event(EventPacket),
    /// The gap between two digits or after the last: silence.
    Gap,
}

/// An event packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// Marker bit: the first packet of a digit.
    pub marker: bool,
    /// Timestamp: when the digit (or its segment) began.
    pub ts: u32,
    /// The payload.
    pub payload: [u8; EVENT_BYTES],
}

impl fmt::Debug for EventPacket {
    /// Leaves the payload out, as [`Digit`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventPacket {{ marker: {}, ts: {} }}", self.marker, self.ts)
    }
}

/// A digit that waits for its turn: small, as each call has room for [`DIGITS_MAX`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) digit: Digit,
    pub(super) digit_ms: u16,
    pub(super) gap_ms: u16,
}

/// A digit whose turn has come.
#[derive(Clone, Copy, Debug)]
struct Key {
    digit: Digit,
    units: u32,
    gap_units: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// A key is down.
    Down {
        key: Key,
        /// Timestamp of the segment.
        ts: u32,
        /// Units since the start of the segment.
        elapsed: u32,
        /// Units of the key in segments before.
        before: u32,
        /// Further copies of the last segment's end, and its timestamp.
        repeat: u8,
        repeat_ts: u32,
    },
    /// The key was let go; copies of the end packet are left, or the gap is.
    Up {
        end: EventPacket,
        copies: u8,
        gap_units: u32,
    },
}

impl Sender {
    /// A sender for a stream of `clock_hz` with a tick every `ptime_ms`.
    pub const fn new(clock_hz: u32, ptime_ms: u32) -> Self {
        let ptime_units = clock_hz / 1000 * ptime_ms;
        Self { clock_hz, ptime_units, waiting: ArrayVec::new_const(), state: State::Idle }
    }

    /// Ticks every `ptime_ms` from now on. A digit that is being sent lasts as long as it was meant
    /// to, and so does its gap.
    pub const fn set_ptime(&mut self, ptime_ms: u32) {
        self.ptime_units = self.clock_hz / 1000 * ptime_ms;
    }

    /// Adds digits behind those that wait; all of them or none. `None` takes the default length or
    /// gap.
    ///
    /// # Errors
    ///
    /// A [`DtmfError`] that names what is out of range.
    pub fn queue(
        &mut self,
        digits: &str,
        digit_ms: Option<u32>,
        gap_ms: Option<u32>,
    ) -> Result<(), DtmfError> {
        wait(&mut self.waiting, digits, digit_ms, gap_ms)
    }

    /// Drops the digits that wait. One that is being sent ends as it was meant to.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// True while there is something to send or a gap to keep.
    pub const fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle) || !self.waiting.is_empty()
    }

    /// What to send on this tick. `ts` is the stream's media time at its start; the caller moves
    /// media time by a ptime each tick, whatever is sent ([`crate::rtp::Sender::hold`]).
    #[inline]
    pub fn tick(&mut self, ts: u32) -> Tick {
        if matches!(self.state, State::Idle) && self.waiting.is_empty() {
            return Tick::Idle;
        }
        self.tick_busy(ts)
    }

    fn tick_busy(&mut self, now_ts: u32) -> Tick {
        match self.state {
            State::Idle => match self.waiting.pop_at(0) {
                None => Tick::Idle,
                Some(waiting) => {
                    let key = self.key(waiting);
                    self.down(true, key, now_ts, self.ptime_units, 0, (0, 0))
                }
            },
            State::Down { key, ts, elapsed, before, repeat, repeat_ts } => {
                let elapsed = elapsed + self.ptime_units;
                self.down(false, key, ts, elapsed, before, (repeat, repeat_ts))
            }
            State::Up { end, copies, gap_units } => self.up(end, copies, gap_units),
        }
    }

    /// A tick while the key is down: an update, the end of a segment, or the end.
    fn down(
        &mut self,
        marker: bool,
        key: Key,
        ts: u32,
        elapsed: u32,
        before: u32,
        (repeat, repeat_ts): (u8, u32),
    ) -> Tick {
        let left = key.units - before;
        if elapsed >= left && left <= SEGMENT_UNITS_MAX {
            let end = packet(key.digit, marker, ts, left, true);
            // The part of this tick that the digit did not fill belongs to the gap.
            let gap_units = key.gap_units.saturating_sub(elapsed - left);
            let repeated = EventPacket { marker: false, ..end };
            self.state = State::Up { end: repeated, copies: END_COPIES - 1, gap_units };
            return Tick::Event(end);
        }
        if elapsed > SEGMENT_UNITS_MAX {
            let next_ts = ts.wrapping_add(SEGMENT_UNITS_MAX);
            self.state = State::Down {
                key,
                ts: next_ts,
                elapsed: elapsed - SEGMENT_UNITS_MAX,
                before: before + SEGMENT_UNITS_MAX,
                repeat: END_COPIES - 1,
                repeat_ts: ts,
            };
            return Tick::Event(packet(key.digit, false, ts, SEGMENT_UNITS_MAX, false));
        }
        let left_copies = repeat.saturating_sub(1);
        self.state = State::Down { key, ts, elapsed, before, repeat: left_copies, repeat_ts };
        if repeat > 0 {
            return Tick::Event(packet(key.digit, false, repeat_ts, SEGMENT_UNITS_MAX, false));
        }
        Tick::Event(packet(key.digit, marker, ts, elapsed, false))
    }

    /// A tick after the end: its copies, then the rest of the gap.
    fn up(&mut self, end: EventPacket, copies: u8, gap_units: u32) -> Tick {
        let gap_units = gap_units.saturating_sub(self.ptime_units);
        let copies_left = copies.saturating_sub(1);
        self.state = if copies_left == 0 && gap_units == 0 {
            State::Idle
        } else {
            State::Up { end, copies: copies_left, gap_units }
        };
        if copies > 0 { Tick::Event(end) } else { Tick::Gap }
    }

    const fn key(&self, waiting: Waiting) -> Key {
        let Waiting { digit, digit_ms, gap_ms } = waiting;
        let units_per_ms = self.clock_hz / 1000;
        let (units, gap_units) = (units_per_ms * digit_ms as u32, units_per_ms * gap_ms as u32);
        Key { digit, units, gap_units }
    }
}

/// Adds digits behind those that wait, if all of them are within their limits.
pub(super) fn wait(
    waiting: &mut ArrayVec<Waiting, DIGITS_MAX>,
    digits: &str,
    digit_ms: Option<u32>,
    gap_ms: Option<u32>,
) -> Result<(), DtmfError> {
    const { assert!(DIGIT_MS_MAX <= u16::MAX as u32 && GAP_MS_MAX <= u16::MAX as u32) };
    let digit_ms = digit_ms.unwrap_or(DIGIT_MS_DEFAULT);
    let gap_ms = gap_ms.unwrap_or(GAP_MS_DEFAULT);
    if !(DIGIT_MS_MIN..=DIGIT_MS_MAX).contains(&digit_ms) {
        return Err(DtmfError::Duration);
    }
    if !(GAP_MS_MIN..=GAP_MS_MAX).contains(&gap_ms) {
        return Err(DtmfError::Gap);
    }
    if digits.is_empty() {
        return Err(DtmfError::Empty);
    }
    let mut more = ArrayVec::<_, DIGITS_MAX>::new();
    for (index, key) in digits.chars().enumerate() {
        let digit = Digit::from_char(key).ok_or(DtmfError::NotADigit { index })?;
        let digit = Waiting { digit, digit_ms: digit_ms as u16, gap_ms: gap_ms as u16 };
        more.try_push(digit).map_err(|_| DtmfError::TooMany)?;
    }
    waiting.try_extend_from_slice(&more).map_err(|_| DtmfError::TooMany)
}

const fn packet(digit: Digit, marker: bool, ts: u32, duration: u32, end: bool) -> EventPacket {
    let duration = if duration > SEGMENT_UNITS_MAX { SEGMENT_UNITS_MAX } else { duration };
    let event = Event { code: digit.event(), end, volume: VOLUME_DB, duration: duration as u16 };
    EventPacket { marker, ts, payload: event.to_bytes() }
}
