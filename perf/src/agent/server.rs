//! A WebSocket server on one epoll thread: what the server under test dials.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};

use socket2::Socket;

use crate::error::{PerfError, Result};
use crate::sys::net;
use crate::sys::poll::{Poll, Ready};
use crate::ws::frame::{self, Frame, Reader};
use crate::ws::handshake;

/// Read at once from a socket, in bytes.
const READ_BYTES: usize = 65_536;

/// Token of the listening socket.
const LISTENER: u64 = u64::MAX;

/// What an agent does with what it gets. Frames to send are appended to `out`.
pub(crate) trait Handler {
    /// A text message.
    fn text(&mut self, id: usize, text: &str, out: &mut Vec<u8>);
    /// A binary message that arrived at `stamp_ns` on the real-time clock.
    fn binary(&mut self, id: usize, payload: &[u8], stamp_ns: u64, out: &mut Vec<u8>);
    /// Called from time to time if the owner asks for it.
    fn timer(&mut self, _id: usize, _out: &mut Vec<u8>) {}
    /// The connection is gone.
    fn closed(&mut self, _id: usize) {}
}

#[derive(Default)]
struct Buffers {
    /// The opening request, until it is whole.
    head: Option<Vec<u8>>,
    reader: Reader,
    /// Opcode and bytes of a fragmented message.
    fragments: Option<(u8, Vec<u8>)>,
    out: Vec<u8>,
    /// Waiting for room to write.
    blocked: bool,
}

struct Connection {
    socket: Socket,
    buffers: Buffers,
}

/// Counters of the connections.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Connections {
    /// Handshakes done.
    pub(crate) opened: u64,
    /// Closed by the peer or by its error.
    pub(crate) closed: u64,
    /// Broke the protocol (a client's frame without mask, a reserved bit, a bad handshake).
    pub(crate) broken: u64,
}

/// The server.
pub(crate) struct Server<H> {
    listener: Socket,
    poll: Poll,
    connections: Vec<Option<Connection>>,
    /// What it serves.
    pub(crate) handler: H,
    /// Counters.
    pub(crate) count: Connections,
    scratch: Vec<u8>,
    ready: Vec<Ready>,
}

impl<H: Handler> Server<H> {
    /// Listens.
    pub(crate) fn listen(address: SocketAddrV4, handler: H) -> Result<Self> {
        let listener =
            net::listen(address).map_err(PerfError::io(format!("listening on {address}")))?;
        let poll = Poll::new()?;
        poll.add(listener.as_raw_fd(), LISTENER)?;
        Ok(Self {
            listener,
            poll,
            connections: Vec::new(),
            handler,
            count: Connections::default(),
            scratch: vec![0; READ_BYTES],
            ready: Vec::new(),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddrV4> {
        Ok(net::local(&self.listener)?)
    }

    /// Connections that are open.
    pub(crate) fn live(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    /// Waits for something to do, up to `timeout_ns`, and does it.
    pub(crate) fn pump(&mut self, timeout_ns: Option<u64>) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poll.wait_into(timeout_ns, &mut ready)?;
        for event in &ready {
            if event.token == LISTENER {
                self.accept()?;
                continue;
            }
            let id = event.token as usize;
            if event.writable {
                self.flush(id);
            }
            self.read(id);
        }
        self.ready = ready;
        Ok(())
    }

    /// Lets the handler's timers run for every connection.
    pub(crate) fn timers(&mut self) {
        for id in 0..self.connections.len() {
            if let Some(Some(connection)) = self.connections.get_mut(id)
                && connection.buffers.head.is_none()
            {
                self.handler.timer(id, &mut connection.buffers.out);
            }
            self.flush(id);
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if net::would_block(&error) => return Ok(()),
                Err(error) => return Err(PerfError::io("accepting a WebSocket")(error)),
            };
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            net::stamp(&socket)?;
            let free = self.connections.iter().position(Option::is_none);
            let id = free.unwrap_or(self.connections.len());
            self.poll.add(socket.as_raw_fd(), id as u64)?;
            let buffers = Buffers { head: Some(Vec::new()), ..Buffers::default() };
            let connection = Some(Connection { socket, buffers });
            match self.connections.get_mut(id) {
                Some(slot) => *slot = connection,
                None => self.connections.push(connection),
            }
        }
    }

    fn drop_connection(&mut self, id: usize) {
        if let Some(slot) = self.connections.get_mut(id)
            && slot.take().is_some()
        {
            self.count.closed += 1;
            self.handler.closed(id);
        }
    }

    fn flush(&mut self, id: usize) {
        let Some(Some(connection)) = self.connections.get_mut(id) else { return };
        let Connection { socket, buffers } = connection;
        if buffers.out.is_empty() {
            return;
        }
        let sent = match socket.send_with_flags(&buffers.out, libc::MSG_NOSIGNAL) {
            Ok(sent) => sent,
            Err(error) if net::would_block(&error) => 0,
            Err(_) => {
                self.drop_connection(id);
                return;
            }
        };
        buffers.out.drain(..sent);
        let blocked = !buffers.out.is_empty();
        if blocked != buffers.blocked {
            buffers.blocked = blocked;
            let watched = self.poll.set_writable(socket.as_raw_fd(), id as u64, blocked);
            if watched.is_err() {
                self.drop_connection(id);
            }
        }
    }

    fn read(&mut self, id: usize) {
        let Some(Some(connection)) = self.connections.get_mut(id) else { return };
        let arrival = match net::receive(&connection.socket, &mut self.scratch) {
            Ok(arrival) if arrival.length > 0 => arrival,
            Err(error) if net::would_block(&error) => return,
            Ok(_) | Err(_) => {
                self.drop_connection(id);
                return;
            }
        };
        let bytes = self.scratch.get(..arrival.length).unwrap_or_default();
        let buffers = &mut connection.buffers;
        let done = match buffers.shake(bytes, &mut self.count) {
            Ok(false) => Ok(false),
            Ok(true) => buffers.serve(id, arrival.stamp_ns, &mut self.handler),
            Err(broken) => Err(broken),
        };
        self.flush(id);
        match done {
            Ok(false) => {}
            Ok(true) => self.drop_connection(id),
            Err(Broken) => {
                self.count.broken += 1;
                self.drop_connection(id);
            }
        }
    }
}

/// The peer broke the protocol.
struct Broken;

impl Buffers {
    /// Takes what arrived; true once the handshake is done and frames may follow.
    fn shake(
        &mut self,
        bytes: &[u8],
        count: &mut Connections,
    ) -> std::result::Result<bool, Broken> {
        let Some(head) = self.head.as_mut() else {
            self.reader.push(bytes);
            return Ok(true);
        };
        head.extend_from_slice(bytes);
        let Some(length) = handshake::head_length(head) else {
            return if head.len() > handshake::MAX_HEAD_BYTES { Err(Broken) } else { Ok(false) };
        };
        let (request, rest) = head.split_at_checked(length).ok_or(Broken)?;
        let (answer, open) = handshake::respond(request);
        self.out.extend_from_slice(&answer);
        self.reader.push(rest);
        if !open {
            return Err(Broken);
        }
        self.head = None;
        count.opened += 1;
        Ok(true)
    }

    /// Hands whole messages to the handler; true when the peer has closed.
    fn serve<H: Handler>(
        &mut self,
        id: usize,
        stamp_ns: u64,
        handler: &mut H,
    ) -> std::result::Result<bool, Broken> {
        while let Some(frame) = self.reader.next().map_err(|_| Broken)? {
            if !frame.masked {
                return Err(Broken);
            }
            let payload = self.reader.payload(&frame);
            match frame.opcode {
                frame::BINARY if frame.fin => handler.binary(id, payload, stamp_ns, &mut self.out),
                frame::TEXT if frame.fin => {
                    let text = std::str::from_utf8(payload).map_err(|_| Broken)?;
                    handler.text(id, text, &mut self.out);
                }
                frame::PING => frame::write(&mut self.out, frame::PONG, payload, None),
                frame::PONG => {}
                frame::CLOSE => {
                    frame::write(&mut self.out, frame::CLOSE, payload, None);
                    return Ok(true);
                }
                frame::TEXT | frame::BINARY | frame::CONTINUATION => {
                    let part = payload.to_vec();
                    self.fragment(id, &frame, &part, stamp_ns, handler)?;
                }
                _ => return Err(Broken),
            }
        }
        Ok(false)
    }

    fn fragment<H: Handler>(
        &mut self,
        id: usize,
        frame: &Frame,
        part: &[u8],
        stamp_ns: u64,
        handler: &mut H,
    ) -> std::result::Result<(), Broken> {
        let first = frame.opcode != frame::CONTINUATION;
        let (opcode, mut whole) = match self.fragments.take() {
            None if first => (frame.opcode, Vec::new()),
            Some(begun) if !first => begun,
            _ => return Err(Broken),
        };
        whole.extend_from_slice(part);
        if whole.len() > frame::MAX_FRAME_BYTES {
            return Err(Broken);
        }
        if !frame.fin {
            self.fragments = Some((opcode, whole));
        } else if opcode == frame::BINARY {
            handler.binary(id, &whole, stamp_ns, &mut self.out);
        } else {
            let text = std::str::from_utf8(&whole).map_err(|_| Broken)?;
            handler.text(id, text, &mut self.out);
        }
        Ok(())
    }
}

impl<H> AsRawFd for Server<H> {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

/// A client's connection to an agent, open after the handshake, and what came behind it.
pub(crate) fn dial(peer: SocketAddrV4, path: &str, key: [u8; 16]) -> Result<(Socket, Vec<u8>)> {
    dial_with(peer, path, key, &handshake::agent_stream())
}

/// The same with headers of one's own.
pub(crate) fn dial_with(
    peer: SocketAddrV4,
    path: &str,
    key: [u8; 16],
    headers: &str,
) -> Result<(Socket, Vec<u8>)> {
    let what = |error: io::Error| PerfError::io(format!("WebSocket to {peer}"))(error);
    let socket = net::connect(peer).map_err(what)?;
    let request = handshake::request(&peer.to_string(), path, key, headers);
    let sent = socket.send_with_flags(&request, libc::MSG_NOSIGNAL).map_err(what)?;
    if sent != request.len() {
        return Err(PerfError::Peer("a fresh socket took less than a handshake".into()));
    }
    let mut head = Vec::new();
    loop {
        let mut part = [0; 1024];
        let count = io::Read::read(&mut &socket, &mut part).map_err(what)?;
        head.extend_from_slice(part.get(..count).unwrap_or_default());
        if let Some(length) = handshake::head_length(&head) {
            let rest = head.split_off(length);
            if handshake::accepted(&head, key) {
                return Ok((socket, rest));
            }
            return Err(PerfError::Peer(format!("WebSocket refused by {peer}")));
        }
        if count == 0 || head.len() > handshake::MAX_HEAD_BYTES {
            return Err(PerfError::Peer(format!("no WebSocket handshake from {peer}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::echo::Echo;

    /// Over a real socket: handshake, echo unmasked, pong, fragments put together, close answered.
    #[test]
    fn serves_a_client() {
        let address = "127.0.0.1:0".parse().expect("address");
        let mut server = Server::listen(address, Echo::new(None, false)).expect("listen");
        let address = server.address().expect("address");
        let client = std::thread::spawn(move || {
            let (socket, rest) = dial(address, "/x", [9; 16]).expect("open");
            let mut out = Vec::new();
            let key = Some([1, 2, 3, 4]);
            frame::write(&mut out, frame::BINARY, &[7; 172], key);
            frame::write(&mut out, frame::PING, b"p", key);
            frame::write(&mut out, frame::BINARY, b"ab", key);
            if let Some(first) = out.len().checked_sub(8).and_then(|at| out.get_mut(at)) {
                *first &= 0x7F;
            }
            frame::write(&mut out, frame::CONTINUATION, b"cd", key);
            frame::write_close(&mut out, 1000, key);
            assert_eq!(socket.send(&out).expect("send"), out.len());
            let mut reader = Reader::default();
            reader.push(&rest);
            let mut seen = Vec::new();
            loop {
                let mut part = [0; 4096];
                let count = io::Read::read(&mut &socket, &mut part).expect("read");
                if count == 0 {
                    return seen;
                }
                reader.push(&part[..count]);
                while let Some(frame) = reader.next().expect("frame") {
                    assert!(!frame.masked);
                    seen.push((frame.opcode, reader.payload(&frame).to_vec()));
                }
            }
        });
        while server.count.closed == 0 {
            server.pump(Some(100_000_000)).expect("pump");
        }
        let seen = client.join().expect("client");
        let want = [
            (frame::BINARY, vec![7; 172]),
            (frame::PONG, b"p".to_vec()),
            (frame::BINARY, b"abcd".to_vec()),
            (frame::CLOSE, vec![3, 0xE8]),
        ];
        assert_eq!(seen, want);
        assert_eq!((server.count.opened, server.count.broken), (1, 0));
    }
}
