//! Likeness of stretches of sound: where a signal repeats itself.
//!
//! What concealment repeats, and what time-scaling takes out or puts in, is a whole number of
//! periods, found as the lag of the largest normalised cross-correlation (ITU-T G.711 appendix I,
//! I.2.4).

/// How alike two stretches are at a lag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Match {
    /// Samples between them.
    pub(crate) lag: usize,
    /// Normalised cross-correlation, -1 to 1; 0 if one of them is silent.
    pub(crate) likeness: f32,
}

/// Normalised cross-correlation of two stretches of equal length, each `step`-th sample.
pub(crate) fn likeness(a: &[i16], b: &[i16], step: usize) -> f32 {
    let (mut product, mut power_a, mut power_b) = (0_i64, 0_i64, 0_i64);
    for (a, b) in a.iter().step_by(step).zip(b.iter().step_by(step)) {
        let (a, b) = (i64::from(*a), i64::from(*b));
        product += a * b;
        power_a += a * a;
        power_b += b * b;
    }
    if power_a == 0 || power_b == 0 {
        return 0.0;
    }
    (product as f64 / (power_a as f64 * power_b as f64).sqrt()) as f32
}

/// The lag of `lags` (its ends included) at which the best likeness is found: first all lags on
/// every `step`-th sample, then those around the best on all samples. `at` gives the two stretches
/// that a lag compares; lags for which it has none are left out.
pub(crate) fn search<'a>(
    lags: std::ops::RangeInclusive<usize>,
    step: usize,
    at: impl Fn(usize) -> Option<(&'a [i16], &'a [i16])>,
) -> Option<Match> {
    let step = step.max(1);
    let best = |lags: std::ops::RangeInclusive<usize>, step: usize| {
        let mut best: Option<Match> = None;
        for lag in lags {
            let Some((a, b)) = at(lag) else { continue };
            let likeness = likeness(a, b, step);
            if best.is_none_or(|best| likeness > best.likeness) {
                best = Some(Match { lag, likeness });
            }
        }
        best
    };
    let (low, high) = (*lags.start(), *lags.end());
    let coarse = best(lags, step)?;
    best(coarse.lag.saturating_sub(step).max(low)..=(coarse.lag + step).min(high), 1)
}

/// Root of the mean square of a stretch.
pub(crate) fn rms(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    let power: i64 = samples.iter().map(|s| i64::from(*s) * i64::from(*s)).sum();
    (power as f64 / samples.len() as f64).sqrt() as f32
}

/// The nearest 16-bit sample.
pub(crate) fn to_sample(value: f32) -> i16 {
    // The conversion saturates.
    value.round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lag of a periodic signal is its period, at any place of the grid of lags.
    #[test]
    fn finds_the_period() {
        for period in 40..=120_usize {
            let x: Vec<i16> =
                (0..400).map(|n| (((n % period) * 7919) % 2003) as i16 - 1000).collect();
            let at = |lag: usize| Some((&x[240..400], &x[240 - lag..400 - lag]));
            let found = search(40..=120, 2, at).unwrap();
            assert_eq!(found.lag % period, 0, "{found:?} for {period}");
            assert!((found.likeness - 1.0).abs() < 1e-6);
        }
    }

    /// Silence is like nothing, the opposite is -1.
    #[test]
    fn knows_silence_and_opposites() {
        assert_eq!(likeness(&[0; 8], &[5; 8], 1), 0.0);
        assert_eq!(likeness(&[3, -4, 5], &[-3, 4, -5], 1), -1.0);
        assert_eq!(rms(&[]), 0.0);
        assert_eq!(rms(&[100, -100]), 100.0);
    }
}
