//! By how much the sender's clock runs faster or slower than ours.

use crate::time::MonoTime;

/// Quickest transits that the slope is laid through.
const POINTS: usize = 64;
/// Blocks of the base that make up a point, of which the quickest counts: 2 s.
const BLOCKS_PER_POINT: u32 = 4;
/// Points before anything is told: half a minute.
const POINTS_MIN: usize = 15;

/// The slope of the quickest transits over the last two minutes, by least squares.
#[derive(Clone, Debug)]
pub(super) struct Skew {
    /// Seconds, and nanoseconds of transit.
    points: [(f64, f64); POINTS],
    len: usize,
    next: usize,
    blocks: u32,
    quickest: i64,
}

impl Default for Skew {
    fn default() -> Self {
        Self { points: [(0.0, 0.0); POINTS], len: 0, next: 0, blocks: 0, quickest: i64::MAX }
    }
}

impl Skew {
    /// Takes the quickest transit of a block that began at `at`.
    pub(super) fn add(&mut self, at: MonoTime, quickest: i64) {
        self.quickest = self.quickest.min(quickest);
        self.blocks += 1;
        if self.blocks < BLOCKS_PER_POINT {
            return;
        }
        let seconds = at.since(MonoTime::ZERO).as_secs_f64();
        self.points[self.next] = (seconds, self.quickest as f64);
        self.next = (self.next + 1) % POINTS;
        self.len = (self.len + 1).min(POINTS);
        self.blocks = 0;
        self.quickest = i64::MAX;
    }

    /// Millionths by which the sender's clock is faster; `None` before half a minute is known.
    pub(super) fn ppm(&self) -> Option<f32> {
        if self.len < POINTS_MIN {
            return None;
        }
        let points = &self.points[..self.len];
        let count = self.len as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (at, transit) = (mean(|p| p.0), mean(|p| p.1));
        let product: f64 = points.iter().map(|p| (p.0 - at) * (p.1 - transit)).sum();
        let square: f64 = points.iter().map(|p| (p.0 - at).powi(2)).sum();
        // Nanoseconds a second are thousandths of a millionth. A fast sender arrives ever earlier.
        (square > 0.0).then(|| (-product / square / 1_000.0) as f32)
    }
}
