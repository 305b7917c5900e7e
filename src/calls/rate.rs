//! How many calls a second are taken.

use std::time::Duration;

use media::time::MonoTime;

/// A bucket of one second's calls that fills evenly.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: u32,
    /// When the bucket would be full again.
    full_at: MonoTime,
}

impl Rate {
    /// At most `per_second` calls a second; zero is one.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), full_at: MonoTime::ZERO }
    }

    /// Takes one; false if there is none.
    pub(super) fn take(&mut self, now: MonoTime) -> bool {
        let cost = Duration::from_secs(1) / self.per_second;
        let full_at = self.full_at.max(now) + cost;
        let allowed = full_at.since(now) <= Duration::from_secs(1);
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of one second's worth passes, then one per share of a second.
    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut rate = Rate::new(10);
        let now = MonoTime::from_nanos(5_000_000_000);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 10);
        assert!(!rate.take(now + Duration::from_millis(99)));
        assert!(rate.take(now + Duration::from_millis(100)));
        assert!(!rate.take(now + Duration::from_millis(100)));
        let later = now + Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| rate.take(later)).count(), 10);
    }
}
