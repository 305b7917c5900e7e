use super::*;
use crate::codec::simd::SCALAR;
use proptest::prelude::*;
use std::f64::consts::TAU;

/// What the polyphase filters serve: every pair of the four rates.
const PAIRS: [(u32, u32); 12] = [
    (8000, 16000),
    (8000, 24000),
    (8000, 48000),
    (16000, 8000),
    (16000, 24000),
    (16000, 48000),
    (24000, 8000),
    (24000, 16000),
    (24000, 48000),
    (48000, 8000),
    (48000, 16000),
    (48000, 24000),
];
/// Pairs left to the sinc.
const OTHERS: [(u32, u32); 4] = [(44100, 8000), (8000, 44100), (44100, 16000), (48000, 44100)];

fn resample(from_hz: u32, to_hz: u32, input: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
    let mut out = vec![0; resampler.max_output(input.len())];
    let count = resampler.process(input, &mut out);
    out.truncate(count);
    out
}

fn tone(rate_hz: u32, tone_hz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
    let step = TAU * tone_hz / f64::from(rate_hz);
    (0..samples).map(|n| (amplitude * (step * n as f64).sin()).round() as i16).collect()
}

fn noise(seed: u64, samples: usize) -> Vec<i16> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 48) as i16
    };
    (0..samples).map(|_| next()).collect()
}

/// A tone in a tenth of a second of samples that follow `skip`: amplitude, phase against a sine
/// that began at sample 0, and the amplitude of all else (times √2, as if it were a tone).
fn analyse(samples: &[i16], rate_hz: u32, tone_hz: f64, skip: usize) -> (f64, f64, f64) {
    let window = &samples[skip..][..(rate_hz / 10) as usize];
    let step = TAU * tone_hz / f64::from(rate_hz);
    let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in window.iter().enumerate() {
        let (sin, cos) = (step * (n + skip) as f64).sin_cos();
        re += f64::from(*sample) * sin;
        im += f64::from(*sample) * cos;
        energy += f64::from(*sample).powi(2);
    }
    let scale = 2.0 / window.len() as f64;
    let amplitude = (re * re + im * im).sqrt() * scale;
    let rest = (energy * scale - amplitude * amplitude).max(0.0).sqrt();
    (amplitude, im.atan2(re), rest)
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-9).log10()
}

/// Pass band, stop band and delay of each pair, measured by tones, as a table:
/// ripple to 3.4 kHz of 8 kHz (0.425 of the lower rate) below 0.1 dB; everything that is not the
/// tone (images, aliases, rounding) at least 60 dB down in sum, for tones of the pass band and for
/// tones from 0.55 of the lower rate on; the delay as stated, and at most 2 ms.
#[test]
fn figures_of_each_pair() {
    const AMPLITUDE: f64 = 30000.0;
    println!("  from     to  ripple/dB  images/dB  alias/dB  delay/ms  stated/ms");
    for (from_hz, to_hz) in PAIRS {
        let low_hz = f64::from(from_hz.min(to_hz));
        let samples = (from_hz / 10 * 2) as usize;
        let skip = (to_hz / 20) as usize;
        let run = |tone_hz| resample(from_hz, to_hz, &tone(from_hz, tone_hz, AMPLITUDE, samples));
        let stated = Resampler::new(from_hz, to_hz).unwrap().delay().as_secs_f64();

        let (mut least, mut most, mut images, mut late) = (f64::MAX, f64::MIN, 0.0f64, 0.0f64);
        for i in 0..=68 {
            let tone_hz = (low_hz * (0.005 + 0.42 * f64::from(i) / 68.0) / 10.0).round() * 10.0;
            let (amplitude, phase, rest) = analyse(&run(tone_hz), to_hz, tone_hz, skip);
            least = least.min(amplitude);
            most = most.max(amplitude);
            images = images.max(rest);
            // The phase is that of `stated`, modulo whole periods; the lowest tone has none within
            // the delays at hand.
            let off = (phase / TAU + tone_hz * stated).rem_euclid(1.0);
            let off = off.min(1.0 - off) / tone_hz;
            late = late.max(off);
        }
        let mut alias = 0.0f64;
        if from_hz > to_hz {
            let (first, last) = (low_hz * 0.55, f64::from(from_hz) / 2.0);
            for i in 0..=100 {
                let tone_hz =
                    ((first + (last - first) * f64::from(i) / 100.0) / 10.0).floor() * 10.0;
                let out = run(tone_hz.max(first));
                let (_, _, all) = analyse(&out, to_hz, 0.0, skip);
                alias = alias.max(all);
            }
        }
        let (ripple, images, alias) =
            (db(most / least), db(images / AMPLITUDE), db(alias / AMPLITUDE));
        println!(
            "{from_hz:6} {to_hz:6} {ripple:10.3} {images:10.1} {alias:9.1} {:9.3} {:10.3}",
            (stated + late) * 1e3,
            stated * 1e3
        );
        assert!(ripple < 0.1 && (most / AMPLITUDE - 1.0).abs() < 0.01);
        assert!(images < -60.0 && alias < -60.0);
        assert!(stated <= 0.002 && late < 2e-6, "{late}");
    }
}

/// The general resampler: a tone keeps its frequency and level, comes as late as stated, and what
/// folds stays 60 dB down.
#[test]
fn figures_of_other_ratios() {
    for (from_hz, to_hz) in OTHERS {
        let samples = (from_hz / 10 * 2) as usize;
        let skip = (to_hz / 20) as usize;
        let stated = Resampler::new(from_hz, to_hz).unwrap().delay().as_secs_f64();
        for tone_hz in [100.0, 1000.0, 3000.0] {
            let out = resample(from_hz, to_hz, &tone(from_hz, tone_hz, 20000.0, samples));
            let (amplitude, phase, rest) = analyse(&out, to_hz, tone_hz, skip);
            assert!(db(amplitude / 20000.0).abs() < 0.2, "{from_hz} {to_hz} {tone_hz} {amplitude}");
            assert!(
                db(rest / 20000.0) < -60.0,
                "{from_hz} {to_hz} {tone_hz} {}",
                db(rest / 20000.0)
            );
            let off = (phase / TAU + tone_hz * stated).rem_euclid(1.0);
            let late = off.min(1.0 - off) / tone_hz;
            assert!(late < 10e-6, "{from_hz} {to_hz} {tone_hz}: off by {late} s");
        }
        if from_hz > to_hz && to_hz < 44100 {
            let tone_hz = (f64::from(to_hz) * 0.545 / 10.0).round() * 10.0;
            let out = resample(from_hz, to_hz, &tone(from_hz, tone_hz, 20000.0, samples));
            let (_, _, all) = analyse(&out, to_hz, 0.0, skip);
            assert!(db(all / 20000.0) < -60.0, "{from_hz} {to_hz}: {}", db(all / 20000.0));
        }
    }
}

/// A constant comes out exactly as it went in, on every phase, whatever its value; silence is
/// silence from the first sample on.
#[test]
fn constants_stay() {
    for (from_hz, to_hz) in PAIRS {
        for level in [i16::MIN, -12345, -1, 0, 1, 77, 20000, i16::MAX] {
            let out = resample(from_hz, to_hz, &vec![level; (from_hz / 50) as usize]);
            let settled = (to_hz / 200) as usize;
            assert!(out[settled..].iter().all(|s| *s == level), "{from_hz} {to_hz} {level}");
            assert!(level != 0 || out.iter().all(|s| *s == 0));
        }
    }
    for (from_hz, to_hz) in OTHERS {
        let out = resample(from_hz, to_hz, &vec![0; (from_hz / 50) as usize]);
        assert!(out.iter().all(|s| *s == 0));
    }
}

/// Square waves at full scale overshoot: the result stays at the limit and never wraps to the other
/// sign. Checked against the same filter at a quarter of the level, where nothing saturates.
#[test]
fn overshoot_saturates() {
    for (from_hz, to_hz) in PAIRS {
        let period = (from_hz / 500) as usize;
        let square = |level: i16| -> Vec<i16> {
            (0..from_hz as usize / 10)
                .map(|n| if n % period < period / 2 { level } else { -level })
                .collect()
        };
        let full = resample(from_hz, to_hz, &square(32764));
        let quarter = resample(from_hz, to_hz, &square(8191));
        let mut clipped = 0;
        for (full, quarter) in full.iter().zip(&quarter) {
            let expected = (i32::from(*quarter) * 4).clamp(i16::MIN.into(), i16::MAX.into());
            assert!((expected - i32::from(*full)).abs() <= 4, "{from_hz} {to_hz}");
            clipped += usize::from(*full == i16::MAX || *full == i16::MIN);
        }
        assert!(clipped > 0, "{from_hz} {to_hz}: nothing overshot, so nothing was tested");
    }
}

/// The loudest input that there is for each phase (the signs of its taps) does not wrap either.
#[test]
fn worst_case_input_saturates() {
    for (from_hz, to_hz) in PAIRS {
        let impulse: Vec<i16> = (0..800).map(|n| if n == 400 { 16384 } else { 0 }).collect();
        let response = resample(from_hz, to_hz, &impulse);
        let (up, down) = (to_hz.max(from_hz) / from_hz, to_hz.max(from_hz) / to_hz);
        // Input that, reversed, follows the signs of the impulse response around its centre.
        let centre = response.iter().enumerate().max_by_key(|(_, s)| s.unsigned_abs()).unwrap().0;
        let loud: Vec<i16> = (0..800)
            .map(|n: i64| {
                let at = centre as i64 + (n - 400) * i64::from(up) / i64::from(down).max(1);
                let tap = usize::try_from(at).ok().and_then(|at| response.get(at)).copied();
                if tap.unwrap_or(0) < 0 { i16::MIN } else { i16::MAX }
            })
            .collect();
        let reversed: Vec<i16> = loud.iter().rev().copied().collect();
        let out = resample(from_hz, to_hz, &reversed);
        let quiet: Vec<i16> = reversed.iter().map(|s| if *s < 0 { -8192 } else { 8191 }).collect();
        for (loud, quiet) in out.iter().zip(resample(from_hz, to_hz, &quiet)) {
            let expected = (i32::from(quiet) * 4).clamp(i16::MIN.into(), i16::MAX.into());
            assert!((expected - i32::from(*loud)).abs() <= 16, "{from_hz} {to_hz}");
        }
    }
}

/// Exactly as many samples as the ratio says, after any number of input samples, and never more
/// than announced.
#[test]
fn counts_are_exact() {
    for (from_hz, to_hz) in PAIRS {
        let divisor = (1..=6).rev().find(|d| from_hz % (d * 8000) == 0 && to_hz % (d * 8000) == 0);
        let unit = 8000 * divisor.unwrap();
        let (up, down) = ((to_hz / unit) as usize, (from_hz / unit) as usize);
        let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
        let (mut taken, mut given) = (0, 0);
        for length in (0..400).chain([1, 1, 1, 5, 2000, 7]) {
            let mut out = vec![0; resampler.max_output(length)];
            given += resampler.process(&vec![1; length], &mut out);
            taken += length;
            assert_eq!(given, taken / down * up, "{from_hz} {to_hz}");
        }
    }
    // The sinc varies from call to call but does not drift.
    for (from_hz, to_hz) in OTHERS {
        let out = resample(from_hz, to_hz, &vec![0; from_hz as usize * 3]);
        let missing = to_hz as usize * 3 - out.len();
        assert!(missing <= to_hz as usize / 200, "{from_hz} {to_hz}: {missing}");
    }
}

/// Each path of this machine yields the same bits as the scalar twin.
#[test]
fn paths_agree() {
    for (from_hz, to_hz) in PAIRS {
        let input = noise(5, 3001);
        let run = |path| {
            let mut resampler = Resampler::with_path(path, from_hz, to_hz).unwrap();
            let mut out = vec![0; resampler.max_output(input.len())];
            let count = resampler.process(&input, &mut out);
            (count, out)
        };
        let expected = run(&SCALAR);
        for path in simd::available() {
            assert!(run(path) == expected, "{} {from_hz} {to_hz}", path.name);
        }
    }
}

/// After a reset a resampler behaves as a new one, in the middle of a frame too.
#[test]
fn reset_forgets() {
    for (from_hz, to_hz) in PAIRS.into_iter().chain(OTHERS) {
        let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
        let mut out = vec![0; resampler.max_output(1001)];
        resampler.process(&noise(1, 1001), &mut out);
        resampler.reset();
        let count = resampler.process(&noise(2, 1001), &mut out);
        assert!(out[..count] == resample(from_hz, to_hz, &noise(2, 1001)), "{from_hz} {to_hz}");
    }
}

/// An output too short loses what does not fit, and nothing else.
#[test]
fn short_output_is_cut() {
    let input = noise(4, 480);
    for (from_hz, to_hz) in PAIRS.into_iter().chain(OTHERS).chain([(8000, 8000)]) {
        let whole = resample(from_hz, to_hz, &input);
        let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
        let mut out = vec![0; whole.len() / 2];
        let count = resampler.process(&input, &mut out);
        assert!(count <= out.len() && count + 6 >= out.len());
        assert_eq!(out[..count], whole[..count], "{from_hz} {to_hz}");
        let mut more = vec![0; resampler.max_output(480)];
        let count = resampler.process(&input, &mut more);
        let twice = resample(from_hz, to_hz, &[&input[..], &input[..]].concat());
        assert_eq!(more[..count], twice[twice.len() - count..], "{from_hz} {to_hz}");
    }
}

/// Rates out of range are refused by name.
#[test]
fn rates_out_of_range() {
    for rate_hz in [0, 1, MIN_RATE_HZ - 1, MAX_RATE_HZ + 1, u32::MAX] {
        let error = ResampleError::Rate { rate_hz };
        assert_eq!(Resampler::new(rate_hz, 8000).unwrap_err(), error);
        assert_eq!(Resampler::new(8000, rate_hz).unwrap_err(), error);
    }
    for (from_hz, to_hz) in [(MIN_RATE_HZ, MAX_RATE_HZ), (MAX_RATE_HZ, MIN_RATE_HZ), (11025, 8000)]
    {
        assert!(Resampler::new(from_hz, to_hz).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// However the input is cut, the output is the same.
    #[test]
    fn any_split_gives_the_same(
        pair in 0..PAIRS.len() + OTHERS.len(),
        cuts in prop::collection::vec(0usize..700, 1..12),
        seed: u64,
    ) {
        let (from_hz, to_hz) = *PAIRS.iter().chain(&OTHERS).nth(pair).unwrap();
        let input = noise(seed, cuts.iter().sum());
        let whole = resample(from_hz, to_hz, &input);
        let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
        let (mut pieces, mut rest) = (vec![], &input[..]);
        for cut in cuts {
            let (now, later) = rest.split_at(cut);
            rest = later;
            let mut out = vec![0; resampler.max_output(cut)];
            let count = resampler.process(now, &mut out);
            pieces.extend_from_slice(&out[..count]);
        }
        prop_assert!(pieces == whole, "{from_hz} {to_hz}");
    }
}
