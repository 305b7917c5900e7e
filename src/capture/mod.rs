//! What a call's packets and messages were, for whoever has to find out what went wrong.
//!
//! A capture keeps the SIP messages of a call from its beginning, what its carrier and we asked
//! each other over HTTP, and the latest of its RTP and RTCP packets, decrypted, in memory that is
//! set aside when it begins. Secrets are blanked as messages are taken in; those of a call that is
//! over are written down besides. Nothing is kept, and nothing is paid, for calls that are not
//! captured.

mod draft;
mod head;
mod keeper;
mod name;
mod pcap;
mod redact;
mod registry;
mod room;
mod shown;
mod waiting;
mod web;

pub use draft::Draft;
pub use head::{Head, Kind, head};
pub use keeper::{keep, keep_last};
pub use name::Dialog;
pub use registry::{About, CaptureError, Message, Registry};
pub use shown::Shown;
pub use web::{Raw, Secrets, Web};

/// Packets of one call: the latest 30 seconds of both directions at 20 ms.
pub const PACKETS_MAX: usize = 3_000;
/// Bytes that are kept of one packet: 40 ms of G.711 and its header.
pub const PACKET_BYTES_MAX: usize = 352;
/// Messages of one call, the first of them.
pub const MESSAGES_MAX: usize = 256;
/// Bytes of all these.
pub const MESSAGES_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that are kept of one message.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Dialogs of one call: its peer may be sought at several servers, and another may take its place.
pub const DIALOGS_MAX: usize = 32;
/// Dialogs whose messages wait for a call that is captured, while any route or trunk captures.
pub const WAITING_MAX: usize = 1_024;
/// Messages of one of these dialogs.
pub const WAITING_MESSAGES_MAX: usize = 16;
/// Bytes of all messages that wait: whoever sends them is not known yet.
pub const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod web_tests;
