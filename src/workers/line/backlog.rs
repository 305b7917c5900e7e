//! Audio that a carrier's queue holds beyond what we keep in it. Such a queue plays a frame at a
//! time and never catches up: what its clock was late by, and what came too early, stays as delay
//! for the rest of the call. So it is asked now and then, and sending waits until the surplus was
//! played.

use std::time::Duration;

use media::time::MonoTime;

/// How often it is asked while audio is sent.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// How soon it is asked again what looks like too much: one look may have come at a bad moment.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// What is too much: three frames.
const SURPLUS: Duration = Duration::from_millis(60);

/// What is known of a carrier's queue.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::workers) struct Backlog {
    ask_at: Option<MonoTime>,
    /// The surplus that was seen last.
    seen: Option<Duration>,
}

impl Backlog {
    /// Audio leaves; true if the carrier is to be asked now.
    #[inline]
    pub(in crate::workers) fn asks(&mut self, now: MonoTime) -> bool {
        let due = *self.ask_at.get_or_insert(now + ASK_EVERY) <= now;
        if due {
            self.ask_at = Some(now + ASK_EVERY);
        }
        due
    }

    /// The queue holds so much, and should hold that: for how long sending has to wait.
    pub(in crate::workers) fn judge(
        &mut self,
        now: MonoTime,
        queued: Duration,
        expected: Duration,
    ) -> Option<Duration> {
        let surplus = queued.saturating_sub(expected);
        if surplus <= SURPLUS {
            self.seen = None;
            return None;
        }
        let before = self.seen.take();
        if before.is_none() {
            (self.seen, self.ask_at) = (Some(surplus), Some(now + ASK_AGAIN));
        }
        before.map(|before| before.min(surplus))
    }

    /// The queue was emptied.
    pub(in crate::workers) const fn clear(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::ahead::Ahead;
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    /// One reading is none; of two the smaller counts, once; what is within bounds, or was cleared,
    /// is forgotten.
    #[test]
    fn a_surplus_is_seen_twice() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.judge(at(1), ms(300), ms(60)), None);
        assert_eq!(backlog.judge(at(2), ms(200), ms(60)), Some(ms(140)));
        assert_eq!(backlog.judge(at(3), ms(200), ms(60)), None, "it begins anew");
        assert_eq!(backlog.judge(at(4), ms(120), ms(60)), None, "three frames are borne");
        assert_eq!(backlog.judge(at(5), ms(200), ms(60)), None);
        backlog.clear();
        assert_eq!(backlog.judge(at(6), ms(200), ms(60)), None);
    }

    /// A queue that plays a frame every 20.4 ms would hold a second more after fifty: it is asked,
    /// and never holds more than it should for long. Without that it does.
    #[test]
    fn a_slow_clock_makes_no_delay() {
        for asked in [true, false] {
            let (mut ahead, mut backlog) = (Ahead::new(60, 20), Backlog::default());
            let (mut given, mut played, mut most) = (0u64, 0u64, 0);
            for now in (1_000u64..121_000).step_by(5) {
                let now_at = at(now);
                // It plays what is there, at its own pace.
                let ticks = (now - 1_000) * 10 / 204;
                if ticks > played && given > played {
                    played += 1;
                }
                while ahead.room_at() <= now_at {
                    ahead.give(now_at, ms(20), true);
                    given += 1;
                    if asked && backlog.asks(now_at) {
                        let expected = ahead.empty_at().since(now_at);
                        let queued = ms((given - played) * 20);
                        if let Some(wait) = backlog.judge(now_at, queued, expected) {
                            ahead.hold(wait);
                        }
                    }
                }
                most = most.max((given - played) * 20);
            }
            if asked {
                assert!(most <= 260, "{most} ms");
            } else {
                assert!(most > 2_000, "{most} ms");
            }
        }
    }
}
