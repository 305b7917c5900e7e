//! What a carrier's own buffer holds, as far as can be told without asking.
//!
//! A carrier plays what it is given in one go, without our clock. So that its buffer is filled, but
//! never further than its depth, account is kept of when it will have played what it was given.

use std::time::Duration;

use media::time::MonoTime;

/// How late a frame may be that is made up for; behind a longer pause time is skipped instead, so
/// that the far end is not flooded.
const CATCH_UP: Duration = Duration::from_millis(100);

/// The account of one carrier's buffer.
#[derive(Clone, Copy, Debug)]
pub(in crate::workers) struct Ahead {
    /// How far ahead of being heard a frame may leave.
    lead: Duration,
    /// By how much later than it may leave a frame may leave without harm.
    spare: Duration,
    /// When all that was given will have been heard.
    empty_at: MonoTime,
    /// When the newest run of the agent's own audio begins and ends to be heard.
    run: (MonoTime, MonoTime),
    /// When the next frame is due, if they follow each other without a pause.
    beat: Option<MonoTime>,
}

impl Ahead {
    /// An empty buffer that is kept `buffer_ms` deep by frames of `ptime_ms`.
    pub(in crate::workers) fn new(buffer_ms: u32, ptime_ms: u32) -> Self {
        let ptime = Duration::from_millis(u64::from(ptime_ms));
        let lead = Duration::from_millis(u64::from(buffer_ms)).saturating_sub(ptime);
        let spare = ptime.min(lead / 2);
        let (empty_at, run) = (MonoTime::ZERO, (MonoTime::ZERO, MonoTime::ZERO));
        Self { lead, spare, empty_at, run, beat: None }
    }

    /// A carrier without a buffer, that plays each frame when it comes: they follow each other
    /// without a pause, at deadlines that do not drift.
    pub(in crate::workers) fn steady() -> Self {
        Self { beat: Some(MonoTime::ZERO), ..Self::new(0, 0) }
    }

    /// True if frames follow each other without a pause.
    pub(in crate::workers) const fn is_steady(&self) -> bool {
        self.beat.is_some()
    }

    /// When a frame that leaves now begins to be heard.
    fn heard_at(&self, now: MonoTime) -> MonoTime {
        match self.beat {
            // A frame that is a little early or late changes no deadline.
            Some(due) if now.since(due) <= CATCH_UP => due,
            Some(_) => now,
            None => self.empty_at.max(now),
        }
    }

    /// Silence that lasts so long leaves for a carrier that has to be sent something.
    pub(in crate::workers) fn pass(&mut self, now: MonoTime, lasts: Duration) {
        self.beat = self.beat.map(|_| self.heard_at(now) + lasts);
    }

    /// How far ahead of being heard a frame may leave.
    pub(in crate::workers) const fn lead(&self) -> Duration {
        self.lead
    }

    /// When the next frame may leave.
    pub(in crate::workers) fn room_at(&self) -> MonoTime {
        self.beat.unwrap_or(self.empty_at - self.lead)
    }

    /// When it leaves at the latest. Until then it waits for something else that wakes the call: a
    /// wake-up costs more than a frame, and the buffer bears it.
    pub(in crate::workers) fn due_at(&self) -> MonoTime {
        self.room_at() + self.spare
    }

    /// When all that was given will have been heard.
    pub(in crate::workers) const fn empty_at(&self) -> MonoTime {
        self.empty_at
    }

    /// True once all that was given has been heard.
    pub(in crate::workers) fn is_empty(&self, now: MonoTime) -> bool {
        self.empty_at <= now
    }

    /// Audio that lasts so long leaves, the agent's own if `agents`; when it begins to be heard.
    pub(in crate::workers) fn give(
        &mut self,
        now: MonoTime,
        lasts: Duration,
        agents: bool,
    ) -> MonoTime {
        let heard_at = self.heard_at(now);
        self.empty_at = heard_at + lasts;
        self.beat = self.beat.map(|_| self.empty_at);
        if agents {
            let goes_on = self.run.1 == heard_at;
            self.run = (if goes_on { self.run.0 } else { heard_at }, self.empty_at);
        }
        heard_at
    }

    /// How much of the agent's own audio has not been heard.
    pub(in crate::workers) fn unheard(&self, now: MonoTime) -> Duration {
        self.run.1.since(self.run.0.max(now))
    }

    /// What was given is heard that much later than was thought: nothing leaves meanwhile.
    pub(in crate::workers) fn hold(&mut self, surplus: Duration) {
        let goes_on = self.run.1 == self.empty_at;
        self.empty_at += surplus;
        if goes_on && self.run.0 < self.run.1 {
            self.run.1 = self.empty_at;
        }
    }

    /// The carrier drops what it has.
    pub(in crate::workers) fn clear(&mut self, now: MonoTime) {
        self.empty_at = self.empty_at.min(now);
        self.run = (MonoTime::ZERO, MonoTime::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    /// Frames that can leave at `now`.
    fn burst(ahead: &mut Ahead, now: MonoTime, agents: bool) -> u32 {
        let mut frames = 0;
        while ahead.room_at() <= now {
            ahead.give(now, ms(20), agents);
            frames += 1;
        }
        frames
    }

    /// The buffer is filled to its depth at once, then kept there by a frame each ptime; what runs
    /// empty is filled again.
    #[test]
    fn kept_at_its_depth() {
        let mut ahead = Ahead::new(80, 20);
        assert_eq!(burst(&mut ahead, at(1_000), true), 4);
        assert_eq!(ahead.room_at(), at(1_020));
        for tick in 1..100 {
            assert_eq!(burst(&mut ahead, at(1_000 + 20 * tick), true), 1, "{tick}");
        }
        assert_eq!(burst(&mut ahead, at(2_985), true), 0);
        assert_eq!(burst(&mut ahead, at(9_000), true), 4);
        assert!(!ahead.is_empty(at(9_079)) && ahead.is_empty(at(9_080)));
    }

    /// A frame leaves within a ptime of when it may, and before half of the buffer has been played;
    /// into no buffer it leaves when it may.
    #[test]
    fn due_before_the_buffer_is_played() {
        for (buffer_ms, spare_ms) in [(0, 0), (20, 0), (40, 10), (60, 20), (80, 20), (200, 20)] {
            let mut ahead = Ahead::new(buffer_ms, 20);
            burst(&mut ahead, at(1_000), true);
            assert_eq!(ahead.due_at(), ahead.room_at() + ms(spare_ms), "{buffer_ms}");
            assert!(ahead.due_at() <= ahead.empty_at(), "{buffer_ms}");
        }
    }

    /// A carrier that plays at once gets each frame when the one before has been heard.
    #[test]
    fn without_depth() {
        for buffer_ms in [0, 20] {
            let mut ahead = Ahead::new(buffer_ms, 20);
            assert_eq!(burst(&mut ahead, at(500), true), 1);
            assert_eq!(ahead.room_at(), at(520));
        }
    }

    /// Frames that have to come without a pause do so at deadlines that do not drift, however early
    /// or late each of them is; a longer pause is not made up for. Silence is nothing to be heard.
    #[test]
    fn steady() {
        let mut ahead = Ahead::steady();
        assert!(ahead.is_steady() && ahead.room_at() == MonoTime::ZERO);
        ahead.pass(at(5_000), ms(20));
        assert!(ahead.room_at() == at(5_020) && ahead.is_empty(at(5_000)));
        for (n, late) in [0, 3, 0, 19, 70, 0, 1].into_iter().enumerate() {
            let due = at(5_020 + 20 * n as u64);
            assert_eq!(ahead.room_at(), due, "{n}");
            if n % 2 == 0 {
                ahead.pass(due + ms(late), ms(20));
            } else {
                assert_eq!(ahead.give(due + ms(late), ms(20), true), due);
            }
        }
        assert_eq!(ahead.room_at(), at(5_160));
        assert_eq!(ahead.give(at(5_160) - Duration::from_micros(200), ms(20), true), at(5_160));
        assert_eq!(ahead.unheard(at(5_170)), ms(10));
        ahead.clear(at(5_170));
        assert!(ahead.is_empty(at(5_170)) && ahead.room_at() == at(5_180));
        assert_eq!(ahead.give(at(5_300), ms(20), true), at(5_300), "time is skipped");
        assert_eq!(ahead.room_at(), at(5_320));
    }

    /// What of the agent's audio has not been heard: neither what has, nor noise around it.
    #[test]
    fn unheard_is_the_agents_own() {
        let mut ahead = Ahead::new(100, 20);
        ahead.give(at(1_000), ms(40), false);
        assert_eq!(ahead.unheard(at(1_000)), ms(0));
        ahead.give(at(1_000), ms(20), true);
        ahead.give(at(1_000), ms(20), true);
        assert_eq!(ahead.unheard(at(1_000)), ms(40), "behind the noise");
        assert_eq!(ahead.unheard(at(1_050)), ms(30));
        ahead.give(at(1_050), ms(20), false);
        assert_eq!(ahead.unheard(at(1_050)), ms(30));
        assert_eq!(ahead.unheard(at(1_080)), ms(0));
        ahead.give(at(1_090), ms(20), true);
        assert_eq!(ahead.unheard(at(1_090)), ms(20), "another run, behind noise again");
        ahead.clear(at(1_090));
        assert_eq!(ahead.unheard(at(1_090)), ms(0));
        assert!(ahead.is_empty(at(1_090)));
        ahead.give(at(1_090), ms(20), true);
        assert_eq!(ahead.unheard(at(1_090)), ms(20));
    }
}
