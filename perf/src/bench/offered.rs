//! Calls of a carrier that is played, for whoever says chirps on them.

use std::time::Duration;

use super::voice::Conversation;
use crate::error::{PerfError, Result};
use crate::line::emulated::{Came, Carrier};
use crate::report::Setup;
use crate::sys::clock::{self, SECOND_NS};

/// Calls placed a second: so that the server is measured in its talk, not in its start.
const RATE_HZ: u64 = 50;

/// How long calls may take to come up, in nanoseconds.
const PATIENCE_NS: u64 = 20 * SECOND_NS;

/// How long sockets may stay open once their calls are over, in nanoseconds.
const GOODBYE_NS: u64 = 5 * SECOND_NS;

/// How long after another the carrier is looked at, in nanoseconds.
const LOOK_NS: u64 = 1_000_000;

/// How long after another the server is asked whether it has calls.
const IDLE_GAP: Duration = Duration::from_millis(50);

/// Books of the calls.
pub(super) struct Offered<'c> {
    carrier: &'c Carrier,
    /// Of each call, in the order of the conversation's: the carrier's id, and its number of the
    /// socket.
    calls: Vec<(String, u32)>,
    /// Sockets that the server has closed.
    gone: usize,
    /// How they came up and went.
    pub(super) setup: Setup,
}

impl<'c> Offered<'c> {
    /// No calls yet; what is left of calls before these is let go of.
    pub(super) fn new(carrier: &'c Carrier) -> Self {
        while let Some(came) = carrier.came() {
            if let Came::Line(opened) = came {
                carrier.hang_up(&opened.call);
            }
        }
        Self { carrier, calls: Vec::new(), gone: 0, setup: Setup::default() }
    }

    /// Calls that came up.
    pub(super) fn up(&self) -> usize {
        self.calls.len()
    }

    /// Places the calls at the rate, and waits until their media sockets are open.
    pub(super) fn place(&mut self, talk: &mut Conversation<'_>, calls: u32) -> Result<()> {
        let start = clock::mono_ns();
        for number in 0..u64::from(calls) {
            self.attend(talk, start + number * SECOND_NS / RATE_HZ)?;
            self.setup.placed += 1;
            self.carrier.offer();
        }
        let end = clock::mono_ns() + PATIENCE_NS;
        while self.settled() < u64::from(calls) && clock::mono_ns() < end {
            self.attend(talk, clock::mono_ns() + LOOK_NS)?;
        }
        let missing = u64::from(calls).saturating_sub(self.settled());
        if missing > 0 {
            self.failed("no media socket in time", missing);
        }
        match self.up() {
            0 => Err(PerfError::Peer(format!("no call came up: {:?}", self.setup.failed))),
            _ => Ok(()),
        }
    }

    /// Listens, and takes what has become of calls, until then. Of what waited together the kernel
    /// tells one time: a server that sends all the while would be heard later than it spoke.
    fn attend(&mut self, talk: &mut Conversation<'_>, until_ns: u64) -> Result<()> {
        loop {
            talk.listen()?;
            self.look(talk)?;
            let now = clock::mono_ns();
            if now >= until_ns {
                return Ok(());
            }
            clock::sleep_until(until_ns.min(now + LOOK_NS));
        }
    }

    fn settled(&self) -> u64 {
        self.calls.len() as u64 + self.setup.failed.values().sum::<u64>()
    }

    fn failed(&mut self, why: &str, count: u64) {
        *self.setup.failed.entry(why.to_owned()).or_default() += count;
    }

    /// Takes what has become of calls.
    pub(super) fn look(&mut self, talk: &mut Conversation<'_>) -> Result<()> {
        while let Some(came) = self.carrier.came() {
            match came {
                Came::Line(opened) => {
                    talk.take_line(opened.socket, &opened.rest, opened.talk)?;
                    self.setup.answered += 1;
                    self.calls.push((opened.call, opened.number));
                }
                Came::Say(number, opcode, bytes) => {
                    if let Some(call) = self.calls.iter().position(|(_, known)| *known == number) {
                        talk.pass_on(call, opcode, &bytes);
                    }
                }
                Came::Ended(id) => match self.calls.iter().position(|(known, _)| *known == id) {
                    Some(call) => talk.ended(call),
                    None => self.failed("ended before its audio", 1),
                },
            }
        }
        while let Some(call) = talk.closed() {
            self.gone += 1;
            if let Some((_, number)) = self.calls.get(call) {
                self.carrier.closed(*number);
            }
        }
        Ok(())
    }

    /// Ends every call, and waits until the server has let go of them.
    pub(super) fn hang_up(&mut self, talk: &mut Conversation<'_>) -> Result<()> {
        talk.all_ended();
        for (id, _) in &self.calls {
            self.carrier.hang_up(id);
        }
        let end = clock::mono_ns() + GOODBYE_NS;
        while self.gone < self.calls.len() && clock::mono_ns() < end {
            self.attend(talk, clock::mono_ns() + LOOK_NS)?;
        }
        while clock::mono_ns() < end && !self.carrier.is_idle()? {
            std::thread::sleep(IDLE_GAP);
        }
        Ok(())
    }
}
