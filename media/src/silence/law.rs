//! Tells whether G.711 audio comes in the law that was settled or in the other one.
//!
//! The codes of one law read as the other are sound of about the right loudness with its segments
//! exchanged: a wave of steps. What tells the two apart is how well a sample can be predicted from
//! the four before it. Speech, music and tones can be; with the segments exchanged they cannot.
//! Noise cannot be predicted in either reading, and then nothing is said. In reverse the test
//! cannot fail: what is predictable as it was settled does not become more predictable by
//! exchanging segments (measured: the ratio stays below 1.2 for speech, tones of all frequencies
//! and levels, and noise of all colours, against 3 and more in every second window of speech that
//! is mixed up).

use crate::codec::g711::Law;
use crate::time::MonoTime;

/// Samples that are judged together: 20 ms.
const WINDOW_SAMPLES: usize = 160;
/// Samples from which the next is predicted.
const ORDER: usize = 4;
/// Root mean square below which a window says nothing: small samples of one law are never small in
/// the other.
const RMS_MIN: f32 = 400.0;
/// How much worse the settled law must predict for a window to speak against it.
const AGAINST_RATIO: f32 = 2.5;
/// How well the other law must predict in such a window, as a part of the energy left over.
const AGAINST_ERROR_MAX: f32 = 0.25;
/// How much better the settled law must predict for a window to speak for it.
const FOR_RATIO: f32 = 0.5;
/// Windows that make a verdict of either kind; for the settled law, with none against it between.
const WINDOWS: u32 = 6;
/// Windows without a verdict after which only every eighth is looked at.
const PATIENCE_WINDOWS: u32 = 100;

/// Judges the audio of one stream.
#[derive(Debug)]
pub(super) struct LawCheck {
    settled: Law,
    against: u32,
    support: u32,
    seen: u32,
    since: Option<MonoTime>,
}

impl LawCheck {
    pub(super) const fn new(settled: Law) -> Self {
        Self { settled, against: 0, support: 0, seen: 0, since: None }
    }

    /// Since when the audio has been in the other law, as far as that is sure.
    pub(super) fn mixed_since(&self) -> Option<MonoTime> {
        self.since.filter(|_| self.against >= WINDOWS)
    }

    /// Looks at a frame that came at `now`, unless the law is known to be right.
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, codes: &[u8]) {
        if self.support < WINDOWS {
            self.judge(now, codes);
        }
    }

    fn judge(&mut self, now: MonoTime, codes: &[u8]) {
        self.seen = self.seen.saturating_add(1);
        if self.seen > PATIENCE_WINDOWS && !self.seen.is_multiple_of(8) {
            return;
        }
        let Some(codes) = codes.first_chunk::<WINDOW_SAMPLES>() else { return };
        let (energy, as_settled) = prediction(self.settled, codes);
        if energy < RMS_MIN * RMS_MIN {
            return;
        }
        let other = match self.settled {
            Law::Mu => Law::A,
            Law::A => Law::Mu,
        };
        let (other_energy, as_other) = prediction(other, codes);
        if as_settled > AGAINST_RATIO * as_other && as_other < AGAINST_ERROR_MAX {
            self.since.get_or_insert(now);
            self.against += 1;
            self.support = 0;
        } else if as_settled < FOR_RATIO * as_other && other_energy >= RMS_MIN * RMS_MIN {
            // Next to nothing in the other law reads as a constant in this one: no witness.
            self.support += 1;
            if self.support >= WINDOWS {
                self.against = 0;
                self.since = None;
            }
        }
    }
}

/// The mean energy of a sample of `codes` read as `law`, and the part of it that linear prediction
/// (Burg's method) leaves over.
fn prediction(law: Law, codes: &[u8; WINDOW_SAMPLES]) -> (f32, f32) {
    let mut samples = [0_i16; WINDOW_SAMPLES];
    law.decode(codes, &mut samples);
    let mut forward = samples.map(f32::from);
    let mut backward = forward;
    let energy = forward.iter().map(|x| x * x).sum::<f32>() / WINDOW_SAMPLES as f32;
    let mut left = 1.0;
    for order in 1..=ORDER {
        let (mut product, mut power) = (0.0, f32::MIN_POSITIVE);
        let ahead = forward.iter().skip(order);
        for (f, b) in ahead.zip(backward.iter().skip(order - 1)) {
            product += f * b;
            power += f * f + b * b;
        }
        let reflection = 2.0 * product / power;
        let mut before = backward.get(order - 1).copied().unwrap_or(0.0);
        for (f, b) in forward.iter_mut().zip(&mut backward).skip(order) {
            let (ahead, behind) = (*f, std::mem::replace(&mut before, *b));
            *f = ahead - reflection * behind;
            *b = behind - reflection * ahead;
        }
        left *= 1.0 - reflection * reflection;
    }
    (energy, left.max(1e-6))
}
