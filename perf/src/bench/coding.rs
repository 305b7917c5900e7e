//! How the sound of a call is coded on its way: a law's bytes, or linear samples.

use std::collections::HashMap;

use super::law::Law;
use crate::line::talk::Dialect;

/// Bytes of a linear sample.
const LINEAR_BYTES: usize = 2;

/// What stands on the wire for each sample of the sound, which has 8,000 a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// A byte of this law.
    Companded(Law),
    /// So many samples of 16 bits, little endian: at 8 kHz one, at 16 kHz two.
    Linear {
        /// How many.
        samples: usize,
    },
}

impl Coding {
    /// That of a carrier's media socket.
    pub(super) const fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Streams
            | Dialect::Snake
            | Dialect::PlayAudio
            | Dialect::Media
            | Dialect::Session => Self::Companded(Law::Pcmu),
            Dialect::Long | Dialect::AudioSocket => Self::Linear { samples: 1 },
            Dialect::Wide => Self::Linear { samples: 2 },
        }
    }

    /// Bytes for each sample of the sound.
    pub(super) const fn sample_bytes(self) -> usize {
        match self {
            Self::Companded(_) => 1,
            Self::Linear { samples } => samples * LINEAR_BYTES,
        }
    }

    /// Codes a sound. Between two samples of it those that are added lie on a line, so that each
    /// sample of the sound itself is on the wire.
    pub(super) fn encode(self, sound: &[i16]) -> Vec<u8> {
        match self {
            Self::Companded(law) => {
                // A code is searched for, but once for all samples that are alike.
                let mut known = HashMap::new();
                let code =
                    |sample: &i16| *known.entry(*sample).or_insert_with(|| law.encode(*sample));
                sound.iter().map(code).collect()
            }
            Self::Linear { samples } => {
                let next = sound.iter().skip(1).chain(sound.last());
                let between = |(this, next): (&i16, &i16)| {
                    let (this, step) = (i32::from(*this), i32::from(*next) - i32::from(*this));
                    let samples = samples as i32;
                    (0..samples).map(move |part| (this + step * part / samples) as i16)
                };
                sound.iter().zip(next).flat_map(between).flat_map(i16::to_le_bytes).collect()
            }
        }
    }

    /// The samples of the sound that these bytes are, as many as are whole.
    pub(super) fn decode(self, bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
        bytes.chunks_exact(self.sample_bytes()).map(move |wire| match (self, wire) {
            (Self::Companded(law), [code, ..]) => f32::from(law.decode(*code)),
            (Self::Linear { .. }, [low, high, ..]) => f32::from(i16::from_le_bytes([*low, *high])),
            _ => 0.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is coded is heard as it was, sample by sample; a law's steps apart.
    #[test]
    fn sounds_come_back() {
        let sound: Vec<i16> = (-40..40).map(|n| n * 371).collect();
        for (coding, bytes, off) in [
            (Coding::Companded(Law::Pcmu), 1, 512.0),
            (Coding::Companded(Law::Pcma), 1, 512.0),
            (Coding::of(Dialect::Long), 2, 0.0),
            (Coding::of(Dialect::Wide), 4, 0.0),
        ] {
            let wire = coding.encode(&sound);
            assert_eq!((wire.len(), coding.sample_bytes()), (sound.len() * bytes, bytes));
            let heard: Vec<f32> = coding.decode(&wire).collect();
            assert_eq!(heard.len(), sound.len());
            for (heard, said) in heard.iter().zip(&sound) {
                assert!((heard - f32::from(*said)).abs() <= off, "{coding:?}: {heard} for {said}");
            }
        }
    }

    /// At twice the rate what is added lies between its neighbours; half a sample is none.
    #[test]
    fn what_is_added_lies_between() {
        let wide = Coding::Linear { samples: 2 };
        let wire = wide.encode(&[-100, 100, 30_000]);
        let samples: Vec<i16> =
            wire.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!(samples, [-100, 0, 100, 15_050, 30_000, 30_000]);
        assert_eq!(wide.decode(&wire[..7]).count(), 1);
    }
}
