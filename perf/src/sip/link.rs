//! How SIP messages travel: one UDP socket, or one connection by TCP or TLS, for all calls of a
//! run.

use std::io::Write as _;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{SockAddr, Socket};

use super::text;
use super::tls::{Proof, Tls};
use crate::error::{PerfError, Result};
use crate::sys::net;

/// Largest datagram, in bytes.
const DATAGRAM_BYTES: usize = 65_536;

/// A transport that SIP is spoken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Datagrams, with retransmissions.
    #[default]
    Udp,
    /// One connection for all calls.
    Tcp,
    /// The same, secured.
    Tls,
}

impl Transport {
    /// Whether nothing is sent twice.
    pub(crate) const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Its name in Via (RFC 3261 20.42).
    pub(crate) const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// What a URI has of it (RFC 3261 19.1.1).
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}

/// Our end of it.
pub(crate) struct Link {
    socket: Socket,
    peer: SocketAddrV4,
    transport: Transport,
    tls: Option<Box<Tls>>,
    stream: Vec<u8>,
    scratch: Vec<u8>,
}

impl Link {
    /// Binds (or connects) towards the server, which over TLS has something to prove.
    pub(crate) fn open(
        local: SocketAddrV4,
        peer: SocketAddrV4,
        over: Transport,
        proof: Proof<'_>,
    ) -> Result<Self> {
        let what = || format!("SIP {over:?} towards {peer}");
        let socket = match over {
            Transport::Udp => {
                let socket =
                    net::udp(local, net::SIP_BUFFER_BYTES).map_err(PerfError::io(what()))?;
                socket.connect(&SockAddr::from(peer)).map_err(PerfError::io(what()))?;
                socket
            }
            Transport::Tcp | Transport::Tls => {
                let socket = net::connect(peer).map_err(PerfError::io(what()))?;
                net::stamp(&socket)?;
                socket
            }
        };
        let tls = match over {
            Transport::Tls => Some(Box::new(Tls::open(&socket, proof)?)),
            Transport::Udp | Transport::Tcp => None,
        };
        let (stream, scratch) = (Vec::new(), vec![0; DATAGRAM_BYTES]);
        Ok(Self { socket, peer, transport: over, tls, stream, scratch })
    }

    /// Our address, for Via and Contact.
    pub(crate) fn local(&self) -> Result<SocketAddrV4> {
        Ok(net::local(&self.socket)?)
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<()> {
        let peer = self.peer;
        if let Some(tls) = &mut self.tls {
            let sent = tls.send(&self.socket, message);
            return sent.map_err(PerfError::io("sending SIP over TLS"));
        }
        match self.transport {
            // A refusal (ICMP) of an earlier datagram is reported here: the retransmission
            // decides, as it does for any datagram that got lost.
            Transport::Udp => match self.socket.send(message) {
                Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => {
                    Err(PerfError::io(format!("sending SIP to {peer}"))(error))
                }
                _ => Ok(()),
            },
            Transport::Tcp | Transport::Tls => {
                (&self.socket).write_all(message).map_err(PerfError::io("sending SIP over TCP"))
            }
        }
    }

    /// Reads everything there is and hands out the messages with their arrival stamps.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(&[u8], u64)) -> Result<()> {
        loop {
            let arrival = match net::receive(&self.socket, &mut self.scratch) {
                Ok(arrival) => arrival,
                Err(error) if net::would_block(&error) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(PerfError::io("receiving SIP")(error)),
            };
            let bytes = self.scratch.get(..arrival.length).unwrap_or_default();
            if self.transport == Transport::Udp {
                take(bytes, arrival.stamp_ns);
                continue;
            }
            if bytes.is_empty() {
                return Err(PerfError::Peer("the server closed the SIP connection".into()));
            }
            match &mut self.tls {
                None => self.stream.extend_from_slice(bytes),
                Some(tls) => {
                    let taken = tls.take(bytes, &mut self.stream);
                    let taken = taken.and_then(|()| tls.flush(&self.socket));
                    taken.map_err(PerfError::io("receiving SIP over TLS"))?;
                }
            }
            let mut used = 0;
            while let Some(rest) = self.stream.get(used..) {
                let blank = rest.iter().take_while(|byte| b"\r\n".contains(byte)).count();
                let rest = rest.get(blank..).unwrap_or_default();
                let Some(length) = text::message_length(rest) else { break };
                take(rest.get(..length).unwrap_or_default(), arrival.stamp_ns);
                used += blank + length;
            }
            self.stream.drain(..used);
        }
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
