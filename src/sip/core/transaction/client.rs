//! Client transaction of every request other than INVITE and ACK (RFC 3261 17.1.2).

use media::time::MonoTime;

use super::timers::Timers;
use super::{Class, Clock, Effects};

/// States of figure 6 of RFC 3261.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent, nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; its retransmissions are absorbed.
    Completed,
    /// Over.
    Terminated,
}

/// A client transaction.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    state: State,
    reliable: bool,
    clock: Clock,
}

impl Client {
    /// Starts; the caller sends the request now. Starts timers E (unless `reliable`) and F.
    pub fn new(now: MonoTime, timers: &Timers, reliable: bool) -> Self {
        let mut clock = Clock::IDLE;
        clock.resend_after(now, timers.t1, reliable);
        clock.expire_at = now + timers.limit();
        Self { state: State::Trying, reliable, clock }
    }

    /// The state it is in.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; [`MonoTime::MAX`] for never.
    pub fn deadline(&self) -> MonoTime {
        self.clock.deadline()
    }

    /// A response to the request came.
    pub fn handle_response(&mut self, now: MonoTime, timers: &Timers, class: Class) -> Effects {
        match (self.state, class) {
            (State::Trying, Class::Provisional) => {
                self.state = State::Proceeding;
                self.clock.resend_after(now, timers.t2, self.reliable);
                Effects::DELIVER
            }
            (State::Proceeding, Class::Provisional) => Effects::DELIVER,
            (State::Trying | State::Proceeding, Class::Success | Class::Failure) => {
                self.state = State::Completed;
                self.clock = Clock { expire_at: now + timers.k(self.reliable), ..Clock::IDLE };
                Effects::DELIVER
            }
            (State::Completed | State::Terminated, _) => Effects::NONE,
        }
    }

    /// The clock reached [`deadline`](Self::deadline): timer E, F or K.
    pub fn handle_timeout(&mut self, now: MonoTime, timers: &Timers) -> Effects {
        if now >= self.clock.expire_at {
            let waiting = matches!(self.state, State::Trying | State::Proceeding);
            self.state = State::Terminated;
            self.clock = Clock::IDLE;
            return if waiting { Effects::TIMEOUT } else { Effects::NONE };
        }
        if now >= self.clock.resend_at {
            let interval = match self.state {
                State::Trying => (self.clock.interval * 2).min(timers.t2),
                _ => timers.t2,
            };
            self.clock.resend_again(now, interval);
            return Effects::TRANSMIT;
        }
        Effects::NONE
    }

    /// The transport could not carry the request.
    pub fn handle_transport_error(&mut self) -> Effects {
        match self.state {
            State::Trying | State::Proceeding => {
                self.state = State::Terminated;
                self.clock = Clock::IDLE;
                Effects::TRANSPORT
            }
            State::Completed | State::Terminated => Effects::NONE,
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
    fn in_state(state: State, reliable: bool) -> Client {
        let mut fsm = Client::new(at(0), &T, reliable);
        match state {
            State::Trying => {}
            State::Proceeding => drop(fsm.handle_response(at(0), &T, Class::Provisional)),
            State::Completed => drop(fsm.handle_response(at(0), &T, Class::Success)),
            State::Terminated => drop(fsm.handle_transport_error()),
        }
        assert_eq!(fsm.state(), state);
        fsm
    }

    fn fire_all(fsm: &mut Client) -> (Vec<u64>, Option<Fault>, u64) {
        let (mut sent, mut fault, mut end) = (Vec::new(), None, 0);
        while fsm.deadline() != MonoTime::MAX {
            let now = fsm.deadline();
            end = now.as_nanos() / 1_000_000;
            let effects = fsm.handle_timeout(now, &T);
            if effects.transmit {
                sent.push(end);
            }
            fault = fault.or(effects.fault);
        }
        (sent, fault, end)
    }

    /// Every state with every response does what figure 6 draws.
    #[test]
    fn responses_in_every_state() {
        use Class::{Failure, Provisional, Success};
        use State::{Completed, Proceeding, Terminated, Trying};
        for (from, class, to, effects) in [
            (Trying, Provisional, Proceeding, Effects::DELIVER),
            (Trying, Success, Completed, Effects::DELIVER),
            (Trying, Failure, Completed, Effects::DELIVER),
            (Proceeding, Provisional, Proceeding, Effects::DELIVER),
            (Proceeding, Success, Completed, Effects::DELIVER),
            (Proceeding, Failure, Completed, Effects::DELIVER),
            (Completed, Provisional, Completed, Effects::NONE),
            (Completed, Success, Completed, Effects::NONE),
            (Completed, Failure, Completed, Effects::NONE),
            (Terminated, Provisional, Terminated, Effects::NONE),
            (Terminated, Success, Terminated, Effects::NONE),
            (Terminated, Failure, Terminated, Effects::NONE),
        ] {
            for reliable in [false, true] {
                let mut fsm = in_state(from, reliable);
                assert_eq!(fsm.handle_response(at(0), &T, class), effects, "{from:?} {class:?}");
                assert_eq!(fsm.state(), to, "{from:?} {class:?}");
            }
        }
    }

    /// A transport error fails what still waits for an answer, and only that.
    #[test]
    fn transport_errors_in_every_state() {
        use State::{Completed, Proceeding, Terminated, Trying};
        for (from, to, effects) in [
            (Trying, Terminated, Effects::TRANSPORT),
            (Proceeding, Terminated, Effects::TRANSPORT),
            (Completed, Completed, Effects::NONE),
            (Terminated, Terminated, Effects::NONE),
        ] {
            let mut fsm = in_state(from, false);
            assert_eq!(fsm.handle_transport_error(), effects, "{from:?}");
            assert_eq!(fsm.state(), to, "{from:?}");
        }
    }

    /// Timer E doubles from T1 up to T2; timer F ends at 64 × T1 (RFC 3261 17.1.2.2).
    #[test]
    fn retransmits_up_to_t2_until_timer_f() {
        let (sent, fault, end) = fire_all(&mut Client::new(at(0), &T, false));
        assert_eq!(sent, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!((fault, end), (Some(Fault::Timeout), 32_000));
    }

    /// After a provisional response the interval is T2, and timer F still holds.
    #[test]
    fn provisional_response_slows_retransmission() {
        let mut fsm = in_state(State::Proceeding, false);
        let (sent, fault, end) = fire_all(&mut fsm);
        assert_eq!(sent, [4000, 8000, 12_000, 16_000, 20_000, 24_000, 28_000]);
        assert_eq!((fault, end), (Some(Fault::Timeout), 32_000));
    }

    /// A reliable transport carries one copy; a completed transaction lasts T4 or no time.
    #[test]
    fn reliable_transport_and_timer_k() {
        let (sent, fault, end) = fire_all(&mut Client::new(at(0), &T, true));
        assert_eq!((sent, fault, end), (vec![], Some(Fault::Timeout), 32_000));
        let (sent, fault, end) = fire_all(&mut in_state(State::Completed, false));
        assert_eq!((sent, fault, end), (vec![], None, 5000));
        let (_, fault, end) = fire_all(&mut in_state(State::Completed, true));
        assert_eq!((fault, end), (None, 0));
    }
}
