//! Frames for a carrier that wants few, long messages.
//!
//! They are collected until there are enough of them. Whatever is ready ahead of time leaves in one
//! go: a message that has been begun is completed at once, so that the carrier's buffer is kept
//! filled as that of others is, by whole messages. Of what is said as it is heard a message leaves
//! once its last frame is there. When nothing follows, silence completes it: not before what the
//! carrier has is nearly played, as the agent may say more, and not while it may only have paused
//! between two of its own messages.

use std::time::Duration;

use adapters::stream::StreamCommand;
use media::time::MonoTime;

use super::LineLeg;
use crate::bridge::framing::MAX_HEADER_BYTES;
use crate::workers::context::Context;

/// How long frames wait for others after the last of them. Agents that speak as they are heard send
/// a tenth of a second at a time, and a little later now and then.
const IDLE: Duration = Duration::from_millis(120);
/// How long before the carrier has nothing left the last frames leave: a network's way.
const MARGIN: Duration = Duration::from_millis(40);
/// Room for a frame by which a message is longer than it has to be: 60 ms at 48 kHz.
const FRAME_BYTES: usize = 60 * 48 * 2;

/// Frames that wait for others.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Bytes of the shortest message; 0 if each frame leaves by itself.
    least_bytes: usize,
    bytes: Vec<u8>,
    /// When the first of them is to be heard.
    heard_at: MonoTime,
    /// When the last of them came.
    fed_at: MonoTime,
    /// The newest mark is to be asked for behind them.
    is_marked: bool,
}

impl Chunk {
    /// For a carrier whose messages have so many bytes at least; what waited is dropped.
    pub(super) fn begin(&mut self, least_bytes: usize) {
        self.clear();
        self.least_bytes = least_bytes;
        if least_bytes > 0 {
            self.bytes.reserve(least_bytes + FRAME_BYTES);
        }
    }

    /// True if frames have to wait for others.
    pub(super) const fn collects(&self) -> bool {
        self.least_bytes > 0
    }

    /// True if none waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes a frame that is to be heard at `heard_at`; true if there are enough of them now.
    fn put(&mut self, now: MonoTime, frame: &[u8], heard_at: MonoTime) -> bool {
        if self.bytes.is_empty() {
            self.heard_at = heard_at;
        }
        self.fed_at = now;
        self.bytes.extend_from_slice(frame);
        self.bytes.len() >= self.least_bytes
    }

    /// Puts silence behind what waits if that is too little; how many bytes of it.
    fn fill(&mut self, silence: u8) -> usize {
        let missing = self.least_bytes.saturating_sub(self.bytes.len());
        self.bytes.resize(self.bytes.len() + missing, silence);
        missing
    }

    /// Drops what waits.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.is_marked = false;
    }

    /// When what waits leaves, whatever comes.
    pub(super) fn deadline(&self) -> MonoTime {
        if self.bytes.is_empty() {
            return MonoTime::MAX;
        }
        (self.fed_at + IDLE).max(self.heard_at - MARGIN)
    }
}

impl LineLeg {
    /// How much later than its first frame a message leaves if frames come one by one.
    fn collecting(&self) -> Duration {
        let frame_bytes = self.stream.audio.bytes(self.stream.ptime_ms).max(1);
        let frames = self.chunk.least_bytes.div_ceil(frame_bytes).max(1);
        let ptime = Duration::from_millis(u64::from(self.stream.ptime_ms));
        ptime * u32::try_from(frames - 1).unwrap_or(u32::MAX)
    }

    /// How long before it is heard a frame of a source leaves that is taken by the clock.
    pub(in crate::workers) fn lead(&self) -> Duration {
        if self.chunk.collects() { self.collecting() } else { self.ahead.lead() }
    }

    /// When the next frame may leave, of a source that is `live`: taken by the clock. Of any other
    /// a message that was begun is completed at once.
    pub(in crate::workers) fn room_at(&self, live: bool) -> MonoTime {
        match (live && self.chunk.collects(), self.chunk.is_empty()) {
            (true, _) => self.ahead.empty_at() - self.collecting(),
            (false, false) => MonoTime::ZERO,
            (false, true) => self.ahead.room_at(),
        }
    }

    /// Takes the frame in the first `length` bytes of the packet buffer, to be heard at `heard_at`.
    pub(super) fn collect(&mut self, ctx: &mut Context, length: usize, heard_at: MonoTime) {
        let Some(frame) = ctx.packet.get(..length).filter(|_| self.link.is_some()) else { return };
        let enough = self.chunk.put(ctx.now, frame, heard_at);
        self.count_out(length);
        if enough {
            self.send_chunk(ctx);
        }
    }

    /// Sends what waits if it is due.
    pub(in crate::workers) fn send_due(&mut self, ctx: &mut Context) {
        if self.chunk.deadline() <= ctx.now {
            self.send_chunk(ctx);
        }
    }

    /// Sends what waits, and asks for the mark behind it.
    pub(super) fn send_chunk(&mut self, ctx: &mut Context) {
        if self.chunk.is_empty() {
            return;
        }
        self.settle(ctx.now);
        let audio = self.stream.audio;
        let filled = self.chunk.fill(audio.codec.silence()) as u64;
        if filled > 0 {
            let bytes_s = audio.bytes(1_000).max(1) as u64;
            let lasts = Duration::from_nanos(filled * 1_000_000_000 / bytes_s);
            self.ahead.give(ctx.now, lasts, false);
        }
        if let Some(link) = &mut self.link {
            ctx.message.clear();
            ctx.message.resize(MAX_HEADER_BYTES, 0);
            let kind = link.dialect.encode(&self.chunk.bytes, &mut ctx.message);
            link.send_audio(ctx, kind);
        }
        let is_marked = self.chunk.is_marked;
        self.chunk.clear();
        if is_marked {
            let newest = self.marks.newest();
            self.say(ctx, StreamCommand::Mark(&newest));
        }
    }

    /// Says a mark, or will behind the frames that wait; false if the dialect has no word for it.
    pub(super) fn ask(&mut self, ctx: &mut Context, mark: StreamCommand<'_>) -> bool {
        if self.chunk.is_empty() {
            return self.say(ctx, mark);
        }
        let Some(link) = &mut self.link else { return false };
        ctx.message.clear();
        // Not sent: whoever tells of one mark tells of all before it.
        self.chunk.is_marked = link.dialect.command(mark, &mut ctx.message).is_some();
        self.chunk.is_marked
    }

    /// What waits will not be heard before now, and so nothing that follows as soon as was thought.
    pub(super) fn settle(&mut self, now: MonoTime) {
        let late = now.since(self.chunk.heard_at);
        if !self.chunk.is_empty() && !late.is_zero() {
            self.ahead.hold(late);
            self.chunk.heard_at = now;
        }
    }
}
