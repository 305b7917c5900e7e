//! Sockets that have said their last words and wait for the other side to hear them.

use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use media::time::MonoTime;

use super::poller::Poller;
use super::token::{Part, Token};

/// How long a socket that we closed may take to read our last words.
const LINGER: Duration = Duration::from_secs(2);
/// Sockets that linger at once; beyond it the oldest are cut off.
const LINGERING_MAX: usize = 1_024;

/// Sockets that are read to their end, for a short while.
///
/// A socket closed with unread bytes resets the connection, and a reset takes back what the other
/// side has not read yet: the close frame with its reason.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    sockets: VecDeque<(u32, TcpStream, MonoTime)>,
    next: u32,
}

impl Lingering {
    /// Takes a socket whose sending half is shut down.
    pub(super) fn add(&mut self, now: MonoTime, poller: &Poller, stream: TcpStream) {
        if self.sockets.len() >= LINGERING_MAX
            && let Some((_, oldest, _)) = self.sockets.pop_front()
        {
            poller.remove(&oldest);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        if poller.add(&stream, Token::part(Token::call(0, number), Part::Linger)).is_ok() {
            self.sockets.push_back((number, stream, now + LINGER));
        }
    }

    /// Reads and forgets what a lingering socket has; closes it at its end.
    pub(super) fn on_ready(&mut self, poller: &Poller, token: u64, scratch: &mut [u8]) {
        let found = self
            .sockets
            .iter()
            .position(|(number, ..)| Token::part(Token::call(0, *number), Part::Linger) == token);
        let Some(index) = found else { return };
        let Some((_, stream, _)) = self.sockets.get_mut(index) else { return };
        let ended = match stream.read(scratch) {
            Ok(length) => length == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        if ended && let Some((_, stream, _)) = self.sockets.remove(index) {
            poller.remove(&stream);
        }
    }

    /// When the first of them has waited long enough.
    pub(super) fn deadline(&self) -> MonoTime {
        self.sockets.front().map_or(MonoTime::MAX, |(_, _, until)| *until)
    }

    /// Closes those that have waited long enough.
    pub(super) fn expire(&mut self, now: MonoTime, poller: &Poller) {
        while self.deadline() <= now {
            if let Some((_, stream, _)) = self.sockets.pop_front() {
                poller.remove(&stream);
            }
        }
    }
}
