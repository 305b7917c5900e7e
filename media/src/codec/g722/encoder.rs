//! Samples to bytes.

use super::band::{High, Low, saturate};
use super::qmf::Analysis;
use super::tables::{HIGH_CODES, HIGH_LEVEL, LOW_CODES, LOW_LEVEL_MAX, LOW_STEPS};
use super::{BYTE_SAMPLES, PIECE_BYTES};

/// Codes one direction of one stream.
#[derive(Clone, Debug)]
pub struct Encoder {
    analysis: Analysis,
    low: Low,
    high: High,
    /// A sample that waits for the other half of its byte.
    odd: Option<i16>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder in its reset state: silence behind it.
    pub const fn new() -> Self {
        Self { analysis: Analysis::new(), low: Low::new(), high: High::new(), odd: None }
    }

    /// Back to the reset state.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Codes samples at 16 kHz, two a byte. Returns the bytes written; an odd sample waits for the
    /// next call, and what finds no room in `out` is lost.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut rest = samples;
        let mut written = 0;
        if let (Some(first), Some((second, after)), true) =
            (self.odd, rest.split_first(), !out.is_empty())
        {
            self.odd = None;
            self.piece(&[first, *second], &mut out[..1]);
            (rest, written) = (after, 1);
        }
        let out = &mut out[written..];
        if let ([.., last], true) = (rest, rest.len() % BYTE_SAMPLES == 1) {
            self.odd = Some(*last);
        }
        let bytes = (rest.len() / BYTE_SAMPLES).min(out.len());
        let pieces = rest[..bytes * BYTE_SAMPLES].chunks(PIECE_BYTES * BYTE_SAMPLES);
        for (samples, out) in pieces.zip(out[..bytes].chunks_mut(PIECE_BYTES)) {
            self.piece(samples, out);
        }
        written + bytes
    }

    fn piece(&mut self, samples: &[i16], out: &mut [u8]) {
        let (mut low, mut high) = ([0; PIECE_BYTES], [0; PIECE_BYTES]);
        self.analysis.run(samples, &mut low, &mut high);
        for (out, (low, high)) in out.iter_mut().zip(low.iter().zip(&high)) {
            *out = self.low_code(i32::from(*low)) | self.high_code(i32::from(*high)) << 6;
        }
    }

    /// Six bits of the low band (blocks 1L to 4L). The four codes that would make a byte of zeros
    /// possible are never sent.
    #[inline]
    fn low_code(&mut self, sample: i32) -> u8 {
        let e = saturate(sample - self.low.predicted());
        let negative = e >> 31;
        // A level is reached if `level * det >> 12 <= magnitude`; solved for the level, so that one
        // division takes the place of up to 29 comparisons.
        let magnitude = (e ^ negative) as u32;
        let reach = (((magnitude + 1) << 12) - 1) / self.low.det().max(1) as u32;
        let step = LOW_STEPS[(reach as usize).min(LOW_LEVEL_MAX)];
        let code = LOW_CODES[(negative & 1) as usize][usize::from(step)];
        self.low.update(code >> 2);
        code
    }

    /// Two bits of the high band (blocks 1H to 4H).
    #[inline]
    fn high_code(&mut self, sample: i32) -> u8 {
        let e = saturate(sample - self.high.predicted());
        let negative = e >> 31;
        let reached = e ^ negative >= (HIGH_LEVEL * self.high.det()) >> 12;
        let code = HIGH_CODES[(negative & 1) as usize][usize::from(reached)];
        self.high.update(code);
        code
    }
}
