//! Durations counted by buckets: which bucket one falls into, and how far a share of them goes.

use std::time::Duration;

/// The bucket of a duration: the first whose upper bound, in nanoseconds, is not below it, as
/// Prometheus counts (`le`). Behind the last bound is one more.
#[inline]
pub fn bucket_of(bounds_ns: &[u64], took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    bounds_ns.partition_point(|bound| *bound < nanos)
}

/// The bucket that holds the quantile `q` (0 to 1) of what was counted; none if that was nothing.
pub fn quantile(counts: impl Iterator<Item = u64> + Clone, q: f64) -> Option<usize> {
    let all: u64 = counts.clone().sum();
    let rank = ((all as f64 * q).ceil() as u64).max(1);
    let mut seen = 0;
    let mut counts = counts;
    counts.position(|count| {
        seen += count;
        seen >= rank
    })
}

/// Bounds that go up by 1, 2, 5 and 10, from `first`, which is one of these times a power of ten.
pub const fn one_two_five<const N: usize>(first: u64) -> [u64; N] {
    let mut bounds = [first; N];
    let mut at = 1;
    while at < N {
        let before = bounds[at - 1];
        let mut digit = before;
        while digit >= 10 && digit.is_multiple_of(10) {
            digit /= 10;
        }
        bounds[at] = if digit == 2 { before / 2 * 5 } else { before * 2 };
        at += 1;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each bound is the next round number.
    #[test]
    fn bounds_are_round() {
        assert_eq!(one_two_five(500), [500, 1_000, 2_000, 5_000, 10_000]);
        assert_eq!(one_two_five(2), [2, 5, 10]);
        assert_eq!(one_two_five(1), [1]);
    }

    /// Bounds are inclusive, and whatever is beyond the last has a bucket too.
    #[test]
    fn bounds_are_inclusive() {
        let of = |nanos| bucket_of(&[10, 20], Duration::from_nanos(nanos));
        assert_eq!([0, 10, 11, 20, 21].map(of), [0, 0, 1, 1, 2]);
        assert_eq!(bucket_of(&[10, 20], Duration::MAX), 2);
        assert_eq!(bucket_of(&[], Duration::ZERO), 0);
    }

    /// A quantile lies in a bucket that holds something: the rank is rounded up, and is never less
    /// than the first.
    #[test]
    fn quantiles_lie_where_something_is() {
        let at = |q| quantile([0, 99, 0, 1].into_iter(), q);
        assert_eq!([0.0, 0.5, 0.99].map(at), [Some(1); 3]);
        assert_eq!([0.991, 1.0].map(at), [Some(3); 2]);
        assert_eq!(quantile([0, 0].into_iter(), 0.5), None);
        assert_eq!(quantile(std::iter::empty(), 1.0), None);
    }
}
