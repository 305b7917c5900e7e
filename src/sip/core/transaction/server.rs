//! Server transaction of every request other than INVITE and ACK (RFC 3261 17.2.2).

use media::time::MonoTime;

use super::timers::Timers;
use super::{Class, Clock, Effects};

/// States of figure 8 of RFC 3261.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The request came, nothing was sent.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// A final response was sent and is repeated for every copy of the request.
    Completed,
    /// Over.
    Terminated,
}

/// A server transaction.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    state: State,
    reliable: bool,
    clock: Clock,
}

impl Server {
    /// Starts with the arrival of a request.
    pub const fn new(reliable: bool) -> Self {
        Self { state: State::Trying, reliable, clock: Clock::IDLE }
    }

    /// The state it is in.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; [`MonoTime::MAX`] for never.
    pub fn deadline(&self) -> MonoTime {
        self.clock.deadline()
    }

    /// The request came again.
    pub const fn handle_request(&mut self) -> Effects {
        match self.state {
            State::Proceeding | State::Completed => Effects::TRANSMIT,
            State::Trying | State::Terminated => Effects::NONE,
        }
    }

    /// The user sends a response. What a state does not allow is not transmitted.
    pub fn respond(&mut self, now: MonoTime, timers: &Timers, class: Class) -> Effects {
        match (self.state, class) {
            (State::Trying | State::Proceeding, Class::Provisional) => {
                self.state = State::Proceeding;
                Effects::TRANSMIT
            }
            (State::Trying | State::Proceeding, Class::Success | Class::Failure) => {
                self.state = State::Completed;
                self.clock = Clock { expire_at: now + timers.j(self.reliable), ..Clock::IDLE };
                Effects::TRANSMIT
            }
            (State::Completed | State::Terminated, _) => Effects::NONE,
        }
    }

    /// The clock reached [`deadline`](Self::deadline): timer J.
    pub fn handle_timeout(&mut self, now: MonoTime) -> Effects {
        if now >= self.clock.expire_at {
            self.state = State::Terminated;
            self.clock = Clock::IDLE;
        }
        Effects::NONE
    }

    /// The transport could not carry a response.
    pub fn handle_transport_error(&mut self) -> Effects {
        match self.state {
            State::Proceeding | State::Completed => {
                self.state = State::Terminated;
                self.clock = Clock::IDLE;
                Effects::TRANSPORT
            }
            State::Trying | State::Terminated => Effects::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const T: Timers = Timers::RFC3261;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// A machine driven into `state` at time zero.
    fn in_state(state: State, reliable: bool) -> Server {
        let mut fsm = Server::new(reliable);
        match state {
            State::Trying => {}
            State::Proceeding => drop(fsm.respond(at(0), &T, Class::Provisional)),
            State::Completed => drop(fsm.respond(at(0), &T, Class::Success)),
            State::Terminated => {
                fsm.respond(at(0), &T, Class::Success);
                fsm.handle_timeout(at(32_000));
            }
        }
        assert_eq!(fsm.state(), state);
        fsm
    }

    /// Every state with every response of the user.
    #[test]
    fn responses_in_every_state() {
        use Class::{Failure, Provisional, Success};
        use State::{Completed, Proceeding, Terminated, Trying};
        for (from, class, to, effects) in [
            (Trying, Provisional, Proceeding, Effects::TRANSMIT),
            (Trying, Success, Completed, Effects::TRANSMIT),
            (Trying, Failure, Completed, Effects::TRANSMIT),
            (Proceeding, Provisional, Proceeding, Effects::TRANSMIT),
            (Proceeding, Success, Completed, Effects::TRANSMIT),
            (Proceeding, Failure, Completed, Effects::TRANSMIT),
            (Completed, Provisional, Completed, Effects::NONE),
            (Completed, Success, Completed, Effects::NONE),
            (Completed, Failure, Completed, Effects::NONE),
            (Terminated, Provisional, Terminated, Effects::NONE),
            (Terminated, Success, Terminated, Effects::NONE),
            (Terminated, Failure, Terminated, Effects::NONE),
        ] {
            for reliable in [false, true] {
                let mut fsm = in_state(from, reliable);
                assert_eq!(fsm.respond(at(0), &T, class), effects, "{from:?} {class:?}");
                assert_eq!(fsm.state(), to, "{from:?} {class:?}");
            }
        }
    }

    /// Every state with a copy of the request and with a transport error.
    #[test]
    fn requests_and_errors_in_every_state() {
        use State::{Completed, Proceeding, Terminated, Trying};
        for (from, on_request, after_error, on_error) in [
            (Trying, Effects::NONE, Trying, Effects::NONE),
            (Proceeding, Effects::TRANSMIT, Terminated, Effects::TRANSPORT),
            (Completed, Effects::TRANSMIT, Terminated, Effects::TRANSPORT),
            (Terminated, Effects::NONE, Terminated, Effects::NONE),
        ] {
            let mut fsm = in_state(from, false);
            assert_eq!(fsm.handle_request(), on_request, "{from:?}");
            assert_eq!(fsm.state(), from, "{from:?}");
            assert_eq!(fsm.handle_transport_error(), on_error, "{from:?}");
            assert_eq!(fsm.state(), after_error, "{from:?}");
        }
    }

    /// Timer J runs only after a final response: 64 × T1, or no time on a reliable transport.
    #[test]
    fn timer_j() {
        use State::{Completed, Proceeding, Terminated, Trying};
        for (state, unreliable, reliable) in [
            (Trying, MonoTime::MAX, MonoTime::MAX),
            (Proceeding, MonoTime::MAX, MonoTime::MAX),
            (Completed, at(32_000), at(0)),
            (Terminated, MonoTime::MAX, MonoTime::MAX),
        ] {
            assert_eq!(in_state(state, false).deadline(), unreliable, "{state:?}");
            assert_eq!(in_state(state, true).deadline(), reliable, "{state:?}");
        }
        let mut fsm = in_state(Completed, false);
        fsm.handle_timeout(at(31_999));
        assert_eq!(fsm.state(), Completed);
        fsm.handle_timeout(at(32_000));
        assert_eq!(fsm.state(), Terminated);
    }
}
