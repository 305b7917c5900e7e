//! How long a call lasts, and what is said before it ends.

use std::time::Duration;

use media::time::MonoTime;

use super::{Call, Cause, Effect, Peer};

impl Call {
    /// The call lasts this long from now, and what is said before its end is said in time.
    pub(super) fn last(&mut self, now: MonoTime, longest: Duration) {
        self.end_by = now + longest;
        let warning = self.plan.warning;
        // A call that is shorter than the warning is early needs none.
        if !warning.is_zero() && warning < longest {
            self.warn_at = now + (longest - warning);
        }
    }

    /// Says that the call ends soon, if it is time to.
    pub(super) fn warn(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if now >= self.warn_at {
            self.warn_at = MonoTime::MAX;
            effects.push(Effect::Expiring { left: self.end_by.since(now) });
        }
    }

    /// A call that was answered lasts no longer than `left` from now, for this cause, unless it
    /// ends sooner anyway.
    pub fn shorten(
        &mut self,
        now: MonoTime,
        left: Duration,
        limit: Cause,
        effects: &mut Vec<Effect>,
    ) {
        if self.peer != Peer::Up || now + left >= self.end_by {
            return;
        }
        (self.end_by, self.limit) = (now + left, limit);
        self.warn_at = MonoTime::MAX;
        effects.push(Effect::Expiring { left });
    }
}
