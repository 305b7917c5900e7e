//! How long callers wait for an answer: from the end of what they say to the first sound of the
//! agent's that follows, as it leaves for them.

use std::time::Duration;

use media::time::MonoTime;

/// Sound of the agent's behind a longer pause than this is something new that it says.
pub(super) const PAUSE: Duration = Duration::from_millis(300);

/// The turns of one conversation.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// When the agent began what it said last, and when it was heard last.
    agent: Option<(MonoTime, MonoTime)>,
    /// Since when the caller waits.
    waits: Option<MonoTime>,
}

impl Turns {
    /// Sound of the agent's leaves. How long its caller has waited for it, if it has.
    pub(super) fn agent_spoke(&mut self, now: MonoTime) -> Option<Duration> {
        if let Some((_, last)) = &mut self.agent
            && now.since(*last) < PAUSE
        {
            *last = now;
            return None;
        }
        self.agent = Some((now, now));
        self.waits.take().map(|since| now.since(since))
    }

    /// The caller began to speak at `at`, or ended then, which is noticed `now`. How long it has
    /// waited, if it was answered before that was noticed.
    pub(super) fn caller_spoke(
        &mut self,
        now: MonoTime,
        at: MonoTime,
        began: bool,
    ) -> Option<Duration> {
        self.waits = None;
        if began {
            return None;
        }
        match self.agent {
            Some((began, _)) if began >= at => return Some(began.since(at)),
            // It talks over its caller: that is no answer.
            Some((_, last)) if now.since(last) < PAUSE => {}
            Some(_) | None => self.waits = Some(at),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    const fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    /// Frames of the agent's from one time to another; what is told with the first.
    fn talks(turns: &mut Turns, from: u64, to: u64) -> Option<Duration> {
        let first = turns.agent_spoke(at(from));
        for now in (from + 20..to).step_by(20) {
            assert_eq!(turns.agent_spoke(at(now)), None, "one answer is told once");
        }
        first
    }

    /// An answer counts from the end of what was said to its first sound, whether it comes before
    /// or after the end is noticed; once.
    #[test]
    fn answers_are_timed() {
        let mut turns = Turns::default();
        assert_eq!(talks(&mut turns, 100, 2_000), None, "a greeting answers nothing");
        assert_eq!(turns.caller_spoke(at(3_000), at(2_900), true), None);
        assert_eq!(turns.caller_spoke(at(5_000), at(4_600), false), None);
        assert_eq!(talks(&mut turns, 5_400, 6_000), ms(800));
        assert_eq!(turns.caller_spoke(at(8_000), at(7_900), true), None);
        assert_eq!(talks(&mut turns, 9_100, 9_400), None);
        assert_eq!(turns.caller_spoke(at(9_400), at(9_000), false), ms(100));
        // A pause within an answer begins no turn.
        assert_eq!(talks(&mut turns, 10_000, 10_400), None);
    }

    /// Who talks over its caller does not answer; a caller who goes on waits for nothing.
    #[test]
    fn what_is_no_answer() {
        let mut turns = Turns::default();
        assert_eq!(talks(&mut turns, 0, 5_000), None);
        assert_eq!(turns.caller_spoke(at(5_000), at(4_800), false), None);
        assert_eq!(talks(&mut turns, 6_000, 6_100), None);
        assert_eq!(turns.caller_spoke(at(9_000), at(8_900), false), None);
        assert_eq!(turns.caller_spoke(at(9_100), at(9_000), true), None);
        assert_eq!(talks(&mut turns, 9_500, 9_600), None);
    }
}
