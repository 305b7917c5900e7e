//! Where a carrier's frames stand: numbers and times that go on whatever the carrier says.
//!
//! A socket loses nothing, but the carrier may have lost packets before it, and some number their
//! frames by a wall clock that trembles. Media time follows the samples; only what the carrier's
//! numbers call lost, and pauses longer than a tremble, leave a gap.

/// Frames that may be missing at once; with more, the carrier numbers anew.
const LOST_MAX: u64 = 500;
/// By how much the carrier's time may differ from the samples and mean nothing, in milliseconds.
const TREMBLE_MS: u64 = 40;
/// Longest pause that is told as one, in seconds.
const PAUSE_MAX_S: u64 = 600;

/// Counts the frames of one line.
#[derive(Clone, Copy, Debug)]
pub(in crate::workers) struct Timeline {
    clock_hz: u64,
    next_seq: u64,
    next_ts: u64,
    /// What the carrier called the frame that was our number and time: (theirs, ours).
    seq_base: Option<(u64, u64)>,
    ts_base: Option<(u64, u64)>,
    began: bool,
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workers) struct Place {
    /// Its number.
    pub(in crate::workers) ext_seq: u64,
    /// Media time of its first sample.
    pub(in crate::workers) ext_ts: u64,
    /// It is the first, or the first after a gap.
    pub(in crate::workers) marker: bool,
    /// Frames that are missing before it.
    pub(in crate::workers) lost: u64,
}

impl Timeline {
    /// A line whose audio has this clock.
    pub(in crate::workers) fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz: u64::from(clock_hz),
            next_seq: 1,
            next_ts: 0,
            seq_base: None,
            ts_base: None,
            began: false,
        }
    }

    /// The carrier numbers anew, with another clock perhaps; ours go on.
    pub(in crate::workers) fn restart(&mut self, clock_hz: u32) {
        let clock_hz = u64::from(clock_hz);
        let next_ts = u128::from(self.next_ts) * u128::from(clock_hz);
        self.next_ts = u64::try_from(next_ts / u128::from(self.clock_hz.max(1))).unwrap_or(0);
        self.clock_hz = clock_hz;
        (self.seq_base, self.ts_base) = (None, None);
    }

    /// Places a frame of `ticks` that the carrier calls `seq` and `ts`.
    pub(in crate::workers) fn place(
        &mut self,
        seq: Option<u64>,
        ts: Option<u64>,
        ticks: u32,
    ) -> Place {
        let ticks = u64::from(ticks);
        let lost = seq.map_or(0, |seq| self.lost(seq));
        let ext_seq = self.next_seq + lost;
        let counted = self.next_ts + lost * ticks;
        let ext_ts = ts.map_or(counted, |ts| self.time(ts, counted, lost > 0));
        let marker = !self.began || lost > 0 || ext_ts > self.next_ts;
        self.began = true;
        (self.next_seq, self.next_ts) = (ext_seq + 1, ext_ts + ticks);
        Place { ext_seq, ext_ts, marker, lost }
    }

    /// Number of the newest frame, and the media time at which the last `ticks` of it begin; `None`
    /// before the first.
    pub(in crate::workers) fn newest(&self, ticks: u32) -> Option<(u64, u64)> {
        let newest = (self.next_seq - 1, self.next_ts.saturating_sub(u64::from(ticks)));
        self.began.then_some(newest)
    }

    /// Frames missing before that of the carrier's number `seq`.
    fn lost(&mut self, seq: u64) -> u64 {
        let expected = self.next_seq;
        let (theirs, ours) = *self.seq_base.get_or_insert((seq, expected));
        let number = seq.checked_sub(theirs).and_then(|ahead| ahead.checked_add(ours));
        match number.and_then(|number| number.checked_sub(expected)) {
            Some(lost) if lost <= LOST_MAX => lost,
            // Backwards, or far ahead: it counts anew.
            _ => {
                self.seq_base = Some((seq, expected));
                0
            }
        }
    }

    /// Media time of a frame of the carrier's time `ts`, which by counting would be `counted`.
    fn time(&mut self, ts: u64, counted: u64, after_loss: bool) -> u64 {
        let (theirs, ours) = *self.ts_base.get_or_insert((ts, counted));
        let time = ts.checked_sub(theirs).and_then(|ahead| ahead.checked_add(ours));
        let tremble = self.clock_hz * TREMBLE_MS / 1_000;
        match time {
            Some(time) if time.abs_diff(counted) <= tremble => {
                // After a loss the carrier knows better how long it was.
                if after_loss { time.max(self.next_ts) } else { counted }
            }
            Some(time) if time > counted && time - counted <= self.clock_hz * PAUSE_MAX_S => time,
            _ => {
                self.ts_base = Some((ts, counted));
                counted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Without numbers, or with numbers that start anywhere, frames follow each other.
    #[test]
    fn frames_follow_each_other() {
        for (seq, ts) in [(None, None), (Some(7), Some(5_000)), (Some(u64::MAX - 3), None)] {
            let mut line = Timeline::new(8_000);
            for n in 0..3 {
                let place = line.place(seq.map(|seq| seq + n), ts.map(|ts| ts + 160 * n), 160);
                let expected = Place { ext_seq: 1 + n, ext_ts: 160 * n, marker: n == 0, lost: 0 };
                assert_eq!(place, expected);
            }
        }
    }

    /// Missing numbers are a gap in both counts; a trembling clock is none; a pause is one of time
    /// alone.
    #[test]
    fn gaps() {
        let mut line = Timeline::new(8_000);
        line.place(Some(1), Some(0), 160);
        let place = line.place(Some(4), Some(480), 160);
        assert_eq!(place, Place { ext_seq: 4, ext_ts: 480, marker: true, lost: 2 });
        let place = line.place(Some(5), Some(480 + 160 + 100), 160);
        assert_eq!(place, Place { ext_seq: 5, ext_ts: 640, marker: false, lost: 0 });
        let place = line.place(Some(6), Some(800 - 300), 160);
        assert_eq!(place, Place { ext_seq: 6, ext_ts: 800, marker: false, lost: 0 });
        let place = line.place(Some(7), Some(16_960), 160);
        assert_eq!(place, Place { ext_seq: 7, ext_ts: 16_960, marker: true, lost: 0 });
        let place = line.place(Some(9), None, 160);
        assert_eq!(place, Place { ext_seq: 9, ext_ts: 17_280, marker: true, lost: 1 });
    }

    /// A stream that begins anew goes on where the one before was, and in another clock at the same
    /// time.
    #[test]
    fn goes_on_after_a_restart() {
        let mut line = Timeline::new(8_000);
        line.place(Some(100), Some(9_000), 160);
        line.restart(16_000);
        let place = line.place(Some(1), Some(0), 320);
        assert_eq!(place, Place { ext_seq: 2, ext_ts: 320, marker: false, lost: 0 });
        let place = line.place(Some(0), Some(50), 320);
        assert_eq!((place.ext_seq, place.ext_ts, place.lost), (3, 640, 0), "numbers anew");
    }

    proptest! {
        /// Whatever a carrier says, numbers and times go on, and a gap is bounded.
        #[test]
        fn never_goes_back(
            frames in prop::collection::vec(
                (any::<Option<u64>>(), any::<Option<u64>>(), 0_u32..4_000),
                1..50,
            ),
        ) {
            let mut line = Timeline::new(8_000);
            let (mut seq, mut end) = (0, 0);
            for (theirs, ts, ticks) in frames {
                let place = line.place(theirs, ts, ticks);
                prop_assert!(place.ext_seq > seq && place.ext_seq - seq <= 1 + LOST_MAX);
                prop_assert!(place.ext_ts >= end);
                seq = place.ext_seq;
                end = place.ext_ts + u64::from(ticks);
            }
        }
    }
}
