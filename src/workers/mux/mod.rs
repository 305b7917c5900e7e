//! Links: sockets that the streams of many calls share (`talkpath.v1.mux`).
//!
//! A link belongs to one worker, its calls to any. Between them frames cross once, each way through
//! a ring of records for each worker; so what a link costs does not depend on where its calls are.
//! Who has put something into a ring marks that in the other worker's [`Mailbox`], and wakes it
//! unless it is marked already. Towards the agent frames gather for up to [`GATHER_US`] and leave
//! together.

mod link;
mod mail;
mod order;
mod port;
mod ring;
mod round;
mod stream;

pub(super) use link::Link;
pub use link::LinkMetrics;
pub use mail::{LinkId, Mailbox};
pub use order::{LinkEnds, Order, connect};
pub use port::Port;
pub(super) use port::Ports;
pub(super) use ring::Head;
pub(super) use stream::StreamEnd;

/// Links that a node has at once.
pub const LINKS_MAX: usize = 64;

/// How long frames towards an agent gather at most, in microseconds. A link that was quiet for so
/// long sends at once.
pub const GATHER_US: u64 = 1_000;

/// Bytes of a ring towards a link: a thousand starts, or a hundred milliseconds of a thousand
/// calls.
const UP_BYTES: usize = 1024 * 1024;
/// Bytes of it that audio leaves to messages, which must arrive.
const UP_SPARE_BYTES: usize = 256 * 1024;
/// Bytes of a ring from a link.
const DOWN_BYTES: usize = 1024 * 1024;
/// Bytes that must find room in each ring from a link before its socket is read: twice what one
/// read may complete, as the smallest frame takes twice its room as a record.
const DOWN_ROOM_BYTES: usize = 512 * 1024;
/// Longest message that a worker hands to an agent.
const TEXT_MAX_BYTES: usize = UP_SPARE_BYTES / 2;

/// Records towards a link.
mod up {
    /// A stream opens; its word is the call's token, its bytes those that may wait.
    pub(super) const OPEN: u8 = 0;
    /// A frame with its header.
    pub(super) const FRAME: u8 = 1;
    /// A text message.
    pub(super) const TEXT: u8 = 2;
    /// A stream has ended.
    pub(super) const END: u8 = 3;
    /// Its word is how many bytes of a stream may wait from now on.
    pub(super) const BACKLOG: u8 = 4;
}

/// Records from a link; the word of each is the call's token.
pub(super) mod down {
    /// A frame with its header.
    pub(in crate::workers) const FRAME: u8 = 1;
    /// A text message.
    pub(in crate::workers) const TEXT: u8 = 2;
    /// The agent closed the stream, with the code in its bytes if there are any.
    pub(super) const CLOSE: u8 = 3;
}
