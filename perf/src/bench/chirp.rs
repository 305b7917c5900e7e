//! Coded chirps: sounds that are found again after codecs and loss, and that say which one of them
//! they are, so that a delay of seconds is not taken for a short one.

/// Samples a second.
pub(crate) const RATE_HZ: usize = 8_000;

/// Sweeps in a chirp; each goes up or down, which is one bit of its code.
const SWEEPS: usize = 8;

/// Samples of one sweep: 10 ms.
const SWEEP_SAMPLES: usize = 80;

/// Samples over which a chirp becomes loud and fades: a sharp end would click.
const RAMP_SAMPLES: usize = 24;

/// Samples of a chirp: 80 ms.
pub(crate) const CHIRP_SAMPLES: usize = SWEEPS * SWEEP_SAMPLES;

/// Samples from one chirp to the next: half a second.
pub(crate) const EVERY_SAMPLES: usize = 4_000;

/// The codes, found by search: wherever one lies upon another, at most so many of their sweeps
/// agree that the two are less alike than 0.71. A code comes again after 4 s.
const CODES: [usize; 8] = [0, 31, 83, 104, 140, 184, 201, 245];

/// Longest delay looked for, in samples: less than the time after which a code comes again.
pub(crate) const LONGEST_SAMPLES: usize = (CODES.len() - 1) * EVERY_SAMPLES;

/// The band that every telephone passes.
const BAND_HZ: (f64, f64) = (400.0, 3_200.0);

/// Peak of a chirp: loud speech.
const PEAK: f64 = 9_000.0;

/// Correlation from which a chirp counts as found: two codecs and a lost packet stay above, and
/// chirps of other codes below.
const FOUND: f64 = 0.8;

/// Correlation at which no further place is looked at.
const SURE: f64 = 0.9;

/// Around the last delay that was found, this many samples are looked at first.
const NEAR_SAMPLES: usize = 400;

/// All chirps, by code.
pub(crate) struct Chirps(Vec<Vec<f32>>);

impl Chirps {
    /// Makes them.
    pub(crate) fn new() -> Self {
        Self(CODES.iter().copied().map(chirp).collect())
    }

    fn template(&self, number: usize) -> &[f32] {
        self.0.get(number % CODES.len()).map_or(&[], Vec::as_slice)
    }

    /// `samples` samples of sound with a chirp every half a second, the first one as long after the
    /// start.
    pub(crate) fn sound(&self, samples: usize) -> Vec<i16> {
        let mut sound = vec![0; samples];
        for number in 0..count(samples) {
            let from = start(number);
            if let Some(place) = sound.get_mut(from..from + CHIRP_SAMPLES) {
                for (to, sample) in place.iter_mut().zip(self.template(number)) {
                    *to = sample.round() as i16;
                }
            }
        }
        sound
    }

    /// Where chirp `number` lies in `heard`, in samples and parts of them, if it is there within
    /// [`LONGEST_SAMPLES`] after its place in the sound. `near` is the delay to look at first.
    pub(crate) fn find(&self, heard: &[f32], number: usize, near: Option<usize>) -> Option<f64> {
        let (template, first) = (self.template(number), start(number));
        let last = (first + LONGEST_SAMPLES).min(heard.len().checked_sub(CHIRP_SAMPLES)?);
        let quick = near.map(|near| {
            let middle = first + near;
            middle.saturating_sub(NEAR_SAMPLES)..=(middle + NEAR_SAMPLES).min(last)
        });
        let mut best = quick.and_then(|range| peak(heard, template, range));
        if best.is_none_or(|(_, height)| height < SURE) {
            best = peak(heard, template, first..=last);
        }
        let (place, height) = best?;
        (height >= FOUND).then(|| place as f64 + between(heard, template, place))
    }
}

/// Chirps in a sound of so many samples.
pub(crate) fn count(samples: usize) -> usize {
    samples.saturating_sub(CHIRP_SAMPLES) / EVERY_SAMPLES
}

/// Where chirp `number` starts in the sound.
pub(crate) fn start(number: usize) -> usize {
    (number + 1) * EVERY_SAMPLES
}

fn chirp(word: usize) -> Vec<f32> {
    let (low, high) = BAND_HZ;
    let rate = RATE_HZ as f64;
    let slope = (high - low) / (SWEEP_SAMPLES as f64 / rate);
    let mut phase = 0.0f64;
    (0..CHIRP_SAMPLES)
        .map(|n| {
            let t = (n % SWEEP_SAMPLES) as f64 / rate;
            let up = word >> (n / SWEEP_SAMPLES) & 1 == 1;
            let hz = if up { low + slope * t } else { high - slope * t };
            phase = (phase + std::f64::consts::TAU * hz / rate) % std::f64::consts::TAU;
            let edge = n.min(CHIRP_SAMPLES - 1 - n) as f64 + 0.5;
            let window = (edge / RAMP_SAMPLES as f64).min(1.0);
            (phase.sin() * window * PEAK) as f32
        })
        .collect()
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

fn product(heard: &[f32], template: &[f32]) -> f32 {
    // Eight sums at a time, which the compiler turns into vectors.
    let (mut sums, mut rest) = ([0.0f32; 8], 0.0);
    let (a, b) = (heard.chunks_exact(8), template.chunks_exact(8));
    for (x, y) in a.remainder().iter().zip(b.remainder()) {
        rest += x * y;
    }
    for (a, b) in a.zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The place in `range` where `heard` is most like the template, and how much.
fn peak(
    heard: &[f32],
    template: &[f32],
    range: std::ops::RangeInclusive<usize>,
) -> Option<(usize, f64)> {
    let own = energy(template).sqrt();
    range
        .filter_map(|place| {
            let window = heard.get(place..place + template.len())?;
            // A floor under quiet windows, so that noise is not taken for a faint chirp.
            let theirs = energy(window).sqrt().max(own / 20.0);
            Some((place, f64::from(product(window, template) / (own * theirs))))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// By how much of a sample the peak lies beside its place: the top of a parabola through it and its
/// neighbours.
fn between(heard: &[f32], template: &[f32], place: usize) -> f64 {
    let at = |place: usize| {
        heard.get(place..place + template.len()).map(|window| f64::from(product(window, template)))
    };
    let (Some(before), Some(here), Some(after)) =
        (place.checked_sub(1).and_then(at), at(place), at(place + 1))
    else {
        return 0.0;
    };
    let bend = before - 2.0 * here + after;
    if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delayed(sound: &[i16], delay: usize, noise: i16) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..sound.len() + LONGEST_SAMPLES)
            .map(|n| {
                let sample = n.checked_sub(delay).and_then(|at| sound.get(at)).copied();
                f32::from(sample.unwrap_or(0) / 4 + rng.i16(-noise..=noise))
            })
            .collect()
    }

    /// A quieter, noisy copy is found to the sample at any delay up to the longest, and each chirp
    /// is taken for itself.
    #[test]
    fn a_delayed_copy_is_found_to_the_sample() {
        let chirps = Chirps::new();
        let sound = chirps.sound(6 * RATE_HZ);
        for delay in [0, 161, 4_000, LONGEST_SAMPLES] {
            let heard = delayed(&sound, delay, 150);
            for number in [0, 7, 8] {
                let near = (number % 2 == 0).then_some(160);
                let found = chirps.find(&heard, number, near).expect("found");
                let wanted = (start(number) + delay) as f64;
                assert!((found - wanted).abs() < 0.2, "{number} by {delay}: {found} for {wanted}");
            }
        }
    }

    /// No chirp is taken for another, wherever it begins.
    #[test]
    fn codes_lie_apart() {
        let chirps = Chirps::new();
        let rest = vec![0.0; CHIRP_SAMPLES];
        for a in 0..CODES.len() {
            let heard = [&rest, chirps.template(a), &rest].concat();
            for b in (0..CODES.len()).filter(|b| *b != a) {
                let most = peak(&heard, chirps.template(b), 0..=2 * CHIRP_SAMPLES).expect("some");
                assert!(most.1 < FOUND, "{a} as {b}: {most:?}");
            }
        }
    }

    /// Silence, noise and a sound without its chirp give nothing.
    #[test]
    fn what_is_not_there_is_not_found() {
        let chirps = Chirps::new();
        let length = 3 * RATE_HZ;
        let mut rng = fastrand::Rng::with_seed(8);
        let noise: Vec<f32> = (0..length).map(|_| f32::from(rng.i16(-3_000..3_000))).collect();
        assert_eq!(chirps.find(&noise, 1, None), None);
        assert_eq!(chirps.find(&vec![0.0; length], 1, Some(160)), None);
        let mut other = chirps.sound(length);
        other[start(3)..start(3) + CHIRP_SAMPLES].fill(0);
        let other: Vec<f32> = other.into_iter().map(f32::from).collect();
        assert_eq!(chirps.find(&other, 3, None), None);
        assert_eq!(chirps.find(&[], 0, None), None);
    }
}
