//! How much audio may wait for a socket that takes nothing.

use adapters::agent::StreamFormat;

/// Most bytes of a message around its audio.
const ENVELOPE_BYTES: usize = 256;
/// By how much a message may be longer than the audio that it carries as text, at most.
const TEXT_FACTOR: usize = 2;

/// Bytes of as many messages as last `wait_ms`, each a frame of `format`, and of one more.
pub(super) fn backlog_bytes(format: StreamFormat, wait_ms: u32) -> usize {
    let StreamFormat { audio, ptime_ms } = format;
    let frames = wait_ms / ptime_ms.max(1) + 1;
    let frame_bytes = audio.bytes(ptime_ms) * TEXT_FACTOR + ENVELOPE_BYTES;
    frame_bytes * frames as usize
}
