//! The floor of two legs: what comes on a call's one socket goes out on its other and the other way
//! round, whatever it holds.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use super::serve::{STDIN, announce_udp, stdin_ended, watch_stdin};
use crate::error::Result;
use crate::sys::poll::Poll;

/// Passes packets on between each of `callers` and a socket of its own that is connected to `far`,
/// until standard input ends.
pub(super) fn run(callers: &[UdpSocket], far: SocketAddrV4) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut others = Vec::with_capacity(callers.len());
    for (token, caller) in (0u64..).zip(callers) {
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        other.connect(far)?;
        other.set_nonblocking(true)?;
        poll.add(caller.as_raw_fd(), 2 * token)?;
        poll.add(other.as_raw_fd(), 2 * token + 1)?;
        others.push(other);
    }
    watch_stdin(&poll)?;
    announce_udp(callers)?;
    let (mut buffer, mut ready) = ([0; 2048], Vec::new());
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            let at = (event.token / 2) as usize;
            let (Some(caller), Some(other)) = (callers.get(at), others.get(at)) else { continue };
            let (from, to) =
                if event.token.is_multiple_of(2) { (caller, other) } else { (other, caller) };
            if let Ok(length) = from.recv(&mut buffer) {
                let _ = to.send(buffer.get(..length).unwrap_or_default());
            }
        }
    }
}
