//! A link on the worker that has it: its socket, and the ends of its rings.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::MessageKind;
use media::time::MonoTime;

use super::mail::{LinkId, Mailbox, SharedOver};
use super::order::LinkEnds;
use super::ring::{Head, Reader, Writer};
use super::{DOWN_ROOM_BYTES, GATHER_US, down, up};
use crate::agent::session::Beat;
use crate::agent::session::link::{Delivery, LinkFault, LinkSession};
use crate::agent::wire::CloseCode;
use crate::agent::wire::mux::Batch;
use crate::bridge::framing::{Class, ControlFrame, FrameError, Input, Message};
use crate::telemetry::{Counter, DropReason, Gauge};
use crate::workers::command::{CallKey, EventKind};
use crate::workers::connection::Connection;
use crate::workers::context::Context;
use crate::workers::poller::Ready;
use crate::workers::token::{Part, Token};

/// See [`GATHER_US`].
const GATHER: Duration = Duration::from_micros(GATHER_US);
/// When a socket is looked at again whose calls are behind.
const LATER: Duration = Duration::from_millis(1);

/// What links came to; written by the workers that have them.
#[derive(Debug, Default)]
pub struct LinkMetrics {
    /// Links that exist now.
    pub links: Gauge,
    /// Streams on them.
    pub streams: Gauge,
    /// Messages of audio that left, and the frames in them.
    pub messages_out: Counter,
    /// See there.
    pub frames_out: Counter,
    /// Messages of audio that came, and the frames in them.
    pub messages_in: Counter,
    /// See there.
    pub frames_in: Counter,
    /// Messages of audio that were skipped for agents that read too slowly.
    pub skipped: Counter,
    /// Times that a link's socket was not read because calls were behind.
    pub pauses: Counter,
}

/// A link's end of the rings between it and one worker.
#[derive(Debug)]
pub(super) struct End {
    pub(super) up: Reader,
    pub(super) down: Writer,
    pub(super) mail: Arc<Mailbox>,
    /// It is the worker that has the link.
    pub(super) is_local: bool,
    /// Something was put there of which the worker does not know yet.
    pub(super) given: bool,
}

/// Where a stream's call is.
#[derive(Clone, Copy, Debug)]
struct Place {
    worker: usize,
    call: u64,
    backlog_bytes: usize,
}

/// A link on the worker that has it.
pub(in crate::workers) struct Link {
    pub(super) id: LinkId,
    connection: Connection,
    session: LinkSession<Place>,
    ends: Vec<End>,
    batch: Batch,
    /// A record on its way from a ring into the batch.
    record: Vec<u8>,
    over: SharedOver,
    metrics: Arc<LinkMetrics>,
    /// Bytes of audio that may wait, of all streams.
    backlog_bytes: usize,
    /// When frames left last.
    sent_at: MonoTime,
    /// When a socket is read again that was not.
    read_at: MonoTime,
}

impl Link {
    pub(super) fn new(ctx: &Context, ends: LinkEnds) -> io::Result<Self> {
        let LinkEnds { id, socket, ends, over, metrics } = ends;
        let token = Token::part(Token::call(usize::from(id.slot), id.generation), Part::Link);
        let connection = match Connection::take_shared(&ctx.poller, socket, token) {
            Ok(connection) => connection,
            Err(error) => {
                over.set(None);
                return Err(error);
            }
        };
        metrics.links.add(1);
        Ok(Self {
            id,
            session: LinkSession::new(ctx.now),
            batch: Batch::new(connection.masked),
            connection,
            ends,
            record: Vec::new(),
            over,
            metrics,
            backlog_bytes: 0,
            sent_at: MonoTime::ZERO,
            read_at: MonoTime::MAX,
        })
    }

    /// When it wants to be looked at next, what its calls give it aside.
    pub(super) fn deadline(&self) -> MonoTime {
        self.session.deadline().min(self.read_at)
    }

    /// When what its calls have given it leaves.
    pub(super) fn send_at(&self) -> MonoTime {
        self.sent_at + GATHER
    }

    /// True once it is over, and only to be let go.
    pub(super) fn is_over(&self) -> bool {
        self.over.get().is_some()
    }

    /// Reads what came behind the handshake.
    pub(super) fn begin(&mut self, ctx: &mut Context) {
        let mut unread = std::mem::take(&mut self.connection.io.unread);
        self.messages(ctx, &mut unread);
        if self.connection.io.is_tls() {
            self.read(ctx);
        }
    }

    /// Its socket has something to do.
    pub(super) fn on_ready(&mut self, ctx: &mut Context, ready: Ready) {
        if ready.writable {
            self.connection.flush();
            self.connection.watch(&ctx.poller);
        }
        if ready.readable {
            self.read(ctx);
        }
        self.look(ctx);
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, ctx: &mut Context) {
        if self.read_at <= ctx.now {
            self.read(ctx);
        }
        match self.session.beat(ctx.now) {
            Beat::Nothing => {}
            Beat::Ping(payload) => {
                let mask = self.connection.mask(&mut ctx.masks);
                let ping = ControlFrame::ping(&payload, mask);
                self.connection.write(Class::Control, ping.as_bytes());
                self.connection.watch(&ctx.poller);
            }
            Beat::Dead => self.end(ctx, None),
        }
        self.look(ctx);
    }

    /// Notices a socket that is gone.
    pub(super) fn look(&mut self, ctx: &mut Context) {
        if self.connection.closed && !self.is_over() {
            self.end(ctx, None);
        }
    }

    fn read(&mut self, ctx: &mut Context) {
        while !self.is_over() {
            let has_room = self.ends.iter_mut().all(|end| end.down.room_bytes() >= DOWN_ROOM_BYTES);
            self.connection.read_on(&ctx.poller, has_room);
            self.read_at = if has_room { MonoTime::MAX } else { ctx.now + LATER };
            if !has_room {
                return self.metrics.pauses.inc();
            }
            let mut input = std::mem::take(&mut ctx.input);
            let again = match self.connection.io.read(&mut input) {
                Ok(0) => {
                    self.end(ctx, None);
                    false
                }
                Ok(length) => {
                    self.messages(ctx, input.get_mut(..length).unwrap_or_default());
                    self.connection.io.is_tls()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(_) => {
                    self.end(ctx, None);
                    false
                }
            };
            ctx.input = input;
            if !again {
                return;
            }
        }
    }

    /// Every message in `bytes`, in order; then the workers know that have been given something.
    fn messages(&mut self, ctx: &mut Context, bytes: &mut [u8]) {
        self.each_message(ctx, bytes);
        for end in self.ends.iter_mut().filter(|end| end.given) {
            end.given = false;
            end.mail.mark_down(self.id, end.is_local);
        }
    }

    fn each_message(&mut self, ctx: &mut Context, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        while !self.is_over() {
            let Self { connection, session, ends, .. } = self;
            let message = match connection.reader.next(&mut input) {
                Ok(None) => return,
                Ok(Some(message)) => message,
                Err(error) => return self.bad_frame(ctx, error),
            };
            match message {
                Message::Data(kind, message) => {
                    let mut closed = None;
                    let received = session.receive(ctx.now, kind, message, |place, of, what| {
                        closed = deliver(ends, (place, of), what).or(closed);
                    });
                    if let Some(backlog_bytes) = closed {
                        self.metrics.streams.add(-1);
                        self.set_backlog(backlog_bytes, 0);
                    }
                    match received {
                        Ok(frames) if kind == MessageKind::Binary => {
                            self.metrics.messages_in.inc();
                            self.metrics.frames_in.add(frames as u64);
                        }
                        Ok(_) => {}
                        Err(fault) => self.fault(ctx, &fault),
                    }
                }
                Message::Ping(payload) => {
                    let mask = connection.masked.then(|| ctx.masks.next_key());
                    let pong = ControlFrame::pong(payload, mask);
                    connection.write(Class::Control, pong.as_bytes());
                    connection.watch(&ctx.poller);
                }
                Message::Pong(payload) => {
                    if let Some(round_trip) = session.pong(ctx.now, payload) {
                        ctx.metrics.agent_round_trip.record(round_trip);
                    }
                }
                Message::Close { code, .. } => {
                    // RFC 6455 5.5.1: a close is answered with the same code.
                    connection.send_close(&mut ctx.masks, code.unwrap_or(UNTOLD), "");
                    return self.end(ctx, code);
                }
            }
        }
    }

    /// What came is no WebSocket frame: nothing after it can be understood.
    fn bad_frame(&mut self, ctx: &mut Context, error: FrameError) {
        ctx.metrics.dropped(DropReason::Malformed);
        if matches!(error, FrameError::TooBig { .. }) {
            let fault = self.session.too_big();
            return self.fault(ctx, &fault);
        }
        self.connection.send_close(&mut ctx.masks, error.close_code(), "");
        self.end(ctx, None);
    }

    /// Tells the agent what was wrong that is of no stream, and closes if it has to be.
    fn fault(&mut self, ctx: &mut Context, fault: &LinkFault) {
        ctx.metrics.dropped(DropReason::Malformed);
        let told = serde_json::json!({
            "event": "error", "stream": 0, "code": fault.code, "message": fault.message,
            "fatal": fault.close.is_some(),
        });
        let text = told.to_string();
        self.batch.text(&mut ctx.masks, text.as_bytes());
        self.send(ctx);
        if let Some(code) = fault.close {
            self.close(ctx, code);
        }
    }

    /// Closes the link with `code`, behind what was sent before.
    pub(super) fn close(&mut self, ctx: &mut Context, code: CloseCode) {
        self.gather(ctx);
        self.connection.send_close(&mut ctx.masks, code.code(), code.reason());
        self.end(ctx, None);
    }

    /// The link is over: closed by its agent with `code`, or lost.
    fn end(&mut self, ctx: &mut Context, code: Option<u16>) {
        if self.is_over() {
            return;
        }
        self.connection.closed = true;
        ctx.poller.remove(self.connection.io.stream());
        // First, so that no call is given to it that lost it.
        ctx.tell(CallKey::NONE, EventKind::LinkOver(self.id));
        self.over.set(code);
        for end in &self.ends {
            end.mail.mark_down(self.id, end.is_local);
        }
        self.metrics.links.add(-1);
        self.metrics.streams.add(-(self.session.len() as i64));
    }

    /// Lets the socket go once the link is over.
    pub(super) fn release(self, ctx: &mut Context) {
        let stream = self.connection.io.finish();
        ctx.lingering.add(ctx.now, &ctx.poller, stream);
    }

    /// Takes what its calls have given it, and sends it.
    pub(super) fn gather(&mut self, ctx: &mut Context) {
        let mut record = std::mem::take(&mut self.record);
        for worker in 0..self.ends.len() {
            while let Some(head) = self.ends.get_mut(worker).and_then(|it| it.up.pop(&mut record)) {
                self.take(ctx, worker, head, &record);
            }
        }
        self.record = record;
        self.send(ctx);
    }

    #[inline]
    fn take(&mut self, ctx: &mut Context, worker: usize, head: Head, record: &[u8]) {
        let Head { kind, stream, word } = head;
        let of_worker = |place: &&mut Place| place.worker == worker;
        match kind {
            up::FRAME => self.batch.frame(&mut ctx.masks, record),
            up::TEXT => self.batch.text(&mut ctx.masks, record),
            up::OPEN => {
                let bytes = record.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
                let backlog_bytes = usize::try_from(bytes).unwrap_or(0);
                let place = Place { worker, call: word, backlog_bytes };
                let before = self.session.open(stream, place);
                self.metrics.streams.add(i64::from(before.is_none()));
                let before = before.map_or(0, |place| place.backlog_bytes);
                self.set_backlog(before, backlog_bytes);
            }
            up::BACKLOG => {
                let bytes = usize::try_from(word).unwrap_or(0);
                let Some(place) = self.session.place(stream).filter(of_worker) else { return };
                let before = std::mem::replace(&mut place.backlog_bytes, bytes);
                self.set_backlog(before, bytes);
            }
            _ => {
                let Some(place) = self.session.place(stream).filter(of_worker) else { return };
                let before = place.backlog_bytes;
                self.session.end(stream);
                self.metrics.streams.add(-1);
                self.set_backlog(before, 0);
            }
        }
    }

    fn set_backlog(&mut self, before: usize, after: usize) {
        self.backlog_bytes = (self.backlog_bytes + after).saturating_sub(before);
        self.connection.set_shared_backlog(self.backlog_bytes);
    }

    fn send(&mut self, ctx: &mut Context) {
        if self.batch.is_empty() {
            return;
        }
        self.sent_at = ctx.now;
        let (bytes, segments) = self.batch.finish(&mut ctx.masks);
        let skipped = self.connection.write_all(bytes, segments);
        if skipped > 0 {
            self.metrics.skipped.add(skipped as u64);
            ctx.metrics.dropped_many(DropReason::SlowAgent, skipped as u64);
        }
        let (messages, frames) = self.batch.clear();
        self.metrics.messages_out.add(messages);
        self.metrics.frames_out.add(frames);
        self.connection.watch(&ctx.poller);
    }
}

/// The code that stands for a close frame without one (RFC 6455 7.4.1).
const UNTOLD: u16 = 1005;

/// Puts what an agent said on a stream into the ring of its call's worker. Returns how much might
/// wait of a stream that is closed.
#[inline]
fn deliver(ends: &mut [End], (place, stream): (Place, u32), what: Delivery<'_>) -> Option<usize> {
    let Place { worker, call, backlog_bytes } = place;
    let end = ends.get_mut(worker)?;
    let (mut code, mut closed) = ([0; 2], None);
    let (kind, bytes) = match what {
        Delivery::Frame(frame) => (down::FRAME, &*frame),
        Delivery::Text(text) => (down::TEXT, &*text),
        Delivery::Close(with) => {
            closed = Some(backlog_bytes);
            code = with.map_or(code, u16::to_ne_bytes);
            (down::CLOSE, if with.is_some() { &code[..] } else { &[] })
        }
    };
    // There is room: the socket was not read without.
    end.down.push(Head { kind, stream, word: call }, bytes, 0);
    end.given = true;
    closed
}
