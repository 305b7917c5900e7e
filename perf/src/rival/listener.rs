//! A program that waits for a carrier's media sockets at a port that it is told.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use crate::error::{PerfError, Result};
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::sched;

/// How long it may take to start: some have much to import.
const START_NS: u64 = 60 * SECOND_NS;

/// What stands for the port in a command.
const PORT: &str = "{port}";

/// A program by the name it is shown with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: String,
    command: String,
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if !name.is_empty() && command.contains(PORT) => {
                Ok(Self { name: name.to_owned(), command: command.to_owned() })
            }
            _ => Err(format!("a program is NAME=COMMAND with {PORT} in the command")),
        }
    }
}

/// The running program; it ends when this is dropped.
pub(crate) struct Listener {
    child: Child,
    /// Where it listens.
    pub(crate) at: SocketAddrV4,
}

impl Program {
    /// Starts it on its CPU, if it has one, and waits until it listens.
    pub(crate) fn start(&self, cpu: Option<usize>) -> Result<Listener> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let line = self.command.replace(PORT, &free.to_string());
        let mut words = line.split_whitespace();
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(cpu) = cpu {
            sched::pin_command(&mut command, cpu);
        }
        let child = command.spawn().map_err(PerfError::io(format!("starting {line}")))?;
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free);
        let mut listener = Listener { child, at };
        let end = clock::mono_ns() + START_NS;
        while TcpStream::connect(at).is_err() {
            if let Some(status) = listener.child.try_wait()? {
                return Err(PerfError::Peer(format!("{} ended: {status}", self.name)));
            }
            if clock::mono_ns() > end {
                return Err(PerfError::Peer(format!("{} does not listen", self.name)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(listener)
    }
}

impl Listener {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended of itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program has a name, and is told its port; one that ends is no listener.
    #[test]
    fn programs_are_named() {
        let program: Program = "a=b {port}".parse().expect("a program");
        assert_eq!((program.name.as_str(), program.command.as_str()), ("a", "b {port}"));
        for wrong in ["a", "a=b", "=b {port}"] {
            assert!(wrong.parse::<Program>().is_err(), "{wrong}");
        }
        let ends: Program = "x=true {port}".parse().expect("a program");
        assert!(ends.start(None).is_err());
    }
}
