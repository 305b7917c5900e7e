//! WAV files (RIFF, Multimedia Programming Interface and Data Specifications 1.0): sound that
//! people hand in.
//!
//! Read are linear samples of 8, 16, 24 and 32 bits, floats of 32 bits, µ-law and A-law, the
//! extensible form of each, and any number of channels, which are averaged. A file that was cut off
//! is as long as what is there of it: whoever writes to a pipe does not know the length.

use crate::codec::g711::Law;

/// Lowest rate that is read, in hertz.
pub const RATE_MIN_HZ: u32 = 8_000;
/// Highest rate that is read, in hertz.
pub const RATE_MAX_HZ: u32 = 48_000;
/// Most channels that are read.
pub const CHANNELS_MAX: u16 = 8;

/// Bytes in front of the first chunk: "RIFF", a length, "WAVE".
const HEAD_BYTES: usize = 12;
/// Bytes in front of a chunk's contents: its name and length.
const CHUNK_HEAD_BYTES: usize = 8;
/// Format tags.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;
/// Where the tag of the extensible form is in its chunk.
const SUBTAG_AT: usize = 24;

/// A sound of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// Samples a second.
    pub rate_hz: u32,
    /// Its samples.
    pub samples: Vec<i16>,
}

impl Clip {
    /// How long it is, in milliseconds.
    pub fn length_ms(&self) -> u64 {
        self.samples.len() as u64 * 1000 / u64::from(self.rate_hz.max(1))
    }
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// It does not begin like a WAV file.
    #[error("is no WAV file")]
    NoWav,
    /// A chunk that must be there is not.
    #[error("has no chunk \"{0}\"")]
    NoChunk(&'static str),
    /// Its samples are coded otherwise.
    #[error("has format {tag} with {bits} bits; linear, float, µ-law and A-law are read")]
    Format {
        /// The format tag.
        tag: u16,
        /// Bits of a sample.
        bits: u16,
    },
    /// Its rate is out of range.
    #[error("has {0} samples a second; {RATE_MIN_HZ} to {RATE_MAX_HZ} are read")]
    Rate(u32),
    /// It has no channel, or too many.
    #[error("has {0} channels; 1 to {CHANNELS_MAX} are read")]
    Channels(u16),
    /// It lasts too long.
    #[error("lasts longer than {0} ms")]
    Long(u64),
}

/// How a sample is coded.
#[derive(Clone, Copy)]
enum Coding {
    Linear8,
    Linear16,
    Linear24,
    Linear32,
    Float32,
    Law(Law),
}

impl Coding {
    const fn bytes(self) -> usize {
        match self {
            Self::Linear8 | Self::Law(_) => 1,
            Self::Linear16 => 2,
            Self::Linear24 => 3,
            Self::Linear32 | Self::Float32 => 4,
        }
    }

    fn sample(self, bytes: &[u8]) -> i32 {
        match (self, bytes) {
            // Samples of up to eight bits have no sign.
            (Self::Linear8, [byte]) => (i32::from(*byte) - 128) << 8,
            (Self::Linear16, [low, high]) => i32::from(i16::from_le_bytes([*low, *high])),
            // The most significant bits count.
            (Self::Linear24, [_, low, high]) | (Self::Linear32, [_, _, low, high]) => {
                i32::from(i16::from_le_bytes([*low, *high]))
            }
            (Self::Float32, [a, b, c, d]) => {
                // A cast saturates, and makes nothing of what is no number.
                (f32::from_le_bytes([*a, *b, *c, *d]).clamp(-1.0, 1.0) * 32_767.0) as i32
            }
            (Self::Law(law), [code]) => i32::from(law.sample(*code)),
            _ => 0,
        }
    }
}

/// What the chunk "fmt " says.
struct Format {
    coding: Coding,
    channels: u16,
    rate_hz: u32,
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, WavError> {
        let short = |at: usize| {
            let bytes = chunk.get(at..)?.first_chunk::<2>()?;
            Some(u16::from_le_bytes(*bytes))
        };
        let missing = WavError::NoChunk("fmt ");
        let (Some(tag), Some(channels), Some(bits)) = (short(0), short(2), short(14)) else {
            return Err(missing);
        };
        let (Some(low), Some(high)) = (short(4), short(6)) else { return Err(missing) };
        let rate_hz = u32::from(high) << 16 | u32::from(low);
        let tag = match tag {
            EXTENSIBLE => short(SUBTAG_AT).ok_or(missing)?,
            tag => tag,
        };
        let coding = match (tag, bits) {
            (PCM, 8) => Coding::Linear8,
            (PCM, 16) => Coding::Linear16,
            (PCM, 24) => Coding::Linear24,
            (PCM, 32) => Coding::Linear32,
            (FLOAT, 32) => Coding::Float32,
            (A_LAW, 8) => Coding::Law(Law::A),
            (MU_LAW, 8) => Coding::Law(Law::Mu),
            _ => return Err(WavError::Format { tag, bits }),
        };
        if !(RATE_MIN_HZ..=RATE_MAX_HZ).contains(&rate_hz) {
            return Err(WavError::Rate(rate_hz));
        }
        if channels == 0 || channels > CHANNELS_MAX {
            return Err(WavError::Channels(channels));
        }
        Ok(Self { coding, channels, rate_hz })
    }
}

/// Reads a WAV file of at most `length_max_ms`.
///
/// # Errors
///
/// [`WavError`]: what is wrong with it.
pub fn read(file: &[u8], length_max_ms: u64) -> Result<Clip, WavError> {
    let head = file.get(..HEAD_BYTES).ok_or(WavError::NoWav)?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WAVE") {
        return Err(WavError::NoWav);
    }
    let mut format = None;
    let mut rest = file.get(HEAD_BYTES..).unwrap_or_default();
    while let Some((head, contents)) = rest.split_at_checked(CHUNK_HEAD_BYTES) {
        let Some((name, length)) = head.split_first_chunk::<4>() else { break };
        let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_le_bytes) as usize;
        let chunk = contents.get(..length.min(contents.len())).unwrap_or_default();
        match name {
            b"fmt " => format = Some(Format::read(chunk)?),
            b"data" => {
                let format = format.ok_or(WavError::NoChunk("fmt "))?;
                return samples(&format, chunk, length_max_ms);
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = contents.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Err(WavError::NoChunk("data"))
}

fn samples(format: &Format, data: &[u8], length_max_ms: u64) -> Result<Clip, WavError> {
    let Format { coding, channels, rate_hz } = *format;
    let frame_bytes = coding.bytes() * usize::from(channels);
    let frames = (data.len() / frame_bytes) as u64;
    if frames * 1000 / u64::from(rate_hz) > length_max_ms {
        return Err(WavError::Long(length_max_ms));
    }
    let average = |frame: &[u8]| {
        let sum: i32 = frame.chunks_exact(coding.bytes()).map(|one| coding.sample(one)).sum();
        (sum / i32::from(channels)) as i16
    };
    Ok(Clip { rate_hz, samples: data.chunks_exact(frame_bytes).map(average).collect() })
}

/// The body of a fuzz target: whatever is read is within its bounds.
///
/// # Panics
///
/// If it is not.
#[doc(hidden)]
pub fn fuzz_read(file: &[u8]) {
    const LENGTH_MAX_MS: u64 = 1_000;
    if let Ok(clip) = read(file, LENGTH_MAX_MS) {
        assert!((RATE_MIN_HZ..=RATE_MAX_HZ).contains(&clip.rate_hz));
        assert!(clip.length_ms() <= LENGTH_MAX_MS && clip.samples.len() <= file.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these fields, an odd chunk in front of its data.
    fn file(tag: u16, channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut fmt = Vec::new();
        let extensible = tag == EXTENSIBLE;
        let block = channels * bits / 8;
        fmt.extend(tag.to_le_bytes());
        fmt.extend(channels.to_le_bytes());
        fmt.extend(rate_hz.to_le_bytes());
        fmt.extend((rate_hz * u32::from(block)).to_le_bytes());
        fmt.extend(block.to_le_bytes());
        fmt.extend(bits.to_le_bytes());
        if extensible {
            fmt.extend([22, 0, 16, 0, 4, 0, 0, 0, 1, 0]);
            fmt.extend([0; 14]);
        }
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        for (name, chunk) in [(b"fmt ", &fmt[..]), (b"LIST", b"odd"), (b"data", data)] {
            file.extend(name);
            file.extend((chunk.len() as u32).to_le_bytes());
            file.extend(chunk);
            file.extend(std::iter::repeat_n(0, chunk.len() % 2));
        }
        file
    }

    fn heard(tag: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<i16> {
        read(&file(tag, channels, 16_000, bits, data), 1_000).unwrap().samples
    }

    /// Every coding yields the sample that it stands for; channels are averaged.
    #[test]
    fn every_coding() {
        assert_eq!(heard(PCM, 1, 8, &[0, 128, 255]), [-32_768, 0, 32_512]);
        assert_eq!(heard(PCM, 1, 16, &[1, 0, 0xff, 0x7f]), [1, 32_767]);
        assert_eq!(heard(PCM, 2, 16, &[100, 0, 50, 0]), [75]);
        assert_eq!(heard(PCM, 1, 24, &[9, 1, 0, 9, 0, 0x80]), [1, -32_768]);
        assert_eq!(heard(PCM, 1, 32, &[9, 9, 1, 0]), [1]);
        assert_eq!(heard(EXTENSIBLE, 1, 16, &[7, 0]), [7]);
        let floats: Vec<u8> =
            [1.0f32, -2.0, 0.0, f32::NAN].into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(heard(FLOAT, 1, 32, &floats), [32_767, -32_767, 0, 0]);
        assert_eq!(heard(MU_LAW, 1, 8, &[0xff, 0x80]), [0, 32_124]);
        assert_eq!(heard(A_LAW, 1, 8, &[0xd5, 0xaa]), [8, 32_256]);
    }

    /// A file that was cut off is as long as what is there, at every length; without its data it
    /// is none.
    #[test]
    fn every_truncation() {
        let whole = file(PCM, 1, 8_000, 16, &[1; 64]);
        let data_at = whole.len() - 64;
        for length in 0..whole.len() {
            match read(&whole[..length], 1_000) {
                Ok(clip) => assert_eq!(clip.samples.len(), (length - data_at) / 2),
                Err(error) => {
                    assert!(length < data_at, "{length}");
                    assert!(matches!(error, WavError::NoWav | WavError::NoChunk(_)), "{error}");
                }
            }
            fuzz_read(&whole[..length]);
        }
        assert_eq!(read(&whole, 1_000).unwrap().length_ms(), 4);
    }

    /// What is not read is named.
    #[test]
    fn what_is_not_read() {
        let error = |tag, channels, rate_hz, bits| {
            read(&file(tag, channels, rate_hz, bits, &[0; 8]), 1_000).unwrap_err()
        };
        assert_eq!(error(2, 1, 8_000, 4), WavError::Format { tag: 2, bits: 4 });
        assert_eq!(error(PCM, 1, 7_999, 16), WavError::Rate(7_999));
        assert_eq!(error(PCM, 1, 96_000, 16), WavError::Rate(96_000));
        assert_eq!(error(PCM, 0, 8_000, 16), WavError::Channels(0));
        assert_eq!(error(PCM, 9, 8_000, 16), WavError::Channels(9));
        let long = file(PCM, 1, 8_000, 8, &vec![0; 8_008]);
        assert_eq!(read(&long, 1_000), Err(WavError::Long(1_000)));
        assert_eq!(read(b"ID3", 1), Err(WavError::NoWav));
    }
}
