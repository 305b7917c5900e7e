//! Frames as linear samples, and back, for those whose samples stand for themselves.

use media::codec::g711::Law;
use media::codec::{AudioFormat, Codec, l16};

/// The companding law of a format that has one.
const fn law(format: AudioFormat) -> Option<Law> {
    match format.codec {
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
        Codec::G722 | Codec::L16Le | Codec::L16Be | Codec::Opus => None,
    }
}

/// Reads the samples of a frame that is coded as `format`; how many. None of a codec whose samples
/// do not stand for themselves: sounds wait in none of these.
pub(super) fn read(format: AudioFormat, frame: &[u8], samples: &mut [i16]) -> usize {
    match (law(format), format.codec) {
        (Some(law), _) => law.decode(frame, samples),
        (None, Codec::L16Le) => l16::from_le(frame, samples),
        (None, Codec::L16Be) => l16::from_be(frame, samples),
        (None, _) => 0,
    }
}

/// Writes samples to a frame that is coded as `format`.
pub(super) fn write(format: AudioFormat, samples: &[i16], frame: &mut [u8]) {
    match (law(format), format.codec) {
        (Some(law), _) => law.encode(samples, frame),
        (None, Codec::L16Be) => l16::to_be(samples, frame),
        (None, _) => l16::to_le(samples, frame),
    };
}
