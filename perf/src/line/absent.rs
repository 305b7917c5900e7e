//! What stands for carriers in miniature where they were not built in.

use std::net::SocketAddrV4;

use socket2::Socket;

use super::key::Key;
use super::talk::{Dialect, Talk};
use crate::error::{PerfError, Result};

/// What has become of a call: nothing ever does.
#[expect(dead_code, reason = "made where carriers are built in")]
pub(crate) enum Came {
    /// Its media socket is open.
    Line(Opened),
    /// Say this on a socket.
    Say(u32, u8, Vec<u8>),
    /// It is over.
    Ended(String),
}

/// A media socket that is open.
pub(crate) struct Opened {
    /// The carrier's id of the call.
    pub(crate) call: String,
    /// The carrier's number of the socket.
    pub(crate) number: u32,
    /// The socket.
    pub(crate) socket: Socket,
    /// What came behind the handshake.
    pub(crate) rest: Vec<u8>,
    /// What is said on it.
    pub(crate) talk: Talk,
}

/// No carrier.
pub(crate) struct Carrier {
    /// How it speaks.
    pub(crate) dialect: Dialect,
}

impl Carrier {
    /// Says that there is none.
    pub(crate) fn set_up(name: &str, _: SocketAddrV4, _: &Key, _: &str) -> Result<Self> {
        Err(PerfError::Usage(format!("{name} cannot be played: built without carriers")))
    }

    /// Nobody calls.
    pub(crate) fn offer(&self) {}

    /// Nobody hangs up.
    pub(crate) fn hang_up(&self, _: &str) {}

    /// Nothing was closed.
    pub(crate) fn closed(&self, _: u32) {}

    /// There is no call.
    pub(crate) fn is_idle(&self) -> Result<bool> {
        Ok(true)
    }

    /// Nothing comes.
    pub(crate) fn came(&self) -> Option<Came> {
        None
    }
}
