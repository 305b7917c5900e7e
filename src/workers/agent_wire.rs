//! What an agent's messages travel on: a socket of its own, or a stream among others.

use super::connection::{Connection, opcode};
use super::context::{Context, FrameSink};
use super::mux::StreamEnd;
use crate::bridge::framing::{Class, MAX_HEADER_BYTES, seal};
use crate::telemetry::{DropReason, Kind};

/// What an agent's messages travel on.
pub(super) enum Wire {
    /// A socket of its own.
    Own(Box<Connection>),
    /// A stream on a link.
    Link(StreamEnd),
}

impl Wire {
    /// Nothing more is read or written.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Own(connection) => connection.closed,
            Self::Link(stream) => stream.closed,
        }
    }

    /// The socket, if it is its own.
    pub(super) fn own(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Own(connection) => Some(connection),
            Self::Link(_) => None,
        }
    }

    /// While nothing is taken, so many bytes of audio may wait from now on.
    pub(super) fn set_backlog(&mut self, backlog_bytes: usize) {
        match self {
            Self::Own(connection) => connection.set_backlog(backlog_bytes),
            Self::Link(stream) => stream.set_backlog(backlog_bytes),
        }
    }

    /// Sends the frame of audio that lies in the sink's message buffer, behind room for a header.
    #[inline]
    pub(super) fn send_audio(
        &mut self,
        sink: &mut FrameSink<'_>,
        kind: adapters::agent::MessageKind,
    ) {
        let skipped = match self {
            Self::Own(connection) => {
                let mask = connection.masked.then(|| sink.masks.next_key());
                let sealed = seal(sink.message, opcode(kind), mask);
                sink.metrics.sent(Kind::AgentAudio, sealed.len());
                let skipped = connection.write(Class::Media, sealed);
                connection.watch(sink.poller);
                skipped
            }
            Self::Link(stream) => {
                let frame = sink.message.get(MAX_HEADER_BYTES..).unwrap_or_default();
                sink.metrics.sent(Kind::AgentAudio, frame.len());
                usize::from(!stream.frame(sink.now, sink.ports, frame))
            }
        };
        if skipped > 0 {
            sink.metrics.dropped_many(DropReason::SlowAgent, skipped as u64);
        }
    }

    /// Sends a ping; of a link that is not the stream's business.
    pub(super) fn ping(&mut self, ctx: &mut Context, payload: &[u8]) {
        if let Self::Own(connection) = self {
            let mask = connection.mask(&mut ctx.masks);
            let ping = crate::bridge::framing::ControlFrame::ping(payload, mask);
            connection.write(Class::Control, ping.as_bytes());
            connection.watch(&ctx.poller);
        }
    }

    /// Closes it with `code`, after what was sent before.
    pub(super) fn close(&mut self, ctx: &mut Context, code: u16, reason: &str) {
        match self {
            Self::Own(connection) => {
                connection.send_close(&mut ctx.masks, code, reason);
                connection.watch(&ctx.poller);
            }
            Self::Link(stream) => stream.close(&mut ctx.ports, &mut ctx.message, (code, reason)),
        }
    }

    /// Neither reads nor writes any more.
    pub(super) fn drop_it(&mut self, ctx: &Context) {
        match self {
            Self::Own(connection) => {
                connection.closed = true;
                ctx.poller.remove(connection.io.stream());
            }
            Self::Link(stream) => stream.closed = true,
        }
    }

    /// Lets it go; how many frames were skipped on it.
    pub(super) fn release(self, ctx: &mut Context) -> u64 {
        match self {
            Self::Own(connection) => {
                ctx.poller.remove(connection.io.stream());
                let skipped = connection.skipped;
                let stream = connection.io.finish();
                ctx.lingering.add(ctx.now, &ctx.poller, stream);
                skipped
            }
            Self::Link(mut stream) => {
                stream.release(&mut ctx.ports, &mut ctx.message);
                stream.skipped
            }
        }
    }
}
