//! Where a frame lies in its stream.

use crate::agent::AgentFrame;

/// Ticks of the only format's clock in a millisecond.
const TICKS_PER_MS: i64 = 8;

/// Follows sequence numbers and media time beyond their wrap.
#[derive(Debug, Default)]
pub(super) struct Timeline(Option<Last>);

#[derive(Debug)]
struct Last {
    seq: u16,
    ts: u32,
    /// Frames since the first.
    index: i64,
    /// Ticks since the first frame's end.
    ticks: i64,
    /// Ticks of the first frame.
    first_ticks: i64,
}

/// What a media message tells about its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Counts frames from 1; skips those that were lost.
    pub(super) chunk: u64,
    /// Milliseconds since the start of the stream.
    pub(super) timestamp_ms: u64,
}

impl Timeline {
    /// The place of `frame`. The first frame's time is its own length, as carriers send it; gaps
    /// and disorder show in both figures.
    pub(super) fn place(&mut self, frame: &AgentFrame<'_>) -> Place {
        let last = self.0.get_or_insert(Last {
            seq: frame.seq,
            ts: frame.ts,
            index: 0,
            ticks: 0,
            // One byte a sample, one tick a sample. A message holds far less than 2^63 bytes.
            first_ticks: frame.payload.len() as i64,
        });
        last.index += i64::from(frame.seq.wrapping_sub(last.seq) as i16);
        last.ticks += i64::from(frame.ts.wrapping_sub(last.ts) as i32);
        last.seq = frame.seq;
        last.ts = frame.ts;
        // Frames from before the first one share its place.
        let chunk = last.index.max(0) as u64 + 1;
        let timestamp_ms = ((last.ticks + last.first_ticks) / TICKS_PER_MS).max(0) as u64;
        Place { chunk, timestamp_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Timeline};
    use crate::agent::AgentFrame;

    fn places(frames: &[(u16, u32)]) -> Vec<(u64, u64)> {
        let mut timeline = Timeline::default();
        let mut place = |&(seq, ts): &(u16, u32)| {
            let frame = AgentFrame { seq, ts, marker: false, payload: &[0xff; 160] };
            let Place { chunk, timestamp_ms } = timeline.place(&frame);
            (chunk, timestamp_ms)
        };
        frames.iter().map(&mut place).collect()
    }

    /// Chunks count from 1 and times from 20 ms, across the wraps of both numbers.
    #[test]
    fn counts_across_wraps() {
        let frames = [(0xffff, u32::MAX - 159), (0, 0), (1, 160), (2, 320)];
        assert_eq!(places(&frames), [(1, 20), (2, 40), (3, 60), (4, 80)]);
        let mut timeline = Timeline::default();
        let (mut seq, mut ts) = (65_000u16, u32::MAX - 1000);
        for i in 1..200_000u64 {
            let place = timeline.place(&AgentFrame { seq, ts, marker: false, payload: &[0; 160] });
            assert_eq!(place, Place { chunk: i, timestamp_ms: 20 * i });
            (seq, ts) = (seq.wrapping_add(1), ts.wrapping_add(160));
        }
    }

    /// A lost frame leaves a hole, a silence moves the time alone, a late frame goes back, and one
    /// from before the start stays at it.
    #[test]
    fn gaps_show() {
        let frames = [(10, 1600), (12, 1920), (13, 8000), (11, 1760), (9, 0), (14, 8160)];
        let wanted = [(1, 20), (3, 60), (4, 820), (2, 40), (1, 0), (5, 840)];
        assert_eq!(places(&frames), wanted);
    }
}
