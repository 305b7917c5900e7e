//! Conversion of a stream of payloads from one format to another.
//!
//! The way is chosen once, from the two formats, when a leg's formats are known: nothing for equal
//! formats, one table or vector pass where only the coding differs, and decode, resample, encode
//! through two small buffers that stay in the first-level cache where the rates differ or a codec
//! remembers what was before (G.722, Opus).

mod stages;
#[cfg(test)]
mod tests;

use crate::codec::g711::Law;
use crate::codec::opus::{NoCoder, Settings};
use crate::codec::{AudioFormat, Codec, l16};
use crate::resample::ResampleError;
use stages::Stages;
use std::time::Duration;

/// The largest payload that an agent may send at once (64 KiB): a buffer of
/// [`Converter::max_output`] for so much takes the conversion of any message.
///
/// The converter's own memory does not depend on it: long input is converted in pieces.
pub const MAX_CONVERT_INPUT_BYTES: usize = 64 * 1024;

/// Samples of input that are converted at a time.
const PIECE_SAMPLES: usize = 480;

/// Why there is no converter between two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Nothing converts the rates.
    #[error(transparent)]
    Rate(#[from] ResampleError),
    /// Nothing codes one of them.
    #[error(transparent)]
    Coder(#[from] NoCoder),
}

/// Converts one direction of one leg. Owned by one thread; a stream: when the rates differ or a
/// codec has a memory, output depends on what was converted before.
#[derive(Debug)]
pub struct Converter {
    from: AudioFormat,
    to: AudioFormat,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    /// Equal formats.
    Identity,
    /// Linear samples of the other byte order.
    Swap,
    /// G.711 to linear.
    Decode(Law),
    /// Linear to G.711.
    Encode(Law),
    /// G.711 to the other law.
    Transcode(Law),
    /// Different rates, or a codec with a memory.
    Stages(Box<Stages>),
    /// Formats that nothing converts.
    Mute,
}

impl Converter {
    /// A converter with silence behind it.
    ///
    /// Never fails, as formats are negotiated from a closed set: if a rate is out of range, or a
    /// codec is not in this build (see [`Self::try_new`], which tells), the converter yields
    /// nothing.
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        Self::try_new(from, to).unwrap_or(Self { from, to, plan: Plan::Mute })
    }

    /// A converter with silence behind it, for formats that were not checked before.
    ///
    /// # Errors
    ///
    /// The rates differ and one is outside of [`MIN_RATE_HZ`](crate::resample::MIN_RATE_HZ) to
    /// [`MAX_RATE_HZ`](crate::resample::MAX_RATE_HZ), or one is Opus and this build has none.
    pub fn try_new(from: AudioFormat, to: AudioFormat) -> Result<Self, ConvertError> {
        let plan = if from == to {
            Plan::Identity
        } else if from.rate_hz == to.rate_hz
            && from.codec.is_memoryless()
            && to.codec.is_memoryless()
        {
            match (law(from.codec), law(to.codec)) {
                (None, None) => Plan::Swap,
                (Some(law), None) => Plan::Decode(law),
                (None, Some(law)) => Plan::Encode(law),
                (Some(law), Some(_)) => Plan::Transcode(law),
            }
        } else {
            Plan::Stages(Box::new(Stages::new(from, to)?))
        };
        Ok(Self { from, to, plan })
    }

    /// The format of the input.
    pub const fn from(&self) -> AudioFormat {
        self.from
    }

    /// The format of the output.
    pub const fn to(&self) -> AudioFormat {
        self.to
    }

    /// Whether output equals input byte for byte, so that callers may pass payloads on untouched.
    pub const fn is_identity(&self) -> bool {
        matches!(self.plan, Plan::Identity)
    }

    /// True if output depends on what was converted before, so that input must come in order.
    pub const fn has_memory(&self) -> bool {
        matches!(self.plan, Plan::Stages(_))
    }

    /// Codes as the receiver wants it from now on, if it is Opus that is coded; the stream goes on.
    pub fn tune(&mut self, settings: &Settings) {
        if let Plan::Stages(stages) = &mut self.plan {
            stages.tune(settings);
        }
    }

    /// Ticks of the output's clock that wait for the rest of their packet, in Opus.
    pub const fn held_ticks(&self) -> u32 {
        match &self.plan {
            Plan::Stages(stages) => stages.held_ticks(),
            _ => 0,
        }
    }

    /// The most bytes that [`Self::convert`] writes for `input_bytes`, at any time.
    pub fn max_output(&self, input_bytes: usize) -> usize {
        let samples = input_bytes / self.from.codec.sample_bytes();
        match &self.plan {
            Plan::Identity => input_bytes,
            Plan::Stages(stages) => stages.max_output(input_bytes),
            Plan::Mute => 0,
            _ => samples.saturating_mul(self.to.codec.sample_bytes()),
        }
    }

    /// Converts all of `input` and writes what has become ready. Returns how many bytes.
    ///
    /// `out` must hold [`Self::max_output`] of the input's length: what does not fit is lost. Input
    /// must be whole samples: an odd last byte of linear audio is ignored (only equal formats pass
    /// it on), and pairing it with the next payload is the caller's business. Input in Opus must be
    /// one packet; output in Opus is one packet or none, and what completes none waits.
    ///
    /// Frames of whole milliseconds at 8, 16, 24 and 48 kHz yield their exact counterpart; see
    /// [`Resampler::process`](crate::resample::Resampler::process) for the rest.
    pub fn convert(&mut self, input: &[u8], out: &mut [u8]) -> usize {
        match &mut self.plan {
            Plan::Identity => {
                let count = input.len().min(out.len());
                out[..count].copy_from_slice(&input[..count]);
                count
            }
            Plan::Swap => l16::swap(input, out),
            Plan::Decode(law) => {
                let bytes = 2 * law.decode_le(input, out);
                if self.to.codec == Codec::L16Be {
                    l16::swap_in_place(&mut out[..bytes]);
                }
                bytes
            }
            Plan::Encode(law) if self.from.codec == Codec::L16Be => {
                let mut swapped = [0; 2 * PIECE_SAMPLES];
                let pieces = input.chunks(2 * PIECE_SAMPLES).zip(out.chunks_mut(PIECE_SAMPLES));
                pieces
                    .map(|(input, out)| {
                        let bytes = l16::swap(input, &mut swapped);
                        law.encode_le(&swapped[..bytes], out)
                    })
                    .sum()
            }
            Plan::Encode(law) => law.encode_le(input, out),
            Plan::Transcode(law) => law.transcode(input, out),
            Plan::Stages(stages) => stages.convert(input, out),
            Plan::Mute => 0,
        }
    }

    /// Makes up for a packet of Opus that was lost right before `next`, from what that repeats of
    /// it: writes what the lost one would have become and tells how many bytes, 0 if nothing is
    /// repeated. `next` is converted after this.
    pub fn recover(&mut self, next: &[u8], out: &mut [u8]) -> usize {
        match &mut self.plan {
            Plan::Stages(stages) => stages.recover(next, out),
            _ => 0,
        }
    }

    /// Writes `ms` milliseconds, a multiple of 10 up to 120, of what the decoder makes of lost
    /// input; tells how many bytes, 0 for a codec whose decoder makes nothing.
    pub fn conceal(&mut self, ms: u32, out: &mut [u8]) -> usize {
        match &mut self.plan {
            Plan::Stages(stages) => stages.conceal(ms, out),
            _ => 0,
        }
    }

    /// What comes next does not continue in the output what was there, as when what waited between
    /// was dropped; in the input it may. A decoder that follows the input's encoder goes on.
    pub fn cut(&mut self) {
        if let Plan::Stages(stages) = &mut self.plan {
            stages.cut();
        }
    }

    /// Forgets the past: the next output is as of a new converter.
    pub fn reset(&mut self) {
        if let Plan::Stages(stages) = &mut self.plan {
            stages.reset();
        }
    }

    /// How much later a sound stands in the output than in the input: what a resampler
    /// ([`Resampler::delay`](crate::resample::Resampler::delay)), each end of G.722 and the encoder
    /// of Opus take; zero for everything else.
    pub fn delay(&self) -> Duration {
        match &self.plan {
            Plan::Stages(stages) => stages.delay(),
            _ => Duration::ZERO,
        }
    }
}

/// The companding law of a codec that has one.
const fn law(codec: Codec) -> Option<Law> {
    match codec {
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
        Codec::G722 | Codec::L16Le | Codec::L16Be | Codec::Opus => None,
    }
}
