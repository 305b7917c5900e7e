//! Gaps that the codec fills itself.
//!
//! A decoder that conceals follows what it said and is where it should be when sound comes back, so
//! its filling is better than one from outside. It is made in steps of 10 ms, faded as any
//! concealment is (G.711 appendix I), and ends where that ends.

use super::decode::Decode;
use crate::conceal::{AUDIBLE_MS, fade};
use crate::pitch::to_sample;

/// Milliseconds that are made at a time: a multiple of what every codec can make.
const STEP_MS: usize = 10;

/// A gap that the codec fills.
#[derive(Clone, Debug)]
pub(super) struct Filling {
    per_ms: usize,
    /// What the codec made, and what of it is left.
    made: Box<[i16]>,
    at: usize,
    end: usize,
    /// Samples of this gap that have been filled.
    filled: usize,
}

impl Filling {
    pub(super) fn new(rate_hz: u32) -> Self {
        let per_ms = rate_hz as usize / 1_000;
        Self { per_ms, made: vec![0; STEP_MS * per_ms].into(), at: 0, end: 0, filled: 0 }
    }

    /// Fills `out`, if the codec can; tells what is left of the amplitude at its end.
    pub(super) fn fill(&mut self, out: &mut [i16], codec: &mut impl Decode) -> Option<f32> {
        let audible = AUDIBLE_MS as usize * self.per_ms;
        for sample in &mut *out {
            if self.at == self.end && self.filled < audible {
                (self.at, self.end) = (0, codec.conceal(&mut self.made).min(self.made.len()));
                if self.end == 0 && self.filled == 0 {
                    return None;
                }
            }
            let value = self.made.get(self.at).filter(|_| self.at < self.end);
            let value = value.map_or(0.0, |value| f32::from(*value));
            *sample = to_sample(value * fade(self.filled as f32 / self.per_ms as f32));
            self.at = (self.at + 1).min(self.end);
            self.filled = (self.filled + 1).min(audible);
        }
        Some(fade(self.filled as f32 / self.per_ms as f32))
    }

    /// True while a gap is being filled.
    pub(super) const fn is_filling(&self) -> bool {
        self.filled > 0
    }

    /// Sound has come back. True if it does not go on where the filling ends.
    pub(super) fn finish(&mut self) -> bool {
        let left = self.at < self.end;
        let faded = fade(self.filled as f32 / self.per_ms as f32) < 1.0;
        (self.at, self.end, self.filled) = (0, 0, 0);
        left || faded
    }
}
