//! What a carrier and the server say to each other on a media socket that has no audio yet, or no
//! more.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use socket2::Socket;

use crate::error::{PerfError, Result};
use crate::ws::frame::{self, Reader};

/// Mask of what is said; any will do.
const MASK: [u8; 4] = [0x52, 0x0E, 0xB9, 0x71];

/// How long the server may take to answer: as long as a carrier waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Read at once from a socket, in bytes.
const READ_BYTES: usize = 4_096;

/// The carrier's part of it.
#[derive(Default)]
pub(super) struct Aside {
    /// What it has to say, by opcode.
    unsaid: Vec<(u8, Vec<u8>)>,
    /// The call whose stream has begun.
    pub(super) call: Option<String>,
    /// It closes the socket.
    closes: bool,
}

impl Aside {
    /// The carrier has this to say, too.
    pub(super) fn add(&mut self, opcode: u8, bytes: Vec<u8>) {
        self.closes |= opcode == frame::CLOSE;
        self.unsaid.push((opcode, bytes));
    }

    /// The last that it has to say.
    pub(super) fn last(&self) -> Cow<'_, str> {
        let last = self.unsaid.last();
        last.map_or(Cow::Borrowed(""), |(_, bytes)| String::from_utf8_lossy(bytes))
    }

    /// Says what it has to say.
    pub(super) fn say(&mut self, socket: &Socket) {
        let mut out = Vec::new();
        for (opcode, bytes) in self.unsaid.drain(..) {
            frame::write(&mut out, opcode, &bytes, Some(MASK));
        }
        // A fresh socket takes that much at once; one that is gone is seen when it is read.
        let _ = socket.send_with_flags(&out, libc::MSG_NOSIGNAL);
    }

    /// Says what it has to say, and hands each text of the server's to `hears`, which adds what is
    /// said to that: until the stream of a call has begun, or the carrier closes. `rest` is what
    /// has come already; returned is what has come behind.
    pub(super) fn converse(
        &mut self,
        socket: &Socket,
        rest: &[u8],
        mut hears: impl FnMut(&mut Self, &[u8]),
    ) -> Result<Vec<u8>> {
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut reader = Reader::default();
        reader.push(rest);
        let mut part = [0; READ_BYTES];
        let closed = || PerfError::Peer("the server closed a media socket without audio".into());
        loop {
            self.say(socket);
            if self.call.is_some() || self.closes {
                return Ok(reader.rest().to_vec());
            }
            let next = reader.next();
            let next = next.map_err(|error| PerfError::Peer(format!("a media socket: {error}")))?;
            let Some(frame) = next else {
                let waiting = PerfError::io("waiting for the server on a media socket");
                let count = io::Read::read(&mut &*socket, &mut part).map_err(waiting)?;
                if count == 0 {
                    return Err(closed());
                }
                reader.push(part.get(..count).unwrap_or_default());
                continue;
            };
            let payload = reader.payload(&frame).to_vec();
            match frame.opcode {
                frame::TEXT => hears(self, &payload),
                frame::PING => self.add(frame::PONG, payload),
                frame::CLOSE => return Err(closed()),
                // Audio that nobody listens to.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;
    use crate::sys::net;

    /// A server that says this, reads until the other end is shut, and gives what it read.
    fn server(says: Vec<u8>) -> (Socket, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let Ok(SocketAddr::V4(at)) = listener.local_addr() else { panic!("an address") };
        let served = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("accept");
            peer.write_all(&says).expect("write");
            peer.shutdown(std::net::Shutdown::Write).expect("shut");
            let mut read = Vec::new();
            peer.read_to_end(&mut read).expect("read");
            read
        });
        (net::connect(at).expect("connect"), served)
    }

    /// What a server has read, frame by frame.
    fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut reader = Reader::default();
        reader.push(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().expect("frames") {
            assert!(frame.masked);
            frames.push((frame.opcode, reader.payload(&frame).to_vec()));
        }
        frames
    }

    /// Each text is heard and answered, pings too, until a stream has begun: what came before the
    /// conversation is part of it, and what comes behind is kept for whoever gets the socket.
    #[test]
    fn talks_until_a_stream_begins() {
        let (mut before, mut says, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        frame::write(&mut before, frame::TEXT, b"one", None);
        says.extend(before.split_off(2));
        frame::write(&mut says, frame::PING, b"p", None);
        frame::write(&mut says, frame::BINARY, &[7; 160], None);
        frame::write(&mut says, frame::TEXT, b"two", None);
        frame::write(&mut behind, frame::BINARY, &[8; 160], None);
        behind.truncate(100);
        says.extend_from_slice(&behind);
        let (socket, served) = server(says);
        let mut aside = Aside::default();
        aside.add(frame::TEXT, b"first".to_vec());
        assert_eq!(aside.last(), "first");
        let mut heard = Vec::new();
        let rest = aside.converse(&socket, &before, |aside, text| {
            heard.push(text.to_vec());
            aside.add(frame::TEXT, [&b"re "[..], text].concat());
            aside.call = (text == b"two").then(|| "c1".to_owned());
        });
        let mut rest = rest.expect("a stream");
        io::Read::read_to_end(&mut &socket, &mut rest).expect("what follows");
        assert_eq!(rest, behind);
        assert_eq!(heard, [b"one", b"two"]);
        drop(socket);
        let said = [
            (frame::TEXT, &b"first"[..]),
            (frame::TEXT, b"re one"),
            (frame::PONG, b"p"),
            (frame::TEXT, b"re two"),
        ];
        let read = frames(&served.join().expect("the server"));
        assert_eq!(read, said.map(|(opcode, bytes)| (opcode, bytes.to_vec())));
    }

    /// A carrier that closes has said all; a server that does, or that goes away, is told.
    #[test]
    fn ends_when_one_closes() {
        let mut text = Vec::new();
        frame::write(&mut text, frame::TEXT, b"bye", None);
        let (socket, served) = server(text);
        let mut aside = Aside::default();
        let code = frame::NORMAL.to_be_bytes().to_vec();
        let done = aside.converse(&socket, b"", |aside, _| aside.add(frame::CLOSE, code.clone()));
        assert!(done.is_ok_and(|rest| rest.is_empty()) && aside.call.is_none());
        drop(socket);
        let read = frames(&served.join().expect("the server"));
        assert_eq!(read, [(frame::CLOSE, code.clone())]);
        let mut close = Vec::new();
        frame::write(&mut close, frame::CLOSE, &code, None);
        for says in [close, Vec::new()] {
            let (socket, served) = server(says);
            let done = Aside::default().converse(&socket, b"", |_, _| {});
            assert!(done.is_err_and(|error| error.to_string().contains("closed")));
            drop(socket);
            served.join().expect("the server");
        }
    }
}
