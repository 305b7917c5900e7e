//! A hole in what an agent says: audio that comes a moment after its packet was due.
//!
//! Silence in its place would be heard, and would cost a whole frame of delay from then on, since
//! what an agent has sent is never dropped. So the packet leaves a moment late instead, with the
//! time stamp that it would have had, and the next one is on time again: the peer's buffer, which
//! is made for packets that come a little late, hides it.

use std::time::Duration;

use media::time::MonoTime;

/// How long a packet in mid-utterance waits for late audio, in milliseconds; half a packet at most.
const HOLE_WAIT_MS: u64 = 8;

/// A packet that waits, and a hole that became silence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hole {
    until: Option<MonoTime>,
    /// Since when silence has filled it.
    pub(super) starved_at: Option<MonoTime>,
}

impl Hole {
    /// Nothing is missing.
    pub(super) const NONE: Self = Self { until: None, starved_at: None };

    /// When the next packet leaves that was due at `tick`.
    #[inline]
    pub(super) fn leaves_at(self, tick: MonoTime) -> MonoTime {
        match self.until {
            // A pacer that has stopped lets none wait.
            Some(until) if tick < MonoTime::MAX => until,
            _ => tick,
        }
    }

    /// The packet due at `tick` has no audio in mid-utterance: true if it waits for some at `now`.
    /// It waits once.
    pub(super) fn opens(&mut self, tick: MonoTime, ptime: Duration, now: MonoTime) -> bool {
        let until = tick + HOLE_WAIT.min(ptime / 2);
        if now >= until {
            return false;
        }
        self.until = Some(until);
        true
    }

    /// The agent's audio came at `now`: what waits leaves.
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime) {
        if let Some(until) = &mut self.until {
            *until = now.min(*until);
        }
    }

    /// Takes what has waited for `tick`: when it was to leave, if it has waited.
    #[inline]
    pub(super) const fn close(&mut self) -> Option<MonoTime> {
        self.until.take()
    }
}

const HOLE_WAIT: Duration = Duration::from_millis(HOLE_WAIT_MS);

#[cfg(test)]
mod tests {
    use super::*;

    const PTIME: Duration = Duration::from_millis(20);

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    /// What was late leaves when it comes; its clock goes on as before.
    #[test]
    fn late_audio_leaves_at_once() {
        let mut hole = Hole::NONE;
        assert_eq!(hole.leaves_at(at(100)), at(100));
        assert!(hole.opens(at(100), PTIME, at(100)));
        assert_eq!(hole.leaves_at(at(100)), at(108));
        hole.heard(at(105));
        assert_eq!(hole.leaves_at(at(100)), at(105));
        assert_eq!(hole.close(), Some(at(105)));
        assert_eq!(hole.close(), None);
        assert_eq!(hole.leaves_at(at(120)), at(120));
    }

    /// Nothing came: the packet leaves after the wait, and audio after that changes nothing.
    #[test]
    fn the_wait_is_short() {
        let mut hole = Hole::NONE;
        assert!(hole.opens(at(100), PTIME, at(101)));
        hole.heard(at(115));
        assert_eq!(hole.leaves_at(at(100)), at(108));
        // A worker that was held up has waited already.
        let mut hole = Hole::NONE;
        assert!(!hole.opens(at(100), PTIME, at(108)));
        assert_eq!(hole.leaves_at(at(100)), at(100));
        // Short packets wait half their length.
        assert!(hole.opens(at(100), Duration::from_millis(10), at(100)));
        assert_eq!(hole.leaves_at(at(100)), at(105));
    }

    /// A pacer that stops meanwhile wakes nobody.
    #[test]
    fn a_stopped_pacer_lets_none_wait() {
        let mut hole = Hole::NONE;
        assert!(hole.opens(at(100), PTIME, at(100)));
        assert_eq!(hole.leaves_at(MonoTime::MAX), MonoTime::MAX);
    }
}
