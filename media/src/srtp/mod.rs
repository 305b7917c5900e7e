//! SRTP and SRTCP (RFC 3711, RFC 6188, RFC 7714): packets made unreadable and unforgeable in the
//! buffer in which they lie.
//!
//! An [`Outbound`] protects the one stream that a leg sends; an [`Inbound`] opens what the peer
//! sends, whatever sources it names, and keeps out what it has seen before. Each has its own
//! [`MasterKey`]. Nothing here allocates once a context exists.

mod cipher;
mod derive;
mod inbound;
mod key;
mod layout;
mod outbound;
mod suite;
mod window;

use thiserror::Error;

pub use inbound::{Inbound, InboundStart, SOURCES_MAX};
pub use key::{MKI_BYTES_MAX, MasterKey, Mki, SrtpKeys};
pub use outbound::Outbound;
pub use suite::Suite;

/// Bytes that protection adds at most: tag and SRTCP index. MKIs are never sent.
pub const OVERHEAD_BYTES_MAX: usize = 16 + 4;

/// Why a packet was not protected or not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SrtpError {
    /// Not even the part that stays readable is whole, or no room for the tag.
    #[error("the packet is too short")]
    Truncated,
    /// The buffer has no room for what protection adds.
    #[error("the buffer is too small")]
    NoRoom,
    /// Forged, damaged, or made with another key.
    #[error("the packet is not authentic")]
    Forged,
    /// Seen before, or too old to tell.
    #[error("the packet is a replay or too old")]
    Replayed,
    /// The key that the packet names was not settled.
    #[error("the packet names another key")]
    UnknownKey,
    /// Authentic, but readable for all, which was not settled.
    #[error("the report is not encrypted")]
    Unencrypted,
    /// The packet is of another stream, or has the number of one that was protected or that is too
    /// old to tell: the key stream could be used twice.
    #[error("the key stream would be used twice")]
    Reuse,
    /// The key has protected as many packets as it may (RFC 3711 9.2).
    #[error("the key is used up")]
    KeyExpired,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
