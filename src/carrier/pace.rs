//! How fast requests of one configuration follow each other.

use std::collections::HashMap;
use std::time::Duration;

use adapters::op::Rate;
use media::time::MonoTime;
use uuid::Uuid;

/// Requests of a configuration whose carrier tells no rate.
pub(super) const REQUESTS: Rate = Rate { count: 20, window_ms: 1_000 };
/// Turns that are remembered; those that have been quiet are forgotten first.
const TURNS_MAX: usize = 8_192;

/// What takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Turns {
    /// Every request.
    All,
    /// Those that place calls.
    Calls,
}

/// When each configuration may ask again.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<(Uuid, Turns), Turn>);

#[derive(Clone, Copy, Debug)]
struct Turn {
    /// When its bucket would be full again.
    full_at: MonoTime,
    /// The carrier asked for quiet until then.
    quiet_until: MonoTime,
}

impl Pace {
    /// Takes the next turn of a configuration and tells how long to wait for it: what a window
    /// holds may come at once.
    pub(super) fn turn(&mut self, whose: (Uuid, Turns), rate: Rate, now: MonoTime) -> Duration {
        if self.0.len() >= TURNS_MAX {
            self.0.retain(|_, turn| turn.full_at > now || turn.quiet_until > now);
        }
        let fresh = Turn { full_at: now, quiet_until: now };
        let turn = self.0.entry(whose).or_insert(fresh);
        let window = Duration::from_millis(rate.window_ms.into());
        turn.full_at = turn.full_at.max(now) + window / rate.count.max(1);
        let ahead = turn.full_at.since(now).saturating_sub(window);
        ahead.max(turn.quiet_until.since(now))
    }

    /// The carrier asks for quiet.
    pub(super) fn quiet(&mut self, whose: (Uuid, Turns), until: MonoTime) {
        if let Some(turn) = self.0.get_mut(&whose) {
            turn.quiet_until = turn.quiet_until.max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(5_000_000_000) + Duration::from_millis(ms)
    }

    const fn account(number: u128) -> (Uuid, Turns) {
        (Uuid::from_u128(number), Turns::All)
    }

    /// A window's worth goes at once, what follows waits its turn, and others do not wait for it.
    #[test]
    fn a_burst_passes_then_turns_are_spread() {
        let mut pace = Pace::default();
        for _ in 0..REQUESTS.count {
            assert_eq!(pace.turn(account(1), REQUESTS, at(0)), Duration::ZERO);
        }
        let gap = Duration::from_millis((REQUESTS.window_ms / REQUESTS.count).into());
        assert_eq!(pace.turn(account(1), REQUESTS, at(0)), gap);
        assert_eq!(pace.turn(account(1), REQUESTS, at(0)), gap * 2);
        assert_eq!(pace.turn(account(2), REQUESTS, at(0)), Duration::ZERO);
        let calls = (account(1).0, Turns::Calls);
        let one = Rate { count: 1, window_ms: 1_000 };
        assert_eq!(pace.turn(calls, one, at(0)), Duration::ZERO);
        assert_eq!(pace.turn(calls, one, at(0)), Duration::from_secs(1));
        assert_eq!(pace.turn(account(1), REQUESTS, at(10_000)), Duration::ZERO);
    }

    /// Quiet that a carrier asked for is kept, however it is told again.
    #[test]
    fn quiet_is_kept() {
        let mut pace = Pace::default();
        assert_eq!(pace.turn(account(1), REQUESTS, at(0)), Duration::ZERO);
        pace.quiet(account(1), at(700));
        pace.quiet(account(1), at(300));
        let wait = pace.turn(account(1), REQUESTS, at(200));
        assert_eq!(wait, Duration::from_millis(500));
        assert_eq!(pace.turn(account(1), REQUESTS, at(700)), Duration::ZERO);
    }

    /// What is remembered of quiet configurations has an end.
    #[test]
    fn memory_is_bounded() {
        let mut pace = Pace::default();
        for number in 0..TURNS_MAX as u64 + 10 {
            pace.turn(account(number.into()), REQUESTS, at(10_000 * number));
        }
        assert!(pace.0.len() <= TURNS_MAX);
    }
}
