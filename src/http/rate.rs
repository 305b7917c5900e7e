//! How many requests a second somebody has.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use media::time::MonoTime;

/// Buckets that are remembered; full ones are forgotten first, as a new one is full too.
const BUCKETS_MAX: usize = 65_536;
/// What a bucket holds: the requests of this time.
const BURST: Duration = Duration::from_secs(1);

/// A bucket for each key, of one second's requests, that fills evenly.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    cost: Duration,
    /// When each bucket would be full again.
    full_at: Mutex<HashMap<K, MonoTime>>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// At most `per_second` requests a second; zero is one.
    pub(super) fn new(per_second: u32) -> Self {
        Self { cost: BURST / per_second.max(1), full_at: Mutex::default() }
    }

    /// Whether [`Buckets::take`] would take a request now.
    pub(super) fn has(&self, now: MonoTime, key: &K) -> bool {
        let table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = table.get(key).copied().unwrap_or(now).max(now) + self.cost;
        full_at.since(now) <= BURST
    }

    /// Takes a request out of a bucket.
    ///
    /// # Errors
    ///
    /// How long it takes until there is one again.
    pub(super) fn take(&self, now: MonoTime, key: K) -> Result<(), Duration> {
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= BUCKETS_MAX && !table.contains_key(&key) {
            table.retain(|_, full_at| *full_at > now);
            if table.len() >= BUCKETS_MAX {
                table.clear();
            }
        }
        let entry = table.entry(key).or_insert(now);
        let full_at = (*entry).max(now) + self.cost;
        let wait = full_at.since(now).saturating_sub(BURST);
        if wait.is_zero() {
            *entry = full_at;
            return Ok(());
        }
        Err(wait)
    }
}

/// Whole seconds for `Retry-After`, at least one.
pub(super) fn retry_after_s(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: MonoTime = MonoTime::from_nanos(1_000_000_000);

    /// A burst of one second's worth passes, then one per share of a second; what is refused is
    /// told when to come again, and is let in then; others have buckets of their own.
    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let buckets = Buckets::new(10);
        assert_eq!((0..100).filter(|_| buckets.take(SECOND, 1).is_ok()).count(), 10);
        assert!(!buckets.has(SECOND, &1) && buckets.has(SECOND, &2));
        let wait = buckets.take(SECOND, 1).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(buckets.take(SECOND + wait - Duration::from_nanos(1), 1).is_err());
        assert!(buckets.has(SECOND + wait, &1) && !buckets.has(SECOND, &1));
        assert!(buckets.take(SECOND + wait, 1).is_ok());
        assert!(buckets.take(SECOND, 2).is_ok());
        assert_eq!(retry_after_s(wait), 1);
        assert_eq!(retry_after_s(Duration::from_millis(1_001)), 2);
    }

    /// However many come, no more than so many buckets are kept, and an empty one is kept as long
    /// as full ones can be forgotten.
    #[test]
    fn memory_is_bounded() {
        let buckets = Buckets::new(1);
        for key in 0..BUCKETS_MAX - 1 {
            assert!(buckets.take(MonoTime::ZERO, key).is_ok());
        }
        let late = SECOND + Duration::from_secs(9);
        assert!(buckets.take(late, usize::MAX).is_ok());
        assert!(buckets.take(late, usize::MAX - 1).is_ok());
        assert!(buckets.take(late, usize::MAX).is_err(), "forgotten before the full ones");
        assert!(buckets.full_at.lock().unwrap().len() <= BUCKETS_MAX);
    }
}
