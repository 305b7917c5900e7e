//! Digits out as tones (ITU-T Q.23), for peers that take them no other way.
//!
//! Each digit is two sines for as long as it lasts, then silence for its gap; the agent's audio
//! waits meanwhile, as it does while events are sent. Levels are those that telephones aim at: the
//! high group 2 dB above the low one, which longer lines weaken more (Q.24). Both ends of a tone
//! are ramps, so that nothing clicks.

#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;

use super::inband::{KEYS, TONES_HZ};
use super::sender::{self, DIGITS_MAX, Waiting};
use super::{Digit, DtmfError};
use crate::codec::g711::Law;
use crate::codec::{AudioFormat, Codec};

/// Level of the low group: -10 dBm0, where a full sine has +3.14 dBm0 (G.711).
const LOW_PEAK: f32 = 7_218.0;
/// Level of the high group: -8 dBm0.
const HIGH_PEAK: f32 = 9_087.0;
/// Length of the ramp at both ends of a tone.
const RAMP_MS: u32 = 2;
/// Turns of a phase are counted in parts of 2^32.
const TURN: f32 = 4_294_967_296.0;

/// Plays digits.
#[derive(Clone, Debug, Default)]
pub struct Tones {
    waiting: ArrayVec<Waiting, DIGITS_MAX>,
    playing: Option<Playing>,
}

/// A digit that is heard, or the gap behind it.
#[derive(Clone, Copy, Debug)]
struct Playing {
    key: Waiting,
    /// What the counts are in.
    rate_hz: u32,
    /// Samples since its start.
    at: u32,
    /// Phases, and by how much they turn with each sample.
    phases: [u32; 2],
    steps: [u32; 2],
}

impl Playing {
    fn new(key: Waiting, rate_hz: u32) -> Self {
        let (low_hz, high_hz) = frequencies(key.digit);
        let step = |hz: f32| (f64::from(hz) / f64::from(rate_hz) * f64::from(TURN)).round() as u32;
        let steps = [step(low_hz), step(high_hz)];
        Self { key, rate_hz, at: 0, phases: [0; 2], steps }
    }

    /// The same digit at the same time of another rate.
    fn at_rate(self, rate_hz: u32) -> Self {
        let at = u64::from(self.at) * u64::from(rate_hz) / u64::from(self.rate_hz.max(1));
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        Self { at, phases: self.phases, ..Self::new(self.key, rate_hz) }
    }

    const fn samples(&self, ms: u32) -> u32 {
        self.rate_hz / 1000 * ms
    }

    fn is_over(&self) -> bool {
        self.at >= self.samples(u32::from(self.key.digit_ms) + u32::from(self.key.gap_ms))
    }

    fn next(&mut self) -> i16 {
        let tone = self.samples(self.key.digit_ms.into());
        let at = self.at;
        self.at += 1;
        if at >= tone {
            return 0;
        }
        let ramp = self.samples(RAMP_MS).max(1);
        let edge = at.min(tone - at).min(ramp) as f32 / ramp as f32;
        let sine = |phase: u32| (phase as f32 / TURN * std::f32::consts::TAU).sin();
        let [low, high] = self.phases.map(sine);
        for (phase, step) in self.phases.iter_mut().zip(self.steps) {
            *phase = phase.wrapping_add(step);
        }
        (edge * (low * LOW_PEAK + high * HIGH_PEAK)).round() as i16
    }
}

/// The frequencies of a digit: of its row, and of its column.
fn frequencies(digit: Digit) -> (f32, f32) {
    let key = digit.as_char();
    let place = KEYS.iter().flatten().position(|known| char::from(*known) == key).unwrap_or(0);
    let of = |tone: usize| TONES_HZ.get(tone).copied().unwrap_or_default();
    (of(place / 4), of(4 + place % 4))
}

impl Tones {
    /// Adds digits behind those that wait; all of them or none. `None` takes the default length or
    /// gap.
    ///
    /// # Errors
    ///
    /// A [`DtmfError`] that names what is out of range.
    pub fn queue(
        &mut self,
        digits: &str,
        digit_ms: Option<u32>,
        gap_ms: Option<u32>,
    ) -> Result<(), DtmfError> {
        sender::wait(&mut self.waiting, digits, digit_ms, gap_ms)
    }

    /// True while there is something to say or a gap to keep.
    pub const fn is_busy(&self) -> bool {
        self.playing.is_some() || !self.waiting.is_empty()
    }

    /// Fills a frame of `format`, with silence behind the last digit; false, and the frame as it
    /// was, if there are none. Formats whose samples do not stand for themselves
    /// ([`AudioFormat::waiting`]) get silence.
    pub fn fill(&mut self, format: AudioFormat, frame: &mut [u8]) -> bool {
        if !self.is_busy() {
            return false;
        }
        match format.codec {
            Codec::Pcmu => self.each(format, frame, |sample| [Law::Mu.code(sample)]),
            Codec::Pcma => self.each(format, frame, |sample| [Law::A.code(sample)]),
            Codec::L16Le => self.each(format, frame, i16::to_le_bytes),
            Codec::L16Be => self.each(format, frame, i16::to_be_bytes),
            other => frame.fill(other.silence()),
        }
        true
    }

    fn each<const BYTES: usize>(
        &mut self,
        format: AudioFormat,
        frame: &mut [u8],
        code: impl Fn(i16) -> [u8; BYTES],
    ) {
        for bytes in frame.chunks_exact_mut(BYTES) {
            bytes.copy_from_slice(&code(self.next(format.rate_hz)));
        }
    }

    fn next(&mut self, rate_hz: u32) -> i16 {
        if self.playing.as_ref().is_none_or(Playing::is_over) {
            self.playing = self.waiting.pop_at(0).map(|key| Playing::new(key, rate_hz));
        }
        let Some(playing) = &mut self.playing else { return 0 };
        if playing.rate_hz != rate_hz {
            *playing = playing.at_rate(rate_hz);
        }
        let sample = playing.next();
        if playing.is_over() && self.waiting.is_empty() {
            self.playing = None;
        }
        sample
    }
}
