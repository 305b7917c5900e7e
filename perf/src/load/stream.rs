//! One call's audio: the socket it travels on, and its books.

use std::net::SocketAddrV4;

use socket2::Socket;

use super::account::Account;
use super::line::LineEnd;
use crate::sound::Codec;
use crate::srtp::Session;
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
