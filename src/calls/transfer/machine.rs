//! The state machine of one transfer.

use std::time::Duration;

use media::time::MonoTime;

use super::{Accept, Kind, State, Stay};
use crate::calls::cause::Cause;

/// How long a peer that took the REFER may keep silent about what comes of it.
pub const NEWS_LIMIT: Duration = Duration::from_secs(30);
/// How long the peer may take to hang up after it was transferred; then we do.
pub const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// The same of a peer that took the REFER but will tell nothing of it (RFC 4488).
pub const UNTOLD_LIMIT: Duration = Duration::from_secs(5);
/// How long a message may last that is said to whoever answered, where nothing has to be accepted.
pub const WHISPER_LIMIT: Duration = Duration::from_secs(120);
/// Longest message, in milliseconds: it ends before that.
pub const MESSAGE_MAX_MS: u64 = 110_000;

/// How a transfer is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How it is carried out.
    pub kind: Kind,
    /// How long it may take until somebody answers; where the peer calls, until the outcome.
    pub limit: Duration,
    /// What whoever answered has to do. Of no meaning but for [`Kind::Warm`].
    pub accept: Accept,
    /// The caller is on hold meanwhile.
    pub holds: bool,
    /// It is the carrier of the call that calls somebody, and joins the two.
    pub by_carrier: bool,
    /// What becomes of whoever is at the agent's end.
    pub stay: Stay,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The peer answered the REFER.
    Taken {
        /// 200 to 699.
        status: u16,
        /// It will tell what comes of it.
        subscribed: bool,
    },
    /// The peer tells how its call goes.
    Progress {
        /// The status that it got, if it said one.
        status: Option<u16>,
        /// It will tell nothing more.
        last: bool,
    },
    /// Somebody is called, or dialled.
    Dialling,
    /// There it rings.
    Ringing,
    /// It was answered; another agent is ready.
    Answered,
    /// It has been told what it is about.
    Whispered,
    /// A key was pressed there.
    Digit(char),
    /// Whoever was called refuses, cannot be reached, or has hung up.
    Refused(&'static str),
    /// Whoever has the call at the agent's end has hung up: the caller waits for who comes.
    Left,
    /// The carrier has taken the caller away from us, to whoever is called.
    TakenAway,
    /// The carrier has connected the caller with whoever answered.
    Connected,
    /// Whoever wanted the transfer wants it no more.
    Cancel,
    /// The call is over.
    CallOver {
        /// The peer hung up, and nobody said that it did so for another reason.
        by_peer: bool,
    },
    /// Look at the time.
    Timeout,
}

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell whoever asked, and the log: a state, and why if it is failed or cancelled.
    Tell(State, Option<&'static str>),
    /// Put the caller on hold.
    Hold,
    /// Take the caller back.
    Resume,
    /// Say the message to whoever answered.
    Whisper,
    /// Put whoever answered in the agent's place, or let it join those who are there.
    Join,
    /// Hang up on whoever is called or has answered.
    Drop,
    /// Hang up on the peer: it talks with somebody else now. A carrier's caller is left where it
    /// is.
    Release,
    /// End the call: nobody is left for the peer to talk with.
    HangUp,
    /// The carrier brings the caller back, whom it had taken away.
    Return,
    /// Forget the transfer.
    Forget,
}

/// One transfer.
#[derive(Debug)]
pub struct Transfer {
    pub(super) plan: Plan,
    pub(super) state: State,
    /// The peer took the REFER.
    taken: bool,
    /// The caller is on hold because of it.
    held: bool,
    /// Nobody is at the agent's end any more.
    left: bool,
    /// The caller is with the carrier alone because of it.
    pub(super) away: bool,
    /// When somebody must have answered, or the outcome be known.
    pub(super) outcome_by: MonoTime,
    /// When the state has lasted too long.
    pub(super) state_by: MonoTime,
}

impl Transfer {
    /// A transfer that has just been asked for; a REFER has been sent, if it is one.
    pub fn start(now: MonoTime, plan: Plan, effects: &mut Vec<Effect>) -> Self {
        effects.push(Effect::Tell(State::Requested, None));
        let held = plan.holds;
        if held {
            effects.push(Effect::Hold);
        }
        let (outcome_by, state_by) = (now + plan.limit, MonoTime::MAX);
        Self {
            plan,
            state: State::Requested,
            taken: false,
            held,
            left: false,
            away: false,
            outcome_by,
            state_by,
        }
    }

    /// How it is carried out.
    pub const fn kind(&self) -> Kind {
        self.plan.kind
    }

    /// Whether three are to talk: not if whoever was to stay has left.
    pub const fn makes_three(&self) -> bool {
        self.plan.stay.makes_three() && !self.left
    }

    /// Whether somebody has to press a key to get the call.
    pub const fn needs_key(&self) -> bool {
        self.plan.accept.digit.is_some()
    }

    /// How far it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> MonoTime {
        self.outcome_by.min(self.state_by)
    }

    /// Whether somebody is on the way to the agent's end, so that the call can go on though nobody
    /// is there meanwhile.
    pub const fn is_awaited(&self) -> bool {
        !self.plan.kind.is_asked() && !self.state.is_over()
    }

    /// Whether a peer that hangs up now does so because it was transferred: it took the REFER.
    /// Many say BYE instead of telling the outcome.
    pub fn explains_bye(&self) -> bool {
        self.taken && self.state <= State::Bridged
    }

    /// Takes a fact; what must be done about it is appended to `effects`.
    pub fn handle(&mut self, now: MonoTime, input: Input, effects: &mut Vec<Effect>) {
        if self.state.is_over() && input != Input::Timeout {
            return;
        }
        match input {
            Input::Cancel => self.cancel("unwanted", effects),
            Input::CallOver { by_peer } if by_peer && self.explains_bye() => {
                self.reach(State::Bridged, effects);
                self.end(effects);
            }
            Input::CallOver { .. } if self.is_connected() => {
                self.reach(State::Bridged, effects);
                self.end(effects);
            }
            Input::CallOver { .. } => {
                // Nobody is left to be taken back, or to be hung up on.
                (self.held, self.left, self.away) = (false, false, false);
                self.cancel("call_over", effects);
            }
            Input::Timeout => self.timeout(now, effects),
            Input::Left => self.left |= self.is_awaited(),
            input if self.plan.by_carrier => self.carried(now, input, effects),
            input if self.plan.kind.is_asked() => self.told(now, input, effects),
            input => self.leg(now, input, effects),
        }
    }

    /// What the peer says that calls somebody for us.
    fn told(&mut self, now: MonoTime, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Taken { status, subscribed } => {
                self.answered_refer(now, status, subscribed, effects);
            }
            Input::Progress { status, last } => self.progress(now, status, last, effects),
            _ => {}
        }
    }

    fn answered_refer(
        &mut self,
        now: MonoTime,
        status: u16,
        subscribed: bool,
        effects: &mut Vec<Effect>,
    ) {
        match status {
            200..300 if self.taken => {}
            200..300 => {
                self.taken = true;
                // A NOTIFY may have overtaken it (RFC 3515 2.4.4).
                if self.state > State::Requested {
                    return;
                }
                self.reach(State::Dialling, effects);
                self.state_by = now + if subscribed { NEWS_LIMIT } else { UNTOLD_LIMIT };
                if !subscribed {
                    self.outcome_by = MonoTime::MAX;
                }
            }
            405 | 420 | 501 => self.fail("not_supported", effects),
            408 => self.fail("no_response", effects),
            _ => self.fail(Cause::from_sip(status).as_str(), effects),
        }
    }

    fn progress(
        &mut self,
        now: MonoTime,
        status: Option<u16>,
        last: bool,
        effects: &mut Vec<Effect>,
    ) {
        // Told once, so it will tell more; the outcome is all that is waited for. And who tells how
        // it goes has taken the request, whatever becomes of the answer to it.
        self.state_by = MonoTime::MAX;
        self.taken = true;
        if self.outcome_by == MonoTime::MAX {
            // It said that it would tell nothing, and does.
            self.outcome_by = now + self.plan.limit;
        }
        match status {
            Some(200..300) => {
                self.reach(State::Answered, effects);
                self.reach(State::Bridged, effects);
                self.outcome_by = MonoTime::MAX;
                self.state_by = now + RELEASE_LIMIT;
            }
            Some(300..) => self.fail(Cause::from_sip(status.unwrap_or(0)).as_str(), effects),
            _ if last => self.fail("no_outcome", effects),
            Some(101..200) => self.reach(State::Ringing, effects),
            Some(_) => self.reach(State::Dialling, effects),
            None => {}
        }
    }

    /// What happens on the leg that we call, or to the agent that we dial.
    fn leg(&mut self, now: MonoTime, input: Input, effects: &mut Vec<Effect>) {
        let Accept { digit, decline, limit } = self.plan.accept;
        match input {
            Input::Dialling => self.reach(State::Dialling, effects),
            Input::Ringing => self.reach(State::Ringing, effects),
            Input::Refused(cause) => self.fail(cause, effects),
            Input::Answered if self.state >= State::Answered => {}
            Input::Answered => {
                self.reach(State::Answered, effects);
                self.outcome_by = MonoTime::MAX;
                if self.plan.kind != Kind::Warm {
                    return self.join(effects);
                }
                self.state_by = now + if digit.is_some() { limit } else { WHISPER_LIMIT };
                effects.push(Effect::Whisper);
            }
            _ if self.plan.kind != Kind::Warm || self.state != State::Answered => {}
            Input::Whispered if digit.is_none() => self.join(effects),
            Input::Digit(pressed) if digit == Some(pressed) => {
                self.reach(State::Accepted, effects);
                self.join(effects);
            }
            Input::Digit(pressed) if decline == Some(pressed) => self.fail("declined", effects),
            _ => {}
        }
    }

    fn timeout(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if now < self.deadline() {
            return;
        }
        if self.plan.by_carrier {
            return self.carried_too_long(effects);
        }
        let late = now >= self.outcome_by;
        let asked = self.plan.kind.is_asked();
        match self.state {
            State::Failed | State::Cancelled | State::Left => {}
            State::Bridged => self.release(effects),
            // Nothing will be told: whoever takes a REFER so has taken the call over.
            State::Dialling if asked && self.outcome_by == MonoTime::MAX => {
                self.reach(State::Bridged, effects);
                self.release(effects);
            }
            State::Answered if !asked => self.fail("not_accepted", effects),
            _ if !asked => self.fail(Cause::NoAnswer.as_str(), effects),
            _ => self.fail(if late { "timeout" } else { "no_news" }, effects),
        }
    }

    pub(super) fn reach(&mut self, state: State, effects: &mut Vec<Effect>) {
        if state > self.state {
            self.state = state;
            effects.push(Effect::Tell(state, None));
        }
    }

    /// Who answered takes the agent's place. It is told before: afterwards the agent is gone. The
    /// caller is taken back after that: whoever leaves hears no more of it.
    fn join(&mut self, effects: &mut Vec<Effect>) {
        self.reach(State::Bridged, effects);
        effects.push(Effect::Join);
        if std::mem::take(&mut self.held) {
            effects.push(Effect::Resume);
        }
        self.end(effects);
    }

    fn release(&mut self, effects: &mut Vec<Effect>) {
        (self.outcome_by, self.state_by) = (MonoTime::MAX, MonoTime::MAX);
        effects.push(Effect::Release);
    }

    pub(super) fn fail(&mut self, cause: &'static str, effects: &mut Vec<Effect>) {
        self.give_up(State::Failed, cause, effects);
    }

    fn cancel(&mut self, cause: &'static str, effects: &mut Vec<Effect>) {
        self.give_up(State::Cancelled, cause, effects);
    }

    /// Nothing comes of it: who is called is let go, and the agent has its caller back, if it is
    /// there.
    fn give_up(&mut self, state: State, cause: &'static str, effects: &mut Vec<Effect>) {
        self.state = state;
        if !self.plan.kind.is_asked() {
            effects.push(Effect::Drop);
        }
        if std::mem::take(&mut self.held) && !self.left {
            effects.push(Effect::Resume);
        }
        effects.push(Effect::Tell(state, Some(cause)));
        if std::mem::take(&mut self.away) {
            effects.push(Effect::Return);
        }
        if self.left {
            effects.push(Effect::HangUp);
        }
        self.end(effects);
    }

    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) {
        (self.outcome_by, self.state_by) = (MonoTime::MAX, MonoTime::MAX);
        effects.push(Effect::Forget);
    }
}
