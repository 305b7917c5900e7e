//! When a busy worker lets packets gather before it looks at its sockets again.
//!
//! Waking up costs as much as receiving a packet and sending it on, and so does waking up who it is
//! sent to. A worker that is woken for one packet at a time therefore pays nearly twice what it
//! pays for several at once. While many packets pass between joined legs, it sleeps through a short
//! time first: by its clock alone, whatever arrives. What is due by the clock is never late for
//! that, and workers whose calls talk with agents answer at once.

use std::time::Duration;

use media::time::MonoTime;

/// How long packets gather at most, and so the most that gathering adds to the way of a frame, in
/// microseconds.
pub(super) const GATHER_US: u64 = 130;
/// How long packets are counted, in milliseconds.
const COUNT_MS: u64 = 10;
/// Packets that must have passed in that time: one and a half in each time of gathering.
const PACKETS_MIN: usize = (3 * COUNT_MS * 1_000 / (2 * GATHER_US)) as usize;

/// Decides whether packets gather.
#[derive(Debug)]
pub(super) struct Gather {
    on: bool,
    since: MonoTime,
    packets: usize,
}

impl Gather {
    /// Nothing has come yet.
    pub(super) const fn new(now: MonoTime) -> Self {
        Self { on: false, since: now, packets: 0 }
    }

    /// A packet came that is passed on.
    #[inline]
    pub(super) const fn count(&mut self) {
        self.packets += 1;
    }

    /// All that had come at `now` was looked at.
    #[inline]
    pub(super) fn note(&mut self, now: MonoTime) {
        let counted = now.since(self.since);
        if counted >= COUNT {
            // A count that took longer, because nothing came, is of a worker that is not busy.
            self.on = self.packets >= PACKETS_MIN && counted < COUNT * 2;
            (self.since, self.packets) = (now, 0);
        }
    }

    /// Until when a worker that looked at its sockets at `looked` leaves them alone.
    #[inline]
    pub(super) fn until(&self, looked: MonoTime) -> Option<MonoTime> {
        self.on.then(|| looked + GATHER)
    }
}

const COUNT: Duration = Duration::from_millis(COUNT_MS);
const GATHER: Duration = Duration::from_micros(GATHER_US);

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of so many packets each, `every_us` apart, for 100 ms: the share that was followed by
    /// gathering, once it has been counted.
    fn share(packets: usize, every_us: u64) -> f64 {
        let mut now = MonoTime::ZERO;
        let mut gather = Gather::new(now);
        let (mut gathered, mut rounds) = (0, 0);
        while now < MonoTime::ZERO + Duration::from_millis(100) {
            (0..packets).for_each(|_| gather.count());
            gather.note(now);
            if now >= MonoTime::ZERO + COUNT * 2 {
                rounds += 1;
                if let Some(until) = gather.until(now) {
                    assert_eq!(until, now + GATHER);
                    gathered += 1;
                }
            }
            now += Duration::from_micros(every_us);
        }
        f64::from(gathered) / f64::from(rounds)
    }

    /// Packets gather where that saves wake-ups, and never where they come one by one.
    #[test]
    fn gathers_only_when_busy() {
        for (packets, every_us, expected) in [
            (1, 1_000, 0.0),
            (1, 120, 0.0),
            (1, 80, 1.0),
            (4, 150, 1.0),
            (30, 1_000, 1.0),
            // A burst each 20 ms is no load.
            (300, 20_000, 0.0),
        ] {
            assert_eq!(share(packets, every_us), expected, "{packets} each {every_us} µs");
        }
    }

    /// It ends when less comes.
    #[test]
    fn ends_with_the_load() {
        let mut now = MonoTime::ZERO;
        let mut gather = Gather::new(now);
        for _ in 0..1_000 {
            now += Duration::from_micros(50);
            gather.count();
            gather.note(now);
        }
        assert!(gather.until(now).is_some());
        now += Duration::from_secs(1);
        gather.count();
        gather.note(now);
        assert_eq!(gather.until(now), None);
    }
}
