//! An agent on a WebSocket: frames out as they come, messages in, the rules kept by its session.

use std::io;
use std::time::Duration;

use adapters::agent::{AgentFrame, CallState, Dialect, EndedBy, MessageKind, Outbox, StreamFormat};
use media::codec::{AudioFormat, Codec};
use media::convert::Converter;
use media::rtp::Frame;
use media::time::MonoTime;

use super::agent_wire::Wire;
use super::backlog::backlog_bytes;
use super::command::{AgentLine, SocketLink};
use super::connection::{Connection, opcode};
use super::context::{Context, FrameSink};
use super::gauges::level_db;
use super::mux::{Ports, StreamEnd};
use super::outlet::Outlet;
use super::token::{Part, Token};
use crate::agent::session::{AgentSession, Outgoing};
use crate::agent::wire::CloseCode;
use crate::bridge::framing::{Class, MAX_HEADER_BYTES, append_frame};
use crate::bridge::mask::MaskKeys;
use crate::calls::cause::Cause;

/// Audio that may wait for an agent's socket, in milliseconds; beyond it the oldest is skipped.
const BACKLOG_MS: u32 = 200;

/// An agent on a WebSocket.
pub(super) struct SocketAgent {
    pub(super) wire: Wire,
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
    /// It hears several at once, in the place of the peer's own frames.
    hears_mix: bool,
    /// What is added to number and media time, so that its stream goes on when it is given another.
    shift: (u16, u32),
    /// Number and media time of the frame that it was sent last.
    last: Option<(u16, u32)>,
    /// The next frame is the first of another stream.
    splices: bool,
    pub(super) max_queue_ms: u32,
    /// How loud a frame was that could be measured only here, since this was looked at last.
    pub(super) heard_level_db: Option<u8>,
    /// See [`SocketLink::dtmf_inband`].
    pub(super) dtmf_inband: Option<bool>,
}

impl std::fmt::Debug for SocketAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketAgent")
            .field("closed", &self.wire.is_closed())
            .finish_non_exhaustive()
    }
}

impl SocketAgent {
    /// Takes over a socket whose handshake is done.
    pub(super) fn new(
        ctx: &mut Context,
        call: u64,
        link: SocketLink,
        peer: StreamFormat,
        outlet: &Outlet,
    ) -> io::Result<Self> {
        let SocketLink { line, dialect, info, max_queue_ms, dtmf_inband } = link;
        let dialect = (dialect.open)(&info);
        let (to, from) = (info.to_agent.audio, info.from_agent.audio);
        let backlog = backlog_bytes(info.to_agent, BACKLOG_MS);
        let stream = info.stream;
        let session = AgentSession::new(ctx.now, info, max_queue_ms);
        let (wire, session) = match line {
            AgentLine::Own(socket) => {
                let token = Token::part(call, Part::Agent);
                let connection = Connection::take(&ctx.poller, socket, token, backlog)?;
                (Wire::Own(Box::new(connection)), session)
            }
            AgentLine::Shared(link) => {
                let end = StreamEnd::open(&mut ctx.ports, (link, stream), call, backlog);
                (Wire::Link(end.map_err(io::Error::other)?), session.shared())
            }
        };
        Ok(Self {
            wire,
            dialect,
            session,
            to_agent: Converter::new(peer.audio, to),
            from_agent: Converter::new(from, outlet.queued(from)),
            peer,
            to_rate_hz: u64::from(to.clock_hz()),
            newest: None,
            hears_mix: false,
            shift: (0, 0),
            last: None,
            splices: false,
            max_queue_ms,
            heard_level_db: None,
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
        self.wire.set_backlog(backlog_bytes(to, BACKLOG_MS));
        self.to_agent = Converter::new(peer.audio, to.audio);
        self.from_agent = Converter::new(from.audio, outlet.queued(from.audio));
        self.to_rate_hz = u64::from(to.audio.clock_hz());
        self.newest = None;
    }

    /// It hears several at once from now on, or the peer alone again; its own stream goes on.
    pub(super) const fn hear_mix(&mut self, mixed: bool) {
        self.splices |= self.hears_mix != mixed || mixed;
        self.hears_mix = mixed;
    }

    /// Sends one frame of the peer's audio, unless it hears several at once.
    #[inline]
    pub(super) fn send_audio(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>) {
        if !self.hears_mix {
            self.send_mixed(sink, frame);
        }
    }

    /// Sends one frame of what it hears.
    #[inline]
    pub(super) fn send_mixed(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>) {
        if self.wire.is_closed() || !self.session.is_open() {
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
        if self.heard_level_db.is_none()
            && matches!(self.peer.audio.codec, Codec::G722 | Codec::Opus)
        {
            let decoded = convert.get(..length).unwrap_or_default();
            self.heard_level_db = Some(level_db(decoded, self.to_agent.to().codec));
        }
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
        let (seq, ts) = self.place(frame.ext_seq as u16, ts as u32);
        let frame = AgentFrame { seq, ts, marker: frame.marker, payload };
        sink.message.clear();
        sink.message.resize(MAX_HEADER_BYTES, 0);
        let kind = self.dialect.audio(&frame, sink.message);
        if sink.message.len() == MAX_HEADER_BYTES {
            // The dialect has no audio before the answer.
            return;
        }
        self.wire.send_audio(sink, kind);
    }

    /// Where a frame of this number and media time stands in the agent's own stream.
    #[inline]
    fn place(&mut self, seq: u16, ts: u32) -> (u16, u32) {
        if std::mem::take(&mut self.splices)
            && let Some((last_seq, last_ts)) = self.last
        {
            let ticks = self.to_agent.to().ticks(self.peer.ptime_ms);
            self.shift.0 = last_seq.wrapping_add(1).wrapping_sub(seq);
            self.shift.1 = last_ts.wrapping_add(ticks).wrapping_sub(ts);
        }
        let placed = (seq.wrapping_add(self.shift.0), ts.wrapping_add(self.shift.1));
        self.last = Some(placed);
        placed
    }

    /// Tells the agent something.
    pub(super) fn tell(&mut self, ctx: &mut Context, outgoing: &Outgoing) {
        let event = outgoing.event();
        match &mut self.wire {
            Wire::Own(connection) => {
                let Context { masks, message, poller, .. } = ctx;
                self.dialect.event(&event, &mut MessageOutbox { connection, masks, message });
                connection.watch(poller);
            }
            Wire::Link(stream) => {
                let last = matches!(outgoing, Outgoing::Stop { .. });
                let mut outbox = StreamOutbox { stream, ports: &mut ctx.ports, last };
                self.dialect.event(&event, &mut outbox);
            }
        }
    }

    /// Closes the socket, or the stream, with `code`, after what was sent before.
    pub(super) fn close(&mut self, ctx: &mut Context, code: u16, reason: &str) {
        self.wire.close(ctx, code, reason);
    }
}

/// Takes the messages in which a dialect puts an event.
struct MessageOutbox<'a> {
    connection: &'a mut Connection,
    masks: &'a mut MaskKeys,
    message: &'a mut Vec<u8>,
}

impl Outbox for MessageOutbox<'_> {
    fn message(&mut self, kind: MessageKind, bytes: &[u8]) {
        let mask = self.connection.mask(self.masks);
        self.message.clear();
        append_frame(self.message, opcode(kind), bytes, mask);
        self.connection.write(Class::Control, self.message);
    }
}

/// The same of a stream on a link, where all of them are text.
struct StreamOutbox<'a> {
    stream: &'a mut StreamEnd,
    ports: &'a mut Ports,
    last: bool,
}

impl Outbox for StreamOutbox<'_> {
    fn message(&mut self, _: MessageKind, bytes: &[u8]) {
        self.stream.text(self.ports, bytes, self.last);
    }
}
