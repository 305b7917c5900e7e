//! Decode, resample, encode: the long way of a conversion.

use super::{ConvertError, PIECE_SAMPLES};
use crate::codec::g711::Law;
use crate::codec::opus::{self, NoCoder, Settings};
use crate::codec::{AudioFormat, Codec, g722, l16};
use crate::resample::Resampler;
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
    input: Box<[i16]>,
    output: Box<[i16]>,
}

#[derive(Debug)]
enum Decoder {
    Law(Law),
    L16Le,
    L16Be,
    G722(Box<g722::Decoder>),
    Opus(opus::Decoder),
}

#[derive(Debug)]
enum Encoder {
    Law(Law),
    L16Le,
    L16Be,
    G722(Box<g722::Encoder>),
    /// With the rate at which it codes.
    Opus(opus::Encoder, u32),
}

impl Stages {
    /// The stages from one format to another.
    ///
    /// # Errors
    ///
    /// The rates differ and nothing converts them, or nothing codes a format.
    pub(super) fn new(from: AudioFormat, to: AudioFormat) -> Result<Self, ConvertError> {
        // Opus is decoded to, and coded from, the rate of the other side.
        let rate_hz = |format: AudioFormat, other: AudioFormat| match format.codec {
            Codec::Opus => opus::coding_rate_hz(other.rate_hz),
            _ => format.rate_hz,
        };
        let (from_hz, to_hz) = (rate_hz(from, to), rate_hz(to, from));
        let resampler = if from_hz == to_hz { None } else { Some(Resampler::new(from_hz, to_hz)?) };
        let piece = match from.codec {
            Codec::Opus => (from_hz / 1_000 * opus::PACKET_MAX_MS) as usize,
            _ => PIECE_SAMPLES,
        };
        let most = resampler.as_ref().map_or(0, |resampler| resampler.max_output(piece));
        Ok(Self {
            from,
            to,
            decoder: Decoder::new(from.codec, from_hz)?,
            resampler,
            encoder: Encoder::new(to.codec, to_hz)?,
            input: vec![0; piece].into(),
            output: vec![0; most].into(),
        })
    }

    /// The most bytes that come of `input_bytes`.
    pub(super) fn max_output(&self, input_bytes: usize) -> usize {
        let samples = match self.from.codec {
            Codec::Opus => self.input.len(),
            _ => self.from.payload_samples(input_bytes),
        };
        let samples =
            self.resampler.as_ref().map_or(samples, |resampler| resampler.max_output(samples));
        self.encoder.max_bytes(self.to.codec, samples)
    }

    /// Converts all of `input`; see [`Converter::convert`](super::Converter::convert).
    pub(super) fn convert(&mut self, input: &[u8], out: &mut [u8]) -> usize {
        let piece_bytes = match self.from.codec {
            Codec::G722 => PIECE_SAMPLES / g722::BYTE_SAMPLES,
            Codec::Opus => input.len().max(1),
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be => {
                PIECE_SAMPLES * self.from.codec.sample_bytes()
            }
        };
        let mut written = 0;
        for piece in input.chunks(piece_bytes) {
            let count = self.decoder.decode(piece, &mut self.input);
            written += self.code(count, &mut out[written..]);
        }
        self.packet(out).unwrap_or(written)
    }

    /// Resamples and codes the first `count` samples of the input.
    fn code(&mut self, count: usize, out: &mut [u8]) -> usize {
        let samples = &self.input[..count];
        let samples = match &mut self.resampler {
            Some(resampler) => {
                let count = resampler.process(samples, &mut self.output);
                &self.output[..count]
            }
            None => samples,
        };
        self.encoder.encode(samples, out)
    }

    /// The packet that is complete, if packets are what is coded.
    fn packet(&mut self, out: &mut [u8]) -> Option<usize> {
        match &mut self.encoder {
            Encoder::Opus(encoder, _) => Some(encoder.packet(out)),
            Encoder::Law(_) | Encoder::L16Le | Encoder::L16Be | Encoder::G722(_) => None,
        }
    }

    /// See [`Converter::recover`](super::Converter::recover).
    pub(super) fn recover(&mut self, next: &[u8], out: &mut [u8]) -> usize {
        let Decoder::Opus(decoder) = &mut self.decoder else { return 0 };
        let samples = self.input.len() as u64 * u64::from(opus::packet_ticks(next));
        let samples = samples / u64::from(opus::RATE_HZ / 1_000 * opus::PACKET_MAX_MS);
        let lost = usize::try_from(samples).unwrap_or(0).min(self.input.len());
        let count = decoder.recover(next, &mut self.input[..lost]);
        self.stand_in(count, out)
    }

    /// See [`Converter::conceal`](super::Converter::conceal).
    pub(super) fn conceal(&mut self, ms: u32, out: &mut [u8]) -> usize {
        let Decoder::Opus(decoder) = &mut self.decoder else { return 0 };
        let ms = ms.min(opus::PACKET_MAX_MS) as usize;
        let lost = self.input.len() * ms / opus::PACKET_MAX_MS as usize;
        let count = decoder.conceal(&mut self.input[..lost]);
        self.stand_in(count, out)
    }

    /// Codes the first `count` samples of the input, which stand for what was lost.
    fn stand_in(&mut self, count: usize, out: &mut [u8]) -> usize {
        if count == 0 {
            return 0;
        }
        let written = self.code(count, out);
        self.packet(out).unwrap_or(written)
    }

    /// See [`Converter::tune`](super::Converter::tune).
    pub(super) fn tune(&mut self, settings: &Settings) {
        if let Encoder::Opus(encoder, _) = &mut self.encoder {
            encoder.tune(settings);
        }
    }

    /// See [`Converter::held_ticks`](super::Converter::held_ticks).
    pub(super) const fn held_ticks(&self) -> u32 {
        match &self.encoder {
            Encoder::Opus(encoder, rate_hz) => encoder.held() as u32 * (opus::RATE_HZ / *rate_hz),
            _ => 0,
        }
    }

    /// See [`Converter::cut`](super::Converter::cut).
    pub(super) fn cut(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        match &mut self.encoder {
            Encoder::G722(encoder) => encoder.reset(),
            Encoder::Opus(encoder, _) => encoder.reset(),
            Encoder::Law(_) | Encoder::L16Le | Encoder::L16Be => {}
        }
    }

    /// Forgets the past.
    pub(super) fn reset(&mut self) {
        match &mut self.decoder {
            Decoder::G722(decoder) => decoder.reset(),
            Decoder::Opus(decoder) => decoder.reset(),
            Decoder::Law(_) | Decoder::L16Le | Decoder::L16Be => {}
        }
        self.cut();
    }

    /// How much later a sound comes out.
    pub(super) fn delay(&self) -> Duration {
        let resampler = self.resampler.as_ref().map_or(Duration::ZERO, Resampler::delay);
        let ends = u32::from(matches!(self.decoder, Decoder::G722(_)))
            + u32::from(matches!(self.encoder, Encoder::G722(_)));
        let opus = match &self.encoder {
            Encoder::Opus(encoder, _) => encoder.delay(),
            _ => Duration::ZERO,
        };
        resampler + opus + g722::DELAY * ends
    }
}

impl Decoder {
    fn new(codec: Codec, rate_hz: u32) -> Result<Self, NoCoder> {
        Ok(match codec {
            Codec::Pcmu => Self::Law(Law::Mu),
            Codec::Pcma => Self::Law(Law::A),
            Codec::L16Le => Self::L16Le,
            Codec::L16Be => Self::L16Be,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => Self::Opus(opus::Decoder::new(rate_hz)?),
        })
    }

    /// Decodes a piece; returns how many samples.
    fn decode(&mut self, piece: &[u8], samples: &mut [i16]) -> usize {
        match self {
            Self::Law(law) => law.decode(piece, samples),
            Self::L16Le => l16::from_le(piece, samples),
            Self::L16Be => l16::from_be(piece, samples),
            Self::G722(decoder) => decoder.decode(piece, samples),
            Self::Opus(decoder) => decoder.decode(piece, samples),
        }
    }
}

impl Encoder {
    fn new(codec: Codec, rate_hz: u32) -> Result<Self, NoCoder> {
        Ok(match codec {
            Codec::Pcmu => Self::Law(Law::Mu),
            Codec::Pcma => Self::Law(Law::A),
            Codec::L16Le => Self::L16Le,
            Codec::L16Be => Self::L16Be,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => Self::Opus(opus::Encoder::new(rate_hz)?, rate_hz),
        })
    }

    /// Encodes samples; returns how many bytes.
    fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        match self {
            Self::Law(law) => law.encode(samples, out),
            Self::L16Le => 2 * l16::to_le(samples, out),
            Self::L16Be => 2 * l16::to_be(samples, out),
            Self::G722(encoder) => encoder.encode(samples, out),
            // One packet is made of all pieces.
            Self::Opus(encoder, _) => {
                encoder.push(samples);
                0
            }
        }
    }

    /// The most bytes that come of `samples`.
    const fn max_bytes(&self, codec: Codec, samples: usize) -> usize {
        match self {
            // An odd sample may have waited.
            Self::G722(_) => samples.saturating_add(1) / g722::BYTE_SAMPLES,
            Self::Opus(..) => opus::PACKET_BYTES_MAX,
            Self::Law(_) | Self::L16Le | Self::L16Be => {
                samples.saturating_mul(codec.sample_bytes())
            }
        }
    }
}
