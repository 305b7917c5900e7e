//! A histogram of fixed buckets whose writers never wait.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use media::buckets::{bucket_of, one_two_five, quantile};

/// Buckets a histogram can have, the one without bound included.
const BUCKETS_MAX: usize = 24;

/// Upper bounds of a histogram's buckets in nanoseconds, ascending.
#[derive(Clone, Copy, Debug)]
pub struct Bounds(&'static [u64]);

const MICROS: u64 = 1_000;
const MILLIS: u64 = 1_000_000;

/// For what happens within a frame: 10 µs to 1 s.
pub const FRAME_TIMES: Bounds = Bounds::new(&FRAME_NS);
const FRAME_NS: [u64; 16] = one_two_five(10 * MICROS);

/// For the steps of a frame: 500 ns to 500 ms.
pub const STAGE_TIMES: Bounds = Bounds::new(&media::stages::BOUNDS_NS);

/// For what happens between machines: 100 µs to 10 s by 1, 2 and 5, then half a minute and one.
pub const NETWORK_TIMES: Bounds = Bounds::new(&NETWORK_NS);
const NETWORK_NS: [u64; 18] = {
    let mut bounds = one_two_five(100 * MICROS);
    bounds[16] = 30_000 * MILLIS;
    bounds[17] = 60_000 * MILLIS;
    bounds
};

/// For the length of calls: 1 s to 4 h.
pub const CALL_TIMES: Bounds = Bounds::new(&[
    1_000 * MILLIS,
    5_000 * MILLIS,
    10_000 * MILLIS,
    30_000 * MILLIS,
    60_000 * MILLIS,
    120_000 * MILLIS,
    300_000 * MILLIS,
    600_000 * MILLIS,
    1_800_000 * MILLIS,
    3_600_000 * MILLIS,
    14_400_000 * MILLIS,
]);

impl Bounds {
    /// Checked when the constant is made: ascending, and room for them and the open bucket.
    const fn new(bounds: &'static [u64]) -> Self {
        assert!(bounds.len() < BUCKETS_MAX);
        let mut index = 1;
        while index < bounds.len() {
            assert!(bounds[index - 1] < bounds[index]);
            index += 1;
        }
        Self(bounds)
    }
}

/// Counts durations by bucket. Any number of threads may write; readers may see a duration in its
/// bucket before it is in the sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: Bounds,
    buckets: [AtomicU64; BUCKETS_MAX],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// An empty histogram.
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            buckets: [const { AtomicU64::new(0) }; BUCKETS_MAX],
            sum_ns: AtomicU64::new(0),
        }
    }

    /// Counts one duration. Wait-free, no allocation.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(self.bounds.0, duration)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(nanos, Relaxed);
    }

    /// How many were longer than `bound`, as far as the buckets tell, and how many there were;
    /// without an allocation.
    pub fn beyond(&self, bound: Duration) -> (u64, u64) {
        let first = bucket_of(self.bounds.0, bound) + 1;
        let (mut all, mut beyond) = (0, 0);
        for (index, bucket) in self.buckets.iter().enumerate() {
            let count = bucket.load(Relaxed);
            all += count;
            beyond += if index >= first { count } else { 0 };
        }
        (beyond, all)
    }

    /// What has been counted.
    pub fn snapshot(&self) -> Snapshot {
        let bounds = self.bounds.0.iter().map(|bound| *bound as f64 / 1e9);
        let buckets: Vec<(f64, u64)> = bounds
            .chain(std::iter::once(f64::INFINITY))
            .zip(&self.buckets)
            .map(|(bound, count)| (bound, count.load(Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Snapshot { buckets, count, sum_s: self.sum_ns.load(Relaxed) as f64 / 1e9 }
    }
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Upper bound in seconds and how many fell below it and above the bound before; the last
    /// bound is `f64::INFINITY`.
    pub buckets: Vec<(f64, u64)>,
    /// How many in all.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_s: f64,
}

impl Snapshot {
    /// Adds what another histogram of the same bounds has counted.
    pub fn add(&mut self, other: &Self) {
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.count += other.count;
        self.sum_s += other.sum_s;
    }

    /// Upper bound in seconds of the bucket that holds the quantile `q` (0 to 1); zero if nothing
    /// was counted.
    pub fn quantile_s(&self, q: f64) -> f64 {
        let bucket = quantile(self.buckets.iter().map(|(_, count)| *count), q);
        bucket.and_then(|at| self.buckets.get(at)).map_or(0.0, |(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A duration falls into the first bucket whose bound is not below it; bounds are inclusive as
    /// Prometheus demands (`le`).
    #[test]
    fn durations_fall_into_buckets() {
        let histogram = Histogram::new(FRAME_TIMES);
        for nanos in [0, 10_000, 10_001, 20_000, 1_000_000_000, 1_000_000_001] {
            histogram.record(Duration::from_nanos(nanos));
        }
        histogram.record(Duration::MAX);
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count, 7);
        assert_eq!(snapshot.buckets[0], (0.000_01, 2));
        assert_eq!(snapshot.buckets[1], (0.000_02, 2));
        assert_eq!(snapshot.buckets[15], (1.0, 1));
        assert_eq!(snapshot.buckets[16], (f64::INFINITY, 2));
        assert_eq!(snapshot.buckets.len(), 17);
    }

    /// Bounds end where they are said to.
    #[test]
    fn bounds_end() {
        assert_eq!(FRAME_NS.last(), Some(&(1_000 * MILLIS)));
        assert_eq!(NETWORK_NS[13..], [2, 5, 10, 30, 60].map(|seconds| seconds * 1_000 * MILLIS));
    }

    /// Quantiles are the bounds of the bucket they fall into.
    #[test]
    fn quantiles_are_bounds() {
        let histogram = Histogram::new(FRAME_TIMES);
        assert_eq!(histogram.snapshot().quantile_s(0.5), 0.0);
        for micros in 1..=100 {
            histogram.record(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.quantile_s(0.5), 0.000_05);
        assert_eq!(snapshot.quantile_s(0.99), 0.000_1);
        assert_eq!(snapshot.quantile_s(0.0), 0.000_01);
        assert!((snapshot.sum_s - 0.005_05).abs() < 1e-12);
    }

    /// What is longer than a bound is counted by whole buckets, and histograms add up.
    #[test]
    fn what_is_beyond_a_bound() {
        let histogram = Histogram::new(FRAME_TIMES);
        for millis in [1, 9, 10, 11, 30, 2_000] {
            histogram.record(Duration::from_millis(millis));
        }
        assert_eq!(histogram.beyond(Duration::from_millis(10)), (3, 6));
        assert_eq!(histogram.beyond(Duration::ZERO), (6, 6));
        assert_eq!(histogram.beyond(Duration::MAX), (0, 6));
        let mut sum = histogram.snapshot();
        sum.add(&histogram.snapshot());
        assert_eq!((sum.count, sum.quantile_s(0.5)), (12, 0.01));
    }

    /// Nothing is lost when several threads write at once.
    #[test]
    fn writers_do_not_lose_counts() {
        let histogram = Histogram::new(NETWORK_TIMES);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope
                    .spawn(|| (0..10_000).for_each(|_| histogram.record(Duration::from_millis(3))));
            }
        });
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count, 40_000);
        assert!((snapshot.sum_s - 120.0).abs() < 1e-6);
    }
}
