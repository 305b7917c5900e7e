//! The connection beneath an agent's or a carrier's WebSocket.

use std::io;
use std::time::Duration;

use adapters::agent::MessageKind;

use super::io::SocketIo;
use super::poller::Poller;
use crate::agent::socket::{AgentSocket, Role};
use crate::agent::wire::WEBSOCKET_MESSAGE_MAX_BYTES;
use crate::agent::wire::mux::{self, Segment};
use crate::bridge::framing::{self, Class, ControlFrame, Opcode, OutQueue, Reader};
use crate::bridge::mask::MaskKeys;

/// Bytes that may wait for a socket besides audio.
const CONTROL_BACKLOG_BYTES: usize = 256 * 1024;
/// What the kernel may hold of audio not yet sent, in bytes, so that old audio waits where it can
/// still be skipped.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// The same of a socket that many calls share: what waits for it to be acknowledged over a long
/// way is as much as they all say meanwhile.
const SHARED_SEND_BUFFER_BYTES: usize = 1024 * 1024;
/// Bytes that may wait for such a socket besides audio.
const SHARED_CONTROL_BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// How long a peer that cannot be pinged may be silent before the kernel asks whether its host is
/// there, how often it asks then, and how long what was sent may stay without its receipt.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(3);
const RECEIPT_WAIT: Duration = Duration::from_secs(20);

/// A WebSocket: bytes in and out, frames, and what waits while the socket takes nothing.
pub(super) struct Connection {
    pub(super) io: SocketIo,
    pub(super) reader: Reader,
    out: OutQueue,
    pub(super) masked: bool,
    token: u64,
    /// Nothing more is read or written.
    pub(super) closed: bool,
    /// We have sent a close frame.
    close_sent: bool,
    watches_output: bool,
    /// The poller watches for input.
    reads: bool,
    pub(super) skipped: u64,
}

impl Connection {
    /// Takes over a socket whose handshake is done, watched as `token`. While it takes nothing,
    /// `backlog_bytes` of audio may wait.
    pub(super) fn take(
        poller: &Poller,
        socket: AgentSocket,
        token: u64,
        backlog_bytes: usize,
    ) -> io::Result<Self> {
        socket.stream.set_nonblocking(true)?;
        let _ = socket2::SockRef::from(&socket.stream).set_send_buffer_size(SEND_BUFFER_BYTES);
        poller.add(&socket.stream, token)?;
        let masked = socket.role == Role::Client;
        let role = if masked { framing::Role::Client } else { framing::Role::Server };
        Ok(Self {
            io: SocketIo::new(socket),
            reader: Reader::with_limit(role, WEBSOCKET_MESSAGE_MAX_BYTES),
            out: OutQueue::new(backlog_bytes, backlog_bytes + CONTROL_BACKLOG_BYTES),
            masked,
            token,
            closed: false,
            close_sent: false,
            watches_output: false,
            reads: true,
            skipped: 0,
        })
    }

    /// The same for a socket that many calls share: the reader keeps its buffers, and the kernel
    /// may hold as much as the line takes.
    pub(super) fn take_shared(
        poller: &Poller,
        socket: AgentSocket,
        token: u64,
    ) -> io::Result<Self> {
        let mut connection = Self::take(poller, socket, token, 0)?;
        let socket = socket2::SockRef::from(connection.io.stream());
        let _ = socket.set_send_buffer_size(SHARED_SEND_BUFFER_BYTES);
        let role = if connection.masked { framing::Role::Client } else { framing::Role::Server };
        connection.reader = Reader::with_limit(role, mux::MESSAGE_MAX_BYTES).keeping_buffers();
        connection.out.set_limits(0, SHARED_CONTROL_BACKLOG_BYTES);
        Ok(connection)
    }

    /// While a socket that many calls share takes nothing, so many bytes of audio may wait.
    pub(super) const fn set_shared_backlog(&mut self, backlog_bytes: usize) {
        self.out.set_limits(backlog_bytes, backlog_bytes + SHARED_CONTROL_BACKLOG_BYTES);
    }

    /// While the socket takes nothing, so many bytes of audio may wait from now on.
    pub(super) const fn set_backlog(&mut self, backlog_bytes: usize) {
        self.out.set_limits(backlog_bytes, backlog_bytes + CONTROL_BACKLOG_BYTES);
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.out.len()
    }

    /// Lets the kernel find out whether the peer's host is there: the peer is not to be asked.
    pub(super) fn probe(&self) {
        let socket = socket2::SockRef::from(self.io.stream());
        let probes = socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
        // Without it a dead host is noticed later.
        let _ = socket.set_tcp_keepalive(&probes);
        let _ = socket.set_tcp_user_timeout(Some(RECEIPT_WAIT));
    }

    /// The key that masks the next frame, if we are the client.
    pub(super) fn mask(&self, masks: &mut MaskKeys) -> Option<[u8; 4]> {
        self.masked.then(|| masks.next_key())
    }

    /// Sends a close frame, once.
    pub(super) fn send_close(&mut self, masks: &mut MaskKeys, code: u16, reason: &str) {
        if !std::mem::replace(&mut self.close_sent, true) {
            let mask = self.mask(masks);
            self.write(Class::Control, ControlFrame::close(code, reason, mask).as_bytes());
        }
    }

    /// Sends a frame, or keeps it while the socket takes nothing. Returns how many frames of audio
    /// were skipped for it.
    pub(super) fn write(&mut self, class: Class, frame: &[u8]) -> usize {
        if self.closed {
            return 0;
        }
        let mut skipped = 0;
        if !self.out.is_empty() {
            if class == Class::Media {
                skipped = self.out.skip_media(frame.len());
            }
            match (self.out.push(class, frame), class) {
                (Ok(()), _) => {}
                (Err(_), Class::Media) => skipped += 1,
                // An agent that takes nothing while so much waits is not there any more.
                (Err(_), Class::Control) => self.closed = true,
            }
        } else {
            let kept = match self.io.write(frame) {
                Ok(written) if written == frame.len() => return 0,
                Ok(written) => self.out.keep(class, frame, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.out.push(class, frame)
                }
                Err(_) => {
                    self.closed = true;
                    return 0;
                }
            };
            skipped = usize::from(kept.is_err());
        }
        self.skipped += skipped as u64;
        skipped
    }

    /// Sends messages that lie one behind the other in `bytes`, or keeps what the socket does not
    /// take. Returns how many messages of audio were skipped for it.
    pub(super) fn write_all(&mut self, bytes: &[u8], segments: &[Segment]) -> usize {
        let mut written = 0;
        while self.out.is_empty() && !self.closed && written < bytes.len() {
            match self.io.write(bytes.get(written..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
        }
        let (mut at, mut skipped) = (0, 0);
        for segment in segments {
            let message = bytes.get(at..at + segment.len).unwrap_or_default();
            let of_it = written.saturating_sub(at);
            at += segment.len;
            if self.closed || of_it >= segment.len {
                continue;
            }
            if segment.class == Class::Media && of_it == 0 {
                skipped += self.out.skip_media(segment.len);
            }
            match (self.out.keep(segment.class, message, of_it), segment.class) {
                (Ok(()), _) => {}
                (Err(_), Class::Media) => skipped += 1,
                (Err(_), Class::Control) => self.closed = true,
            }
        }
        self.skipped += skipped as u64;
        skipped
    }

    /// Drops the audio that waits.
    pub(super) fn skip_media(&mut self) {
        let skipped = if self.out.is_empty() { 0 } else { self.out.skip_media(usize::MAX / 2) };
        self.skipped += skipped as u64;
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.io.write(self.out.pending()) {
                Ok(0) => return,
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
        if self.io.flush().is_err() {
            self.closed = true;
        }
    }

    /// Lets the poller watch for output while something waits, and only then.
    #[inline]
    pub(super) fn watch(&mut self, poller: &Poller) {
        let wanted = !self.closed && (!self.out.is_empty() || self.io.wants_write());
        if wanted != self.watches_output
            && poller.watch(self.io.stream(), self.token, (self.reads, wanted)).is_ok()
        {
            self.watches_output = wanted;
        }
    }

    /// Is watched as `token` from now on.
    pub(super) fn watch_as(&mut self, poller: &Poller, token: u64) -> io::Result<()> {
        self.token = token;
        poller.watch(self.io.stream(), token, (self.reads, self.watches_output))
    }

    /// Lets the poller watch for input, or not until it is told again.
    pub(super) fn read_on(&mut self, poller: &Poller, reads: bool) {
        let both = (reads, self.watches_output);
        if reads != self.reads && poller.watch(self.io.stream(), self.token, both).is_ok() {
            self.reads = reads;
        }
    }
}

/// The opcode of a data message.
pub(super) const fn opcode(kind: MessageKind) -> Opcode {
    match kind {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    }
}
