//! The socket of a line, and how to speak on it.

use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::stream::{Manners, Stream};
use media::time::MonoTime;

use super::LineLoss;
use crate::agent::wire::WEBSOCKET_MESSAGE_MAX_BYTES;
use crate::bridge::framing::{
    CLOSE_NORMAL, Class, Cutter, FrameError, Input, MAX_HEADER_BYTES, Message, Reader, seal,
};
use crate::bridge::mask::MaskKeys;
use crate::telemetry::{DropReason, Kind};
use crate::workers::connection::{Connection, opcode};
use crate::workers::context::Context;

/// How long the stream of a new socket may take to start.
const START_WAIT: Duration = Duration::from_secs(10);
/// How long a carrier may say nothing before it is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PONG_WAIT: Duration = Duration::from_secs(5);
/// Messages in a row that may be without meaning.
const FAULTS_MAX: u32 = 32;

/// The socket of a line, and how to speak on it.
pub(in crate::workers) struct Link {
    pub(in crate::workers) connection: Connection,
    pub(in crate::workers) dialect: Box<dyn Stream>,
    /// What the dialect asks of the connection.
    pub(in crate::workers) manners: Manners,
    /// Cuts messages out of a connection that is no WebSocket.
    pub(in crate::workers) cutter: Option<Cutter>,
    /// The carrier's id of the call that the stream must be for.
    pub(in crate::workers) call: Option<String>,
    /// The stream has started.
    pub(in crate::workers) started: bool,
    /// The carrier was told that the call is answered.
    pub(in crate::workers) answered: bool,
    /// When the stream must have started.
    start_by: MonoTime,
    /// When something came last.
    heard_at: MonoTime,
    /// When it was asked whether anybody is there.
    pinged_at: Option<MonoTime>,
    /// Messages without meaning since the last one that had any.
    faults: u32,
}

/// What is to be done about a link's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workers) enum Beat {
    /// Nothing.
    Nothing,
    /// Ask whether anybody is there.
    Ping,
    /// Give it up.
    Dead(LineLoss),
}

/// The next message of a connection: of `cutter`, if it is bare.
#[inline]
pub(in crate::workers) fn next_message<'m>(
    cutter: &'m mut Option<Cutter>,
    reader: &'m mut Reader,
    input: &'m mut Input<'_>,
) -> Result<Option<Message<'m>>, FrameError> {
    let Some(cutter) = cutter else { return reader.next(input) };
    let message = cutter.next(input)?;
    Ok(message.map(|message| Message::Data(MessageKind::Binary, message)))
}

impl Link {
    pub(super) fn new(
        now: MonoTime,
        connection: Connection,
        dialect: Box<dyn Stream>,
        call: Option<String>,
    ) -> Self {
        let manners = dialect.manners();
        if !manners.pings {
            connection.probe();
        }
        Self {
            connection,
            dialect,
            manners,
            cutter: manners.measure.map(|cut| Cutter::new(cut, WEBSOCKET_MESSAGE_MAX_BYTES)),
            call,
            started: false,
            answered: false,
            start_by: now + START_WAIT,
            heard_at: now,
            pinged_at: None,
            faults: 0,
        }
    }

    /// True if the connection is no WebSocket.
    pub(in crate::workers) const fn is_bare(&self) -> bool {
        self.cutter.is_some()
    }

    /// What it means that the far end has closed the connection, or reset it: without a WebSocket
    /// there is no other way to say that it is done.
    pub(in crate::workers) const fn closed(&self) -> LineLoss {
        if self.is_bare() { LineLoss::Closed(CLOSE_NORMAL) } else { LineLoss::Broken }
    }

    /// Makes `buffer`, which begins with room for a header, what goes on the wire.
    #[inline]
    pub(super) fn seal<'b>(
        &self,
        buffer: &'b mut [u8],
        masks: &mut MaskKeys,
        kind: MessageKind,
    ) -> &'b [u8] {
        if self.is_bare() {
            return buffer.get(MAX_HEADER_BYTES..).unwrap_or_default();
        }
        seal(buffer, opcode(kind), self.connection.mask(masks))
    }

    /// Sends the message with audio that the context holds behind room for a header; false if there
    /// is none.
    #[inline]
    pub(super) fn send_audio(&mut self, ctx: &mut Context, kind: MessageKind) -> bool {
        if ctx.message.len() == MAX_HEADER_BYTES {
            return false;
        }
        let sealed = self.seal(&mut ctx.message, &mut ctx.masks, kind);
        ctx.metrics.sent(Kind::LineAudio, sealed.len());
        let skipped = self.connection.write(Class::Media, sealed);
        if skipped > 0 {
            ctx.metrics.dropped_many(DropReason::SlowLine, skipped as u64);
        }
        self.connection.watch(&ctx.poller);
        true
    }

    /// What is to be done about its silence.
    pub(in crate::workers) fn beat(&mut self, now: MonoTime) -> Beat {
        if !self.started && self.start_by <= now {
            return Beat::Dead(LineLoss::NotStarted);
        }
        match self.pinged_at {
            _ if !self.manners.pings => Beat::Nothing,
            Some(at) if at + PONG_WAIT <= now => Beat::Dead(LineLoss::Silent),
            None if self.heard_at + PING_AFTER <= now => {
                self.pinged_at = Some(now);
                Beat::Ping
            }
            Some(_) | None => Beat::Nothing,
        }
    }

    /// Something came.
    pub(in crate::workers) const fn heard(&mut self, now: MonoTime) {
        self.heard_at = now;
        self.pinged_at = None;
    }

    /// A message had no meaning; true if there were too many.
    pub(in crate::workers) const fn fault(&mut self) -> bool {
        self.faults += 1;
        self.faults > FAULTS_MAX
    }

    /// A message had a meaning.
    pub(in crate::workers) const fn understood(&mut self) {
        self.faults = 0;
    }

    /// When [`Self::beat`] is due.
    pub(super) fn deadline(&self) -> MonoTime {
        let start = if self.started { MonoTime::MAX } else { self.start_by };
        let silence = match self.pinged_at {
            _ if !self.manners.pings => MonoTime::MAX,
            Some(at) => at + PONG_WAIT,
            None => self.heard_at + PING_AFTER,
        };
        start.min(silence)
    }
}
