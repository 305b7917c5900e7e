//! An ambient bed: a sound that goes on under an agent's, over and over, quieter while it speaks.
//!
//! The sound of a room tells a caller that the line is open while an agent thinks. It must not be
//! noticed otherwise: its loop has no seam ([`seamless`]), its level changes without steps, and
//! where it would leave the range it is cut off there and does not wrap.

use std::sync::Arc;

use crate::pitch::{rms, to_sample};

/// Seam of a loop, in milliseconds: the end is blended into the beginning.
const SEAM_MS: usize = 250;
/// An agent that is louder than this speaks: -50 dBov.
const SPEECH_RMS: f32 = 104.0;
/// How long the bed stays low behind a word, in milliseconds, so that it does not pump.
const STAY_MS: usize = 400;
/// In how many milliseconds it is lowered.
const DOWN_MS: usize = 40;
/// In how many it comes back.
const UP_MS: usize = 800;

/// A bed under one call.
#[derive(Clone, Debug)]
pub struct Bed {
    /// Linear samples, least significant byte first.
    sound: Arc<[u8]>,
    rate_hz: u32,
    /// The sample that comes next.
    at: usize,
    gain: f32,
    /// What is left of the gain while the agent speaks.
    ducked: f32,
    /// What is left of it now.
    level: f32,
    /// Samples for which it stays low.
    stays: usize,
}

impl Bed {
    /// A bed of `sound`, linear samples of `rate_hz` (`l16le`), made louder by `gain_db`, and by
    /// `duck_db` quieter while the agent speaks.
    pub fn new(sound: Arc<[u8]>, rate_hz: u32, gain_db: f32, duck_db: f32) -> Self {
        Self {
            sound,
            rate_hz,
            at: 0,
            gain: factor(gain_db),
            ducked: factor(-duck_db).min(1.0),
            level: 1.0,
            stays: 0,
        }
    }

    /// Goes on where `before` was, which says the same at another rate.
    pub fn go_on_from(&mut self, before: &Self) {
        let at = before.at as u64 * u64::from(self.rate_hz) / u64::from(before.rate_hz.max(1));
        self.at = usize::try_from(at).unwrap_or(0).checked_rem(self.samples()).unwrap_or(0);
        self.level = before.level;
    }

    /// Mixes what comes next under `sound`, which is the agent's own if `agents`.
    pub fn mix(&mut self, sound: &mut [i16], agents: bool) {
        let per_ms = self.rate_hz as usize / 1_000;
        if agents && rms(sound) > SPEECH_RMS {
            self.stays = STAY_MS * per_ms;
        }
        let reach = 1.0 - self.ducked;
        let (down, up) =
            (reach / (DOWN_MS * per_ms).max(1) as f32, reach / (UP_MS * per_ms).max(1) as f32);
        for sample in sound {
            self.level = match self.stays {
                0 => (self.level + up).min(1.0),
                _ => (self.level - down).max(self.ducked),
            };
            self.stays = self.stays.saturating_sub(1);
            *sample = to_sample(f32::from(*sample) + self.next() * self.gain * self.level);
        }
    }

    fn samples(&self) -> usize {
        self.sound.len() / 2
    }

    fn next(&mut self) -> f32 {
        let Some((sample, _)) = self.sound.get(2 * self.at..).and_then(<[u8]>::split_first_chunk)
        else {
            return 0.0;
        };
        self.at = if self.at + 1 < self.samples() { self.at + 1 } else { 0 };
        f32::from(i16::from_le_bytes(*sample))
    }
}

/// A loop of `samples` without a seam: the end is blended into the beginning and left out there. A
/// sound that repeats itself anyway stays as loud as it was, and so does noise, because their parts
/// are blended by their power.
pub fn seamless(samples: &[i16], rate_hz: u32) -> Vec<i16> {
    let seam = (SEAM_MS * rate_hz as usize / 1_000).min(samples.len() / 4);
    let (body, end) = samples.split_at(samples.len() - seam);
    let mut out = body.to_vec();
    // Of parts that are alike the amplitudes add, of others the powers.
    let alike = crate::pitch::likeness(body.get(..seam).unwrap_or_default(), end, 1);
    let alike = alike.clamp(0.0, 1.0);
    for (n, (sample, ending)) in out.iter_mut().zip(end).enumerate() {
        let part = (n + 1) as f32 / (seam + 1) as f32;
        let power = 1.0 - 2.0 * part * (1.0 - part) * (1.0 - alike);
        let blend = f32::from(*sample) * part + f32::from(*ending) * (1.0 - part);
        *sample = to_sample(blend / power.max(0.25).sqrt());
    }
    out
}

/// The factor that `db` decibels are.
fn factor(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const RATE_HZ: u32 = 8_000;

    fn bytes(samples: &[i16]) -> Arc<[u8]> {
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    fn tone(hz: f64, len: usize, peak: f64) -> Vec<i16> {
        (0..len).map(|n| ((n as f64 * TAU * hz / f64::from(RATE_HZ)).sin() * peak) as i16).collect()
    }

    fn noise(len: usize, peak: i32) -> Vec<i16> {
        let mut random = 3_u32;
        (0..len)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((random >> 16) as i32 % (2 * peak + 1) - peak) as i16
            })
            .collect()
    }

    /// Frames of 20 ms of nothing, with the bed under them.
    fn alone(bed: &mut Bed, frames: usize) -> Vec<i16> {
        let mut out = vec![0; frames * 160];
        out.chunks_mut(160).for_each(|frame| bed.mix(frame, false));
        out
    }

    fn steepest(samples: &[i16]) -> i32 {
        samples.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max().unwrap()
    }

    /// A tone that does not end where it began loops without a click: no step is larger than its
    /// own, and its level holds. Noise keeps its level across the seam too.
    #[test]
    fn the_seam_is_not_heard() {
        for hz in [101.3, 440.7, 997.9] {
            let sound = tone(hz, 16_003, 8_000.0);
            let own = steepest(&sound);
            let raw = alone(&mut Bed::new(bytes(&sound), RATE_HZ, 0.0, 0.0), 300);
            let looped = seamless(&sound, RATE_HZ);
            let out = alone(&mut Bed::new(bytes(&looped), RATE_HZ, 0.0, 0.0), 300);
            assert!(steepest(&out) <= own + own / 4 + 2, "{hz}: {} {own}", steepest(&out));
            assert!(steepest(&raw) >= steepest(&out), "{hz}");
        }
        let sound = noise(16_000, 6_000);
        let looped = seamless(&sound, RATE_HZ);
        let seam = &looped[500..1_500];
        let off_db = 20.0 * (rms(seam) / rms(&sound)).log10();
        assert!(off_db.abs() < 0.7, "{off_db} dB");
        // Nothing is no reason to fail, and a sound of a few samples is a loop too.
        assert!(seamless(&[], RATE_HZ).is_empty());
        assert_eq!(seamless(&[5, 5, 5], RATE_HZ), [5, 5, 5]);
        assert_eq!(alone(&mut Bed::new(bytes(&[]), RATE_HZ, 0.0, 6.0), 1), [0; 160]);
    }

    /// Before a word the bed has its level, under it that less the ducking, and after it, not at
    /// once but within a second and a half, its level again; nowhere does it step.
    #[test]
    fn ducks_under_speech() {
        let peak = 4_000.0;
        let mut bed = Bed::new(bytes(&vec![4_000; 8_000]), RATE_HZ, -6.0, 12.0);
        let levels = |samples: &[i16]| f64::from(samples[samples.len() - 1]) / peak;
        let db = |level: f64| 20.0 * level.log10();
        let before = alone(&mut bed, 50);
        assert!((db(levels(&before)) + 6.0).abs() < 0.05);

        // A square wave that is easily taken out again.
        let mut under = Vec::new();
        for _ in 0..50 {
            let mut frame: Vec<i16> =
                (0..160).map(|n| if n % 2 == 0 { 1_000 } else { -1_000 }).collect();
            bed.mix(&mut frame, true);
            under.extend(frame.chunks(2).map(|pair| (pair[0] + pair[1]) / 2));
        }
        assert!((db(levels(&under)) + 18.0).abs() < 0.1, "{}", db(levels(&under)));
        let lowered = under.iter().position(|sample| f64::from(*sample) < 0.13 * peak).unwrap();
        assert!((150..=170).contains(&lowered), "40 ms: {lowered} pairs");

        let after = alone(&mut bed, 75);
        assert!((db(f64::from(after[160 * 15]) / peak) + 18.0).abs() < 0.1, "it stays");
        assert!((db(levels(&after)) + 6.0).abs() < 0.05, "it comes back");
        for part in [&before, &under, &after] {
            assert!(steepest(part) <= 12, "{}", steepest(part));
        }
    }

    /// Silence that an agent sends is no speech, nor is loud sound that is not the agent's.
    #[test]
    fn ducks_for_nothing_else() {
        let mut bed = Bed::new(bytes(&vec![1_000; 800]), RATE_HZ, 0.0, 20.0);
        for _ in 0..20 {
            let mut frame = [20; 160];
            bed.mix(&mut frame, true);
            assert_eq!(frame, [1_020; 160]);
            let mut frame = [9_000; 160];
            bed.mix(&mut frame, false);
            assert_eq!(frame, [10_000; 160]);
        }
    }

    /// What would leave the range is cut off at its end.
    #[test]
    fn saturates() {
        let mut bed = Bed::new(bytes(&[30_000, -30_000]), RATE_HZ, 0.0, 0.0);
        let mut frame = [30_000, -30_000, -30_000, 30_000];
        bed.mix(&mut frame, false);
        assert_eq!(frame, [i16::MAX, i16::MIN, 0, 0]);
    }

    /// At another rate it goes on where it was.
    #[test]
    fn goes_on_at_another_rate() {
        let mut narrow = Bed::new(bytes(&tone(3.0, 8_000, 9_000.0)), RATE_HZ, 0.0, 0.0);
        let last = *alone(&mut narrow, 20).last().unwrap();
        let wide: Vec<i16> = tone(1.5, 16_000, 9_000.0);
        let mut wide = Bed::new(bytes(&wide), 16_000, 0.0, 0.0);
        wide.go_on_from(&narrow);
        let next = alone(&mut wide, 1)[0];
        assert!(last.abs_diff(next) < 30, "{last} {next}");
    }
}
