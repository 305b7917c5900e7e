//! Body of the fuzz target of the transactions: any sequence of what can happen to them.

use std::time::Duration;

use media::time::MonoTime;

use super::client::{self, Client};
use super::client_invite::{self, ClientInvite};
use super::server::{self, Server};
use super::server_invite::{self, ServerInvite};
use super::timers::Timers;
use super::{Class, Effects, Fault};

/// Retransmissions between two things that happen: 64 × T1 in steps of T1 at least.
const RETRANSMISSIONS_MAX: usize = 65;
/// Deadlines of one machine after the last thing that happens: each retransmission, and its end.
const DEADLINES_MAX: usize = RETRANSMISSIONS_MAX + 2;

/// Plays `data` to one transaction of each kind: an octet that says over which transport and with
/// which timers, then steps of two octets, what happens and how long after the step before.
///
/// # Panics
///
/// If a machine goes back to an earlier state, does anything after its end or before its time,
/// wants to be called again at once, repeats itself on a reliable transport or without end, fails
/// twice, hands over a second final response where there can be one only, or outlives its timers.
pub fn sip_transactions(data: &[u8]) {
    let Some((&how, steps)) = data.split_first() else { return };
    let reliable = how & 1 != 0;
    let unit = Duration::from_millis(u64::from(how >> 1) + 1);
    // T2 between T1 and its eightfold, as table 4 of RFC 3261 has it, and T4 beyond.
    let timers = match how >> 1 {
        0..=63 => Timers { t1: unit, t2: unit * u32::from(how % 8 + 1), t4: unit * 10 },
        _ => Timers::RFC3261,
    };
    let mut now = MonoTime::from_nanos(1);
    let mut all = [
        Machine::Client(Client::new(now, &timers, reliable)),
        Machine::ClientInvite(ClientInvite::new(now, &timers, reliable)),
        Machine::Server(Server::new(reliable)),
        Machine::ServerInvite(ServerInvite::new(reliable)),
    ]
    .map(|machine| Watched::new(machine, timers, reliable));
    for &[what, wait] in steps.as_chunks().0 {
        now += timers.t1 * u32::from(wait) / 3;
        for machine in &mut all {
            machine.pass(now);
            machine.happen(now, what);
        }
    }
    for machine in &mut all {
        machine.end(now);
    }
}

/// A transaction of any kind.
#[derive(Clone, Copy, Debug)]
enum Machine {
    Client(Client),
    ClientInvite(ClientInvite),
    Server(Server),
    ServerInvite(ServerInvite),
}

impl Machine {
    fn deadline(&self) -> MonoTime {
        match self {
            Self::Client(machine) => machine.deadline(),
            Self::ClientInvite(machine) => machine.deadline(),
            Self::Server(machine) => machine.deadline(),
            Self::ServerInvite(machine) => machine.deadline(),
        }
    }

    /// How far it has come. States that exclude each other are equally far.
    fn stage(&self) -> u8 {
        match self {
            Self::Client(machine) => match machine.state() {
                client::State::Trying => 0,
                client::State::Proceeding => 1,
                client::State::Completed => 2,
                client::State::Terminated => END,
            },
            Self::ClientInvite(machine) => match machine.state() {
                client_invite::State::Calling => 0,
                client_invite::State::Proceeding => 1,
                client_invite::State::Completed | client_invite::State::Accepted => 2,
                client_invite::State::Terminated => END,
            },
            Self::Server(machine) => match machine.state() {
                server::State::Trying => 0,
                server::State::Proceeding => 1,
                server::State::Completed => 2,
                server::State::Terminated => END,
            },
            Self::ServerInvite(machine) => match machine.state() {
                server_invite::State::Proceeding => 0,
                server_invite::State::Completed | server_invite::State::Accepted => 1,
                server_invite::State::Confirmed => 2,
                server_invite::State::Terminated => END,
            },
        }
    }

    /// Whether what comes to it may be handed over again and again: 2xx of the branches of a fork,
    /// ACKs of a 2xx, provisional responses.
    fn has_answered(&self) -> bool {
        match self {
            Self::Client(machine) => machine.state() == client::State::Completed,
            Self::ClientInvite(machine) => machine.state() == client_invite::State::Completed,
            Self::Server(_) | Self::ServerInvite(_) => false,
        }
    }

    fn timeout(&mut self, now: MonoTime, timers: &Timers) -> Effects {
        match self {
            Self::Client(machine) => machine.handle_timeout(now, timers),
            Self::ClientInvite(machine) => machine.handle_timeout(now),
            Self::Server(machine) => machine.handle_timeout(now),
            Self::ServerInvite(machine) => machine.handle_timeout(now, timers),
        }
    }

    fn happen(&mut self, now: MonoTime, timers: &Timers, what: u8) -> Effects {
        let class = match what >> 2 & 3 {
            0 => Class::Provisional,
            1 => Class::Success,
            _ => Class::Failure,
        };
        match (self, what & 3) {
            (Self::Client(machine), 0..=2) => machine.handle_response(now, timers, class),
            (Self::Client(machine), _) => machine.handle_transport_error(),
            (Self::ClientInvite(machine), 0 | 1) => machine.handle_response(now, timers, class),
            (Self::ClientInvite(machine), 2) => {
                match what >> 4 & 1 {
                    0 => machine.give_up(now, timers),
                    _ => machine.expect_within(now, timers.t1 * 4),
                }
                Effects::NONE
            }
            (Self::ClientInvite(machine), _) => machine.handle_transport_error(),
            (Self::Server(machine), 0) => machine.handle_request(),
            (Self::Server(machine), 1 | 2) => machine.respond(now, timers, class),
            (Self::Server(machine), _) => machine.handle_transport_error(),
            (Self::ServerInvite(machine), 0) => machine.handle_request(),
            (Self::ServerInvite(machine), 1) => machine.respond(now, timers, class),
            (Self::ServerInvite(machine), 2) => machine.handle_ack(now, timers),
            (Self::ServerInvite(machine), _) => machine.handle_transport_error(),
        }
    }

    /// Does what its user owes it, so that it ends.
    fn finish(&mut self, now: MonoTime, timers: &Timers) {
        match self {
            Self::Client(_) => {}
            Self::ClientInvite(machine) => machine.give_up(now, timers),
            Self::Server(machine) => drop(machine.respond(now, timers, Class::Failure)),
            Self::ServerInvite(machine) => drop(machine.respond(now, timers, Class::Failure)),
        }
    }
}

/// The stage at which a machine is over.
const END: u8 = 3;

/// A machine, and what it has done.
#[derive(Debug)]
struct Watched {
    machine: Machine,
    timers: Timers,
    reliable: bool,
    /// Since the last thing that happened.
    retransmissions: usize,
    failed: bool,
}

impl Watched {
    const fn new(machine: Machine, timers: Timers, reliable: bool) -> Self {
        Self { machine, timers, reliable, retransmissions: 0, failed: false }
    }

    /// Time passes until `end`.
    fn pass(&mut self, end: MonoTime) {
        while self.machine.deadline() <= end {
            let at = self.machine.deadline();
            self.tick(at);
        }
        let mut early = self.machine;
        let nothing = early.timeout(end, &self.timers);
        assert_eq!(nothing, Effects::NONE, "before its time: {self:?}");
        assert_eq!(early.stage(), self.machine.stage(), "before its time: {self:?}");
        assert_eq!(early.deadline(), self.machine.deadline());
    }

    fn tick(&mut self, at: MonoTime) {
        let before = self.machine.stage();
        let effects = self.machine.timeout(at, &self.timers);
        assert!(self.machine.deadline() > at, "it wants to be called at once: {self:?}");
        assert!(!effects.ack && !effects.deliver, "a clock brings no message");
        assert!(before < END, "a clock of a machine that is over");
        self.retransmissions += usize::from(effects.transmit);
        assert!(self.retransmissions <= RETRANSMISSIONS_MAX, "{self:?}");
        assert!(!(self.reliable && effects.transmit), "twice on a reliable transport");
        if effects.fault.is_some() {
            assert_eq!(effects.fault, Some(Fault::Timeout));
            assert!(self.machine.stage() == END, "it goes on after its time: {self:?}");
        }
        self.check(before, effects);
    }

    fn happen(&mut self, now: MonoTime, what: u8) {
        let before = self.machine;
        let effects = self.machine.happen(now, &self.timers, what);
        self.retransmissions = 0;
        assert!(!(before.has_answered() && effects.deliver), "a second final response");
        if effects.ack {
            assert!(matches!(self.machine, Machine::ClientInvite(_)) && self.machine.stage() == 2);
        }
        if before.stage() == END {
            assert_eq!(effects, Effects::NONE, "after the end: {self:?}");
        }
        self.check(before.stage(), effects);
    }

    fn check(&mut self, before: u8, effects: Effects) {
        let stage = self.machine.stage();
        assert!(stage >= before, "it went back: {self:?}");
        assert!(stage < END || self.machine.deadline() == MonoTime::MAX, "a clock after the end");
        if effects.fault.is_some() {
            // A server's INVITE outlives the connection that it came on (RFC 6026 8.8).
            let outlives = matches!(self.machine, Machine::ServerInvite(_));
            assert!(outlives || !self.failed, "it failed twice: {self:?}");
            assert!(outlives || stage == END, "it goes on after a failure: {self:?}");
            self.failed = true;
        }
    }

    /// Nothing happens any more but what its user owes: it ends, and in time.
    fn end(&mut self, now: MonoTime) {
        let most = now + self.timers.limit() * 2 + self.timers.t4;
        self.machine.finish(now, &self.timers);
        self.retransmissions = 0;
        for _ in 0..DEADLINES_MAX {
            let at = self.machine.deadline();
            if at == MonoTime::MAX {
                break;
            }
            assert!(at <= most, "it outlives its timers: {self:?}");
            self.tick(at);
        }
        assert_eq!(self.machine.stage(), END, "it never ends: {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that can happen, twice over and at any distance, on both transports.
    #[test]
    fn every_pair_of_steps() {
        for how in [0, 1, 7, 34, 128, 129] {
            for first in 0..32 {
                for second in 0..32 {
                    for wait in [0, 1, 3, 20, 191, 255] {
                        sip_transactions(&[how, first, wait, second, wait, first, 1]);
                    }
                }
            }
        }
    }

    /// Long random sequences.
    #[test]
    fn random_steps() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..20_000 {
            let length = random.usize(0..60);
            let octets: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            sip_transactions(&octets);
        }
    }
}
