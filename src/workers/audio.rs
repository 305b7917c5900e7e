//! Sound for built-in agents: WAV files and tones, coded once for the caller's format.

use std::path::Path;
use std::sync::Arc;

use media::bed::seamless;
use media::codec::{AudioFormat, Codec, l16};
use media::convert::Converter;

/// Longest file that is played, in milliseconds of audio.
pub const FILE_MAX_MS: u64 = 10 * 60 * 1_000;
/// Samples converted at a time.
const CHUNK_SAMPLES: usize = 4_096;
/// Peak of generated tones: -9 dB below full scale, clear of every codec's overload point.
const TONE_PEAK: f64 = 11_600.0;

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// It is no readable WAV file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: hound::Error,
    },
    /// It is a WAV file of another kind.
    #[error("{path}: {problem}; 16-bit PCM of 8 to 48 kHz is played")]
    Kind {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a WAV file (16-bit PCM; several channels are averaged) and codes it as `format`.
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
    let file = |source| AudioError::File { path: name(), source };
    let mut reader = hound::WavReader::open(path).map_err(file)?;
    let spec = reader.spec();
    let kind = |problem: String| AudioError::Kind { path: name(), problem };
    if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
        return Err(kind(format!("{} bits, {:?}", spec.bits_per_sample, spec.sample_format)));
    }
    if !(8_000..=48_000).contains(&spec.sample_rate) {
        return Err(kind(format!("{} Hz", spec.sample_rate)));
    }
    let long = u64::from(reader.duration()) * 1_000 / u64::from(spec.sample_rate);
    if long > FILE_MAX_MS {
        return Err(kind(format!("{long} ms long, {FILE_MAX_MS} ms at most")));
    }
    let channels = usize::from(spec.channels.max(1));
    let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>().map_err(file)?;
    let mono: Vec<i16> = samples
        .chunks_exact(channels)
        .map(|chunk| {
            let sum: i32 = chunk.iter().map(|sample| i32::from(*sample)).sum();
            (sum / i32::try_from(channels).unwrap_or(1)) as i16
        })
        .collect();
    Ok((mono, spec.sample_rate))
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
