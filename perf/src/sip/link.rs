//! How SIP messages travel: one UDP socket, or one TCP connection, for all calls of a run.

use std::io::Write as _;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{SockAddr, Socket};

use super::text;
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
}

/// Our end of it.
pub(crate) struct Link {
    socket: Socket,
    peer: SocketAddrV4,
    transport: Transport,
    stream: Vec<u8>,
    scratch: Vec<u8>,
}

impl Link {
    /// Binds (and for TCP connects) towards the server.
    pub(crate) fn open(local: SocketAddrV4, peer: SocketAddrV4, over: Transport) -> Result<Self> {
        let what = || format!("SIP {over:?} towards {peer}");
        let socket = match over {
            Transport::Udp => {
                let socket =
                    net::udp(local, net::SIP_BUFFER_BYTES).map_err(PerfError::io(what()))?;
                socket.connect(&SockAddr::from(peer)).map_err(PerfError::io(what()))?;
                socket
            }
            Transport::Tcp => {
                let socket = net::connect(peer).map_err(PerfError::io(what()))?;
                net::stamp(&socket)?;
                socket
            }
        };
        let (stream, scratch) = (Vec::new(), vec![0; DATAGRAM_BYTES]);
        Ok(Self { socket, peer, transport: over, stream, scratch })
    }

    /// Our address, for Via and Contact.
    pub(crate) fn local(&self) -> Result<SocketAddrV4> {
        Ok(net::local(&self.socket)?)
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &[u8]) -> Result<()> {
        let peer = self.peer;
        match self.transport {
            // A refusal (ICMP) of an earlier datagram is reported here: the retransmission
            // decides, as it does for any datagram that got lost.
            Transport::Udp => match self.socket.send(message) {
                Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => {
                    Err(PerfError::io(format!("sending SIP to {peer}"))(error))
                }
                _ => Ok(()),
            },
            Transport::Tcp => {
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
            self.stream.extend_from_slice(bytes);
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
