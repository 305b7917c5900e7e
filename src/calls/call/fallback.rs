//! What comes when the agent cannot be had.

use adapters::agent::EndedBy;
use media::time::MonoTime;

use super::{Agent, Call, Cause, Effect, Fallback, RETRY_PAUSE_MIN, Second, Which};

impl Call {
    /// The agent cannot be had: what the route says follows.
    pub(super) fn fall_back(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        self.agent_by = MonoTime::MAX;
        self.retry_at = MonoTime::MAX;
        if self.company {
            return self.leave(effects);
        }
        match self.plan.fallback {
            Fallback::Agent if self.which == Which::Main => {
                self.which = Which::Fallback;
                self.agent = Agent::Connecting;
                self.was_ready = false;
                self.refused = None;
                (self.pause, self.back_by) = (RETRY_PAUSE_MIN, MonoTime::MAX);
                let Second { connect_timeout, grace, rings } = self.plan.second;
                self.plan.connect_timeout = connect_timeout;
                (self.plan.grace, self.plan.agent_rings) = (grace, rings);
                self.agent_by = now + connect_timeout;
                effects.push(Effect::Connect { agent: Which::Fallback, resumed: false });
            }
            Fallback::Message => {
                self.agent = Agent::Message;
                if self.inbound_pending() {
                    self.answer(now, effects);
                }
                effects.push(Effect::PlayMessage);
            }
            Fallback::Agent | Fallback::Hangup => self.end(self.fault(), EndedBy::Server, effects),
        }
    }

    /// The agent can do no more for the call: what the route says follows, as if it could not be
    /// had.
    pub(super) fn gives_up(&mut self, now: MonoTime, cause: Cause, effects: &mut Vec<Effect>) {
        if matches!(self.agent, Agent::Connecting | Agent::Ready) {
            self.refused = Some(cause);
            self.fall_back(now, effects);
        }
    }

    /// What to call the lack of an agent.
    pub(super) const fn fault(&self) -> Cause {
        if let Some(cause) = self.refused {
            return cause;
        }
        if self.was_ready { Cause::AgentLost } else { Cause::AgentUnreachable }
    }
}
