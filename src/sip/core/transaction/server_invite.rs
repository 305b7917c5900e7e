//! Server transaction of an INVITE (RFC 3261 17.2.1, RFC 6026 7.1).

use media::time::MonoTime;

use super::timers::Timers;
use super::{Class, Clock, Effects};

/// States of figure 7 of RFC 3261 with `Accepted` of RFC 6026.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A failure was sent and is retransmitted until its ACK.
    Completed,
    /// The ACK of a failure came; further copies are absorbed.
    Confirmed,
    /// A 2xx was sent. Its retransmission belongs to the user, copies of the INVITE are absorbed.
    Accepted,
    /// Over.
    Terminated,
}

/// A server INVITE transaction.
#[derive(Clone, Copy, Debug)]
pub struct ServerInvite {
    state: State,
    reliable: bool,
    clock: Clock,
}

impl ServerInvite {
    /// Starts with the arrival of an INVITE. The user sends 100 at once, hence no 200 ms timer.
    pub const fn new(reliable: bool) -> Self {
        Self { state: State::Proceeding, reliable, clock: Clock::IDLE }
    }

    /// The state it is in.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; [`MonoTime::MAX`] for never.
    pub fn deadline(&self) -> MonoTime {
        self.clock.deadline()
    }

    /// The INVITE came again.
    pub const fn handle_request(&mut self) -> Effects {
        match self.state {
            State::Proceeding | State::Completed => Effects::TRANSMIT,
            State::Confirmed | State::Accepted | State::Terminated => Effects::NONE,
        }
    }

    /// An ACK with the INVITE's branch came: that of a failure.
    pub fn handle_ack(&mut self, now: MonoTime, timers: &Timers) -> Effects {
        match self.state {
            State::Completed => {
                self.state = State::Confirmed;
                self.clock = Clock { expire_at: now + timers.i(self.reliable), ..Clock::IDLE };
                Effects::NONE
            }
            State::Accepted => Effects::DELIVER,
            State::Proceeding | State::Confirmed | State::Terminated => Effects::NONE,
        }
    }

    /// The user sends a response. What a state does not allow is not transmitted.
    pub fn respond(&mut self, now: MonoTime, timers: &Timers, class: Class) -> Effects {
        match (self.state, class) {
            (State::Proceeding, Class::Provisional) => Effects::TRANSMIT,
            (State::Proceeding, Class::Success) => {
                self.state = State::Accepted;
                self.clock = Clock { expire_at: now + timers.limit(), ..Clock::IDLE };
                Effects::TRANSMIT
            }
            (State::Proceeding, Class::Failure) => {
                self.state = State::Completed;
                self.clock.resend_after(now, timers.t1, self.reliable);
                self.clock.expire_at = now + timers.limit();
                Effects::TRANSMIT
            }
            (State::Accepted, Class::Success) => Effects::TRANSMIT,
            (State::Accepted, Class::Provisional | Class::Failure)
            | (State::Completed | State::Confirmed | State::Terminated, _) => Effects::NONE,
        }
    }

    /// The clock reached [`deadline`](Self::deadline): timer G, H, I or L.
    pub fn handle_timeout(&mut self, now: MonoTime, timers: &Timers) -> Effects {
        if now >= self.clock.expire_at {
            let unacknowledged = self.state == State::Completed;
            self.state = State::Terminated;
            self.clock = Clock::IDLE;
            return if unacknowledged { Effects::TIMEOUT } else { Effects::NONE };
        }
        if now >= self.clock.resend_at {
            self.clock.resend_again(now, (self.clock.interval * 2).min(timers.t2));
            return Effects::TRANSMIT;
        }
        Effects::NONE
    }

    /// The transport could not carry a response: the user is told, the state stays (RFC 6026 8.8:
    /// the request may still be retransmitted over another connection).
    pub const fn handle_transport_error(&mut self) -> Effects {
        match self.state {
            State::Proceeding | State::Completed | State::Accepted => Effects::TRANSPORT,
            State::Confirmed | State::Terminated => Effects::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::*;
    use std::time::Duration;

    const T: Timers = Timers::RFC3261;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// A machine driven into `state` at time zero.
    fn in_state(state: State, reliable: bool) -> ServerInvite {
        let mut fsm = ServerInvite::new(reliable);
        match state {
            State::Proceeding => {}
            State::Completed => drop(fsm.respond(at(0), &T, Class::Failure)),
            State::Confirmed => {
                fsm.respond(at(0), &T, Class::Failure);
                fsm.handle_ack(at(0), &T);
            }
            State::Accepted => drop(fsm.respond(at(0), &T, Class::Success)),
            State::Terminated => {
                fsm.respond(at(0), &T, Class::Success);
                fsm.handle_timeout(at(32_000), &T);
            }
        }
        assert_eq!(fsm.state(), state);
        fsm
    }

    /// Every state with every response of the user.
    #[test]
    fn responses_in_every_state() {
        use Class::{Failure, Provisional, Success};
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        for (from, class, to, effects) in [
            (Proceeding, Provisional, Proceeding, Effects::TRANSMIT),
            (Proceeding, Success, Accepted, Effects::TRANSMIT),
            (Proceeding, Failure, Completed, Effects::TRANSMIT),
            (Completed, Provisional, Completed, Effects::NONE),
            (Completed, Success, Completed, Effects::NONE),
            (Completed, Failure, Completed, Effects::NONE),
            (Confirmed, Provisional, Confirmed, Effects::NONE),
            (Confirmed, Success, Confirmed, Effects::NONE),
            (Confirmed, Failure, Confirmed, Effects::NONE),
            (Accepted, Provisional, Accepted, Effects::NONE),
            (Accepted, Success, Accepted, Effects::TRANSMIT),
            (Accepted, Failure, Accepted, Effects::NONE),
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

    /// Every state with a copy of the INVITE, an ACK, and a transport error.
    #[test]
    fn requests_in_every_state() {
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        for (from, on_request, after_ack, on_ack, on_error) in [
            (Proceeding, Effects::TRANSMIT, Proceeding, Effects::NONE, Effects::TRANSPORT),
            (Completed, Effects::TRANSMIT, Confirmed, Effects::NONE, Effects::TRANSPORT),
            (Confirmed, Effects::NONE, Confirmed, Effects::NONE, Effects::NONE),
            (Accepted, Effects::NONE, Accepted, Effects::DELIVER, Effects::TRANSPORT),
            (Terminated, Effects::NONE, Terminated, Effects::NONE, Effects::NONE),
        ] {
            let mut fsm = in_state(from, false);
            assert_eq!(fsm.handle_request(), on_request, "{from:?}");
            assert_eq!(fsm.handle_transport_error(), on_error, "{from:?}");
            assert_eq!(fsm.state(), from, "{from:?}");
            assert_eq!(fsm.handle_ack(at(0), &T), on_ack, "{from:?}");
            assert_eq!(fsm.state(), after_ack, "{from:?}");
        }
    }

    /// Timer G doubles from T1 up to T2; timer H ends at 64 × T1 with a fault.
    #[test]
    fn failure_is_retransmitted_until_timer_h() {
        let mut fsm = in_state(State::Completed, false);
        let mut sent = Vec::new();
        while fsm.deadline() != MonoTime::MAX {
            let now = fsm.deadline();
            let effects = fsm.handle_timeout(now, &T);
            if effects.transmit {
                sent.push(now.as_nanos() / 1_000_000);
            } else {
                assert_eq!((effects.fault, now), (Some(Fault::Timeout), at(32_000)));
            }
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    }

    /// Every state waits for its timers only, on both kinds of transport.
    #[test]
    fn deadlines_in_every_state() {
        use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        for (state, unreliable, reliable) in [
            (Proceeding, MonoTime::MAX, MonoTime::MAX),
            (Completed, at(500), at(32_000)),
            (Confirmed, at(5000), at(0)),
            (Accepted, at(32_000), at(32_000)),
            (Terminated, MonoTime::MAX, MonoTime::MAX),
        ] {
            assert_eq!(in_state(state, false).deadline(), unreliable, "{state:?}");
            assert_eq!(in_state(state, true).deadline(), reliable, "{state:?}");
        }
    }

    /// Timers I and L end without a fault, and not a moment earlier.
    #[test]
    fn timers_i_and_l_end_silently() {
        for (state, end_ms) in [(State::Confirmed, 5000), (State::Accepted, 32_000)] {
            let mut fsm = in_state(state, false);
            assert_eq!(fsm.handle_timeout(at(end_ms - 1), &T), Effects::NONE);
            assert_eq!(fsm.state(), state);
            assert_eq!(fsm.handle_timeout(at(end_ms), &T), Effects::NONE);
            assert_eq!(fsm.state(), State::Terminated);
        }
    }
}
