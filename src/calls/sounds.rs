//! Sounds that many calls share: files, tones, comfort noise, coded once a format.
//!
//! Files are never read on the control's thread: what is not at hand is loaded elsewhere
//! ([`Wanted::load`]) and heard when it comes ([`Sounds::loaded`]).

use std::collections::{HashMap, HashSet};
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
    /// The same as a loop without a seam.
    Loop(PathBuf),
    Tone(u32),
    Noise,
    /// A file, and a beep behind it.
    Greeting(PathBuf),
    Beep,
}

/// A file in a format.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted(Key, AudioFormat);

impl Wanted {
    /// The file as it is.
    pub(super) fn file(path: &Path, format: AudioFormat) -> Self {
        Self(Key::File(path.to_owned()), format)
    }

    /// The file as a loop without a seam, in linear samples of `rate_hz`.
    pub(super) fn seamless(path: &Path, rate_hz: u32) -> Self {
        Self(Key::Loop(path.to_owned()), AudioFormat::l16le(rate_hz))
    }

    /// The file, and behind it the beep that asks for a message.
    pub(super) fn greeting(path: &Path, format: AudioFormat) -> Self {
        Self(Key::Greeting(path.to_owned()), format)
    }

    /// Samples a second.
    pub(super) const fn rate_hz(&self) -> u32 {
        self.1.rate_hz
    }

    /// Reads and codes it, which takes its time.
    ///
    /// # Errors
    ///
    /// As [`audio::load`].
    pub(super) fn load(&self) -> Result<Arc<[u8]>, AudioError> {
        match &self.0 {
            Key::File(path) => audio::load(path, self.1),
            Key::Loop(path) => audio::load_loop(path, self.1.rate_hz),
            Key::Tone(hz) => Ok(audio::tone(*hz, self.1)),
            Key::Noise => Ok(noise(self.1)),
            Key::Greeting(path) => Ok(greeting(path, self.1)),
            Key::Beep => Ok(audio::beep(self.1).into()),
        }
    }
}

/// A sound that was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// Which.
    pub(super) wanted: Wanted,
    /// It, or why there is none.
    pub(super) sound: Result<Arc<[u8]>, AudioError>,
}

/// Sounds, coded.
#[derive(Debug, Default)]
pub(super) struct Sounds {
    coded: HashMap<Wanted, Arc<[u8]>>,
    /// What is being loaded.
    coming: HashSet<Wanted>,
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
        self.music_ahead(path, format).unwrap_or_else(|| self.noise(format))
    }

    /// Music on hold, if it was loaded ahead in this format.
    pub(super) fn music_ahead(&self, path: &Path, format: AudioFormat) -> Option<Arc<[u8]>> {
        self.music.get(&(path.to_owned(), format)).map(Arc::clone)
    }

    /// A file that is at hand.
    pub(super) fn get(&self, wanted: &Wanted) -> Option<Arc<[u8]>> {
        self.coded.get(wanted).map(Arc::clone)
    }

    /// A file is to be loaded; false if that has begun already.
    pub(super) fn begin(&mut self, wanted: &Wanted) -> bool {
        self.coming.insert(wanted.clone())
    }

    /// A file was loaded, or cannot be.
    pub(super) fn loaded(&mut self, wanted: &Wanted, sound: Option<&Arc<[u8]>>) {
        self.coming.remove(wanted);
        if let Some(sound) = sound {
            self.keep(wanted.clone(), sound);
        }
    }

    /// A tone.
    pub(super) fn tone(&mut self, frequency_hz: u32, format: AudioFormat) -> Arc<[u8]> {
        self.made(Wanted(Key::Tone(frequency_hz), format), || audio::tone(frequency_hz, format))
    }

    /// What asks for a message, if there is no more to be said.
    pub(super) fn beep(&mut self, format: AudioFormat) -> Arc<[u8]> {
        self.made(Wanted(Key::Beep, format), || audio::beep(format).into())
    }

    /// What tells whoever answered that a call is a transfer: two short tones.
    pub(super) fn notice(format: AudioFormat) -> Arc<[u8]> {
        audio::notice(format).into()
    }

    /// Comfort noise: what a caller hears while an agent is sought, instead of a dead line.
    pub(super) fn noise(&mut self, format: AudioFormat) -> Arc<[u8]> {
        self.made(Wanted(Key::Noise, format), || noise(format))
    }

    fn made(&mut self, key: Wanted, make: impl FnOnce() -> Arc<[u8]>) -> Arc<[u8]> {
        if let Some(sound) = self.coded.get(&key) {
            return Arc::clone(sound);
        }
        let sound = make();
        self.keep(key, &sound);
        sound
    }

    fn keep(&mut self, key: Wanted, sound: &Arc<[u8]>) {
        if self.coded.len() >= SOUNDS_MAX {
            self.coded.clear();
        }
        self.coded.insert(key, Arc::clone(sound));
    }
}

/// A file, and the beep that asks for a message behind it. That is heard alone if the file cannot
/// be played: callers can leave a message all the same.
fn greeting(path: &Path, format: AudioFormat) -> Arc<[u8]> {
    let beep = audio::beep(format);
    match audio::load(path, format) {
        Ok(greeting) => {
            let mut sound = greeting.to_vec();
            sound.extend(beep);
            sound.into()
        }
        Err(error) => {
            tracing::error!(%error, "a greeting cannot be played: callers hear the beep alone");
            beep.into()
        }
    }
}

/// Some seconds of quiet noise.
fn noise(format: AudioFormat) -> Arc<[u8]> {
    let mut rng = fastrand::Rng::with_seed(u64::from(format.rate_hz));
    let samples: Vec<i16> = (0..format.rate_hz * NOISE_S)
        .map(|_| (rng.i32(-NOISE_PEAK..=NOISE_PEAK) + rng.i32(-NOISE_PEAK..=NOISE_PEAK)) as i16)
        .collect();
    audio::encode(&samples, format.rate_hz, format).into()
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

    /// A greeting has the beep behind it; of one that cannot be played there is the beep.
    #[test]
    fn a_greeting_ends_with_the_beep() {
        let beep = Wanted(Key::Beep, AudioFormat::PCMU).load().unwrap();
        assert_eq!(beep.len(), 4_000);
        let nowhere = Path::new("/nowhere/at/all.wav");
        assert_eq!(Wanted::greeting(nowhere, AudioFormat::PCMU).load().unwrap(), beep);
        let path = std::env::temp_dir().join(format!("talkpath-greet-{}.wav", std::process::id()));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(&path, spec).unwrap();
        (0..800_i16).for_each(|n| file.write_sample(n * 20).unwrap());
        file.finalize().unwrap();
        let greeting = Wanted::greeting(&path, AudioFormat::PCMU).load().unwrap();
        let alone = Wanted::file(&path, AudioFormat::PCMU).load().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(greeting[..], [&alone[..], &beep[..]].concat());
    }

    /// A file is loaded once, however many calls want it, and is at hand from then on; one that
    /// cannot be loaded is tried again.
    #[test]
    fn files_are_loaded_once() {
        let mut sounds = Sounds::default();
        let wanted = Wanted::file(Path::new("/nowhere/at/all.wav"), AudioFormat::PCMU);
        assert!(sounds.get(&wanted).is_none());
        assert!(sounds.begin(&wanted));
        assert!(!sounds.begin(&wanted), "it is on its way");
        assert!(wanted.load().is_err());
        sounds.loaded(&wanted, None);
        assert!(sounds.begin(&wanted));
        let sound: Arc<[u8]> = Arc::from([1, 2, 3]);
        sounds.loaded(&wanted, Some(&sound));
        assert!(Arc::ptr_eq(&sounds.get(&wanted).unwrap(), &sound));
        let other = Wanted::seamless(Path::new("/nowhere/at/all.wav"), 8_000);
        assert!(sounds.get(&other).is_none());
    }
}
