//! How audio is written by each way that it travels.

use media::codec::AudioFormat;
use media::convert::Converter;

use super::{FRAME_MS, SPOKEN};

/// A format of external media.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// Its name.
    pub(super) name: &'static str,
    /// As sockets carry it.
    pub(super) audio: AudioFormat,
    /// As RTP carries it, and the payload type.
    pub(super) rtp: (AudioFormat, u8),
    /// The kind of its AudioSocket messages.
    pub(super) kind: u8,
}

const fn linear(name: &'static str, rate_hz: u32, pt: u8, kind: u8) -> Format {
    let (audio, rtp) = (AudioFormat::l16le(rate_hz), (AudioFormat::l16be(rate_hz), pt));
    Format { name, audio, rtp, kind }
}

const fn coded(name: &'static str, audio: AudioFormat, pt: u8) -> Format {
    // By AudioSocket it would be carried raw, under the kind of linear audio.
    Format { name, audio, rtp: (audio, pt), kind: 0x10 }
}

const FORMATS: [Format; 8] = [
    coded("ulaw", AudioFormat::PCMU, 0),
    coded("alaw", AudioFormat::PCMA, 8),
    coded("g722", AudioFormat::G722, 9),
    linear("slin", 8_000, 10, 0x10),
    linear("slin16", 16_000, 118, 0x12),
    linear("slin24", 24_000, 123, 0x13),
    linear("slin32", 32_000, 124, 0x14),
    linear("slin48", 48_000, 126, 0x16),
];

/// The format of that name.
pub(super) fn format(name: &str) -> Option<Format> {
    FORMATS.into_iter().find(|format| format.name == name)
}

/// What is understood of a packet: by its payload type alone, and only if that is static.
pub(super) const fn of_payload_type(pt: u8) -> Option<AudioFormat> {
    match pt {
        0 => Some(AudioFormat::PCMU),
        8 => Some(AudioFormat::PCMA),
        9 => Some(AudioFormat::G722),
        10 | 11 => Some(AudioFormat::l16be(8_000)),
        _ => None,
    }
}

/// The linear format that a kind of AudioSocket carries.
pub(super) const fn of_kind(kind: u8) -> Option<AudioFormat> {
    match kind {
        0x10 => Some(AudioFormat::l16le(8_000)),
        0x12 => Some(AudioFormat::l16le(16_000)),
        0x13 => Some(AudioFormat::l16le(24_000)),
        0x14 => Some(AudioFormat::l16le(32_000)),
        0x16 => Some(AudioFormat::l16le(48_000)),
        _ => None,
    }
}

impl Format {
    /// Bytes of a frame on a socket.
    pub(super) const fn frame_bytes(&self) -> usize {
        self.audio.bytes(FRAME_MS)
    }
}

/// Audio from one format into another.
#[derive(Debug)]
pub(super) struct Speech(Converter);

impl Speech {
    /// Of a person, for the server.
    pub(super) fn to(format: AudioFormat) -> Self {
        Self(Converter::new(SPOKEN, format))
    }

    /// Of the server, for a person.
    pub(super) fn of(format: AudioFormat) -> Self {
        Self(Converter::new(format, SPOKEN))
    }

    /// Converts what follows; what came before is of another format if this says so.
    pub(super) fn from(&mut self, format: AudioFormat, audio: &[u8]) -> Vec<u8> {
        if self.0.from() != format {
            *self = Self::of(format);
        }
        self.convert(audio)
    }

    /// Converts what follows.
    pub(super) fn convert(&mut self, audio: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.0.max_output(audio.len())];
        let length = self.0.convert(audio, &mut out);
        out.truncate(length);
        out
    }
}
