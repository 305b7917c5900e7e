//! Log lines about what anybody can cause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use media::time::MonoTime;

use crate::quota::Bucket;

/// Lines a second that a stranger causes, as a rule.
pub const STRANGERS_PER_SECOND: u32 = 5;

/// Log lines about what comes from outside: a few a second. The others are counted, and the next
/// line tells how many they were, so that nobody fills the disk, and nobody hides behind others.
#[derive(Debug)]
pub struct Few {
    per_second: u32,
    bucket: Mutex<Bucket>,
    unlogged: AtomicU64,
}

impl Default for Few {
    fn default() -> Self {
        Self::new(STRANGERS_PER_SECOND)
    }
}

impl Few {
    /// At most so many a second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, bucket: Mutex::default(), unlogged: AtomicU64::new(0) }
    }

    /// Whether there is a line for this one; then how many before it had none.
    pub fn line(&self, now: MonoTime) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.take(now, self.per_second) {
            return Some(self.unlogged.swap(0, Ordering::Relaxed));
        }
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A second has so many lines and no more; what had none is told by the next one, once.
    #[test]
    fn lines_are_few() {
        let few = Few::new(5);
        let now = MonoTime::from_nanos(9_000_000_000);
        let lines = (0..1_000).filter_map(|_| few.line(now)).collect::<Vec<_>>();
        assert_eq!(lines, [0; 5]);
        let later = now + Duration::from_secs(1);
        assert_eq!((few.line(later), few.line(later)), (Some(995), Some(0)));
    }
}
