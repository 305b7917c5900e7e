//! G.722: wideband speech in 64 kbit/s, 16,000 samples a second (ITU-T G.722).
//!
//! Two filters of 24 taps split the signal at 4 kHz. Each half, at 8,000 samples a second, is coded
//! as the difference from a prediction that both ends make alike from what was coded before: six
//! bits for the lower half, two for the upper. A byte is therefore two samples, and the RTP clock
//! runs at 8,000 although the sound does not (RFC 3551 4.5.2).
//!
//! Both ends adapt: an [`Encoder`] and a [`Decoder`] belong to one direction of one stream and must
//! see all of it. A lost byte is forgotten within a few milliseconds, because everything that is
//! remembered leaks.
//!
//! The arithmetic is the Recommendation's, bit for bit, in the names of its clause 6: low and high
//! band, `d` the quantised difference, `s` the prediction, `r` the reconstruction, `nb` and `det`
//! the logarithmic and linear scale of the quantiser.

use std::time::Duration;

mod band;
mod decoder;
mod encoder;
mod qmf;
mod tables;

pub use decoder::{Decoder, Mode};
pub use encoder::Encoder;

/// Samples a second, of sound.
pub const RATE_HZ: u32 = 16_000;

/// Samples in a byte.
pub const BYTE_SAMPLES: usize = 2;

/// By how much each end delays a sound: half of 22 samples.
pub const DELAY: Duration = Duration::from_nanos(687_500);

/// The byte that stands for silence where none was encoded: repeated, it is 56 dB below full scale
/// and less within 20 ms, at 0 and 8,000 Hz, where nobody hears it.
pub const SILENCE: u8 = 0xfd;

/// Bytes that are coded at a time: what the two bands of 20 ms need stays in the first-level cache.
const PIECE_BYTES: usize = 160;

#[cfg(test)]
mod tests;
