//! Decoded sound that is next, and how it is made shorter or longer without a click.
//!
//! Time is scaled by whole periods (waveform-similarity overlap-add): where the sound is like
//! itself a period later, one period is left out, or said twice, and the two are blended over 5 ms.
//! Nothing is cut.

use crate::pitch::{self, to_sample};

/// Shortest period, in tenths of a millisecond.
const LAG_MIN_X10_MS: usize = 25;
/// Longest period.
const LAG_MAX_X10_MS: usize = 150;
/// What is blended.
const BLEND_X10_MS: usize = 50;
/// What is compared.
const WINDOW_X10_MS: usize = 80;

/// Likeness from which on sound may be scaled.
const LIKENESS_MIN: f32 = 0.9;

/// Sound that was decoded and not played yet.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    samples: Box<[i16]>,
    start: usize,
    end: usize,
    /// Samples in a tenth of a millisecond times ten, so that 8 kHz is whole: samples a ms.
    per_ms: usize,
    step: usize,
}

/// How urgent a change of time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Where it is not heard: in silence and in what repeats itself.
    Unheard,
    /// At the best place there is.
    Now,
}

impl Ready {
    /// Room for `samples` of sound at `rate_hz`.
    pub(super) fn new(rate_hz: u32, samples: usize) -> Self {
        let per_ms = rate_hz as usize / 1_000;
        Self {
            samples: vec![0; samples].into(),
            start: 0,
            end: 0,
            per_ms,
            step: (per_ms / 4).max(1),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Samples that still find room.
    pub(super) const fn room(&self) -> usize {
        self.samples.len() - self.len()
    }

    pub(super) const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Adds sound; what finds no room is lost, so ask before.
    pub(super) fn push(&mut self, sound: &[i16]) {
        if self.samples.len() - self.end < sound.len() {
            self.samples.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = sound.len().min(self.samples.len() - self.end);
        self.samples[self.end..self.end + room].copy_from_slice(&sound[..room]);
        self.end += room;
    }

    /// Moves sound to `out`, as much as there is and fits; tells how much.
    pub(super) fn take(&mut self, out: &mut [i16]) -> usize {
        let len = out.len().min(self.len());
        out[..len].copy_from_slice(&self.samples[self.start..self.start + len]);
        self.start += len;
        if self.is_empty() {
            self.clear();
        }
        len
    }

    /// Samples that must be there for [`Ready::shorten`].
    pub(super) const fn to_shorten(&self) -> usize {
        (LAG_MAX_X10_MS + WINDOW_X10_MS) * self.per_ms / 10
    }

    /// Samples that must be there for [`Ready::lengthen`].
    pub(super) const fn to_lengthen(&self) -> usize {
        WINDOW_X10_MS * self.per_ms / 10
    }

    /// The longest period.
    pub(super) const fn longest(&self) -> usize {
        LAG_MAX_X10_MS * self.per_ms / 10
    }

    /// Leaves one period out; tells how many samples, 0 if there is no good place.
    pub(super) fn shorten(&mut self, quiet_rms: f32, urgency: Urgency) -> usize {
        let window = WINDOW_X10_MS * self.per_ms / 10;
        let sound = &self.samples[self.start..self.end];
        let Some(now) = sound.get(..window) else { return 0 };
        let at = |lag: usize| Some((now, sound.get(lag..lag + window)?));
        let Some(found) = pitch::search(self.lags(), self.step, at) else { return 0 };
        let quiet = pitch::rms(&sound[..(found.lag + window).min(sound.len())]) <= quiet_rms;
        if found.likeness < LIKENESS_MIN && !quiet && urgency == Urgency::Unheard {
            return 0;
        }
        // The end of the blend takes the place of its beginning.
        let (lag, blend) = (found.lag, BLEND_X10_MS * self.per_ms / 10);
        for n in 0..blend {
            let weight = (n + 1) as f32 / (blend + 1) as f32;
            let early = f32::from(self.samples[self.start + n]);
            let late = f32::from(self.samples[self.start + lag + n]);
            self.samples[self.start + lag + n] = to_sample(early + (late - early) * weight);
        }
        self.start += lag;
        lag
    }

    /// Says one period twice; tells how many samples that adds, 0 if there is no good place.
    /// `before` is what was played last.
    pub(super) fn lengthen(&mut self, before: &[i16], quiet_rms: f32, urgency: Urgency) -> usize {
        let window = WINDOW_X10_MS * self.per_ms / 10;
        let (longest, blend) = (self.longest(), BLEND_X10_MS * self.per_ms / 10);
        let sound = &self.samples[self.start..self.end];
        let (Some(now), Some(past)) = (sound.get(..window), before.len().checked_sub(longest))
        else {
            return 0;
        };
        if self.room() < longest {
            return 0;
        }
        // The past and what follows it, so that a lag shorter than the window looks at both.
        let mut joined = [0_i16; 48 * (LAG_MAX_X10_MS + WINDOW_X10_MS) / 10];
        let Some(joined) = joined.get_mut(..longest + window) else { return 0 };
        joined[..longest].copy_from_slice(&before[past..]);
        joined[longest..].copy_from_slice(now);
        let joined = &*joined;
        let at = |lag: usize| Some((now, joined.get(longest - lag..longest - lag + window)?));
        let Some(found) = pitch::search(self.lags(), self.step, at) else { return 0 };
        let quiet = pitch::rms(joined) <= quiet_rms;
        if found.likeness < LIKENESS_MIN && !quiet && urgency == Urgency::Unheard {
            return 0;
        }
        let lag = found.lag;
        // The sound moves back by a period; in front of it stands the blend into the past period.
        let len = self.len();
        self.samples.copy_within(self.start..self.end, 0);
        self.samples.copy_within(0..len, lag);
        (self.start, self.end) = (0, len + lag);
        for n in 0..blend.max(lag) {
            let again = f32::from(joined[longest - lag + n]);
            let value = if n < blend {
                let weight = (n + 1) as f32 / (blend + 1) as f32;
                let straight = f32::from(joined[longest + n]);
                straight + (again - straight) * weight
            } else {
                again
            };
            self.samples[n] = to_sample(value);
        }
        lag
    }

    fn lags(&self) -> std::ops::RangeInclusive<usize> {
        LAG_MIN_X10_MS * self.per_ms / 10..=self.longest()
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(hz: f64, rate_hz: u32, from: usize, len: usize) -> Vec<i16> {
        let sample = |n: usize| (n as f64 * TAU * hz / f64::from(rate_hz)).sin() * 9_000.0;
        (from..from + len).map(|n| sample(n).round() as i16).collect()
    }

    fn bend(samples: &[i16]) -> i32 {
        let bend = |w: &[i16]| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs();
        samples.windows(3).map(bend).max().unwrap()
    }

    fn taken(ready: &mut Ready) -> Vec<i16> {
        let mut out = vec![0; ready.len()];
        ready.take(&mut out);
        out
    }

    /// A tone made shorter and longer is the same tone: its second difference does not grow, and
    /// what is left out or added is what is told.
    #[test]
    fn tones_stay_tones() {
        for rate_hz in [8_000, 16_000, 48_000] {
            let ms = rate_hz as usize / 1_000;
            for hz in [105.0, 220.0, 440.0, 997.0] {
                let sound = tone(hz, rate_hz, 0, 60 * ms);
                let own = bend(&sound);
                let mut ready = Ready::new(rate_hz, 200 * ms);
                ready.push(&sound);
                let left_out = ready.shorten(0.0, Urgency::Unheard);
                assert!(left_out > 0, "{hz} Hz at {rate_hz}");
                let shorter = taken(&mut ready);
                assert_eq!(shorter.len() + left_out, sound.len());
                assert!(bend(&shorter) <= own + own / 4 + 20, "{hz}: {} {own}", bend(&shorter));

                let (before, after) = sound.split_at(30 * ms);
                ready.push(after);
                let added = ready.lengthen(before, 0.0, Urgency::Unheard);
                assert!(added > 0, "{hz} Hz at {rate_hz}");
                let mut longer = before.to_vec();
                longer.extend(taken(&mut ready));
                assert_eq!(longer.len(), sound.len() + added);
                assert!(bend(&longer) <= own + own / 4 + 20, "{hz}: {} {own}", bend(&longer));
            }
        }
    }

    /// Noise is left alone unless it is quiet or there is no other way.
    #[test]
    fn noise_is_left_alone() {
        let mut random = 1_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 18) as i16 - 8_192
        };
        let sound: Vec<i16> = (0..480).map(|_| next()).collect();
        let before: Vec<i16> = (0..390).map(|_| next()).collect();
        let mut ready = Ready::new(8_000, 1_600);
        ready.push(&sound);
        assert_eq!(ready.shorten(100.0, Urgency::Unheard), 0);
        assert_eq!(ready.lengthen(&before, 100.0, Urgency::Unheard), 0);
        assert_eq!(taken(&mut ready), sound);
        ready.push(&sound);
        assert!(ready.shorten(100.0, Urgency::Now) > 0);
        assert!(ready.lengthen(&before, 20_000.0, Urgency::Unheard) > 0);
        // Too little to judge by.
        ready.clear();
        ready.push(&sound[..60]);
        assert_eq!(ready.shorten(1e9, Urgency::Now), 0);
        assert_eq!(ready.lengthen(&before, 1e9, Urgency::Now), 0);
    }
}
