//! A recording that is heard while it is made: what somebody hears who listens in.
//!
//! Both channels leave as one stream without gaps, a little behind the call. What is late by more
//! than that is lost to the listener, and nobody waits for it.

use std::time::Duration;

use media::ring::Consumer;
use media::time::MonoTime;

use super::head::{Slot, samples};
use super::mix::Mix;

/// How far behind the call a listener is, in milliseconds: what comes over a network trembles, and
/// frames are placed where they were due.
const BEHIND_MS: u64 = 120;
/// The most that leaves at once, in milliseconds; who is further behind misses what lies before.
const CATCH_UP_MS: u64 = 1_000;

/// How a listener hears both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Added up, in one channel.
    Mixed,
    /// The peer on the left, what it hears on the right.
    Apart,
}

impl Sides {
    /// Channels of the stream.
    pub const fn channels(self) -> u32 {
        match self {
            Self::Mixed => 1,
            Self::Apart => 2,
        }
    }
}

/// What somebody hears who listens in.
#[derive(Debug)]
pub struct Live {
    frames: Consumer,
    mix: Mix,
    sides: Sides,
    rate_hz: u32,
    /// The call's worker numbers samples from here.
    began: MonoTime,
}

impl Live {
    /// Hears what a [`Head`](super::Head) gives that began at `began`.
    pub fn new(frames: Consumer, rate_hz: u32, began: MonoTime, sides: Sides) -> Self {
        let room = u64::from(rate_hz) * (CATCH_UP_MS + BEHIND_MS) / 1_000;
        Self { frames, mix: Mix::with_capacity(room as usize), sides, rate_hz, began }
    }

    /// Samples a second, of each channel.
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// True once the call is over, or its worker has let go of the listener.
    pub fn is_over(&self) -> bool {
        self.frames.is_abandoned()
    }

    /// Frames of either side that were lost because the listener took too long.
    pub const fn lost(&self) -> u64 {
        self.frames.counters().skipped
    }

    /// Appends what is left: the call is over.
    pub fn finish(&mut self, now: MonoTime, out: &mut Vec<u8>) {
        self.hear(now + Duration::from_millis(BEHIND_MS), out);
    }

    /// Appends what is to be heard by `now`: linear little-endian samples, of one channel or two by
    /// turns.
    pub fn hear(&mut self, now: MonoTime, out: &mut Vec<u8>) {
        let due = now - Duration::from_millis(BEHIND_MS);
        let until = samples(due, self.began, self.rate_hz);
        let most = u64::from(self.rate_hz) * CATCH_UP_MS / 1_000;
        // First, or what comes after a long stall would take room for all of it.
        if until > self.mix.base() + most {
            self.mix.take(until - most, |_, _| {});
            self.mix.skip_to(until - most);
        }
        while let Some(frame) = self.frames.peek() {
            let meta = frame.meta();
            match Slot::of(&meta) {
                Slot::End => {}
                slot => self.mix.put(slot as usize, meta.ts, frame.payload()),
            }
            frame.consume();
        }
        let sides = self.sides;
        self.mix.take(until, |_, frames| frames.iter().for_each(|frame| say(sides, *frame, out)));
        let silent = until.saturating_sub(self.mix.base());
        for _ in 0..silent {
            say(sides, [0; 2], out);
        }
        self.mix.skip_to(until);
    }
}

/// Writes the samples of one moment.
fn say(sides: Sides, [left, right]: [i16; 2], out: &mut Vec<u8>) {
    match sides {
        Sides::Mixed => out.extend(left.saturating_add(right).to_le_bytes()),
        Sides::Apart => {
            out.extend(left.to_le_bytes());
            out.extend(right.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use media::codec::AudioFormat;
    use media::rtp::Frame;

    use super::*;
    use crate::recording::{Head, head};
    use crate::workers::taps::Said;

    const BEGAN: MonoTime = MonoTime::from_nanos(5_000_000_000);
    const FORMAT: AudioFormat = AudioFormat::l16le(8_000);

    fn at(ms: u64) -> MonoTime {
        BEGAN + Duration::from_millis(ms)
    }

    fn pair(sides: Sides) -> (Head, Live) {
        let (mut head, frames) = head(8_000, FORMAT);
        head.begin(BEGAN);
        (head, Live::new(frames, 8_000, BEGAN, sides))
    }

    /// 20 ms of this sample.
    fn frame(sample: i16) -> Vec<u8> {
        sample.to_le_bytes().repeat(160)
    }

    fn heard(head: &mut Head, ms: u64, ts: u64, sample: i16) {
        let (ext_seq, payload) = (0, frame(sample));
        head.heard(at(ms), Frame { ext_seq, ext_ts: ts, marker: false, payload: &payload });
    }

    fn samples_of(out: &[u8]) -> Vec<i16> {
        out.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// Both sides stand where they belong, silence fills what nobody said, and in all there are as
    /// many samples as time has passed, however it is looked at.
    #[test]
    fn a_stream_without_gaps() {
        for look_ms in [7, 20, 33] {
            let (mut head, mut live) = pair(Sides::Apart);
            let mut out = Vec::new();
            for n in 0..100_u64 {
                // The peer pauses in between; what it hears is due a little later.
                if !(40..60).contains(&n) {
                    heard(&mut head, n * 20, n * 160, 100);
                }
                let payload = frame(-7);
                head.said(Said { due: at(n * 20 + 30), ts: n as u32 * 160, payload: &payload });
                for ms in (n * 20..(n + 1) * 20).filter(|ms| ms % look_ms == 0) {
                    live.hear(at(ms), &mut out);
                }
            }
            live.hear(at(2_000), &mut out);
            let samples = samples_of(&out);
            assert_eq!(samples.len(), 2 * 8 * (2_000 - BEHIND_MS as usize));
            for (n, frame) in samples.chunks_exact(2).enumerate() {
                let left = if (6_400..9_600).contains(&n) { 0 } else { 100 };
                let right = if n < 240 { 0 } else { -7 };
                assert_eq!(frame, [left, right], "{n}");
            }
        }
    }

    /// Mixed, both sides are added up, and too loud is loudest.
    #[test]
    fn sides_are_added_up() {
        let (mut head, mut live) = pair(Sides::Mixed);
        heard(&mut head, 0, 0, 30_000);
        head.said(Said { due: at(0), ts: 0, payload: &frame(-1_000) });
        heard(&mut head, 20, 160, 30_000);
        head.said(Said { due: at(20), ts: 160, payload: &frame(9_000) });
        let mut out = Vec::new();
        live.hear(at(40 + BEHIND_MS), &mut out);
        let expected = [[29_000; 160], [i16::MAX; 160]].concat();
        assert_eq!(samples_of(&out), expected);
    }

    /// Whoever stops listening misses what lies between, and hears what is now; what was lost is
    /// counted, and memory is bounded.
    #[test]
    fn a_slow_listener_misses_something() {
        let (mut head, mut live) = pair(Sides::Mixed);
        for n in 0..500_u64 {
            heard(&mut head, n * 20, n * 160, n as i16);
        }
        let mut out = Vec::new();
        live.hear(at(10_000), &mut out);
        let samples = samples_of(&out);
        assert_eq!(samples.len(), 8 * CATCH_UP_MS as usize);
        assert_eq!(samples.last(), Some(&493), "120 ms before the last");
        assert!(live.lost() > 0);
        assert!(!live.is_over());
        drop(head);
        assert!(live.is_over());
        out.clear();
        live.hear(at(10_020), &mut out);
        assert_eq!(out.len(), 2 * 160, "what is left is heard");
        live.hear(at(9_000), &mut out);
        assert_eq!(out.len(), 2 * 160, "time does not go back");
    }
}
