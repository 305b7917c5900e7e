//! RTP (RFC 3550): packets in place, what arrives, what is sent.
//!
//! [`Packet`] is a view of received bytes. [`Receiver`] follows one remote source: it extends
//! sequence numbers and timestamps to one timeline that never wraps or jumps, tells doubled and
//! late packets from new ones, and keeps the statistics of RFC 3550. [`Reorder`] restores order
//! within a few packets and at most one ptime. [`Sender`] numbers what leaves, [`Relay`] what is
//! passed on, which [`Repack`] cuts anew where the far end wants other packets.
//!
//! Nothing here allocates after creation, reads a clock or panics on input.

mod arrival;
mod header;
mod pattern;
mod receiver;
mod relay;
mod reorder;
mod repack;
mod sender;

pub use arrival::{Arrival, Continuity, Received, ReceiverCounters, ReceptionReport, Stood};
pub use header::{
    Extension, HEADER_BYTES, Header, PACKET_BYTES_MAX, Packet, RtpError, has_version, is_rtcp,
    write_header,
};
pub use pattern::LossPattern;
pub use receiver::Receiver;
pub use relay::{Place, Relay};
pub use reorder::{Frame, REORDER_FRAMES_MAX, Reorder, ReorderCounters};
pub use repack::{Piece, Repack, Uncut};
pub use sender::Sender;
