//! A sound that is found again: a sweep through the telephone band.

/// Samples a second.
pub(super) const RATE_HZ: u32 = 8_000;
/// Samples of a chirp: 100 ms.
pub(super) const CHIRP_SAMPLES: usize = 800;
/// Samples from one chirp to the next.
const EVERY_SAMPLES: usize = 8_000;
/// Samples before the first chirp: media paths take a moment to open.
const LEAD_SAMPLES: usize = 4_000;
/// The band that every telephone passes.
const BAND_HZ: (f64, f64) = (400.0, 3_000.0);
/// Peak of the chirp.
const PEAK: f64 = 10_000.0;
/// Correlation from which a chirp counts as found; two codecs and some loss stay well above.
const FOUND: f64 = 0.6;

/// One chirp.
pub(super) fn chirp() -> Vec<i16> {
    let rate = f64::from(RATE_HZ);
    let length = CHIRP_SAMPLES as f64 / rate;
    (0..CHIRP_SAMPLES)
        .map(|n| {
            let t = n as f64 / rate;
            let slope = (BAND_HZ.1 - BAND_HZ.0) / (2.0 * length);
            let phase = std::f64::consts::TAU * (BAND_HZ.0 * t + slope * t * t);
            // Rounded ends: a sharp one would click, and hide the next codec's onset.
            let window = (std::f64::consts::PI * n as f64 / CHIRP_SAMPLES as f64).sin();
            (phase.sin() * window * PEAK).round() as i16
        })
        .collect()
}

/// `seconds` of sound with a chirp each second.
pub(super) fn sound(seconds: u64) -> Vec<i16> {
    let length = usize::try_from(seconds).unwrap_or(1) * RATE_HZ as usize;
    let mut sound = vec![0; length];
    let chirp = chirp();
    for start in starts(length) {
        if let Some(place) = sound.get_mut(start..start + CHIRP_SAMPLES) {
            place.copy_from_slice(&chirp);
        }
    }
    sound
}

/// Where chirps start in a sound of this many samples.
fn starts(length: usize) -> impl Iterator<Item = usize> {
    (LEAD_SAMPLES..length.saturating_sub(CHIRP_SAMPLES)).step_by(EVERY_SAMPLES)
}

/// By how many samples each chirp that is found in `heard` comes after its place in a sound of
/// `length` samples. `heard` starts `ahead` samples after the sound did.
pub(super) fn delays(heard: &[i16], length: usize, ahead: i64) -> Vec<i64> {
    let chirp = chirp();
    starts(length)
        .filter_map(|start| {
            let from = usize::try_from(start as i64 - ahead).unwrap_or(0);
            let to = (from + EVERY_SAMPLES).min(heard.len());
            let place = find(heard.get(from..to)?, &chirp)?;
            Some((from + place) as i64 + ahead - start as i64)
        })
        .collect()
}

/// Where `pattern` lies in `heard`: the place of the highest normalised correlation, if that is
/// high.
fn find(heard: &[i16], pattern: &[i16]) -> Option<usize> {
    let energy = |samples: &[i16]| -> f64 { samples.iter().map(|s| f64::from(*s).powi(2)).sum() };
    let own = energy(pattern).sqrt();
    let best = heard
        .windows(pattern.len())
        .enumerate()
        .map(|(place, window)| {
            let product: f64 =
                window.iter().zip(pattern).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            // A floor under quiet windows, so that noise is not taken for a faint chirp.
            let theirs = energy(window).sqrt().max(own / 20.0);
            (place, product / (own * theirs))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best.1 >= FOUND).then_some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A delayed, quieter, noisy copy is found to the sample; silence and noise are not.
    #[test]
    fn a_delayed_copy_is_found_to_the_sample() {
        let sound = sound(4);
        for (delay, ahead) in [(0, 0), (161, 0), (500, 300), (2_345, 1_000), (40, 7)] {
            let mut rng = fastrand::Rng::with_seed(7);
            let heard: Vec<i16> = (0..sound.len() as i64)
                .map(|n| {
                    let at = n + ahead - delay;
                    let sample = usize::try_from(at).ok().and_then(|at| sound.get(at));
                    sample.map_or(0, |s| s / 4) + rng.i16(-100..100)
                })
                .collect();
            let found = delays(&heard, sound.len(), ahead);
            assert!(found.len() >= 3, "{delay} {ahead}: {found:?}");
            assert!(found.iter().all(|found| *found == delay), "{delay} {ahead}: {found:?}");
        }
        let mut rng = fastrand::Rng::with_seed(8);
        let noise: Vec<i16> = (0..sound.len()).map(|_| rng.i16(-3_000..3_000)).collect();
        assert!(delays(&noise, sound.len(), 0).is_empty());
        assert!(delays(&vec![0; sound.len()], sound.len(), 0).is_empty());
    }
}
