//! Bytes to samples.

use super::band::{High, Low, saturate};
use super::qmf::Synthesis;
use super::tables::{LOW_4, LOW_5, LOW_6};
use super::{BYTE_SAMPLES, PIECE_BYTES};

/// How many bits of a byte are sound (clause 1.2); RTP has mode 1 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All: 64 kbit/s.
    #[default]
    One,
    /// All but the last: 56 kbit/s and 8 of data.
    Two,
    /// All but the last two: 48 kbit/s and 16 of data.
    Three,
}

/// Decodes one direction of one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    mode: Mode,
    low: Low,
    high: High,
    synthesis: Synthesis,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Mode::One)
    }
}

impl Decoder {
    /// A decoder in its reset state: silence behind it.
    pub const fn new(mode: Mode) -> Self {
        Self { mode, low: Low::new(), high: High::new(), synthesis: Synthesis::new() }
    }

    /// Back to the reset state.
    pub fn reset(&mut self) {
        *self = Self::new(self.mode);
    }

    /// Decodes bytes to samples at 16 kHz, two each, as many as both slices hold. Returns how many
    /// samples. Any byte is sound.
    pub fn decode(&mut self, bytes: &[u8], samples: &mut [i16]) -> usize {
        let count = bytes.len().min(samples.len() / BYTE_SAMPLES);
        let samples = &mut samples[..count * BYTE_SAMPLES];
        let pieces = samples.chunks_mut(PIECE_BYTES * BYTE_SAMPLES);
        for (bytes, samples) in bytes[..count].chunks(PIECE_BYTES).zip(pieces) {
            self.piece(bytes, samples);
        }
        count * BYTE_SAMPLES
    }

    fn piece(&mut self, bytes: &[u8], samples: &mut [i16]) {
        let (mut low, mut high) = ([0; PIECE_BYTES], [0; PIECE_BYTES]);
        for (byte, (low, high)) in bytes.iter().zip(low.iter_mut().zip(&mut high)) {
            *low = self.low_sample(*byte);
            *high = self.high_sample(*byte >> 6);
        }
        let count = bytes.len();
        self.synthesis.run(&low[..count], &high[..count], samples);
    }

    /// Blocks 2L to 6L.
    #[inline]
    fn low_sample(&mut self, byte: u8) -> i16 {
        let level = match self.mode {
            Mode::One => LOW_6[usize::from(byte & 63)],
            Mode::Two => LOW_5[usize::from(byte >> 1 & 31)],
            Mode::Three => LOW_4[usize::from(byte >> 2 & 15)],
        };
        let d = (self.low.det() * i32::from(level)) >> 15;
        let sample = limit(self.low.predicted() + d);
        self.low.update(byte >> 2 & 15);
        sample
    }

    /// Blocks 2H to 6H.
    #[inline]
    fn high_sample(&mut self, code: u8) -> i16 {
        let sample = limit(self.high.predicted() + self.high.difference(code));
        self.high.update(code);
        sample
    }
}

/// The nearest number of 15 bits (`LIMIT`).
#[inline]
const fn limit(value: i32) -> i16 {
    let value = saturate(value);
    if value > 16_383 {
        16_383
    } else if value < -16_384 {
        -16_384
    } else {
        value as i16
    }
}
