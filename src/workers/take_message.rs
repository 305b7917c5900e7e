//! What an agent's message does at once: its audio is queued, everything else its session judges.

use adapters::agent::{Dialect, MessageKind};
use media::convert::Converter;
use media::playout::Playout;

use super::context::Context;
use crate::agent::session::AgentSession;
use crate::agent::wire;
use crate::telemetry::{DropReason, Kind};

/// Takes one message of an agent. True if it was audio; else the session may want something done.
#[inline]
pub(super) fn take_message(
    ctx: &mut Context,
    playout: &mut Playout,
    (dialect, session, from_agent): (
        &mut (dyn Dialect + 'static),
        &mut AgentSession,
        &mut Converter,
    ),
    (kind, message): (MessageKind, &mut [u8]),
) -> bool {
    let counted = match kind {
        MessageKind::Binary => Kind::AgentAudio,
        MessageKind::Text => Kind::AgentControl,
    };
    ctx.metrics.received(counted, message.len());
    let framing = session.info().framing;
    if wire::too_big(kind, framing, message.len()) {
        session.too_big();
        return false;
    }
    let read = dialect.read(kind, message);
    let Some(audio) = session.receive(ctx.now, read) else { return false };
    let refused = queue(ctx, playout, from_agent, audio);
    if refused > 0 {
        ctx.metrics.dropped(DropReason::QueueFull);
        session.refused(ctx.now, refused);
    }
    true
}

/// Converts an agent's audio and queues it; returns how many bytes of the agent's found no room.
fn queue(
    ctx: &mut Context,
    playout: &mut Playout,
    converter: &mut Converter,
    audio: &[u8],
) -> usize {
    if converter.is_identity() {
        let pushed = playout.push(ctx.now, &mut ctx.blocks, audio);
        return if pushed.full { audio.len() - pushed.accepted_bytes } else { 0 };
    }
    let mut refused = 0;
    // In pieces whose conversion finds room, however much more it is.
    let piece_bytes = match converter.from().codec.is_packets() {
        true => audio.len(),
        false => CONVERTED_BYTES,
    };
    for audio in audio.chunks(piece_bytes.max(1)) {
        if converter.max_output(audio.len()) > ctx.convert.len() {
            refused += audio.len();
            continue;
        }
        let length = converter.convert(audio, &mut ctx.convert);
        let converted = ctx.convert.get(..length).unwrap_or_default();
        let pushed = playout.push(ctx.now, &mut ctx.blocks, converted);
        if pushed.full && length > 0 {
            refused += audio.len() * (length - pushed.accepted_bytes) / length;
        }
    }
    refused
}

/// Bytes of an agent's audio that are converted at a time: whole samples. What becomes of them, at
/// most twelve times as many (G.711 to linear audio at 48 kHz), finds room.
const CONVERTED_BYTES: usize = 8 * 1024;
