//! Where the frames of one direction stand on the clock of a recording.

/// Samples by which media time and clock may disagree before the clock wins at once, as a part of
/// a second: a source that jumped, or stood still while it was on hold.
const JUMP_PER_S: u64 = 1;
/// Disagreement that lasts, in parts of a second, and is corrected: clocks that run apart.
const SLIP_PER_S: u64 = 50;
/// Frames over which the least disagreement is looked for: 5 s at 20 ms.
const WINDOW_FRAMES: u32 = 250;

/// One direction.
#[derive(Debug)]
pub(super) struct Track {
    rate_hz: u64,
    clock_hz: u64,
    /// Media time and place of the newest frame.
    newest: Option<(u32, u64)>,
    /// Least disagreement in this window, and its frames.
    least: i64,
    frames: u32,
}

impl Track {
    /// For a file of `rate_hz` and frames whose media time counts `clock_hz`.
    pub(super) const fn new(rate_hz: u32, clock_hz: u32) -> Self {
        Self {
            rate_hz: rate_hz as u64,
            clock_hz: clock_hz as u64,
            newest: None,
            least: i64::MAX,
            frames: 0,
        }
    }

    /// The sample at which a frame of media time `ts` stands that came, or was due, at sample `at`.
    pub(super) fn place(&mut self, at: u64, ts: u32) -> u64 {
        let Some((newest_ts, newest_at)) = self.newest else {
            return self.anchor(at, ts);
        };
        let step = i64::from(ts.wrapping_sub(newest_ts).cast_signed());
        let step = step * self.rate_hz.cast_signed() / self.clock_hz.max(1).cast_signed();
        let place = newest_at.saturating_add_signed(step);
        let behind = at.cast_signed() - place.cast_signed();
        if behind.unsigned_abs() > self.rate_hz / JUMP_PER_S {
            return self.anchor(at, ts);
        }
        if step >= 0 {
            self.newest = Some((ts, place));
        }
        self.slip(behind);
        place
    }

    fn anchor(&mut self, at: u64, ts: u32) -> u64 {
        self.newest = Some((ts, at));
        (self.least, self.frames) = (i64::MAX, 0);
        at
    }

    /// Jitter only ever delays, so the frame that was delayed least tells how far the clocks are
    /// apart.
    fn slip(&mut self, behind: i64) {
        self.least = self.least.min(behind);
        self.frames += 1;
        if self.frames < WINDOW_FRAMES {
            return;
        }
        if self.least.unsigned_abs() > self.rate_hz / SLIP_PER_S
            && let Some((_, at)) = &mut self.newest
        {
            *at = at.saturating_add_signed(self.least);
        }
        (self.least, self.frames) = (i64::MAX, 0);
    }
}
