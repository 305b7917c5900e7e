//! Concealment of lost sound, of the class of ITU-T G.711 appendix I.
//!
//! What is missing is made of the last periods before it: the pitch is the lag of 5 to 15 ms at
//! which the history of 48.75 ms is most like itself; one period is repeated for 10 ms, then two
//! for 10 ms, then three, so that it does not drone; from 10 ms on it fades by a fifth every 10 ms
//! and is silent after 60 ms. When sound comes back, it is blended with what the concealment would
//! have gone on with.
//!
//! Appendix I delays all output by 3.75 ms, so that the last samples before a gap can be blended
//! with the first of its filling. Here nothing is delayed: the filling starts with the sample that
//! followed one period ago, and what the signal stood off from itself one period ago is taken along
//! and fades within a quarter of a period. A periodic signal goes on as it was, any other has no
//! step.
//!
//! Works at any rate that is a multiple of 8 kHz, in pieces of any length; nothing is allocated
//! after [`Concealer::new`].

#[cfg(test)]
mod tests;

use crate::pitch::{self, to_sample};

/// What is remembered, in samples at 8 kHz: 48.75 ms (G.711 appendix I, I.2.3).
const HISTORY_SAMPLES: usize = 390;
/// Shortest period that is looked for, in samples at 8 kHz: 5 ms.
const LAG_MIN_SAMPLES: usize = 40;
/// Longest period that is looked for, in samples at 8 kHz: 15 ms.
const LAG_MAX_SAMPLES: usize = 120;
/// What is compared, in samples at 8 kHz: 20 ms.
const WINDOW_SAMPLES: usize = 160;
/// Samples at 8 kHz after which one more period is repeated, and by which fading is counted: 10 ms.
const STEP_SAMPLES: usize = 80;
/// Periods that are repeated at most.
const PERIODS_MAX: usize = 3;
/// What is lost of the amplitude each step after the first.
const FADE_PER_STEP: f32 = 0.2;
/// Steps after which nothing is left: 60 ms.
const STEPS_MAX: usize = 6;
/// What the blend at the end is longer by for each step of concealment, in samples at 8 kHz: 4 ms.
const RECOVERY_SAMPLES: usize = 32;
/// The longest blend at the end, in samples at 8 kHz: 10 ms.
const RECOVERY_MAX_SAMPLES: usize = 80;

/// Milliseconds of a gap after which concealment is silent.
pub const AUDIBLE_MS: u32 = 60;

/// Fills gaps of one stream.
#[derive(Clone, Debug)]
pub struct Concealer {
    /// Multiple of 8 kHz.
    scale: usize,
    /// What went out last, the oldest first.
    history: Box<[i16]>,
    /// The periods that are repeated; what the history was when the gap began.
    source: Box<[i16]>,
    /// Continuation of fewer periods, into which more are blended.
    overlap: Box<[f32]>,
    gap: Option<Gap>,
    blend: Option<Blend>,
}

/// A gap that is being filled.
#[derive(Clone, Copy, Debug)]
struct Gap {
    period: usize,
    periods: usize,
    /// Place in the repeated periods.
    at: usize,
    /// Samples made so far.
    made: usize,
    /// What the signal stood off from itself a period before the gap.
    step: f32,
    /// Samples of `overlap` that are left.
    overlap_left: usize,
}

/// The end of a gap, in which sound is blended in.
#[derive(Clone, Copy, Debug)]
struct Blend {
    done: usize,
    len: usize,
}

impl Concealer {
    /// A concealer with silence behind it, for sound of `rate_hz`: 8, 16, 24, 32 or 48 kHz.
    pub fn new(rate_hz: u32) -> Self {
        let scale = (rate_hz / 8_000).clamp(1, 6) as usize;
        Self {
            scale,
            history: vec![0; HISTORY_SAMPLES * scale].into(),
            source: vec![0; HISTORY_SAMPLES * scale].into(),
            overlap: vec![0.0; LAG_MAX_SAMPLES * scale / 4].into(),
            gap: None,
            blend: None,
        }
    }

    /// Takes the sound that goes out next, and blends its beginning with the filling of a gap
    /// before it, in place.
    pub fn play(&mut self, samples: &mut [i16]) {
        if self.gap.is_some() {
            self.end_gap(samples);
        }
        self.remember(samples);
    }

    /// Fills `out`, which is part of a gap. Returns what is left of the amplitude at its end, 1 to
    /// 0.
    pub fn conceal(&mut self, out: &mut [i16]) -> f32 {
        // Sound that was to be blended in has not come: its place is part of the gap.
        self.blend = None;
        if self.gap.is_none() {
            self.begin_gap();
        }
        for sample in &mut *out {
            *sample = to_sample(self.next());
        }
        self.remember(out);
        self.gap.map_or(0.0, |gap| gain(gap.made, self.scale))
    }

    /// Takes `out`, which something else filled in the course of a gap (noise), as what went out.
    pub fn remember(&mut self, out: &[i16]) {
        let keep = self.history.len().saturating_sub(out.len());
        let newest = out.len().min(self.history.len());
        let start = self.history.len() - keep;
        self.history.copy_within(start.., 0);
        self.history[keep..].copy_from_slice(&out[out.len() - newest..]);
    }

    /// The sound that comes next does not continue what went before: its beginning is blended.
    pub fn splice(&mut self) {
        if self.gap.is_none() {
            self.begin_gap();
        }
    }

    /// True while a gap is being filled.
    pub const fn is_concealing(&self) -> bool {
        self.gap.is_some()
    }

    /// What went out last, the oldest first: 48.75 ms.
    pub const fn history(&self) -> &[i16] {
        &self.history
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.gap = None;
        self.blend = None;
    }

    /// Finds the period and lays it out for repetition.
    fn begin_gap(&mut self) {
        let scale = self.scale;
        let end = self.history.len();
        let window = WINDOW_SAMPLES * scale;
        let history = &self.history;
        let at = |lag: usize| {
            let then = history.get(end - window - lag..end - lag)?;
            Some((history.get(end - window..)?, then))
        };
        let lags = LAG_MIN_SAMPLES * scale..=LAG_MAX_SAMPLES * scale;
        let period = pitch::search(lags, 2 * scale, at).map_or(LAG_MAX_SAMPLES * scale, |m| m.lag);
        let step = f32::from(history[end - 1]) - f32::from(history[end - 1 - period]);
        self.source.copy_from_slice(&self.history);
        self.gap = Some(Gap { period, periods: 1, at: 0, made: 0, step, overlap_left: 0 });
    }

    /// The next sample of the filling, faded.
    fn next(&mut self) -> f32 {
        let scale = self.scale;
        let Some(mut gap) = self.gap else { return 0.0 };
        if gap.made >= STEPS_MAX * STEP_SAMPLES * scale {
            return 0.0;
        }
        if gap.periods < PERIODS_MAX && gap.made == gap.periods * STEP_SAMPLES * scale {
            self.lengthen(&mut gap);
        }
        let quarter = gap.period / 4;
        let mut value = repeat(&self.source, &mut gap);
        if gap.overlap_left > 0 {
            let weight = gap.overlap_left as f32 / (quarter + 1) as f32;
            let before = self.overlap[quarter - gap.overlap_left];
            value += (before - value) * weight;
            gap.overlap_left -= 1;
        }
        if gap.made < quarter {
            value += gap.step * (1.0 - (gap.made + 1) as f32 / (quarter + 1) as f32);
        }
        value *= gain(gap.made, scale);
        gap.made += 1;
        self.gap = Some(gap);
        value
    }

    /// Goes on with one more period. The place within the period stays; what fewer periods would
    /// have gone on with is blended out over a quarter of it.
    fn lengthen(&mut self, gap: &mut Gap) {
        let quarter = gap.period / 4;
        let mut before = *gap;
        for sample in &mut self.overlap[..quarter] {
            *sample = repeat(&self.source, &mut before);
        }
        gap.overlap_left = quarter;
        gap.at %= gap.period;
        gap.periods += 1;
    }

    /// Blends the filling out of a gap and `samples` in.
    fn end_gap(&mut self, samples: &mut [i16]) {
        let Some(gap) = self.gap else { return };
        let mut blend = self.blend.unwrap_or_else(|| {
            let steps = gap.made / (STEP_SAMPLES * self.scale);
            let longest = RECOVERY_MAX_SAMPLES * self.scale;
            let len = gap.period / 4 + steps * RECOVERY_SAMPLES * self.scale;
            Blend { done: 0, len: len.min(longest) }
        });
        for sample in samples {
            if blend.done == blend.len {
                break;
            }
            blend.done += 1;
            let weight = blend.done as f32 / (blend.len + 1) as f32;
            let filling = self.next();
            *sample = to_sample(filling + (f32::from(*sample) - filling) * weight);
        }
        self.blend = Some(blend).filter(|blend| blend.done < blend.len);
        if self.blend.is_none() {
            self.gap = None;
        }
    }
}

/// The next sample of the repeated periods. The last quarter of a period runs over into what came
/// before the first of them, so that the end meets the beginning.
fn repeat(source: &[i16], gap: &mut Gap) -> f32 {
    let len = gap.period * gap.periods;
    let start = source.len() - len;
    let quarter = gap.period / 4;
    let mut value = f32::from(source[start + gap.at]);
    if let Some(over) = gap.at.checked_sub(len - quarter) {
        let earlier = f32::from(source[start - quarter + over]);
        value += (earlier - value) * (over + 1) as f32 / (quarter + 1) as f32;
    }
    gap.at = (gap.at + 1) % len;
    value
}

/// What is left of the amplitude after `made` samples.
fn gain(made: usize, scale: usize) -> f32 {
    fade(made as f32 / (8 * scale) as f32)
}

/// What is left of the amplitude after `ms` of a gap.
pub(crate) fn fade(ms: f32) -> f32 {
    let steps = ms * 8.0 / STEP_SAMPLES as f32;
    if steps >= STEPS_MAX as f32 {
        return 0.0;
    }
    (1.0 - (steps - 1.0).max(0.0) * FADE_PER_STEP).clamp(0.0, 1.0)
}
