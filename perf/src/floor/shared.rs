//! UDP echoes that the one with a connected socket a call is measured beside: on one port for all
//! calls, many datagrams a system call; and on a socket a call that is not connected.

use std::io;
use std::iter::repeat_n;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use super::serve::{STDIN, announce, announce_udp, stdin_ended, watch_stdin};
use crate::error::{PerfError, Result};
use crate::sys::net;
use crate::sys::poll::Poll;

/// Datagrams a system call, at most.
const TOGETHER: usize = 32;

/// Room for a datagram, in bytes.
const DATAGRAM_BYTES: usize = 2_048;

/// Room in the one socket's queue, in bytes: what all calls send while nobody looks.
const QUEUE_BYTES: usize = 8 << 20;

/// Datagrams that are received and sent together, and what the kernel is told of them.
struct Batch {
    bytes: Vec<[u8; DATAGRAM_BYTES]>,
    names: [libc::sockaddr_in; TOGETHER],
    vectors: [libc::iovec; TOGETHER],
    heads: [libc::mmsghdr; TOGETHER],
}

impl Batch {
    fn new() -> Self {
        // SAFETY: all-zero is a valid value of these C structs.
        let (names, vectors, heads) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self { bytes: vec![[0; DATAGRAM_BYTES]; TOGETHER], names, vectors, heads }
    }

    /// Takes what has come, as much as there is room for; how many datagrams.
    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let rooms = self.bytes.iter_mut().zip(&mut self.names).zip(&mut self.vectors);
        for (((bytes, name), vector), head) in rooms.zip(&mut self.heads) {
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            head.msg_hdr.msg_name = ptr::from_mut(name).cast();
            head.msg_hdr.msg_namelen = u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(0);
            head.msg_hdr.msg_iov = ptr::from_mut(vector);
            head.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each of the `TOGETHER` heads refers to a buffer and a name of this batch, which
        // outlives the call, with their lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.heads.as_mut_ptr(),
                TOGETHER as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Sends the first `count` back to whom they came from.
    fn send(&mut self, socket: &UdpSocket, count: usize) -> io::Result<()> {
        for (vector, head) in self.vectors.iter_mut().zip(&self.heads).take(count) {
            vector.iov_len = head.msg_len as usize;
        }
        let mut done = 0;
        while let Some(rest) = self.heads.get_mut(done..count).filter(|rest| !rest.is_empty()) {
            // SAFETY: the heads are as `receive` left them, and what they refer to lives on.
            let sent = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            done += usize::try_from(sent).map_err(|_| io::Error::last_os_error())?.max(1);
        }
        Ok(())
    }
}

/// An echo on one port for so many calls.
pub(super) fn run(calls: usize) -> Result<()> {
    let socket = net::udp(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), QUEUE_BYTES);
    let socket = UdpSocket::from(socket.map_err(PerfError::io("opening the one socket"))?);
    let mut poll = Poll::new()?;
    poll.add(socket.as_raw_fd(), 0)?;
    watch_stdin(&poll)?;
    announce(repeat_n(socket.local_addr()?.port(), calls))?;
    let (mut batch, mut ready) = (Batch::new(), Vec::new());
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN {
                if stdin_ended() {
                    return Ok(());
                }
                continue;
            }
            // A peer that is gone answers with an ICMP error, which is of no interest.
            if let Ok(count) = batch.receive(&socket) {
                let _ = batch.send(&socket, count);
            }
        }
    }
}

/// An echo on a socket a call that takes from anybody, as many as there are calls.
pub(super) fn run_open(calls: usize) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut sockets = Vec::new();
    for token in 0..calls {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        poll.add(socket.as_raw_fd(), token as u64)?;
        sockets.push(socket);
    }
    watch_stdin(&poll)?;
    announce_udp(&sockets)?;
    let (mut buffer, mut ready) = ([0; DATAGRAM_BYTES], Vec::new());
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            let Some(socket) = sockets.get(event.token as usize) else { continue };
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What several send at once goes back to each of them, whatever its length.
    #[test]
    fn each_gets_its_own_back() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let at = socket.local_addr().expect("address");
        let peers: Vec<UdpSocket> =
            (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("peer")).collect();
        for (number, peer) in (1u8..).zip(&peers) {
            peer.send_to(&vec![number; usize::from(number) * 40], at).expect("sent");
        }
        let mut batch = Batch::new();
        let mut echoed = 0;
        while echoed < peers.len() {
            socket.peek(&mut [0]).expect("something comes");
            let count = batch.receive(&socket).expect("what loopback has delivered");
            batch.send(&socket, count).expect("echoed");
            echoed += count;
        }
        let mut buffer = [0; 256];
        for (number, peer) in (1u8..).zip(&peers) {
            let (length, from) = peer.recv_from(&mut buffer).expect("back");
            let back = buffer.get(..length).unwrap_or_default();
            assert_eq!((back, from), (&vec![number; usize::from(number) * 40][..], at));
        }
        assert!(batch.receive(&socket).is_err(), "nothing is left");
    }
}
