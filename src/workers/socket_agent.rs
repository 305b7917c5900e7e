//! An agent on a WebSocket: frames out as they come, messages in, the rules kept by its session.

use std::io;
use std::time::Duration;

use adapters::agent::{AgentFrame, CallState, Dialect, EndedBy, MessageKind, Outbox, StreamFormat};
use media::codec::AudioFormat;
use media::convert::Converter;
use media::rtp::Frame;
use media::time::MonoTime;

use super::command::SocketLink;
use super::context::{Context, FrameSink};
use super::io::SocketIo;
use super::outlet::Outlet;
use super::token::{Part, Token};
use crate::agent::session::{AgentSession, Outgoing};
use crate::agent::socket::Role;
use crate::agent::wire::{CloseCode, WEBSOCKET_MESSAGE_MAX_BYTES};
use crate::bridge::framing::{
    self, Class, ControlFrame, MAX_HEADER_BYTES, Opcode, OutQueue, Reader, append_frame, seal,
};
use crate::bridge::mask::MaskKeys;
use crate::calls::cause::Cause;
use crate::telemetry::{DropReason, Kind};

/// Audio that may wait for an agent's socket, in milliseconds; beyond it the oldest is skipped.
const BACKLOG_MS: u64 = 200;
/// Bytes that may wait for an agent's socket besides audio.
const CONTROL_BACKLOG_BYTES: usize = 256 * 1024;
/// What the kernel may hold of audio not yet sent, in bytes, so that old audio waits where it can
/// still be skipped.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// An agent on a WebSocket.
pub(super) struct SocketAgent {
    pub(super) line: Line,
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) session: AgentSession,
    /// From the peer's format to the agent's.
    to_agent: Converter,
    /// From the agent's format to that in which its audio waits.
    pub(super) from_agent: Converter,
    peer: StreamFormat,
    to_rate_hz: u64,
    /// Number of the peer's frame that came last.
    newest: Option<u64>,
    pub(super) max_queue_ms: u32,
    /// See [`SocketLink::dtmf_inband`].
    pub(super) dtmf_inband: Option<bool>,
}

/// The connection beneath.
pub(super) struct Line {
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
    pub(super) skipped: u64,
}

impl std::fmt::Debug for SocketAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketAgent").field("closed", &self.line.closed).finish_non_exhaustive()
    }
}

impl SocketAgent {
    /// Takes over a socket whose handshake is done.
    pub(super) fn new(
        ctx: &Context,
        call: u64,
        link: SocketLink,
        peer: StreamFormat,
        outlet: &Outlet,
    ) -> io::Result<Self> {
        let SocketLink { socket, dialect, info, max_queue_ms, dtmf_inband } = link;
        let dialect = (dialect.open)(&info);
        let (to, from) = (info.to_agent.audio, info.from_agent.audio);
        let token = Token::part(call, Part::Agent);
        socket.stream.set_nonblocking(true)?;
        let _ = socket2::SockRef::from(&socket.stream).set_send_buffer_size(SEND_BUFFER_BYTES);
        ctx.poller.add(&socket.stream, token)?;
        let masked = socket.role == Role::Client;
        let role = if masked { framing::Role::Client } else { framing::Role::Server };
        let frame_bytes = to.bytes(info.to_agent.ptime_ms) * 2 + 256;
        let frames = BACKLOG_MS / u64::from(info.to_agent.ptime_ms.max(1)) + 1;
        let backlog = frame_bytes * usize::try_from(frames).unwrap_or(1);
        let line = Line {
            io: SocketIo::new(socket),
            reader: Reader::with_limit(role, WEBSOCKET_MESSAGE_MAX_BYTES),
            out: OutQueue::new(backlog, backlog + CONTROL_BACKLOG_BYTES),
            masked,
            token,
            closed: false,
            close_sent: false,
            watches_output: false,
            skipped: 0,
        };
        Ok(Self {
            line,
            dialect,
            session: AgentSession::new(ctx.now, info, max_queue_ms),
            to_agent: Converter::new(peer.audio, to),
            from_agent: Converter::new(from, outlet.queued(from)),
            peer,
            to_rate_hz: u64::from(to.clock_hz()),
            newest: None,
            max_queue_ms,
            dtmf_inband,
        })
    }

    /// When the session wants to be looked at.
    pub(super) fn deadline(&self) -> MonoTime {
        self.session.deadline().unwrap_or(MonoTime::MAX)
    }

    /// The agent's own audio.
    pub(super) const fn audio(&self) -> AudioFormat {
        self.from_agent.from()
    }

    /// The call's state changed.
    pub(super) fn state(&mut self, state: CallState) {
        self.session.state(state);
    }

    /// The call is over.
    pub(super) fn stop(&mut self, cause: Cause, by: EndedBy, answered: Duration) {
        let duration = u64::try_from(answered.as_millis()).unwrap_or(u64::MAX);
        let code =
            if cause == Cause::Draining { CloseCode::Draining } else { CloseCode::CallEnded };
        self.session.stop(cause.as_str().to_owned(), by, duration, code);
    }

    /// Takes formats that hold from now on.
    pub(super) fn reformat(
        &mut self,
        peer: StreamFormat,
        outlet: &Outlet,
        to: StreamFormat,
        from: StreamFormat,
    ) {
        self.peer = peer;
        self.to_agent = Converter::new(peer.audio, to.audio);
        self.from_agent = Converter::new(from.audio, outlet.queued(from.audio));
        self.to_rate_hz = u64::from(to.audio.clock_hz());
        self.newest = None;
    }

    /// Sends one frame of the peer's audio.
    #[inline]
    pub(super) fn send_audio(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>) {
        if self.line.closed || !self.session.is_open() {
            return;
        }
        let newest = self.newest.replace(frame.ext_seq);
        if self.to_agent.is_identity() {
            return self.send_frame(sink, frame, frame.payload);
        }
        if self.to_agent.max_output(frame.payload.len()) > sink.convert.len() {
            return;
        }
        let convert = std::mem::take(&mut sink.convert);
        if newest.is_some_and(|newest| newest + 2 == frame.ext_seq) {
            let length = self.to_agent.recover(frame.payload, convert);
            let ticks = u64::from(self.peer.audio.payload_ticks(frame.payload));
            let lost = Frame {
                ext_seq: frame.ext_seq - 1,
                ext_ts: frame.ext_ts.saturating_sub(ticks),
                marker: false,
                payload: &[],
            };
            self.send_frame(sink, lost, convert.get(..length).unwrap_or_default());
        }
        let held = u64::from(self.to_agent.held_ticks());
        let length = self.to_agent.convert(frame.payload, convert);
        let ext_ts = frame
            .ext_ts
            .saturating_sub(held * u64::from(self.peer.audio.clock_hz()) / self.to_rate_hz);
        let frame = Frame { ext_ts, ..frame };
        self.send_frame(sink, frame, convert.get(..length).unwrap_or_default());
        sink.convert = convert;
    }

    /// Sends one frame as `payload`, if that is anything.
    #[inline]
    fn send_frame(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let ts = frame.ext_ts * self.to_rate_hz / u64::from(self.peer.audio.clock_hz());
        let frame =
            AgentFrame { seq: frame.ext_seq as u16, ts: ts as u32, marker: frame.marker, payload };
        sink.message.clear();
        sink.message.resize(MAX_HEADER_BYTES, 0);
        let opcode = opcode(self.dialect.audio(&frame, sink.message));
        if sink.message.len() == MAX_HEADER_BYTES {
            // The dialect has no audio before the answer.
            return;
        }
        let mask = self.line.masked.then(|| sink.masks.next_key());
        let sealed = seal(sink.message, opcode, mask);
        sink.metrics.sent(Kind::AgentAudio, sealed.len());
        let skipped = self.line.write(Class::Media, sealed);
        if skipped > 0 {
            sink.metrics.dropped_many(DropReason::SlowAgent, skipped as u64);
        }
        self.line.watch(sink.poller);
    }

    /// Tells the agent something.
    pub(super) fn tell(&mut self, ctx: &mut Context, outgoing: &Outgoing) {
        let mut outbox =
            LineOutbox { line: &mut self.line, masks: &mut ctx.masks, message: &mut ctx.message };
        self.dialect.event(&outgoing.event(), &mut outbox);
        self.line.watch(&ctx.poller);
    }

    /// Sends a ping.
    pub(super) fn ping(&mut self, ctx: &mut Context, payload: &[u8]) {
        let mask = self.line.mask(&mut ctx.masks);
        self.line.write(Class::Control, ControlFrame::ping(payload, mask).as_bytes());
        self.line.watch(&ctx.poller);
    }

    /// Closes the socket with `code`, after what was sent before.
    pub(super) fn close(&mut self, ctx: &mut Context, code: u16, reason: &str) {
        self.line.send_close(&mut ctx.masks, code, reason);
        self.line.watch(&ctx.poller);
    }
}

impl Line {
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
    pub(super) fn watch(&mut self, poller: &super::poller::Poller) {
        let wanted = !self.closed && (!self.out.is_empty() || self.io.wants_write());
        if wanted != self.watches_output
            && poller.watch_output(self.io.stream(), self.token, wanted).is_ok()
        {
            self.watches_output = wanted;
        }
    }
}

/// Takes the messages in which a dialect puts an event.
struct LineOutbox<'a> {
    line: &'a mut Line,
    masks: &'a mut MaskKeys,
    message: &'a mut Vec<u8>,
}

impl Outbox for LineOutbox<'_> {
    fn message(&mut self, kind: MessageKind, bytes: &[u8]) {
        let mask = self.line.mask(self.masks);
        self.message.clear();
        append_frame(self.message, opcode(kind), bytes, mask);
        self.line.write(Class::Control, self.message);
    }
}

const fn opcode(kind: MessageKind) -> Opcode {
    match kind {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    }
}

/// How long a socket that we closed may take to read our last words.
pub(super) const LINGER: Duration = Duration::from_secs(2);
