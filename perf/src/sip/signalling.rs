//! The calls and their transport together.

use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};

use super::access::Access;
use super::link::{Link, Transport};
use super::tls::Proof;
use super::uac::{Event, Failure, Settings, Uac};
use crate::error::{PerfError, Result};
use crate::sound::Codec;
use crate::srtp::Suite;
use crate::sys::clock;

/// Signalling of all calls of a run.
pub(crate) struct Signalling {
    link: Link,
    /// The calls.
    pub(crate) uac: Uac,
    /// Whom they are to.
    whom: String,
    /// One of them came up.
    was_answered: bool,
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
    /// Who calls, where that is asked; what the server is called by, and who vouches for it.
    pub(crate) access: Access,
}

impl Signalling {
    /// Opens the transport.
    pub(crate) fn open(callee: &Callee) -> Result<Self> {
        let Callee { server, user, transport, access, .. } = callee;
        let host = access.host.clone().unwrap_or_else(|| server.to_string());
        let name = host.split(':').next().unwrap_or_default();
        let account = access.account()?;
        let proof = Proof { name, ca: access.ca.as_deref() };
        let link = Link::open(callee.local, *server, *transport, proof)?;
        let whom = format!("sip:{user}@{host}{}", transport.parameter());
        let uac = Uac::new(Settings {
            local: link.local()?,
            target: whom.clone(),
            transport: *transport,
            from: account.as_ref().map(|account| account.uri(name)),
            account,
            run: clock::real_ns(),
            ptime_ms: callee.ptime_ms,
            codec: callee.codec,
            srtp: callee.srtp,
        });
        Ok(Self { link, uac, whom, was_answered: false })
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
    ///
    /// Before any call came up, one whose caller is not believed is an error: the others would
    /// fare no better, and trunks shut out who tries a wrong password again and again.
    pub(crate) fn pump(&mut self, mut take: impl FnMut(Event)) -> Result<()> {
        let Self { link, uac, .. } = self;
        link.receive(|bytes, stamp_ns| {
            uac.receive(bytes, clock::mono_ns(), stamp_ns);
        })?;
        uac.tick(clock::mono_ns());
        self.flush()?;
        while let Some(event) = self.uac.events.pop_front() {
            match event {
                Event::Answered { .. } => self.was_answered = true,
                Event::Failed { why: Failure::Denied(why), .. } if !self.was_answered => {
                    return Err(PerfError::Denied { whom: self.whom.clone(), why });
                }
                Event::Failed { .. } | Event::HungUp { .. } | Event::Ended { .. } => {}
            }
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
