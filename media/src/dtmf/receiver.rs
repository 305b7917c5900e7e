//! Event packets in, digits out (RFC 4733 2.5.2).

use std::time::Duration;

use arrayvec::ArrayVec;

use super::{Digit, DtmfError, Event};
use crate::time::MonoTime;

/// Milliseconds without an update after which an event counts as ended. Senders update every 20 to
/// 50 ms, and three updates may be lost (RFC 4733 2.5.2.2).
const LOST_END_MS: u64 = 200;
/// Milliseconds between what one packet covers and the timestamp of the next that still are one
/// event.
const CONTIGUOUS_MS: u32 = 20;
/// Seconds of media time during which packets of an ended event may straggle.
const STRAGGLE_S: u32 = 10;
/// Digits that may wait for [`Receiver::poll`]; one packet yields two at most.
const PRESSED_MAX: usize = 8;

/// A key that was pressed and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// Which key.
    pub digit: Digit,
    /// For how long.
    pub duration_ms: u32,
}

/// Reads the telephone events of one source.
///
/// A digit is told when it ends, or when nothing was heard of it for 200 ms.
#[derive(Clone, Debug)]
pub struct Receiver {
    clock_hz: u32,
    source: Option<u32>,
    active: Option<Active>,
    ended: Option<Ended>,
    pressed: ArrayVec<Pressed, PRESSED_MAX>,
    ignored: u64,
}

/// A key that is down.
#[derive(Clone, Copy, Debug)]
struct Active {
    digit: Digit,
    /// Timestamp of the segment.
    ts: u32,
    /// Longest duration heard of the segment.
    duration: u16,
    /// Duration of the segments before.
    before: u64,
    heard: MonoTime,
}

/// The last key that was let go, whose further packets mean nothing.
#[derive(Clone, Copy, Debug)]
struct Ended {
    digit: Digit,
    ts: u32,
    duration: u16,
    /// It ended by itself rather than by its end packet.
    lost_end: bool,
}

impl Receiver {
    /// A receiver of events whose timestamps tick `clock_hz` times a second.
    pub const fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz,
            source: None,
            active: None,
            ended: None,
            pressed: ArrayVec::new_const(),
            ignored: 0,
        }
    }

    /// Takes the payload of an event packet. Digits that it ends come out of [`Receiver::poll`].
    ///
    /// `ssrc`, `ts` and `marker` are those of its header.
    ///
    /// # Errors
    ///
    /// [`DtmfError::Truncated`] if the payload is no event.
    pub fn receive(
        &mut self,
        now: MonoTime,
        header: &crate::rtp::Header,
        payload: &[u8],
    ) -> Result<(), DtmfError> {
        let event = Event::parse(payload)?;
        let Some(digit) = Digit::from_event(event.code) else {
            self.ignored += 1;
            return Ok(());
        };
        if self.source.replace(header.ssrc).is_some_and(|source| source != header.ssrc) {
            self.finish(true);
            self.ended = None;
        }
        if self.is_straggler(digit, header.ts, header.marker, &event) {
            return Ok(());
        }
        self.follow(now, digit, header.ts, header.marker, event.duration);
        if event.end {
            self.finish(false);
        }
        Ok(())
    }

    /// The next digit, if one ended by `now`.
    pub fn poll(&mut self, now: MonoTime) -> Option<Pressed> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.finish(true);
        }
        self.pressed.pop_at(0)
    }

    /// When a digit ends by itself.
    pub fn deadline(&self) -> Option<MonoTime> {
        self.active.map(|active| active.heard + Duration::from_millis(LOST_END_MS))
    }

    /// True while a key is down.
    pub const fn is_pressed(&self) -> bool {
        self.active.is_some()
    }

    /// Packets of events that are no keys, and digits that nobody polled for.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// True for a packet of an event that ended: a repeated end, or one that was overtaken.
    fn is_straggler(&self, digit: Digit, ts: u32, marker: bool, event: &Event) -> bool {
        let window = self.clock_hz.saturating_mul(STRAGGLE_S);
        if let Some(active) = self.active {
            // An older segment, or the event before this one.
            return ts != active.ts && active.ts.wrapping_sub(ts) <= window;
        }
        let Some(ended) = self.ended else { return false };
        if ended.ts.wrapping_sub(ts) <= window {
            return true;
        }
        // Some senders move the timestamp with each packet of an event, its ends included.
        !marker
            && (event.end || ended.lost_end)
            && digit == ended.digit
            && self.is_contiguous(ended.ts, ended.duration, ts)
    }

    /// Begins an event or takes an update of the one that goes on.
    fn follow(&mut self, now: MonoTime, digit: Digit, ts: u32, marker: bool, duration: u16) {
        if let Some(active) = &mut self.active
            && active.digit == digit
            && active.ts == ts
        {
            active.duration = active.duration.max(duration);
            active.heard = now;
            return;
        }
        let mut before = 0;
        if let Some(active) = self.active {
            let same = !marker
                && active.digit == digit
                && self.is_contiguous(active.ts, active.duration, ts);
            if same {
                before = active.before + u64::from(ts.wrapping_sub(active.ts));
            } else {
                self.finish(true);
            }
        }
        self.active = Some(Active { digit, ts, duration, before, heard: now });
    }

    /// True if an event at `ts` goes on where `duration` from `start` ends: the next segment of a
    /// long one (RFC 4733 2.5.1.3), whose predecessor lasted 0xFFFF even if its last updates were
    /// lost.
    fn is_contiguous(&self, start: u32, duration: u16, ts: u32) -> bool {
        let step = ts.wrapping_sub(start);
        let slack = self.clock_hz / 1000 * CONTIGUOUS_MS;
        step == u32::from(u16::MAX) || (step > 0 && step <= u32::from(duration) + slack)
    }

    /// The key is let go.
    fn finish(&mut self, lost_end: bool) {
        let Some(active) = self.active.take() else { return };
        let units = active.before + u64::from(active.duration);
        let duration_ms = units * 1000 / u64::from(self.clock_hz.max(1));
        let pressed = Pressed {
            digit: active.digit,
            duration_ms: u32::try_from(duration_ms).unwrap_or(u32::MAX),
        };
        if self.pressed.try_push(pressed).is_err() {
            self.ignored += 1;
        }
        let Active { digit, ts, duration, .. } = active;
        self.ended = Some(Ended { digit, ts, duration, lost_end });
    }
}
