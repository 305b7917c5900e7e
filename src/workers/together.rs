//! When a busy worker sends packets that are due soon with those that are due now.
//!
//! A wake-up costs more than a packet. Where packets are due so often that nearly each would be a
//! wake-up of its own, what is due within a short time leaves at once; no ear and no buffer notices
//! that one was this much early, and deadlines do not move by it. A worker that has time to spare
//! keeps each packet's time exactly.

use std::time::Duration;

use media::time::MonoTime;

/// How much earlier a packet leaves at most, in microseconds.
const EARLY_US: u64 = 250;
/// How long packets are counted, in milliseconds.
const COUNT_MS: u64 = 100;
/// Packets that must have left in that time: one each 100 µs, as of 200 calls.
const PACKETS_MIN: usize = 1_000;

/// Decides how early packets may leave.
#[derive(Debug)]
pub(super) struct Together {
    early: Duration,
    since: MonoTime,
    packets: usize,
}

impl Together {
    /// Nothing has left yet.
    pub(super) const fn new(now: MonoTime) -> Self {
        Self { early: Duration::ZERO, since: now, packets: 0 }
    }

    /// A packet left by the clock.
    #[inline]
    pub(super) const fn count(&mut self) {
        self.packets += 1;
    }

    /// All that was due at `now` has left.
    #[inline]
    pub(super) fn note(&mut self, now: MonoTime) {
        let counted = now.since(self.since);
        if counted >= COUNT {
            // A count that took longer, because nothing was due, is of a worker that is not busy.
            let busy = self.packets >= PACKETS_MIN && counted < COUNT * 2;
            self.early = if busy { EARLY } else { Duration::ZERO };
            (self.since, self.packets) = (now, 0);
        }
    }

    /// Packets that are due by then leave now.
    #[inline]
    pub(super) fn until(&self, now: MonoTime) -> MonoTime {
        now + self.early
    }
}

const COUNT: Duration = Duration::from_millis(COUNT_MS);
const EARLY: Duration = Duration::from_micros(EARLY_US);

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets leave `every_us` apart for a second, and then none for another.
    fn early(every_us: u64) -> (Duration, Duration) {
        let mut now = MonoTime::ZERO;
        let mut together = Together::new(now);
        while now < MonoTime::ZERO + Duration::from_secs(1) {
            together.count();
            together.note(now);
            now += Duration::from_micros(every_us);
        }
        let busy = together.until(now).since(now);
        now += Duration::from_secs(1);
        together.note(now);
        (busy, together.until(now).since(now))
    }

    /// Only a busy worker sends early, and no longer than it is busy.
    #[test]
    fn only_who_is_busy_is_early() {
        assert_eq!(early(40), (EARLY, Duration::ZERO));
        assert_eq!(early(95), (EARLY, Duration::ZERO));
        assert_eq!(early(105), (Duration::ZERO, Duration::ZERO));
        assert_eq!(early(250), (Duration::ZERO, Duration::ZERO));
        assert_eq!(early(20_000), (Duration::ZERO, Duration::ZERO));
    }
}
