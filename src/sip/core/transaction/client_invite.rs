//! Client transaction of an INVITE (RFC 3261 17.1.1, RFC 6026 7.2).

use std::time::Duration;

use media::time::MonoTime;

use super::timers::Timers;
use super::{Class, Clock, Effects};

/// States of figure 5 of RFC 3261 with `Accepted` of RFC 6026.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A failure came and was acknowledged; its retransmissions are acknowledged again.
    Completed,
    /// A 2xx came; further 2xx, also of other branches of a fork, go to the user.
    Accepted,
    /// Over.
    Terminated,
}

/// A client INVITE transaction.
#[derive(Clone, Copy, Debug)]
pub struct ClientInvite {
    state: State,
    reliable: bool,
    clock: Clock,
}

impl ClientInvite {
    /// Starts; the caller sends the INVITE now. Starts timers A (unless `reliable`) and B.
    pub fn new(now: MonoTime, timers: &Timers, reliable: bool) -> Self {
        let mut clock = Clock::IDLE;
        clock.resend_after(now, timers.t1, reliable);
        clock.expire_at = now + timers.limit();
        Self { state: State::Calling, reliable, clock }
    }

    /// The state it is in.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; [`MonoTime::MAX`] for never.
    pub fn deadline(&self) -> MonoTime {
        self.clock.deadline()
    }

    /// A response to the INVITE came.
    pub fn handle_response(&mut self, now: MonoTime, timers: &Timers, class: Class) -> Effects {
        match (self.state, class) {
            (State::Calling | State::Proceeding, Class::Provisional) => {
                self.state = State::Proceeding;
                self.clock = Clock::IDLE;
                Effects::DELIVER
            }
            (State::Calling | State::Proceeding, Class::Success) => {
                self.state = State::Accepted;
                self.clock = Clock { expire_at: now + timers.limit(), ..Clock::IDLE };
                Effects::DELIVER
            }
            (State::Calling | State::Proceeding, Class::Failure) => {
                self.state = State::Completed;
                self.clock = Clock { expire_at: now + timers.d(self.reliable), ..Clock::IDLE };
                Effects { ack: true, ..Effects::DELIVER }
            }
            (State::Completed, Class::Failure) => Effects::ACK,
            (State::Accepted, Class::Success) => Effects::DELIVER,
            (State::Completed, Class::Provisional | Class::Success)
            | (State::Accepted, Class::Provisional | Class::Failure)
            | (State::Terminated, _) => Effects::NONE,
        }
    }

    /// The clock reached [`deadline`](Self::deadline): timer A, B, D or M.
    pub fn handle_timeout(&mut self, now: MonoTime) -> Effects {
        if now >= self.clock.expire_at {
            let waiting = matches!(self.state, State::Calling | State::Proceeding);
            self.state = State::Terminated;
            self.clock = Clock::IDLE;
            return if waiting { Effects::TIMEOUT } else { Effects::NONE };
        }
        if now >= self.clock.resend_at {
            self.clock.resend_again(now, self.clock.interval * 2);
            return Effects::TRANSMIT;
        }
        Effects::NONE
    }

    /// Waits for a final response no longer than another 64 × T1. `Proceeding` has no end of its
    /// own: for the INVITE of a call the user sets one, but nobody waits for a re-INVITE whose peer
    /// fell silent, or for the outcome of a call that is over.
    pub fn give_up(&mut self, now: MonoTime, timers: &Timers) {
        if matches!(self.state, State::Calling | State::Proceeding) {
            self.clock.expire_at = self.clock.expire_at.min(now + timers.limit());
        }
    }

    /// Waits for the first response no longer than `limit`: there is somebody else to ask.
    pub fn expect_within(&mut self, now: MonoTime, limit: Duration) {
        if self.state == State::Calling {
            self.clock.expire_at = self.clock.expire_at.min(now + limit);
        }
    }

    /// The transport could not carry the INVITE or the ACK.
    pub fn handle_transport_error(&mut self) -> Effects {
        match self.state {
            // A lost connection after a provisional response says nothing about the call:
            // RFC 3261 figure 5 has no transition there, and the callee may open a new one.
            State::Calling | State::Completed => {
                self.state = State::Terminated;
                self.clock = Clock::IDLE;
                Effects::TRANSPORT
            }
            State::Proceeding | State::Accepted | State::Terminated => Effects::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::*;

    const T: Timers = Timers::RFC3261;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// A machine driven into `state` at time zero.
    fn in_state(state: State, reliable: bool) -> ClientInvite {
        let mut fsm = ClientInvite::new(at(0), &T, reliable);
        match state {
            State::Calling => {}
            State::Proceeding => drop(fsm.handle_response(at(0), &T, Class::Provisional)),
            State::Completed => drop(fsm.handle_response(at(0), &T, Class::Failure)),
            State::Accepted => drop(fsm.handle_response(at(0), &T, Class::Success)),
            State::Terminated => drop(fsm.handle_transport_error()),
        }
        assert_eq!(fsm.state(), state);
        fsm
    }

    /// Every state with every response does what the figures of RFC 3261 and RFC 6026 draw.
    #[test]
    fn responses_in_every_state() {
        use Class::{Failure, Provisional, Success};
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        let ack_deliver = Effects { ack: true, deliver: true, ..Effects::NONE };
        let table = [
            (Calling, Provisional, Proceeding, Effects::DELIVER),
            (Calling, Success, Accepted, Effects::DELIVER),
            (Calling, Failure, Completed, ack_deliver),
            (Proceeding, Provisional, Proceeding, Effects::DELIVER),
            (Proceeding, Success, Accepted, Effects::DELIVER),
            (Proceeding, Failure, Completed, ack_deliver),
            (Completed, Provisional, Completed, Effects::NONE),
            (Completed, Success, Completed, Effects::NONE),
            (Completed, Failure, Completed, Effects::ACK),
            (Accepted, Provisional, Accepted, Effects::NONE),
            (Accepted, Success, Accepted, Effects::DELIVER),
            (Accepted, Failure, Accepted, Effects::NONE),
            (Terminated, Provisional, Terminated, Effects::NONE),
            (Terminated, Success, Terminated, Effects::NONE),
            (Terminated, Failure, Terminated, Effects::NONE),
        ];
        for (from, class, to, effects) in table {
            for reliable in [false, true] {
                let mut fsm = in_state(from, reliable);
                assert_eq!(fsm.handle_response(at(0), &T, class), effects, "{from:?} {class:?}");
                assert_eq!(fsm.state(), to, "{from:?} {class:?}");
            }
        }
    }

    /// A transport error ends what waits on the transport and nothing else.
    #[test]
    fn transport_errors_in_every_state() {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        for (from, to, effects) in [
            (Calling, Terminated, Effects::TRANSPORT),
            (Proceeding, Proceeding, Effects::NONE),
            (Completed, Terminated, Effects::TRANSPORT),
            (Accepted, Accepted, Effects::NONE),
            (Terminated, Terminated, Effects::NONE),
        ] {
            let mut fsm = in_state(from, false);
            assert_eq!(fsm.handle_transport_error(), effects, "{from:?}");
            assert_eq!(fsm.state(), to, "{from:?}");
        }
    }

    /// Timer A doubles from T1 until timer B ends the transaction after 64 × T1: seven INVITEs.
    #[test]
    fn retransmits_at_doubling_intervals_until_timer_b() {
        let mut fsm = ClientInvite::new(at(0), &T, false);
        let mut sent = Vec::new();
        while fsm.deadline() != MonoTime::MAX {
            let now = fsm.deadline();
            let effects = fsm.handle_timeout(now);
            if effects.transmit {
                sent.push(now.as_nanos() / 1_000_000);
            } else {
                assert_eq!(effects.fault, Some(Fault::Timeout));
                assert_eq!(now, at(32_000));
            }
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(fsm.state(), State::Terminated);
    }

    /// Every state waits for its timers only, on both kinds of transport.
    #[test]
    fn deadlines_in_every_state() {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        for (state, unreliable, reliable) in [
            (Calling, at(500), at(32_000)),
            (Proceeding, MonoTime::MAX, MonoTime::MAX),
            (Completed, at(32_000), at(0)),
            (Accepted, at(32_000), at(32_000)),
            (Terminated, MonoTime::MAX, MonoTime::MAX),
        ] {
            assert_eq!(in_state(state, false).deadline(), unreliable, "{state:?}");
            assert_eq!(in_state(state, true).deadline(), reliable, "{state:?}");
        }
    }

    /// Giving up ends what waits for a final response 64 × T1 later, and changes nothing else.
    #[test]
    fn giving_up_in_every_state() {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        for (state, waits) in [
            (Calling, true),
            (Proceeding, true),
            (Completed, false),
            (Accepted, false),
            (Terminated, false),
        ] {
            let mut fsm = in_state(state, true);
            let before = fsm.deadline();
            fsm.give_up(at(0), &T);
            if waits {
                assert_eq!(fsm.handle_timeout(at(31_999)), Effects::NONE);
                assert_eq!(fsm.handle_timeout(at(32_000)), Effects::TIMEOUT);
                assert_eq!(fsm.state(), Terminated);
            } else {
                assert_eq!((fsm.deadline(), fsm.state()), (before, state));
            }
        }
    }

    /// Timers D and M end the transaction without a fault; an early call changes nothing.
    #[test]
    fn timers_d_and_m_end_silently() {
        for state in [State::Completed, State::Accepted] {
            let mut fsm = in_state(state, false);
            assert_eq!(fsm.handle_timeout(at(31_999)), Effects::NONE);
            assert_eq!(fsm.state(), state);
            assert_eq!(fsm.handle_timeout(at(32_000)), Effects::NONE);
            assert_eq!(fsm.state(), State::Terminated);
        }
    }
}
