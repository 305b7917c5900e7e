//! How many calls a second are taken.

use std::time::Duration;

use media::time::MonoTime;

/// A bucket of one second's calls that fills evenly. How many these are is told with each call, so
/// that a rate can change while the bucket is in use.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When the bucket would be full again.
    full_at: MonoTime,
}

/// What a bucket of no time holds at most.
const DEPTH: Duration = Duration::from_secs(1);

impl Default for Bucket {
    fn default() -> Self {
        Self { full_at: MonoTime::ZERO }
    }
}

impl Bucket {
    /// Whether there is one left, at `per_second` a second; zero is one.
    pub fn has(&self, now: MonoTime, per_second: u32) -> bool {
        self.after(now, per_second).since(now) <= DEPTH
    }

    /// Takes one; false if there is none.
    pub fn take(&mut self, now: MonoTime, per_second: u32) -> bool {
        let has = self.has(now, per_second);
        if has {
            self.full_at = self.after(now, per_second);
        }
        has
    }

    /// Whether nothing was taken for so long that it holds all it can.
    pub fn is_full(&self, now: MonoTime) -> bool {
        self.full_at <= now
    }

    fn after(&self, now: MonoTime, per_second: u32) -> MonoTime {
        self.full_at.max(now) + DEPTH / per_second.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of one second's worth passes, then one per share of a second.
    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut bucket = Bucket::default();
        let mut take = |now| bucket.take(now, 10);
        let now = MonoTime::from_nanos(5_000_000_000);
        assert_eq!((0..100).filter(|_| take(now)).count(), 10);
        assert!(!take(now + Duration::from_millis(99)));
        assert!(take(now + Duration::from_millis(100)));
        assert!(!take(now + Duration::from_millis(100)));
        let later = now + Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| take(later)).count(), 10);
    }

    /// A rate that has changed holds at once, both ways.
    #[test]
    fn rates_change() {
        let mut bucket = Bucket::default();
        let now = MonoTime::from_nanos(5_000_000_000);
        assert_eq!((0..100).filter(|_| bucket.take(now, 2)).count(), 2);
        assert!(bucket.take(now + Duration::from_millis(500), 1_000));
        assert!(!bucket.take(now + Duration::from_millis(600), 1));
        assert!(!bucket.is_full(now) && bucket.is_full(now + Duration::from_secs(2)));
    }
}
