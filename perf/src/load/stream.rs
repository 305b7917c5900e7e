//! One call's audio: the socket it travels on, and its books.

use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::account::Account;
use super::line::LineEnd;
use crate::error::Result;
use crate::sound::Codec;
use crate::srtp::Session;
use crate::sys::poll::Poll;
use crate::ws::frame::Reader;

/// What carries a stream's packets.
pub(super) enum Carrier {
    /// Datagrams to the peer, once it is known.
    Udp(Option<SocketAddrV4>),
    /// Binary messages over a WebSocket of which we are the client.
    Ws(Box<Reader>),
    /// A carrier's media messages over such a socket.
    Line(Box<LineEnd>),
}

pub(super) struct Stream {
    pub(super) socket: Socket,
    /// Its RTCP socket, for datagrams.
    pub(super) rtcp: Option<Socket>,
    pub(super) carrier: Carrier,
    pub(super) secure: Option<Box<Session>>,
    pub(super) account: Account,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) active: bool,
    /// The stamp of the 200 that answered its call.
    pub(super) answered_ns: Option<u64>,
    /// The stamp of the first audio that came.
    pub(super) first_ns: Option<u64>,
}

/// Settings of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Milliseconds of audio a packet.
    pub(crate) ptime_ms: u32,
    /// Bytes of audio in a millisecond.
    pub(crate) bytes_ms: u32,
    /// What is due within one tick is sent together, in microseconds.
    pub(crate) tick_us: u64,
    /// What is sent.
    pub(crate) codec: Codec,
    /// What comes back is what was sent, bit by bit.
    pub(crate) exact: bool,
}

/// The server has closed a line: what it would have brought counts as lost.
pub(super) fn hung_up(
    poll: &Poll,
    stream: &mut Stream,
    id: usize,
    closed: &mut Vec<u32>,
) -> Result<()> {
    stream.active = false;
    closed.push(id as u32);
    Ok(poll.remove(stream.socket.as_raw_fd())?)
}

/// Writes a message to a socket that has room for it at the rates of speech.
pub(super) fn send_all(socket: &Socket, mut bytes: &[u8]) -> std::io::Result<usize> {
    let total = bytes.len();
    while !bytes.is_empty() {
        let sent = socket.send_with_flags(bytes, libc::MSG_NOSIGNAL)?;
        bytes = bytes.get(sent..).unwrap_or_default();
    }
    Ok(total)
}
