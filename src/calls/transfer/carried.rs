//! A transfer that the carrier of a call carries out.
//!
//! Two ways: it connects the caller with the destination and the agent is gone meanwhile
//! ([`Kind::Blind`]), or it calls the destination while the caller talks on, and joins the two once
//! it answered ([`Kind::Bridge`]). What it tells may be late, or lost: a caller that it has taken
//! away is where it was sent, unless the carrier says otherwise.

use std::time::Duration;

use media::time::MonoTime;

use super::{Effect, Input, Kind, State, Transfer};
use crate::calls::cause::Cause;

/// How much longer than the ringing a carrier may take to tell what came of it.
pub const CARRIER_NEWS_LIMIT: Duration = Duration::from_secs(15);
/// How long whoever answered may take to be connected with the caller, where nothing is left to be
/// asked for: some carriers tell the answer and no more.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long the carrier may take to join caller and destination once it was asked to.
pub const JOIN_LIMIT: Duration = Duration::from_secs(20);

impl Transfer {
    /// Whether the carrier takes the caller away from us now: what was its audio may end, and the
    /// call does not.
    pub fn takes_caller(&self) -> bool {
        let answered = self.state >= State::Answered;
        self.plan.by_carrier && !self.state.is_over() && (self.plan.kind == Kind::Blind || answered)
    }

    /// Whether it is the carrier that carries it out.
    pub const fn is_by_carrier(&self) -> bool {
        self.plan.by_carrier
    }

    /// Whether the caller talks with the destination, though nobody has said so yet.
    pub(super) fn is_connected(&self) -> bool {
        self.plan.by_carrier && self.plan.kind == Kind::Blind && self.state == State::Answered
    }

    /// What the carrier says.
    pub(super) fn carried(&mut self, now: MonoTime, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Dialling => self.reach(State::Dialling, effects),
            Input::Ringing => self.reach(State::Ringing, effects),
            Input::TakenAway => self.away = true,
            Input::Answered if self.state >= State::Answered => {}
            Input::Answered => {
                self.reach(State::Answered, effects);
                self.outcome_by = MonoTime::MAX;
                if self.plan.kind == Kind::Blind {
                    self.state_by = now + CONNECT_LIMIT;
                } else {
                    self.state_by = now + JOIN_LIMIT;
                    effects.push(Effect::Join);
                }
            }
            Input::Connected => self.connect(effects),
            Input::Refused(cause) => self.fail(cause, effects),
            _ => {}
        }
    }

    /// The carrier has said nothing for too long.
    pub(super) fn carried_too_long(&mut self, effects: &mut Vec<Effect>) {
        match self.state {
            state if state.is_over() => self.end(effects),
            _ if self.away || self.is_connected() => self.connect(effects),
            State::Answered => self.fail("no_outcome", effects),
            _ if self.plan.kind == Kind::Blind => self.fail("timeout", effects),
            _ => self.fail(Cause::NoAnswer.as_str(), effects),
        }
    }

    /// Caller and destination talk: the call is none of ours any more.
    fn connect(&mut self, effects: &mut Vec<Effect>) {
        self.away = false;
        self.reach(State::Answered, effects);
        self.reach(State::Bridged, effects);
        effects.push(Effect::Release);
        self.end(effects);
    }
}
