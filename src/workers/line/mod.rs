//! A call's peer on a line: a carrier that sends and takes audio on a socket of messages.
//!
//! What comes is decoded where it lies into the worker's slot and passes on in the moment of its
//! arrival, numbered by `timeline`. What goes is paced so that the carrier's own buffer is filled
//! (`ahead`); silence is not sent at all, for a carrier is silent by itself, and whatever is said
//! next would have to wait behind it. Unless its stream wants frames without a pause: then each
//! leaves at its time, whatever there is to be heard.

mod ahead;
mod backlog;
mod chunk;
mod keys;
mod link;
mod marks;
mod parting;
mod socket;
#[cfg(test)]
mod tests;
mod timeline;

use std::time::Duration;

use adapters::agent::{MessageKind, StreamFormat};
use adapters::stream::{Stream, StreamCommand};
use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::convert::Converter;
use media::dtmf::Tones;
use media::leg::Heard;
use media::rtp::Stood;
use media::stats::{Impairment, LegSnapshot, Quality};
use media::time::MonoTime;

use super::backlog::backlog_bytes;
use super::connection::Connection;
use super::context::Context;
use super::inflow::Inflow;
use crate::bridge::framing::{CLOSE_NORMAL, Class, ControlFrame, MAX_HEADER_BYTES};
use crate::calls::digits::DigitsBy;

pub(super) use ahead::Ahead;
use backlog::Backlog;
use chunk::Chunk;
pub(super) use keys::Keys;
pub use link::{LineEvent, LineLink, LineLoss, LinePlan, PeerLink};
pub(super) use marks::Marks;
pub(super) use parting::Parting;
pub(super) use socket::{Beat, Link, next_message};
pub(super) use timeline::{Place, Timeline};

/// How long audio waits behind a clear for the carrier's word that it is done.
const CLEARED_WAIT: Duration = Duration::from_secs(1);
/// Audio that may wait for the socket, in milliseconds; beyond it the oldest is skipped.
const BACKLOG_MS: u32 = 200;
/// How much later than was thought a carrier may have heard the last of it: the way there, and its
/// own clock.
const TAIL: Duration = Duration::from_millis(100);
/// Pause between digits that another leg presses, in milliseconds.
const DIGIT_GAP_MS: u32 = 50;

/// What came and went.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    frames_in: u64,
    bytes_in: u64,
    lost: u64,
    frames_out: u32,
    bytes_out: u32,
    restarts: u64,
}

/// A call's peer on a line.
pub(super) struct LineLeg {
    /// The audio of the call: what the carrier is sent.
    stream: StreamFormat,
    buffer_ms: u32,
    pub(super) digits: DigitsBy,
    /// See [`LinePlan::dtmf_inband`].
    pub(super) dtmf_inband: bool,
    /// From what the carrier sends to what it is sent, if that differs.
    pub(super) decoder: Option<Box<Decoder>>,
    pub(super) link: Option<Box<Link>>,
    /// The carrier wants no audio.
    pub(super) stopped: bool,
    /// The carrier is clearing, and would drop what comes before it is done; until then at most.
    pub(super) clearing: Option<MonoTime>,
    pub(super) ahead: Ahead,
    /// Frames that wait for others to leave with.
    chunk: Chunk,
    backlog: Backlog,
    pub(super) marks: Marks,
    pub(super) timeline: Timeline,
    /// When the newest frame came.
    came_at: MonoTime,
    /// Pieces passed on to a leg at the agent's end.
    pub(super) pieces: u64,
    /// Sound of a leg at the agent's end, which comes over a network.
    pub(super) inflow: Option<Box<Inflow>>,
    /// Digits that are sent as tones.
    pub(super) tones: Tones,
    /// Digits that go as messages.
    pub(super) keys: Keys,
    /// The built-in agent has said all it had to say, and the call ends when that was heard.
    pub(super) over: bool,
    /// The carrier was asked to tell when all has been heard.
    farewell: bool,
    /// Somebody waits for that.
    pub(super) awaits_end: bool,
    counts: Counts,
}

impl std::fmt::Debug for LineLeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineLeg")
            .field("stream", &self.stream)
            .field("link", &self.link.is_some())
            .finish_non_exhaustive()
    }
}

/// From one format to another, with room for what comes of it.
pub(super) struct Decoder {
    converter: Converter,
    room: Vec<u8>,
}

impl Decoder {
    fn new(from: AudioFormat, to: AudioFormat) -> Self {
        Self { converter: Converter::new(from, to), room: Vec::new() }
    }

    /// Converts; the room grows to the longest message.
    pub(super) fn convert(&mut self, audio: &[u8]) -> &[u8] {
        let wanted = self.converter.max_output(audio.len());
        if self.room.len() < wanted {
            self.room.resize(wanted, 0);
        }
        let length = self.converter.convert(audio, &mut self.room);
        self.room.get(..length).unwrap_or_default()
    }
}

impl LineLeg {
    /// A line whose socket is to come.
    pub(super) fn new(plan: LinePlan) -> Self {
        let LinePlan { format, buffer_ms, digits, dtmf_inband } = plan;
        Self {
            stream: format,
            buffer_ms,
            digits,
            dtmf_inband,
            decoder: None,
            link: None,
            stopped: false,
            clearing: None,
            ahead: Ahead::new(buffer_ms, format.ptime_ms),
            chunk: Chunk::default(),
            backlog: Backlog::default(),
            marks: Marks::default(),
            timeline: Timeline::new(format.audio.clock_hz()),
            came_at: MonoTime::ZERO,
            pieces: 0,
            inflow: None,
            tones: Tones::default(),
            keys: Keys::default(),
            over: false,
            farewell: false,
            awaits_end: false,
            counts: Counts::default(),
        }
    }

    /// Takes the carrier's socket, to be watched as `token`.
    pub(super) fn connect(
        &mut self,
        ctx: &Context,
        link: LineLink,
        token: u64,
    ) -> std::io::Result<()> {
        let LineLink { socket, stream, call } = link;
        let connection = Connection::take(&ctx.poller, socket, token, self.backlog_bytes())?;
        self.counts.restarts += u64::from(self.counts.frames_in > 0);
        (self.stopped, self.clearing) = (false, None);
        let link = Link::new(ctx.now, connection, stream, call);
        if link.manners.steady && !self.ahead.is_steady() {
            self.ahead = Ahead::steady();
        }
        self.chunk.begin(link.manners.least_bytes);
        self.link = Some(Box::new(link));
        Ok(())
    }

    /// Lets the socket go, if there is one; closed with `code` if anybody still listens.
    pub(super) fn disconnect(&mut self, ctx: &mut Context, code: Option<u16>) {
        let Some(link) = self.link.take() else { return };
        link.finish(ctx, code);
        // What it had is gone, and it will not tell what it played of it.
        self.ahead.clear(ctx.now);
        self.chunk.clear();
        self.backlog.clear();
        self.marks.give_up(ctx.now);
    }

    /// The call is over.
    pub(super) fn end(&mut self, ctx: &mut Context) {
        self.say(ctx, StreamCommand::Hangup);
        self.flow_out(&mut ctx.blocks);
        let waits = |link: &mut Box<Link>| link.manners.closed_by_peer && !link.connection.closed;
        match self.link.take_if(waits) {
            Some(link) => ctx.part(link),
            None => self.disconnect(ctx, Some(CLOSE_NORMAL)),
        }
    }

    /// Asks whether anybody is there.
    pub(super) fn ping(&mut self, ctx: &mut Context) {
        let Some(link) = &mut self.link else { return };
        let mask = link.connection.mask(&mut ctx.masks);
        let ping = ControlFrame::ping(b"", mask);
        link.connection.write(Class::Control, ping.as_bytes());
        link.connection.watch(&ctx.poller);
    }

    /// Takes a packet of the leg at the agent's end.
    pub(super) fn put(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        heard: Heard,
        datagram: &[u8],
    ) {
        if let Some(inflow) = &mut self.inflow {
            inflow.put(now, blocks, heard, datagram);
        }
    }

    /// No leg is at the agent's end any more.
    pub(super) fn flow_out(&mut self, blocks: &mut BlockPool) {
        if let Some(mut inflow) = self.inflow.take() {
            inflow.release(blocks);
        }
    }

    /// The stream has started, in these formats.
    pub(super) fn start(&mut self, from: AudioFormat, to: AudioFormat) {
        self.stream.audio = to;
        self.decoder = (from != to).then(|| Box::new(Decoder::new(from, to)));
        self.timeline.restart(to.clock_hz());
        let backlog_bytes = self.backlog_bytes();
        if let Some(link) = &mut self.link {
            link.started = true;
            link.connection.set_backlog(backlog_bytes);
            // How long messages have to be may follow from the format.
            self.chunk.begin(link.dialect.manners().least_bytes);
        }
        if let Some(inflow) = &mut self.inflow {
            inflow.listen_as(to);
        }
    }

    fn backlog_bytes(&self) -> usize {
        backlog_bytes(self.stream, self.buffer_ms + BACKLOG_MS)
    }

    /// The audio of the call, both ways.
    pub(super) const fn stream(&self) -> StreamFormat {
        self.stream
    }

    /// True while audio may be sent.
    pub(super) fn sends(&self) -> bool {
        self.receives() && !self.stopped && self.clearing.is_none()
    }

    /// True while audio may come.
    pub(super) fn receives(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.started)
    }

    /// True once all that was given to the carrier has been heard, as far as can be told.
    pub(super) fn is_heard(&self, now: MonoTime) -> bool {
        self.heard_at() <= now && self.chunk.is_empty() && self.marks.is_empty()
    }

    /// When all that was given to the carrier will have been heard, if nothing tells.
    fn heard_at(&self) -> MonoTime {
        // A carrier that is told that the call is over plays nothing any more.
        let told = self.link.as_ref().is_some_and(|link| link.manners.closed_by_peer);
        let empty_at = self.ahead.empty_at();
        if told && empty_at > MonoTime::ZERO { empty_at + TAIL } else { empty_at }
    }

    /// When something is due of it.
    pub(super) fn deadline(&self) -> MonoTime {
        let link = self.link.as_ref().map_or(MonoTime::MAX, |link| link.deadline());
        // Waiting for all to be heard, without a mark that would tell.
        let waits = self.awaits_end && self.marks.is_empty() && self.chunk.is_empty();
        let heard = if waits { self.heard_at() } else { MonoTime::MAX };
        let cleared = self.clearing.unwrap_or(MonoTime::MAX);
        let due = link.min(self.marks.deadline()).min(self.keys.deadline());
        due.min(heard).min(cleared).min(self.chunk.deadline())
    }

    /// Places a frame of the carrier's.
    pub(super) fn place(
        &mut self,
        now: MonoTime,
        (seq, ts): (Option<u64>, Option<u64>),
        payload: &[u8],
    ) -> Place {
        self.came_at = now;
        let place = self.timeline.place(seq, ts, self.stream.audio.payload_ticks(payload));
        self.counts.frames_in += 1;
        self.counts.bytes_in += payload.len() as u64;
        self.counts.lost += place.lost;
        place
    }

    /// Where its stream stands, for another peer's to go on from: at the last ptime of the newest
    /// frame, however long that was. With `in_pieces` it counts those that it was cut into. `None`
    /// before the first.
    pub(super) fn stands(&self, in_pieces: bool) -> Option<Stood> {
        let StreamFormat { audio, ptime_ms } = self.stream;
        let (number, ext_ts) = self.timeline.newest(audio.ticks(ptime_ms))?;
        let ext_seq = if in_pieces { number.max(self.pieces) } else { number };
        Some(Stood { ext_seq, ext_ts, clock_hz: audio.clock_hz(), at: self.came_at })
    }

    /// True if frames have to come without a pause.
    pub(super) const fn is_steady(&self) -> bool {
        self.ahead.is_steady()
    }

    /// Sends the frame in the first `length` bytes of the packet buffer: something to be heard, at
    /// `heard_at`.
    #[inline]
    pub(super) fn send_audio(&mut self, ctx: &mut Context, length: usize, heard_at: MonoTime) {
        self.farewell = false;
        if self.chunk.collects() {
            self.collect(ctx, length, heard_at);
        } else {
            self.send(ctx, length);
        }
        if self.backlog.asks(ctx.now) && !self.ahead.is_steady() {
            self.tell(ctx, |dialect, message| dialect.ask_queue(message));
        }
    }

    /// The carrier has told how much its queue holds.
    pub(super) fn queued(&mut self, now: MonoTime, ms: u32) {
        let (queued, expected) =
            (Duration::from_millis(ms.into()), self.ahead.empty_at().since(now));
        if let Some(surplus) = self.backlog.judge(now, queued, expected) {
            self.ahead.hold(surplus);
        }
    }

    /// Sends the frame in the first `length` bytes of the packet buffer.
    #[inline]
    pub(super) fn send(&mut self, ctx: &mut Context, length: usize) {
        let Some(link) = &mut self.link else { return };
        let Some(payload) = ctx.packet.get(..length) else { return };
        ctx.message.clear();
        ctx.message.resize(MAX_HEADER_BYTES, 0);
        let kind = link.dialect.encode(payload, &mut ctx.message);
        if link.send_audio(ctx, kind) {
            self.count_out(length);
        }
    }

    fn count_out(&mut self, bytes: usize) {
        let Counts { frames_out, bytes_out, .. } = &mut self.counts;
        *frames_out = frames_out.wrapping_add(1);
        *bytes_out = bytes_out.wrapping_add(u32::try_from(bytes).unwrap_or(0));
    }

    /// Says something besides audio; false if the dialect has no word for it, or nobody listens.
    pub(super) fn say(&mut self, ctx: &mut Context, command: StreamCommand<'_>) -> bool {
        self.tell(ctx, |dialect, message| dialect.command(command, message))
    }

    /// Tells the carrier once that the call is answered, if it waits for that.
    pub(super) fn answer(&mut self, ctx: &mut Context) {
        let told = |link: &mut Box<Link>| std::mem::replace(&mut link.answered, true);
        if self.receives() && !self.link.as_mut().is_none_or(told) {
            self.tell(ctx, |dialect, message| dialect.answer(message));
        }
    }

    /// Sends what `write` makes of the dialect, if it makes anything.
    fn tell(
        &mut self,
        ctx: &mut Context,
        write: impl FnOnce(&mut dyn Stream, &mut Vec<u8>) -> Option<MessageKind>,
    ) -> bool {
        self.link.as_mut().is_some_and(|link| link.tell(ctx, write))
    }

    /// Presses a key for the far end. False if it is to be told by a request of the control's.
    pub(super) fn press(&mut self, digit: char, duration_ms: u32) -> bool {
        let mut text = [0; 4];
        let text: &str = digit.encode_utf8(&mut text);
        match self.digits {
            // Too many wait: as if it had not been pressed.
            DigitsBy::Tones => drop(self.tones.queue(text, Some(duration_ms), None)),
            DigitsBy::Events => drop(self.keys.queue(text, duration_ms, DIGIT_GAP_MS)),
            DigitsBy::Info => return false,
            DigitsBy::Nothing => {}
        }
        true
    }

    /// Asks the carrier to tell when all audio so far has been heard; `report` is what the agent is
    /// told then. Gives a mark that there is no more room for.
    pub(super) fn mark(
        &mut self,
        ctx: &mut Context,
        report: Option<media::playout::MarkReport>,
    ) -> Option<media::playout::MarkReport> {
        let name = self.marks.name();
        let asked = self.receives() && self.ask(ctx, StreamCommand::Mark(&name));
        self.marks.keep(report, self.ahead.empty_at().max(ctx.now), asked)
    }

    /// Nothing more will be said: the carrier is asked once when all has been heard.
    pub(super) fn farewell(&mut self, ctx: &mut Context) {
        if std::mem::replace(&mut self.farewell, true) {
            return;
        }
        self.awaits_end = true;
        self.send_chunk(ctx);
        if !self.ahead.is_empty(ctx.now) {
            self.mark(ctx, None);
        }
    }

    /// Somebody else speaks from now on: what the one before has set and said asks for nothing.
    pub(super) fn change_speaker(&mut self) {
        self.marks.orphan();
        (self.over, self.farewell) = (false, false);
    }

    /// Lets the carrier drop what it has, and drops what waits for the socket; tells how much of
    /// the agent's audio will not be heard for it. `None` if the carrier cannot, and plays on.
    pub(super) fn clear(&mut self, ctx: &mut Context) -> Option<Duration> {
        if let Some(link) = &mut self.link {
            link.connection.skip_media();
        }
        self.settle(ctx.now);
        self.chunk.clear();
        if self.ahead.is_empty(ctx.now) {
            return Some(Duration::ZERO);
        }
        if self.link.is_some() && !self.say(ctx, StreamCommand::Clear) {
            return None;
        }
        let late = self.link.as_ref().is_some_and(|link| link.dialect.clears_late());
        self.clearing = late.then(|| ctx.now + CLEARED_WAIT);
        let unheard = self.ahead.unheard(ctx.now);
        self.ahead.clear(ctx.now);
        self.backlog.clear();
        Some(unheard)
    }

    /// How it fares.
    pub(super) fn snapshot(&self) -> LegSnapshot {
        let Counts { frames_in, bytes_in, lost, frames_out, bytes_out, restarts } = self.counts;
        let expected = frames_in + lost;
        let loss = if expected == 0 { 0.0 } else { (lost as f64 / expected as f64) as f32 };
        let impairment = Impairment::bare(self.stream.audio);
        let quality = Quality { loss, burst_ratio: 1.0, delay: Duration::ZERO };
        LegSnapshot {
            packets_received: frames_in,
            payload_bytes_received: bytes_in,
            packets_sent: frames_out,
            payload_bytes_sent: bytes_out,
            lost,
            resyncs: restarts,
            loss,
            burst_ratio: 1.0,
            rating: quality.rating(impairment),
            mos: quality.mos(impairment),
            ..LegSnapshot::default()
        }
    }
}
