//! The floor of a line: what comes on the carrier's socket goes out on the agent's and the other
//! way round, message by message, whatever they hold.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use super::serve::{LISTENER, MASK, READ_BYTES, STDIN, announce, shake, stdin_ended, watch_stdin};
use crate::agent::server::dial;
use crate::error::Result;
use crate::sys::net;
use crate::sys::poll::Poll;
use crate::ws::frame::{self, Reader};

/// One end of a pair of sockets.
struct End {
    stream: TcpStream,
    reader: Reader,
}

/// Serves until standard input ends.
pub(super) fn run(agent: SocketAddrV4) -> Result<()> {
    let mut poll = Poll::new()?;
    let listener = TcpListener::from(net::listen(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?);
    poll.add(listener.as_raw_fd(), LISTENER)?;
    watch_stdin(&poll)?;
    announce(std::iter::once(listener.local_addr()?.port()))?;
    let mut pairs: Vec<[End; 2]> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let (mut out, mut ready) = (Vec::new(), Vec::new());
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            if event.token == LISTENER {
                while let Ok((carrier, _)) = listener.accept() {
                    let pair = connect(carrier, agent)?;
                    for (side, end) in (0..).zip(&pair) {
                        poll.add(end.stream.as_raw_fd(), 2 * pairs.len() as u64 + side)?;
                    }
                    pairs.push(pair);
                }
                continue;
            }
            let Some([carrier, agent]) = pairs.get_mut((event.token / 2) as usize) else {
                continue;
            };
            if event.token % 2 == 0 {
                pass(carrier, agent, Some(MASK), &mut buffer, &mut out);
            } else {
                pass(agent, carrier, None, &mut buffer, &mut out);
            }
        }
    }
}

/// Lets a carrier's socket in and dials the agent for it.
fn connect(carrier: TcpStream, agent: SocketAddrV4) -> Result<[End; 2]> {
    carrier.set_nonblocking(false)?;
    carrier.set_nodelay(true)?;
    shake(&carrier)?;
    let (socket, rest) = dial(agent, "/", [0x42; 16])?;
    let mut ends = [carrier, socket.into()].map(|stream| End { stream, reader: Reader::default() });
    for end in &ends {
        end.stream.set_nonblocking(true)?;
    }
    let [_, agent] = &mut ends;
    agent.reader.push(&rest);
    Ok(ends)
}

/// Passes on what one end has.
fn pass(from: &mut End, to: &mut End, mask: Option<[u8; 4]>, buffer: &mut [u8], out: &mut Vec<u8>) {
    let count = from.stream.read(buffer).unwrap_or(0);
    if count == 0 {
        for end in [from, to] {
            let _ = end.stream.shutdown(Shutdown::Both);
        }
        return;
    }
    from.reader.push(buffer.get(..count).unwrap_or_default());
    out.clear();
    while let Ok(Some(frame)) = from.reader.next() {
        frame::write(out, frame.opcode, from.reader.payload(&frame), mask);
    }
    let _ = to.stream.write_all(out);
}
