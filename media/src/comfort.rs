//! Comfort noise (RFC 3389): what silence sounds like where nothing is sent for it.

use arrayvec::ArrayVec;

use crate::pitch::to_sample;

/// Reflection coefficients that are used; further ones shape what nobody hears.
pub const ORDER_MAX: usize = 12;
/// Rate at which noise is made.
const NOISE_HZ: u32 = 8_000;
/// Amplitude of 0 dBov (RFC 3389 3).
const OVERLOAD: f32 = 32_767.0;

/// What a comfort noise payload tells (RFC 3389 3).
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseShape {
    /// Decibels below overload, 0 to 127.
    pub level_dbov: u8,
    /// Reflection coefficients of an all-pole filter, each between -1 and 1.
    pub reflection: ArrayVec<f32, ORDER_MAX>,
}

impl NoiseShape {
    /// Reads a payload; `None` if it is empty. Without coefficients the noise is white.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (level, rest) = payload.split_first()?;
        let coefficient = |byte: &u8| (258.0 / 32_768.0) * (f32::from((*byte).min(254)) - 127.0);
        let reflection = rest.iter().take(ORDER_MAX).map(coefficient).collect();
        Some(Self { level_dbov: level & 0x7f, reflection })
    }
}

/// Makes noise of a level and shape.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    /// Samples made of one of the noise: the multiple of 8 kHz.
    scale: u32,
    /// Root of the mean square.
    rms: f32,
    reflection: ArrayVec<f32, ORDER_MAX>,
    /// Amplitude of the white noise that yields `rms` after the filter.
    drive: f32,
    /// The lattice's memory.
    backward: [f32; ORDER_MAX],
    random: u32,
    /// Between which samples of the noise the output stands.
    last: f32,
    next: f32,
    phase: u32,
}

impl ComfortNoise {
    /// Silence at first, for sound of `rate_hz`.
    pub fn new(rate_hz: u32) -> Self {
        Self {
            scale: (rate_hz / NOISE_HZ).max(1),
            rms: 0.0,
            reflection: ArrayVec::new(),
            drive: 0.0,
            backward: [0.0; ORDER_MAX],
            random: 0x9e37_79b9,
            last: 0.0,
            next: 0.0,
            phase: 0,
        }
    }

    /// Takes level and shape from the peer.
    pub fn set_shape(&mut self, shape: &NoiseShape) {
        self.reflection.clone_from(&shape.reflection);
        self.set(OVERLOAD * 10_f32.powf(-f32::from(shape.level_dbov) / 20.0));
    }

    /// White noise of level `rms`.
    pub fn set_level(&mut self, rms: f32) {
        self.reflection.clear();
        self.set(rms);
    }

    /// The level, as root of the mean square.
    pub const fn rms(&self) -> f32 {
        self.rms
    }

    fn set(&mut self, rms: f32) {
        self.rms = rms;
        // The filter raises the power by the inverse of this product.
        let loss: f32 = self.reflection.iter().map(|k| 1.0 - k * k).product();
        // Uniform noise between -1 and 1 has a power of a third.
        self.drive = rms * loss.max(0.0).sqrt() * 3_f32.sqrt();
    }

    /// Adds noise to `out`, whose part in it goes from `from` to `to`, 0 to 1.
    pub fn mix(&mut self, out: &mut [i16], from: f32, to: f32) {
        let step = (to - from) / out.len().max(1) as f32;
        let mut part = from;
        for sample in out {
            part += step;
            *sample = to_sample(f32::from(*sample) + self.sample() * part);
        }
    }

    /// The next sample; between those of the noise on a straight line.
    fn sample(&mut self) -> f32 {
        if self.phase == 0 {
            self.last = self.next;
            self.next = self.noise();
        }
        let value = self.last + (self.next - self.last) * self.phase as f32 / self.scale as f32;
        self.phase = (self.phase + 1) % self.scale;
        value
    }

    /// White noise through the all-pole lattice.
    fn noise(&mut self) -> f32 {
        // Numerical Recipes' linear congruential generator: its upper bits are random enough.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut forward = (self.random as i32 as f32 / 2_147_483_648.0) * self.drive;
        let order = self.reflection.len();
        for at in (0..order).rev() {
            let k = self.reflection[at];
            forward -= k * self.backward[at];
            if at + 1 < order {
                self.backward[at + 1] = self.backward[at] + k * forward;
            }
        }
        self.backward[0] = forward;
        forward
    }
}

/// Follows the level of the background: of the quietest that is heard.
#[derive(Clone, Copy, Debug)]
pub struct Background {
    rms: f32,
}

/// Level that is assumed before anything was heard: -70 dBov.
const BACKGROUND_START_RMS: f32 = 10.0;
/// Loudest background that is believed: -40 dBov. What is louder is sound.
const BACKGROUND_MAX_RMS: f32 = 330.0;
/// By what the background rises with every 10 ms of louder sound.
const BACKGROUND_RISE: f32 = 1.005;

impl Default for Background {
    fn default() -> Self {
        Self { rms: BACKGROUND_START_RMS }
    }
}

impl Background {
    /// Takes 10 ms of sound of level `rms`.
    pub fn hear(&mut self, rms: f32) {
        if rms < self.rms {
            self.rms += (rms - self.rms) * 0.5;
        } else {
            self.rms = (self.rms.max(1.0) * BACKGROUND_RISE).min(rms).min(BACKGROUND_MAX_RMS);
        }
    }

    /// Its level.
    pub const fn rms(&self) -> f32 {
        self.rms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pitch::rms;

    fn made(noise: &mut ComfortNoise, len: usize) -> Vec<i16> {
        let mut out = vec![0; len];
        noise.mix(&mut out, 1.0, 1.0);
        out
    }

    /// Normalised correlation of neighbours: near 1 for low, near -1 for high frequencies.
    fn colour(samples: &[i16]) -> f32 {
        crate::pitch::likeness(&samples[1..], &samples[..samples.len() - 1], 1)
    }

    /// Payloads as RFC 3389 3 has them: level, then coefficients of 258 (n - 127) / 32768.
    #[test]
    fn reads_payloads() {
        assert_eq!(NoiseShape::parse(&[]), None);
        let white = NoiseShape::parse(&[0xbf]).unwrap();
        assert_eq!((white.level_dbov, white.reflection.len()), (63, 0));
        let shape = NoiseShape::parse(&[40, 127, 0, 254, 255]).unwrap();
        assert_eq!(shape.reflection[0], 0.0);
        assert!((shape.reflection[1] + 0.99994).abs() < 1e-5);
        assert!((shape.reflection[2] - 0.99994).abs() < 1e-5);
        assert!(shape.reflection.iter().all(|k| k.abs() < 1.0));
        assert_eq!(NoiseShape::parse(&[1; 60]).unwrap().reflection.len(), ORDER_MAX);
    }

    /// The noise has the level that was asked for, whatever its shape, and the colour of its
    /// coefficients.
    #[test]
    fn has_level_and_colour() {
        for (level, coefficients) in
            [(30_u8, &[][..]), (40, &[30]), (40, &[220]), (50, &[60, 160, 100, 140])]
        {
            let payload = [&[level][..], coefficients].concat();
            let mut noise = ComfortNoise::new(8_000);
            noise.set_shape(&NoiseShape::parse(&payload).unwrap());
            let samples = made(&mut noise, 80_000);
            let wanted = OVERLOAD * 10_f32.powf(-f32::from(level) / 20.0);
            let off_db = 20.0 * (rms(&samples) / wanted).log10();
            assert!(off_db.abs() < 0.6, "{level} {coefficients:?}: {off_db} dB off");
            match coefficients {
                [] => assert!(colour(&samples).abs() < 0.02),
                [30] => assert!(colour(&samples) > 0.7),
                [220] => assert!(colour(&samples) < -0.7),
                _ => {}
            }
        }
    }

    /// At higher rates the noise is no louder than at 8 kHz, and fades run from one part to the
    /// other.
    #[test]
    fn mixes_and_fades() {
        let mut noise = ComfortNoise::new(48_000);
        noise.set_level(1_000.0);
        let level = rms(&made(&mut noise, 96_000));
        assert!((700.0..1_050.0).contains(&level), "{level}");
        let mut out = vec![0; 48_000];
        noise.mix(&mut out, 1.0, 0.0);
        assert!(rms(&out[..4_800]) > 5.0 * rms(&out[43_200..]));
        assert!(out[47_990..].iter().all(|sample| sample.abs() < 10));
    }

    /// The background is that of the pauses, not of the speech between.
    #[test]
    fn follows_the_pauses() {
        let mut background = Background::default();
        for n in 0..2_000 {
            background.hear(if n % 100 < 60 { 4_000.0 } else { 50.0 });
        }
        assert!((40.0..70.0).contains(&background.rms()), "{}", background.rms());
        (0..5_000).for_each(|_| background.hear(9_000.0));
        assert_eq!(background.rms(), BACKGROUND_MAX_RMS);
    }
}
