//! Datagrams of sockets that hear at every address of the machine: at which of them each arrived,
//! and from which one goes (`IP_PKTINFO`, ip(7); `IPV6_PKTINFO`, RFC 3542 6).
//!
//! Whoever sent to one address and hears from another takes that for somebody else, and so does a
//! NAT in between. Left alone, the kernel sends from the address that its routes prefer.

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockAddr;

/// Room for what the kernel tells of a datagram, aligned as it wants it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// More than the longer of the two messages takes.
const CONTROL_BYTES: usize = 64;

/// True for a socket at a wildcard.
pub(super) fn hears_everywhere(socket: &UdpSocket) -> bool {
    socket.local_addr().is_ok_and(|local| local.ip().is_unspecified())
}

/// Has the kernel tell at which address datagrams reach a socket.
pub(super) fn watch(socket: &UdpSocket) -> io::Result<()> {
    let watched = match socket.local_addr()? {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true),
    };
    Ok(watched?)
}

/// Receives a datagram: its length, where it came from, and at which address.
pub(super) fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let receive = |name: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        // SAFETY: an all-zero `msghdr` is a valid value of that plain C structure.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = name.cast();
        // SAFETY: `length` is that of the storage behind `name`, both of which outlive this call.
        header.msg_namelen = unsafe { *length };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
        // SAFETY: name, part and control are buffers of the lengths that stand beside them, and
        // live until the call returns.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: as above; the kernel has written so much of the name.
        unsafe { *length = header.msg_namelen };
        Ok((received, reached(&header)))
    };
    // SAFETY: the kernel fills the storage with an address of the length that is set beside it.
    let ((length, at), from) = unsafe { SockAddr::try_init(receive) }?;
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((length, from, at))
}

/// The address that a datagram reached, of a header that the kernel has filled in.
fn reached(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel has written messages of the lengths that it says into the control buffer,
    // which is alive and aligned.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: null, or a message within that buffer.
    while let Some(message) = unsafe { next.as_ref() } {
        // SAFETY: what follows the head of a message of this kind is this structure.
        let data = unsafe { libc::CMSG_DATA(message) };
        match (message.cmsg_level, message.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: as above; it need not be aligned.
                let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: as above; it need not be aligned.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            // SAFETY: `next` is a message of this header.
            _ => next = unsafe { libc::CMSG_NXTHDR(header, next) },
        }
    }
    None
}

/// Sends a datagram to `to` from the address `from` of this machine.
pub(super) fn send(
    socket: &UdpSocket,
    packet: &[u8],
    to: SocketAddr,
    from: IpAddr,
) -> io::Result<usize> {
    match from {
        IpAddr::V4(from) => {
            // SAFETY: an all-zero value is a valid one of that plain C structure.
            let mut info: libc::in_pktinfo = unsafe { zeroed() };
            info.ipi_spec_dst.s_addr = u32::from(from).to_be();
            send_with(socket, packet, to, (libc::IPPROTO_IP, libc::IP_PKTINFO, info))
        }
        IpAddr::V6(from) => {
            // SAFETY: an all-zero value is a valid one of that plain C structure.
            let mut info: libc::in6_pktinfo = unsafe { zeroed() };
            info.ipi6_addr.s6_addr = from.octets();
            send_with(socket, packet, to, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info))
        }
    }
}

/// Sends a datagram with a message of this level, kind and content to the kernel.
fn send_with<Info>(
    socket: &UdpSocket,
    packet: &[u8],
    to: SocketAddr,
    (level, kind, info): (libc::c_int, libc::c_int, Info),
) -> io::Result<usize> {
    let info_bytes = size_of::<Info>() as libc::c_uint;
    // SAFETY: these two compute lengths.
    let (space, length) = unsafe { (libc::CMSG_SPACE(info_bytes), libc::CMSG_LEN(info_bytes)) };
    const { assert!(size_of::<Info>() + 2 * size_of::<libc::cmsghdr>() <= CONTROL_BYTES) };
    let mut control = Control([0; CONTROL_BYTES]);
    let to = SockAddr::from(to);
    let mut part =
        libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
    // SAFETY: an all-zero `msghdr` is a valid value of that plain C structure.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = to.as_ptr().cast_mut().cast();
    header.msg_namelen = to.len();
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = space as _;
    // SAFETY: the control buffer is aligned and has room for one message of `space` bytes, as was
    // asserted, so that its head and its data are within.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = length as _;
        libc::CMSG_DATA(message).cast::<Info>().write_unaligned(info);
    }
    // SAFETY: the kernel reads the name, the packet and the control message, which have the lengths
    // that stand beside them and live until the call returns.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes to one of several addresses is known to have, and what is sent from it comes from
    /// there, whatever the kernel would prefer: IPv4, and IPv4 on a socket of IPv6.
    #[test]
    fn answers_from_where_it_was_reached() {
        for (wildcard, reached) in [
            ("0.0.0.0:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.7"),
            ("[::]:0", "::1"),
            ("[::]:0", "::ffff:127.0.0.7"),
        ] {
            let socket = UdpSocket::bind(wildcard).unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            assert!(hears_everywhere(&socket));
            watch(&socket).unwrap();
            let at: IpAddr = reached.parse().unwrap();
            let there = SocketAddr::new(at.to_canonical(), socket.local_addr().unwrap().port());
            let own = if there.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let peer = UdpSocket::bind(own).unwrap();
            peer.send_to(b"here", there).unwrap();
            let mut buffer = [0; 16];
            let (length, from, reached) = receive(&socket, &mut buffer).unwrap();
            assert_eq!((&buffer[..length], reached), (&b"here"[..], Some(at)));
            assert_eq!(from.ip().to_canonical(), peer.local_addr().unwrap().ip());
            assert_eq!(from.port(), peer.local_addr().unwrap().port());
            assert_eq!(send(&socket, b"back", from, at).unwrap(), 4);
            let (length, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"back"[..], there));
        }
    }

    /// An address that is not ours is refused.
    #[test]
    fn sends_from_nowhere_else() {
        for (wildcard, to, from) in
            [("0.0.0.0:0", "127.0.0.1:9", "192.0.2.1"), ("[::]:0", "[::1]:9", "2001:db8::1")]
        {
            let socket = UdpSocket::bind(wildcard).unwrap();
            send(&socket, b"x", to.parse().unwrap(), from.parse().unwrap()).unwrap_err();
        }
    }
}
