//! WebSocket frames without I/O (RFC 6455, no extensions), for both sides of a connection.
//!
//! [`Reader`] turns received bytes into messages, in place and without copying as long as whole
//! frames arrive; [`write_header_before`] and [`seal`] turn a payload that already sits in a
//! buffer into a frame; [`ControlFrame`] makes pings, pongs and closes; [`OutQueue`] holds what
//! the kernel did not take; [`Cutter`] does
//! without any frames. Nothing here knows a socket or a clock.

mod bare;
mod error;
mod fuzz;
mod header;
mod queue;
mod reader;
mod write;

pub use bare::{Cutter, Measure};
pub use error::{CLOSE_ABNORMAL, CLOSE_GOING_AWAY, CLOSE_NORMAL, FrameError, is_close_code};
#[doc(hidden)]
pub use fuzz::ws_frames;
pub use header::Opcode;
pub use queue::{Class, OutQueue, QueueFull};
pub use reader::{Input, Message, Reader};
pub use write::{ControlFrame, append_frame, seal, write_header_before};

/// Longest frame header: 2 bytes, a 64-bit length and a masking key (RFC 6455 5.2).
pub const MAX_HEADER_BYTES: usize = 14;

/// Longest payload of a control frame (RFC 6455 5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

/// Longest message taken from a peer, unless the connection says otherwise.
pub const MESSAGE_LIMIT_BYTES: usize = 64 * 1024;

/// Which side of the connection we are: clients mask what they send, servers do not
/// (RFC 6455 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The peer dialled us.
    Server,
    /// We dialled the peer.
    Client,
}
