//! Sound for built-in agents: WAV files and tones, coded once for the caller's format.

use std::path::Path;
use std::sync::Arc;

use media::bed::seamless;
use media::codec::{AudioFormat, Codec, l16};
use media::convert::Converter;
use media::wav::{self, WavError};

/// Longest file that is played, in milliseconds of audio.
pub const FILE_MAX_MS: u64 = 10 * 60 * 1_000;
/// Samples converted at a time.
const CHUNK_SAMPLES: usize = 4_096;
/// Peak of generated tones: -9 dB below full scale, clear of every codec's overload point.
const TONE_PEAK: f64 = 11_600.0;

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no WAV file that can be played.
    #[error("{path}: the file {source}")]
    Kind {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: WavError,
    },
}

/// Reads a WAV file (see [`wav`]; several channels are averaged) and codes it as `format`.
///
/// # Errors
///
/// [`AudioError`] for files that are unreadable, of another kind or too long.
pub fn load(path: &Path, format: AudioFormat) -> Result<Arc<[u8]>, AudioError> {
    let (mono, rate_hz) = read(path)?;
    Ok(encode(&mono, rate_hz, format).into())
}

/// Reads a WAV file as a loop without a seam, in linear samples of `rate_hz`, least significant
/// byte first.
///
/// # Errors
///
/// As [`load`].
pub fn load_loop(path: &Path, rate_hz: u32) -> Result<Arc<[u8]>, AudioError> {
    let (mono, file_hz) = read(path)?;
    let coded = encode(&mono, file_hz, AudioFormat::l16le(rate_hz));
    let mut samples = vec![0; coded.len() / 2];
    l16::from_le(&coded, &mut samples);
    let mut looped = vec![0; coded.len()];
    let count = l16::to_le(&seamless(&samples, rate_hz), &mut looped);
    looped.truncate(2 * count);
    Ok(looped.into())
}

/// The samples of a WAV file and their rate.
fn read(path: &Path) -> Result<(Vec<i16>, u32), AudioError> {
    let name = || path.display().to_string();
    let file = std::fs::read(path).map_err(|source| AudioError::File { path: name(), source })?;
    let clip = wav::read(&file, FILE_MAX_MS);
    let clip = clip.map_err(|source| AudioError::Kind { path: name(), source })?;
    Ok((clip.samples, clip.rate_hz))
}

/// One second of a sine at `frequency_hz`, coded as `format`; it loops without a seam.
pub fn tone(frequency_hz: u32, format: AudioFormat) -> Arc<[u8]> {
    let rate = f64::from(format.rate_hz);
    let samples: Vec<i16> = (0..format.rate_hz)
        .map(|n| {
            // The phase is reduced in integers, so that the last sample meets the first exactly.
            let turns = u64::from(n) * u64::from(frequency_hz) % u64::from(format.rate_hz);
            let phase = turns as f64 / rate * std::f64::consts::TAU;
            (phase.sin() * TONE_PEAK).round() as i16
        })
        .collect();
    encode(&samples, format.rate_hz, format).into()
}

/// Frequencies of the tones of a notice, one after the other, in hertz.
const NOTICE_HZ: [u32; 2] = [620, 820];
/// Length of each tone of a notice, and of the silence behind it, in milliseconds.
const NOTICE_MS: u32 = 180;

/// Two short tones, coded as `format`.
pub fn notice(format: AudioFormat) -> Vec<u8> {
    let mut notice = Vec::with_capacity(4 * format.bytes(NOTICE_MS));
    for frequency_hz in NOTICE_HZ {
        let tone = tone(frequency_hz, format);
        notice.extend_from_slice(tone.get(..format.bytes(NOTICE_MS)).unwrap_or_default());
        notice.resize(notice.len() + format.bytes(NOTICE_MS), format.codec.silence());
    }
    notice
}

/// Frequency of the beep behind which a message is recorded, in hertz.
const BEEP_HZ: u32 = 1_000;
/// Its length, in milliseconds: whole periods, so that it ends without a click.
const BEEP_MS: u32 = 500;

/// The beep behind which a message is recorded, coded as `format`.
pub fn beep(format: AudioFormat) -> Vec<u8> {
    let tone = tone(BEEP_HZ, format);
    tone.get(..format.bytes(BEEP_MS)).unwrap_or_default().to_vec()
}

/// Codes linear samples as `format`.
pub fn encode(samples: &[i16], rate_hz: u32, format: AudioFormat) -> Vec<u8> {
    let mut converter = Converter::new(AudioFormat { codec: Codec::L16Le, rate_hz }, format);
    let mut coded = Vec::new();
    let mut out = vec![0; converter.max_output(CHUNK_SAMPLES * 2)];
    for chunk in samples.chunks(CHUNK_SAMPLES) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let written = converter.convert(&bytes, &mut out);
        coded.extend_from_slice(out.get(..written).unwrap_or_default());
    }
    coded
}
