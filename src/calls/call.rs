//! The life of one call, without I/O: facts and time go in, effects and a deadline come out.
//!
//! A call joins a *peer* (the SIP side) and an *agent*. The agent is reached for as early as
//! possible, at the INVITE and not at the answer, so that a greeting can leave with the first
//! packet. An agent that is lost in mid-call is dialled again within its grace period while the
//! caller hears comfort noise; then comes the route's fallback.

use std::time::Duration;

use adapters::agent::{CallState, Direction, EndedBy};
use media::time::MonoTime;

use super::cause::Cause;

/// Pause before the first attempt to reach an agent again; doubles up to [`RETRY_PAUSE_MAX`].
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to reach an agent.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_millis(1_600);
/// An agent that stays so long after it came back is back. One that is lost again sooner, as what
/// it says is refused each time, is dialled with pauses, and its grace period goes on.
pub const STEADY: Duration = Duration::from_secs(10);

/// Who decides when an inbound call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBy {
    /// The call is answered as soon as the agent is connected.
    Connected,
    /// The agent sends `answer`.
    Agent,
}

/// What happens to a call whose agent cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It is refused, or hung up if it was answered.
    Hangup,
    /// The route's message is played, then the call is hung up.
    Message,
    /// The route's second agent takes over.
    Agent,
}

/// How a call is to be treated: what its route and agent say.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who called whom.
    pub direction: Direction,
    /// Who answers.
    pub answer_by: AnswerBy,
    /// An agent that answers may be heard before it does (inbound).
    pub early_media: bool,
    /// True if the agent lives in this process: it is ready at once, so nothing need ring.
    pub agent_is_local: bool,
    /// What happens when the agent cannot be had.
    pub fallback: Fallback,
    /// How long an agent may take to connect.
    pub connect_timeout: Duration,
    /// How long a lost agent may take to come back.
    pub grace: Duration,
    /// The agent is a telephone: the caller hears that it rings when it does, and its answer is the
    /// call's.
    pub agent_rings: bool,
    /// The second agent, if there is one.
    pub second: Second,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// How long the call may last, from its answer.
    pub max_duration: Duration,
    /// How long before that is over it is said; not at all if nothing.
    pub warning: Duration,
}

/// How a route's second agent is treated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// How long it may take to connect.
    pub connect_timeout: Duration,
    /// How long it may take to come back if it was lost.
    pub grace: Duration,
    /// It is a telephone.
    pub rings: bool,
}

/// A fact that the call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The agent is connected (again).
    AgentReady,
    /// The agent could not be connected.
    AgentFailed,
    /// The agent has as many calls as it takes.
    AgentFull,
    /// The agent's telephone rings.
    AgentRinging,
    /// The agent's side is heard before its answer.
    AgentEarly,
    /// The agent cannot be had, for this cause: it is not asked again.
    AgentRefused(Cause),
    /// The agent is there and can do no more for the call, for this cause.
    AgentGivesUp(Cause),
    /// The agent's connection broke.
    AgentLost,
    /// The agent answers.
    AgentAnswer,
    /// The agent refuses.
    AgentReject(Cause),
    /// The agent hangs up: its audio is played out, or it did not want that.
    AgentHangup,
    /// The fallback message has been played.
    MessagePlayed,
    /// The peer that was awaited is there.
    PeerCame,
    /// The peer's phone rings (outbound).
    PeerRinging,
    /// The peer's side is heard before its answer (outbound).
    PeerEarly,
    /// The peer answered (outbound).
    PeerAnswered,
    /// The peer gave up, hung up or refused; nothing is left to be sent to it.
    PeerEnded(Cause),
    /// The peer confirmed our answer.
    PeerConfirmed,
    /// The call must end.
    End(Cause, EndedBy),
    /// Look at the time.
    Timeout,
}

/// Which agent is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The route's agent.
    Main,
    /// The route's second agent.
    Fallback,
}

/// Something the shell must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the caller that it rings.
    Ring,
    /// Let the caller hear the agent before the answer.
    Progress,
    /// Answer the caller.
    Answer,
    /// Refuse the caller.
    Reject(Cause),
    /// Hang up an answered call.
    Bye(Cause),
    /// Give up a call that we placed and that is not yet answered.
    Cancel(Cause),
    /// Connect this agent; `resumed` if it replaces a lost connection.
    Connect {
        /// Which agent.
        agent: Which,
        /// True if the agent had this call before.
        resumed: bool,
    },
    /// Tell media and agent that the state is now this.
    State(CallState),
    /// Let the peer hear comfort noise until an agent is back.
    Comfort,
    /// The call ends soon, as it reaches a limit.
    Expiring {
        /// How soon.
        left: Duration,
    },
    /// The agent is out of a call in which three talked: the two others go on.
    Leave,
    /// Play the route's message to the peer.
    PlayMessage,
    /// Close media and agent: the call is over.
    Finish {
        /// Why.
        cause: Cause,
        /// By whom.
        by: EndedBy,
    },
}

/// Where the peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// Not answered yet.
    Pending,
    /// Answered.
    Up,
    /// Over.
    Gone,
}

/// Where the agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agent {
    /// Not reached for before the peer's answer.
    Idle,
    /// Being connected since the call began.
    Connecting,
    /// Waiting for the next attempt.
    Pausing,
    /// Connected.
    Ready,
    /// The fallback message plays in its place.
    Message,
}

/// The state machine of one call.
#[derive(Debug)]
pub struct Call {
    plan: Plan,
    peer: Peer,
    agent: Agent,
    which: Which,
    was_ready: bool,
    /// Media flow before the answer.
    early: bool,
    /// The caller knows that it rings.
    rung: bool,
    /// The peer has yet to come, and whether it is to be answered then.
    absent: bool,
    answer_due: bool,
    /// Somebody else talks with the peer besides the agent.
    company: bool,
    /// Why the agent cannot be had.
    refused: Option<Cause>,
    pause: Duration,
    retry_at: MonoTime,
    agent_by: MonoTime,
    /// When the agent was connected last.
    ready_at: MonoTime,
    /// When the grace period ends of an agent that is not back, or not for long.
    back_by: MonoTime,
    ring_by: MonoTime,
    warn_at: MonoTime,
    end_by: MonoTime,
    /// What the end by a limit is called.
    limit: Cause,
    answered_at: Option<MonoTime>,
}

impl Call {
    /// A call that begins now, with the first effects.
    pub fn start(plan: Plan, now: MonoTime, effects: &mut Vec<Effect>) -> Self {
        let inbound = plan.direction == Direction::Inbound;
        let waits = !plan.agent_is_local || plan.answer_by == AnswerBy::Agent;
        // A telephone rings when it does, not before.
        let rung = inbound && waits && !plan.agent_rings;
        if rung {
            effects.push(Effect::Ring);
        }
        // Nobody's telephone rings before there is somebody to talk with.
        let idle = plan.agent_rings && !inbound;
        if !idle {
            effects.push(Effect::Connect { agent: Which::Main, resumed: false });
        }
        Self {
            plan,
            peer: Peer::Pending,
            agent: if idle { Agent::Idle } else { Agent::Connecting },
            which: Which::Main,
            was_ready: false,
            early: false,
            rung,
            absent: false,
            answer_due: false,
            company: false,
            refused: None,
            pause: RETRY_PAUSE_MIN,
            retry_at: MonoTime::MAX,
            agent_by: if idle { MonoTime::MAX } else { now + plan.connect_timeout },
            ready_at: now,
            back_by: MonoTime::MAX,
            ring_by: now + plan.ring_timeout,
            warn_at: MonoTime::MAX,
            end_by: MonoTime::MAX,
            limit: Cause::MaxDuration,
            answered_at: None,
        }
    }

    /// How it is treated.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> MonoTime {
        if self.peer == Peer::Gone {
            return MonoTime::MAX;
        }
        self.retry_at.min(self.agent_by).min(self.ring_by).min(self.end_by).min(self.warn_at)
    }

    /// When the call was answered.
    pub const fn answered_at(&self) -> Option<MonoTime> {
        self.answered_at
    }

    /// True once the call is over and all its effects were given.
    pub fn is_over(&self) -> bool {
        self.peer == Peer::Gone
    }

    /// The state as an agent sees it.
    pub fn state(&self) -> CallState {
        match self.peer {
            Peer::Up => CallState::Answered,
            _ if self.early => CallState::Early,
            _ => CallState::Ringing,
        }
    }

    /// Takes a fact; what must be done about it is appended to `effects`.
    pub fn handle(&mut self, now: MonoTime, input: Input, effects: &mut Vec<Effect>) {
        if self.peer == Peer::Gone {
            return;
        }
        match input {
            Input::AgentReady => self.agent_ready(now, effects),
            Input::AgentFailed => self.agent_failed(now, effects),
            Input::AgentFull => {
                if self.agent == Agent::Connecting {
                    self.fall_back(now, effects);
                }
            }
            Input::AgentRinging => self.agent_rings(effects),
            Input::AgentEarly => {
                if self.agent == Agent::Connecting && self.inbound_pending() && !self.early {
                    effects.push(Effect::Progress);
                    self.begin_early(effects);
                }
            }
            Input::AgentRefused(cause) => {
                if self.agent == Agent::Connecting {
                    self.refused = Some(cause);
                    self.fall_back(now, effects);
                }
            }
            Input::AgentGivesUp(cause) => self.gives_up(now, cause, effects),
            Input::AgentLost => self.agent_lost(now, effects),
            Input::AgentAnswer => self.agent_answer(now, effects),
            Input::AgentReject(cause) => {
                if self.peer == Peer::Pending && self.plan.answer_by == AnswerBy::Agent {
                    self.end(cause, EndedBy::Agent, effects);
                }
            }
            Input::AgentHangup if self.company => self.leave(effects),
            Input::AgentHangup => self.end(Cause::Normal, EndedBy::Agent, effects),
            Input::MessagePlayed => {
                if self.agent == Agent::Message {
                    self.end(self.fault(), EndedBy::Server, effects);
                }
            }
            Input::PeerCame => self.peer_came(now, effects),
            Input::PeerRinging if self.early => {}
            Input::PeerRinging => effects.push(Effect::State(CallState::Ringing)),
            Input::PeerEarly => self.begin_early(effects),
            Input::PeerAnswered => self.up(now, effects),
            Input::PeerConfirmed => {}
            Input::PeerEnded(cause) => {
                self.peer = Peer::Gone;
                let by = match cause {
                    Cause::NetworkFailure | Cause::MediaTimeout | Cause::SessionExpired => {
                        EndedBy::Network
                    }
                    _ => EndedBy::Caller,
                };
                effects.push(Effect::Finish { cause, by });
            }
            Input::End(cause, by) => self.end(cause, by, effects),
            Input::Timeout => self.timeout(now, effects),
        }
    }

    fn agent_ready(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if matches!(self.agent, Agent::Ready | Agent::Message) {
            return;
        }
        self.agent = Agent::Ready;
        self.was_ready = true;
        self.ready_at = now;
        self.retry_at = MonoTime::MAX;
        self.agent_by = MonoTime::MAX;
        if self.inbound_pending() && self.plan.answer_by == AnswerBy::Connected {
            self.answer(now, effects);
        } else if self.inbound_pending() && self.plan.early_media && !self.early {
            effects.push(Effect::Progress);
            self.begin_early(effects);
        }
    }

    fn agent_failed(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if self.agent != Agent::Connecting {
            return;
        }
        self.retry(now, effects);
    }

    /// Another attempt after a pause, if the time for it is not over.
    fn retry(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        let next = now + self.pause;
        if next >= self.agent_by {
            return self.fall_back(now, effects);
        }
        self.pause = (self.pause * 2).min(RETRY_PAUSE_MAX);
        self.retry_at = next;
        self.agent = Agent::Pausing;
    }

    fn agent_lost(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if self.agent != Agent::Ready {
            return;
        }
        self.answer_due = false;
        if self.peer == Peer::Up {
            effects.push(Effect::Comfort);
        }
        if self.plan.grace.is_zero() {
            return self.fall_back(now, effects);
        }
        if self.back_by != MonoTime::MAX && now < self.ready_at + STEADY {
            self.agent_by = self.back_by;
            return self.retry(now, effects);
        }
        self.back_by = now + self.plan.grace;
        (self.agent_by, self.pause) = (self.back_by, RETRY_PAUSE_MIN);
        self.agent = Agent::Connecting;
        effects.push(Effect::Connect { agent: self.which, resumed: true });
    }

    fn agent_answer(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        let asked = self.plan.answer_by == AnswerBy::Agent && self.agent == Agent::Ready;
        if self.inbound_pending() && asked {
            self.answer(now, effects);
        }
    }

    fn timeout(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if now >= self.end_by {
            return self.end(self.limit, EndedBy::Server, effects);
        }
        self.warn(now, effects);
        if now >= self.ring_by && self.peer == Peer::Pending {
            return self.end(Cause::NoAnswer, EndedBy::Server, effects);
        }
        if now >= self.agent_by {
            if self.plan.agent_rings && !self.was_ready {
                self.refused = Some(Cause::NoAnswer);
            }
            return self.fall_back(now, effects);
        }
        if now >= self.retry_at {
            self.retry_at = MonoTime::MAX;
            self.agent = Agent::Connecting;
            effects.push(Effect::Connect { agent: self.which, resumed: self.was_ready });
        }
    }

    /// The peer is up: from here the call lasts.
    fn up(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if self.peer != Peer::Pending {
            return;
        }
        self.peer = Peer::Up;
        self.answered_at = Some(now);
        self.ring_by = MonoTime::MAX;
        self.last(now, self.plan.max_duration);
        effects.push(Effect::State(CallState::Answered));
        if self.agent == Agent::Idle {
            self.agent = Agent::Connecting;
            self.agent_by = now + self.plan.connect_timeout;
            effects.push(Effect::Comfort);
            effects.push(Effect::Connect { agent: self.which, resumed: false });
        }
    }

    fn end(&mut self, cause: Cause, by: EndedBy, effects: &mut Vec<Effect>) {
        effects.push(match (self.peer, self.plan.direction) {
            (Peer::Pending, Direction::Inbound) => Effect::Reject(cause),
            (Peer::Pending, Direction::Outbound) => Effect::Cancel(cause),
            _ => Effect::Bye(cause),
        });
        self.peer = Peer::Gone;
        effects.push(Effect::Finish { cause, by });
    }

    fn inbound_pending(&self) -> bool {
        self.peer == Peer::Pending && self.plan.direction == Direction::Inbound
    }
}

mod company;
mod early;
mod fallback;
mod handover;
mod length;
mod presence;
#[cfg(test)]
mod tests;
