//! What some carriers have besides: sockets that the server opens to them, and audio that travels
//! by other ways than sockets of theirs.

use std::net::SocketAddr;

use super::Clock;
use crate::exchange::{HttpRequest, HttpResponse};

/// An [emulator](super::Emulator) of such a carrier, after each input of which
/// [`poll`](Self::poll) is asked until it yields nothing, before the emulator itself is.
pub trait Wires {
    /// The server wants to open a WebSocket here (RFC 6455 4.2). What is opened is a socket like
    /// those that the carrier opens itself.
    fn upgrade(&mut self, clock: Clock, request: &HttpRequest) -> Upgraded;

    /// A datagram has come to the port of UDP that has the number of the API's.
    fn datagram(&mut self, clock: Clock, from: SocketAddr, data: &[u8]);

    /// The next thing to do.
    fn poll(&mut self) -> Option<WireOutput>;
}

/// What becomes of a WebSocket that the server wants to open.
#[derive(Clone, Debug, PartialEq)]
pub enum Upgraded {
    /// It is open from now on.
    Open {
        /// A number that is unique.
        socket: u32,
        /// The subprotocol, if one is spoken.
        subprotocol: Option<&'static str>,
    },
    /// It is refused so.
    Refused(HttpResponse),
}

/// What is to be done on such wires.
#[derive(Clone, Debug, PartialEq)]
pub enum WireOutput {
    /// Send this from the port of UDP.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// Its bytes.
        data: Vec<u8>,
    },
    /// Open a bare TCP connection. It is a socket like others, whose messages are bytes: any number
    /// of those that came, and all of those that are sent.
    Connect {
        /// A number that is unique.
        socket: u32,
        /// Where to.
        to: SocketAddr,
    },
}
