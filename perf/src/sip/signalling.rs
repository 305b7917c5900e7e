//! The calls and their transport together.

use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};

use super::link::{Link, Transport};
use super::uac::{Event, Settings, Uac};
use crate::error::Result;
use crate::sound::Codec;
use crate::srtp::Suite;
use crate::sys::clock;

/// Signalling of all calls of a run.
pub(crate) struct Signalling {
    link: Link,
    /// The calls.
    pub(crate) uac: Uac,
}

/// Whom to call, and how.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    /// The server's SIP address.
    pub(crate) server: SocketAddrV4,
    /// User part of the Request-URI.
    pub(crate) user: String,
    /// Transport.
    pub(crate) transport: Transport,
    /// Our own signalling address.
    pub(crate) local: SocketAddrV4,
    /// `a=ptime` of the offers.
    pub(crate) ptime_ms: u32,
    /// Codec of the offers.
    pub(crate) codec: Codec,
    /// Secures the calls.
    pub(crate) srtp: Option<Suite>,
}

impl Signalling {
    /// Opens the transport.
    pub(crate) fn open(callee: &Callee) -> Result<Self> {
        let link = Link::open(callee.local, callee.server, callee.transport)?;
        let reliable = callee.transport == Transport::Tcp;
        let parameter = if reliable { ";transport=tcp" } else { "" };
        let uac = Uac::new(Settings {
            local: link.local()?,
            target: format!("sip:{}@{}{parameter}", callee.user, callee.server),
            reliable,
            run: clock::real_ns(),
            ptime_ms: callee.ptime_ms,
            codec: callee.codec,
            srtp: callee.srtp,
        });
        Ok(Self { link, uac })
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(message) = self.uac.out.pop_front() {
            self.link.send(&message)?;
        }
        Ok(())
    }

    /// Places a call.
    pub(crate) fn invite(&mut self, id: u32, rtp: SocketAddrV4) -> Result<()> {
        self.flush()?;
        self.uac.invite(id, rtp, clock::mono_ns(), clock::real_ns());
        self.flush()
    }

    /// Ends a call.
    pub(crate) fn hang_up(&mut self, id: u32) -> Result<()> {
        self.flush()?;
        self.uac.hang_up(id, clock::mono_ns(), clock::real_ns());
        self.flush()
    }

    /// Reads, retransmits, sends; hands out what happened.
    pub(crate) fn pump(&mut self, mut take: impl FnMut(Event)) -> Result<()> {
        let Self { link, uac } = self;
        link.receive(|bytes, stamp_ns| {
            uac.receive(bytes, clock::mono_ns(), stamp_ns);
        })?;
        uac.tick(clock::mono_ns());
        self.flush()?;
        while let Some(event) = self.uac.events.pop_front() {
            take(event);
        }
        Ok(())
    }
}

impl AsRawFd for Signalling {
    fn as_raw_fd(&self) -> RawFd {
        self.link.as_raw_fd()
    }
}
