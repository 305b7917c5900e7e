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
pub(super) struct Sounds(HashMap<(Key, AudioFormat), Arc<[u8]>>);

impl Sounds {
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
        if let Some(sound) = self.0.get(&key) {
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
        if let Some(sound) = self.0.get(&key) {
            return Arc::clone(sound);
        }
        let sound = make();
        self.keep(key, &sound);
        sound
    }

    fn keep(&mut self, key: (Key, AudioFormat), sound: &Arc<[u8]>) {
        if self.0.len() >= SOUNDS_MAX {
            self.0.clear();
        }
        self.0.insert(key, Arc::clone(sound));
    }
}
