//! Sounds that many calls share: files, tones, comfort noise, coded once a format.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use media::codec::AudioFormat;

use crate::workers::audio::{self, AudioError};

/// Coded sounds that are kept; beyond it all are forgotten and loaded again when needed.
const SOUNDS_MAX: usize = 256;
/// Seconds of comfort noise before it repeats.
const NOISE_S: u32 = 2;
/// Peak of comfort noise: about -60 dBm0, audible as a line that is open and no more.
const NOISE_PEAK: i32 = 24;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    File(PathBuf),
    Tone(u32),
    Noise,
}

/// Sounds, coded.
#[derive(Debug, Default)]
pub(super) struct Sounds {
    coded: HashMap<(Key, AudioFormat), Arc<[u8]>>,
    /// Music on hold, which is never loaded while calls wait.
    music: HashMap<(PathBuf, AudioFormat), Arc<[u8]>>,
}

impl Sounds {
    /// Loads music on hold in the formats in which it may be wanted. Of a file that cannot be
    /// loaded is warned once; noise takes its place.
    pub(super) fn load_music(&mut self, path: &Path, formats: &[AudioFormat]) {
        for format in formats {
            let key = (path.to_owned(), *format);
            if self.music.contains_key(&key) {
                continue;
            }
            let sound = match audio::load(path, *format) {
                Ok(sound) => sound,
                Err(error) => return tracing::warn!(%error, "noise instead of music on hold"),
            };
            self.music.insert(key, sound);
        }
    }

    /// Music on hold that was loaded ahead, or noise.
    pub(super) fn music(&mut self, path: &Path, format: AudioFormat) -> Arc<[u8]> {
        let music = self.music.get(&(path.to_owned(), format)).map(Arc::clone);
        music.unwrap_or_else(|| self.noise(format))
    }

    /// A WAV file.
    ///
    /// # Errors
    ///
    /// As [`audio::load`].
    pub(super) fn file(
        &mut self,
        path: &Path,
        format: AudioFormat,
    ) -> Result<Arc<[u8]>, AudioError> {
        let key = (Key::File(path.to_owned()), format);
        if let Some(sound) = self.coded.get(&key) {
            return Ok(Arc::clone(sound));
        }
        let sound = audio::load(path, format)?;
        self.keep(key, &sound);
        Ok(sound)
    }

    /// A tone.
    pub(super) fn tone(&mut self, frequency_hz: u32, format: AudioFormat) -> Arc<[u8]> {
        self.made((Key::Tone(frequency_hz), format), || audio::tone(frequency_hz, format))
    }

    /// Comfort noise: what a caller hears while an agent is sought, instead of a dead line.
    pub(super) fn noise(&mut self, format: AudioFormat) -> Arc<[u8]> {
        self.made((Key::Noise, format), || {
            let mut rng = fastrand::Rng::with_seed(u64::from(format.rate_hz));
            let samples: Vec<i16> = (0..format.rate_hz * NOISE_S)
                .map(|_| {
                    (rng.i32(-NOISE_PEAK..=NOISE_PEAK) + rng.i32(-NOISE_PEAK..=NOISE_PEAK)) as i16
                })
                .collect();
            audio::encode(&samples, format.rate_hz, format).into()
        })
    }

    fn made(&mut self, key: (Key, AudioFormat), make: impl FnOnce() -> Arc<[u8]>) -> Arc<[u8]> {
        if let Some(sound) = self.coded.get(&key) {
            return Arc::clone(sound);
        }
        let sound = make();
        self.keep(key, &sound);
        sound
    }

    fn keep(&mut self, key: (Key, AudioFormat), sound: &Arc<[u8]>) {
        if self.coded.len() >= SOUNDS_MAX {
            self.coded.clear();
        }
        self.coded.insert(key, Arc::clone(sound));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Music comes from what was loaded, whatever became of the file; without it noise is heard.
    #[test]
    fn music_is_loaded_ahead() {
        let path = std::env::temp_dir().join(format!("talkpath-music-{}.wav", std::process::id()));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(&path, spec).unwrap();
        (0..800_i16).for_each(|n| file.write_sample(n * 20).unwrap());
        file.finalize().unwrap();
        let formats = [AudioFormat::PCMU, AudioFormat::PCMA];
        let mut sounds = Sounds::default();
        sounds.load_music(&path, &formats);
        let expected = formats.map(|format| audio::load(&path, format).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(formats.map(|format| sounds.music(&path, format)), expected);
        let mut without = Sounds::default();
        without.load_music(&path, &formats);
        let noise = without.noise(AudioFormat::PCMU);
        assert!(Arc::ptr_eq(&without.music(&path, AudioFormat::PCMU), &noise));
    }
}
