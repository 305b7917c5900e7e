//! Opus: speech and sound of 8 to 48 kHz in packets (RFC 6716, in RTP RFC 7587).
//!
//! A payload is one packet of 2.5 to 120 ms and cannot be cut or joined: its first byte tells how
//! long it lasts. The RTP clock runs at 48,000 whatever is inside, and decoder and encoder work at
//! any of 8, 12, 16, 24 and 48 kHz, so that nothing is resampled for an agent at such a rate.
//!
//! What a packet is can be told in every build. [`Encoder`] and [`Decoder`] need the feature `opus`
//! (libopus, built with cmake); without it there are none, see [`AVAILABLE`].

#[cfg_attr(feature = "opus", path = "coder.rs")]
#[cfg_attr(not(feature = "opus"), path = "absent.rs")]
mod coder;
#[doc(hidden)]
pub mod fuzz;
mod packet;
mod settings;
#[cfg(all(test, feature = "opus"))]
mod tests;

pub use coder::{Decoder, Encoder};
pub use packet::{has_redundancy, packet_ticks};
pub use settings::Settings;

/// Ticks a second of the RTP clock (RFC 7587 4.1), and the rate that a format of Opus bears.
pub const RATE_HZ: u32 = 48_000;

/// Whether this build can code Opus.
pub const AVAILABLE: bool = cfg!(feature = "opus");

/// Bytes of the longest packet that is coded or queued: what leaves room for headers and SRTP in
/// the smallest datagram that every network carries whole.
pub const PACKET_BYTES_MAX: usize = 1_200;

/// Milliseconds of the longest packet (RFC 6716 3.2.5).
pub const PACKET_MAX_MS: u32 = 120;

/// There is no encoder or decoder: the build has none, or memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Opus coder in this build")]
pub struct NoCoder;

/// The rate at which Opus is coded for sound of `rate_hz`: that, if Opus has it.
pub const fn coding_rate_hz(rate_hz: u32) -> u32 {
    match rate_hz {
        8_000 | 12_000 | 16_000 | 24_000 => rate_hz,
        _ => RATE_HZ,
    }
}
