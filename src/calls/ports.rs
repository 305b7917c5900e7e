//! Pairs of UDP ports for RTP and RTCP (RFC 3550 11: RTP even, RTCP the next odd one).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::config::PortRange;
use crate::workers::command::RtpSockets;

/// Pairs tried before a call is refused: others on the machine may hold some of the range.
const ATTEMPTS_MAX: u32 = 64;

/// Hands out bound sockets, going round the range so that a port just freed rests the longest:
/// stray packets of an ended call must not reach the next one.
#[derive(Debug)]
pub struct Ports {
    range: PortRange,
    next: u32,
}

impl Ports {
    /// Ports of `range`.
    pub const fn new(range: PortRange) -> Self {
        Self { range, next: 0 }
    }

    /// Binds the next free pair on `address`.
    ///
    /// # Errors
    ///
    /// The last error of `bind(2)` when many pairs in a row could not be had.
    pub fn bind(&mut self, address: IpAddr) -> io::Result<RtpSockets> {
        let pairs = self.range.pairs().max(1);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..ATTEMPTS_MAX.min(pairs) {
            let offset = u16::try_from(self.next % pairs * 2).unwrap_or(0);
            self.next = self.next.wrapping_add(1);
            match pair(address, self.range.first + offset) {
                Ok(sockets) => return Ok(sockets),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn pair(address: IpAddr, port: u16) -> io::Result<RtpSockets> {
    let rtp = bind(SocketAddr::new(address, port))?;
    let rtcp = bind(SocketAddr::new(address, port + 1))?;
    Ok(RtpSockets { rtp, rtcp })
}

/// Binds a non-blocking UDP socket.
///
/// # Errors
///
/// As `bind(2)`.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
