//! IPv4 sockets whose receive calls return the kernel's arrival stamp (`SO_TIMESTAMPNS`), so
//! that a late reader does not count as a late packet.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::clock;

/// Receive buffer of a call's RTP socket, in bytes: seconds of audio.
const RTP_BUFFER_BYTES: usize = 1 << 20;

/// Receive buffer of a call's RTCP socket, in bytes.
const RTCP_BUFFER_BYTES: usize = 64 << 10;

/// Receive buffer of the signalling socket, in bytes.
pub(crate) const SIP_BUFFER_BYTES: usize = 8 << 20;

/// Listening backlog: every call of a burst may connect at once.
const BACKLOG: i32 = 4096;

fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = u32::try_from(size_of::<i32>()).unwrap_or(4);
    // SAFETY: `value` is a live i32 and its size is passed with it.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for receive stamps on a socket.
pub(crate) fn stamp(fd: &impl AsRawFd) -> io::Result<()> {
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// A bound, non-blocking UDP socket with receive stamps. The buffer is forced beyond
/// `rmem_max` where the process may; elsewhere the kernel's limit applies.
pub(crate) fn udp(local: SocketAddrV4, buffer_bytes: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let bytes = i32::try_from(buffer_bytes).unwrap_or(i32::MAX);
    if set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_err() {
        socket.set_recv_buffer_size(buffer_bytes)?;
    }
    stamp(&socket)?;
    socket.bind(&SockAddr::from(local))?;
    Ok(socket)
}

/// Ports for RTP, in pairs with RTCP (RFC 3550 11). They lie below the kernel's own choices and
/// below the server's default range, so that no call's RTCP port is another call's RTP port.
#[derive(Debug)]
pub(crate) struct RtpPorts {
    address: Ipv4Addr,
    next: u16,
}

/// First port of [`RtpPorts`].
const FIRST_RTP_PORT: u16 = 10_000;

/// End of [`RtpPorts`].
const END_OF_RTP_PORTS: u16 = 20_000;

impl RtpPorts {
    /// Ports of an address of this machine.
    pub(crate) fn new(address: Ipv4Addr) -> Self {
        Self { address, next: FIRST_RTP_PORT }
    }

    /// The next free pair: RTP on the even port, RTCP on the odd one.
    pub(crate) fn pair(&mut self) -> io::Result<(Socket, Socket)> {
        while self.next < END_OF_RTP_PORTS {
            let port = self.next;
            self.next += 2;
            let open = |port, bytes| udp(SocketAddrV4::new(self.address, port), bytes);
            match open(port, RTP_BUFFER_BYTES)
                .and_then(|rtp| Ok((rtp, open(port + 1, RTCP_BUFFER_BYTES)?)))
            {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                result => return result,
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no pair of RTP ports is free"))
    }
}

/// A listening, non-blocking TCP socket.
pub(crate) fn listen(local: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(local))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A connected TCP socket, still blocking, without Nagle's delay.
pub(crate) fn connect(peer: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.connect(&SockAddr::from(peer))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// The address a socket is bound to.
pub(crate) fn local(socket: &Socket) -> io::Result<SocketAddrV4> {
    socket.local_addr()?.as_socket_ipv4().ok_or_else(|| io::Error::other("not an IPv4 socket"))
}

/// Where and when something arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Bytes received.
    pub(crate) length: usize,
    /// Sender (unspecified for a stream).
    pub(crate) from: SocketAddrV4,
    /// Kernel's stamp on the real-time clock, or the time of reading where there is none.
    pub(crate) stamp_ns: u64,
}

/// Space for one timestamp control message, aligned for its header.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Receives one datagram, or what a stream has; `WouldBlock` when there is nothing.
pub(crate) fn receive(fd: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Arrival> {
    // SAFETY: all-zero is a valid value of these C structs.
    let (mut name, mut header): (libc::sockaddr_in, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
    let mut control = Control([0; 64]);
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(0);
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    // SAFETY: every pointer in `header` refers to a live local or to `buffer`, with its length.
    let count = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut stamp_ns = 0;
    // SAFETY: `header` and its control buffer are as recvmsg left them; the CMSG functions stay
    // within msg_controllen, and the payload of SCM_TIMESTAMPNS is a timespec, read unaligned.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        if !message.is_null()
            && (*message).cmsg_level == libc::SOL_SOCKET
            && (*message).cmsg_type == libc::SCM_TIMESTAMPNS
        {
            let time = libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned();
            stamp_ns = clock::from_timespec(time);
        }
    }
    if stamp_ns == 0 {
        stamp_ns = clock::real_ns();
    }
    let from = SocketAddrV4::new(
        Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr)),
        u16::from_be(name.sin_port),
    );
    Ok(Arrival { length: count.unsigned_abs(), from, stamp_ns })
}

/// True for the error that only says "not now".
pub(crate) fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs are even and odd, and do not overlap with each other or with ports in use.
    #[test]
    fn pairs_are_apart() {
        let mut ports = RtpPorts::new(Ipv4Addr::LOCALHOST);
        let mut other = RtpPorts::new(Ipv4Addr::LOCALHOST);
        let mut seen = std::collections::HashSet::new();
        let mut keep = Vec::new();
        for turn in 0..3 {
            let ports = if turn == 1 { &mut other } else { &mut ports };
            let (rtp, rtcp) = ports.pair().expect("pair");
            let (a, b) = (local(&rtp).expect("rtp").port(), local(&rtcp).expect("rtcp").port());
            assert!(a % 2 == 0 && b == a + 1 && seen.insert(a));
            keep.push((rtp, rtcp));
        }
    }
}
