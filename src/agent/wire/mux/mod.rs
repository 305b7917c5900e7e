//! `talkpath.v1.mux`: the streams of many calls on one socket, as `docs/protocol.md` tells it.
//!
//! Each call speaks `talkpath.v1` in a stream of its own. Text names its stream; a binary message
//! holds any number of frames of any streams, each behind its length (RFC 4571 2).

mod batch;
mod dialect;
mod envelope;
mod frames;

use adapters::agent::DialectSpec;

pub use batch::{Batch, Segment};
pub use envelope::{Envelope, envelope};
pub use frames::{Frames, FramesError, LENGTH_BYTES, append};

/// The WebSocket subprotocol of many calls a socket.
pub const SUBPROTOCOL: &str = "talkpath.v1.mux";

/// Bytes of the longest message that is taken from an agent on a link: frames of several streams.
pub const MESSAGE_MAX_BYTES: usize = 128 * 1024;

/// The native protocol on a stream of a link.
pub static SPEC: DialectSpec = DialectSpec {
    name: super::SPEC.name,
    subprotocol: Some(SUBPROTOCOL),
    open: |info| Box::new(dialect::LinkDialect::new(info)),
};

#[cfg(test)]
mod tests;
