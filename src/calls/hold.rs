//! Putting the peer on hold, without I/O: what is wanted, and what the peer has been told.
//!
//! The sound changes at once, whatever the peer says to it: it hears music or noise and the agent
//! hears nothing. The re-INVITE follows, and one at a time.

use std::time::Duration;

use media::time::MonoTime;

/// Pause before a re-INVITE is tried that another change of the call was in the way of.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often that is tried.
pub const TRIES_MAX: u8 = 20;

/// Whether a peer is on hold.
#[derive(Debug, Default)]
pub struct Hold {
    /// What is wanted.
    wanted: bool,
    /// What the peer was last told.
    told: bool,
    /// What it is being told.
    asking: Option<bool>,
    tries: u8,
    retry_at: Option<MonoTime>,
}

/// What became of an attempt to tell the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A re-INVITE is on its way.
    Sent,
    /// Another change of the call is in the way.
    Busy,
    /// The call is over, or nearly.
    Never,
}

impl Hold {
    /// Wants the peer on hold or back; false if that is so already.
    pub fn want(&mut self, on: bool) -> bool {
        let changes = std::mem::replace(&mut self.wanted, on) != on;
        if changes {
            self.tries = 0;
        }
        changes
    }

    /// Whether the peer is, or is about to be, on hold.
    pub const fn is_on(&self) -> bool {
        self.wanted
    }

    /// Another peer has taken the place of the one that was told.
    pub fn another_peer(&mut self) {
        *self = Self { wanted: self.wanted, ..Self::default() };
    }

    /// What the peer must be told now: that it is on hold, or that it is back.
    pub fn to_tell(&self, now: MonoTime) -> Option<bool> {
        let due = self.retry_at.is_none_or(|at| at <= now);
        let open = self.asking.is_none() && self.tries < TRIES_MAX && due;
        (open && self.wanted != self.told).then_some(self.wanted)
    }

    /// What became of telling it `on`.
    pub fn telling(&mut self, now: MonoTime, on: bool, told: Told) {
        self.retry_at = None;
        match told {
            Told::Sent => self.asking = Some(on),
            Told::Busy => {
                self.tries += 1;
                self.retry_at = Some(now + RETRY_PAUSE);
            }
            Told::Never => self.tries = TRIES_MAX,
        }
    }

    /// The peer answered our change; false if there was none of ours. A refusal counts as told:
    /// what it hears is on hold all the same.
    pub fn answered(&mut self) -> bool {
        match self.asking.take() {
            Some(on) => {
                self.told = on;
                true
            }
            None => false,
        }
    }

    /// When [`Hold::to_tell`] is to be asked again.
    pub fn deadline(&self) -> MonoTime {
        let open = self.asking.is_none() && self.tries < TRIES_MAX && self.wanted != self.told;
        self.retry_at.filter(|_| open).unwrap_or(MonoTime::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: MonoTime = MonoTime::from_nanos(1);

    /// On and off again while the peer is being told: it is told both, in order.
    #[test]
    fn changes_follow_each_other() {
        let mut hold = Hold::default();
        assert_eq!(hold.to_tell(AT), None);
        assert!(hold.want(true) && !hold.want(true) && hold.is_on());
        assert_eq!(hold.to_tell(AT), Some(true));
        hold.telling(AT, true, Told::Sent);
        assert_eq!(hold.to_tell(AT), None);
        assert!(hold.want(false));
        assert_eq!(hold.to_tell(AT), None, "one at a time");
        assert!(hold.answered());
        assert_eq!(hold.to_tell(AT), Some(false));
        hold.telling(AT, false, Told::Sent);
        assert!(hold.answered() && !hold.answered());
        assert_eq!((hold.to_tell(AT), hold.deadline()), (None, MonoTime::MAX));
    }

    /// Off before the peer was told: there is nothing to tell.
    #[test]
    fn a_short_hold_is_not_told() {
        let mut hold = Hold::default();
        hold.want(true);
        hold.telling(AT, true, Told::Busy);
        assert_eq!(hold.deadline(), AT + RETRY_PAUSE);
        assert_eq!(hold.to_tell(AT), None);
        assert_eq!(hold.to_tell(AT + RETRY_PAUSE), Some(true));
        hold.want(false);
        assert_eq!((hold.to_tell(AT + RETRY_PAUSE), hold.deadline()), (None, MonoTime::MAX));
    }

    /// What is always in the way is given up; a call that is over is not asked again; another peer
    /// is told anew.
    #[test]
    fn an_end_of_trying() {
        let mut hold = Hold::default();
        hold.want(true);
        let mut now = AT;
        for _ in 0..TRIES_MAX {
            assert_eq!(hold.to_tell(now), Some(true));
            hold.telling(now, true, Told::Busy);
            now += RETRY_PAUSE;
        }
        assert_eq!(hold.to_tell(now), None);
        hold.another_peer();
        assert_eq!(hold.to_tell(now), Some(true));
        hold.telling(now, true, Told::Never);
        assert_eq!((hold.to_tell(now), hold.deadline()), (None, MonoTime::MAX));
    }
}
