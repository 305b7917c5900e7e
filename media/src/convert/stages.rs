//! Decode, resample, encode: the long way of a conversion.

use super::PIECE_SAMPLES;
use crate::codec::g711::Law;
use crate::codec::{AudioFormat, Codec, g722, l16};
use crate::resample::{ResampleError, Resampler};
use std::time::Duration;

/// The stages between two formats, with what they remember.
#[derive(Debug)]
pub(super) struct Stages {
    from: AudioFormat,
    to: AudioFormat,
    decoder: Decoder,
    /// Absent if the rates are equal.
    resampler: Option<Resampler>,
    encoder: Encoder,
    input: [i16; PIECE_SAMPLES],
    output: Box<[i16]>,
}

#[derive(Debug)]
enum Decoder {
    Law(Law),
    L16Le,
    L16Be,
    G722(Box<g722::Decoder>),
}

#[derive(Debug)]
enum Encoder {
    Law(Law),
    L16Le,
    L16Be,
    G722(Box<g722::Encoder>),
}

impl Stages {
    /// The stages from one format to another.
    ///
    /// # Errors
    ///
    /// The rates differ and nothing converts them.
    pub(super) fn new(from: AudioFormat, to: AudioFormat) -> Result<Self, ResampleError> {
        let resampler = if from.rate_hz == to.rate_hz {
            None
        } else {
            Some(Resampler::new(from.rate_hz, to.rate_hz)?)
        };
        let most = resampler.as_ref().map_or(0, |resampler| resampler.max_output(PIECE_SAMPLES));
        Ok(Self {
            from,
            to,
            decoder: Decoder::new(from.codec),
            resampler,
            encoder: Encoder::new(to.codec),
            input: [0; PIECE_SAMPLES],
            output: vec![0; most].into(),
        })
    }

    /// The most bytes that come of `input_bytes`.
    pub(super) fn max_output(&self, input_bytes: usize) -> usize {
        let samples = self.from.payload_samples(input_bytes);
        let samples =
            self.resampler.as_ref().map_or(samples, |resampler| resampler.max_output(samples));
        self.encoder.max_bytes(self.to.codec, samples)
    }

    /// Converts all of `input`; see [`Converter::convert`](super::Converter::convert).
    pub(super) fn convert(&mut self, input: &[u8], out: &mut [u8]) -> usize {
        let piece_bytes = match self.from.codec {
            Codec::G722 => PIECE_SAMPLES / g722::BYTE_SAMPLES,
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be => {
                PIECE_SAMPLES * self.from.codec.sample_bytes()
            }
        };
        let mut written = 0;
        for piece in input.chunks(piece_bytes) {
            let count = self.decoder.decode(piece, &mut self.input);
            let samples = &self.input[..count];
            let samples = match &mut self.resampler {
                Some(resampler) => {
                    let count = resampler.process(samples, &mut self.output);
                    &self.output[..count]
                }
                None => samples,
            };
            written += self.encoder.encode(samples, &mut out[written..]);
        }
        written
    }

    /// Forgets the past.
    pub(super) fn reset(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        if let Decoder::G722(decoder) = &mut self.decoder {
            decoder.reset();
        }
        if let Encoder::G722(encoder) = &mut self.encoder {
            encoder.reset();
        }
    }

    /// How much later a sound comes out.
    pub(super) fn delay(&self) -> Duration {
        let resampler = self.resampler.as_ref().map_or(Duration::ZERO, Resampler::delay);
        let ends = u32::from(matches!(self.decoder, Decoder::G722(_)))
            + u32::from(matches!(self.encoder, Encoder::G722(_)));
        resampler + g722::DELAY * ends
    }
}

impl Decoder {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::Law(Law::Mu),
            Codec::Pcma => Self::Law(Law::A),
            Codec::L16Le => Self::L16Le,
            Codec::L16Be => Self::L16Be,
            Codec::G722 => Self::G722(Box::default()),
        }
    }

    /// Decodes a piece; returns how many samples.
    fn decode(&mut self, piece: &[u8], samples: &mut [i16]) -> usize {
        match self {
            Self::Law(law) => law.decode(piece, samples),
            Self::L16Le => l16::from_le(piece, samples),
            Self::L16Be => l16::from_be(piece, samples),
            Self::G722(decoder) => decoder.decode(piece, samples),
        }
    }
}

impl Encoder {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::Law(Law::Mu),
            Codec::Pcma => Self::Law(Law::A),
            Codec::L16Le => Self::L16Le,
            Codec::L16Be => Self::L16Be,
            Codec::G722 => Self::G722(Box::default()),
        }
    }

    /// Encodes samples; returns how many bytes.
    fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::Law(law) => law.encode(samples, out),
            Self::L16Le => 2 * l16::to_le(samples, out),
            Self::L16Be => 2 * l16::to_be(samples, out),
            Self::G722(encoder) => encoder.encode(samples, out),
        }
    }

    /// The most bytes that come of `samples`.
    const fn max_bytes(&self, codec: Codec, samples: usize) -> usize {
        match self {
            // An odd sample may have waited.
            Self::G722(_) => samples.saturating_add(1) / g722::BYTE_SAMPLES,
            Self::Law(_) | Self::L16Le | Self::L16Be => {
                samples.saturating_mul(codec.sample_bytes())
            }
        }
    }
}
