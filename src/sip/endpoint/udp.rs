//! SIP over UDP.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

/// Receive buffer asked of the kernel, in bytes: a burst of some thousand INVITEs.
pub const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams taken in one turn before other work has its say.
pub const BATCH_MAX: usize = 64;
/// The longest datagram there is.
const DATAGRAM_MAX_BYTES: usize = 65_535;

/// A SIP socket and its receive buffer.
#[derive(Debug)]
pub struct UdpTransport {
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Box<[u8]>,
}

impl UdpTransport {
    /// Binds `address`.
    ///
    /// # Errors
    ///
    /// As `bind(2)`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        // The kernel grants what `rmem_max` allows; `talkpath check` tells if that is little.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        if address.is_ipv6() {
            // IPv4 has a socket of its own, which may have the same port.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, buffer: vec![0; DATAGRAM_MAX_BYTES].into() })
    }

    /// The bound address.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether there may be a datagram; an error shows again in the receive that follows.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_recv_ready(context).map(drop)
    }

    /// Takes the next datagram, if there is one.
    pub fn receive(&mut self) -> Option<(SocketAddr, Bytes)> {
        loop {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((length, peer)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    return Some((peer, Bytes::copy_from_slice(datagram)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // An ICMP error of an earlier datagram: its transaction times out by itself.
                Err(_) => {}
            }
        }
    }

    /// Sends a datagram. One that the kernel does not take is lost like any other datagram.
    pub fn send(&self, peer: SocketAddr, datagram: &[u8]) {
        // Past the runtime: it would refuse until it has once seen the socket writable.
        if let Err(error) = SockRef::from(&self.socket).send_to(datagram, &peer.into()) {
            tracing::debug!(%error, "SIP datagram not sent");
        }
    }
}
