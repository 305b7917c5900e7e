//! Sound for tests: sines, WAV files, and Goertzel's algorithm, which tells who is heard.

use std::f64::consts::TAU;
use std::path::Path;

/// Rate of all sound of these tests, in hertz.
pub const RATE_HZ: u32 = 8_000;
/// Samples of an analysed stretch: 100 ms, in which whole periods of 10 Hz steps fit.
const STRETCH: usize = 800;
/// Stretches whose amplitude is below this are silence.
const SILENCE: f64 = 200.0;

/// A sine of `hz` with amplitude 10,000.
pub fn sine(hz: f64, seconds: f64) -> Vec<i16> {
    let count = (seconds * f64::from(RATE_HZ)) as usize;
    let sample = |at: usize| (at as f64 * TAU * hz / f64::from(RATE_HZ)).sin() * 10_000.0;
    (0..count).map(|at| sample(at).round() as i16).collect()
}

/// Writes mono 16-bit samples at 8,000 Hz.
pub fn write(path: &Path, samples: &[i16]) {
    write_at(path, RATE_HZ, samples);
}

/// Writes mono 16-bit samples at another rate.
pub fn write_at(path: &Path, rate_hz: u32, samples: &[i16]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|sample| file.write_sample(*sample).unwrap());
    file.finalize().unwrap();
}

/// Reads a mono WAV file at 8,000 Hz. What a peer wrote may lack the final length; what is there
/// counts.
pub fn read(path: &Path) -> Vec<i16> {
    let (rate_hz, samples) = read_at(path);
    assert_eq!(rate_hz, RATE_HZ, "{}", path.display());
    samples
}

/// Reads a WAV file and its rate; of several channels the first.
pub fn read_at(path: &Path) -> (u32, Vec<i16>) {
    let mut file = hound::WavReader::open(path).unwrap();
    let spec = file.spec();
    let samples: Vec<i16> = match spec.sample_format {
        hound::SampleFormat::Int => file.samples::<i16>().map_while(Result::ok).collect(),
        hound::SampleFormat::Float => {
            let samples = file.samples::<f32>().map_while(Result::ok);
            samples.map(|sample| (sample * 32_767.0) as i16).collect()
        }
    };
    (spec.sample_rate, samples.into_iter().step_by(spec.channels.into()).collect())
}

/// Parts in which [`has_tone`] looks at half a second: it may begin with any of them.
const PARTS: usize = 10;

/// True if somewhere half a second of `samples` is a sine of `hz` with about the amplitude of those
/// of the tests, and nothing else. Each sample is looked at once: tests ask at every packet.
pub fn has_tone(samples: &[i16], rate_hz: u32, hz: f64) -> bool {
    let (part, turn) = (rate_hz as usize / 2 / PARTS, TAU * hz / f64::from(rate_hz));
    let wave: Vec<(f64, f64)> = (0..part).map(|at| (at as f64 * turn).sin_cos()).collect();
    // Correlation with sine and cosine, and energy.
    let measured = |(number, part): (usize, &[i16])| {
        let (mut sine, mut cosine, mut energy) = (0.0, 0.0, 0.0);
        for (sample, (sin, cos)) in part.iter().zip(&wave) {
            let sample = f64::from(*sample);
            (sine, cosine) = (sine + sample * sin, cosine + sample * cos);
            energy += sample * sample;
        }
        // As if the wave had begun with the first of the samples.
        let (sin, cos) = ((number * part.len()) as f64 * turn).sin_cos();
        [sine * cos + cosine * sin, cosine * cos - sine * sin, energy]
    };
    let parts: Vec<[f64; 3]> = samples.chunks_exact(part).enumerate().map(measured).collect();
    let pure = |parts: &[[f64; 3]]| {
        let sum = |of: usize| parts.iter().map(|part| part[of]).sum::<f64>();
        let length = (PARTS * part) as f64;
        let amplitude = 2.0 * sum(0).hypot(sum(1)) / length;
        let rms = (sum(2) / length).sqrt();
        let rest = (rms.powi(2) - amplitude.powi(2) / 2.0).max(0.0).sqrt();
        (7_000.0..12_500.0).contains(&amplitude) && rest < rms / 3.0
    };
    parts.windows(PARTS).any(pure)
}

/// A sine of `hz` with amplitude 10,000, at another rate.
pub fn sine_at(hz: f64, rate_hz: u32, seconds: f64) -> Vec<i16> {
    let count = (seconds * f64::from(rate_hz)) as usize;
    let sample = |at: usize| (at as f64 * TAU * hz / f64::from(rate_hz)).sin() * 10_000.0;
    (0..count).map(|at| sample(at).round() as i16).collect()
}

/// Amplitude of the frequency `hz` in `samples` (Goertzel 1958).
pub fn amplitude(samples: &[i16], hz: f64) -> f64 {
    let turn = TAU * hz / f64::from(RATE_HZ);
    let factor = 2.0 * turn.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = factor.mul_add(last, f64::from(*sample) - before);
        (before, last) = (last, next);
    }
    let power = last.mul_add(last, before * before) - factor * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len().max(1) as f64
}

/// What is in a recording, in stretches of 100 ms.
#[derive(Debug)]
pub struct Heard {
    /// Stretches that are not silence.
    pub stretches: usize,
    /// Those of them in which the expected frequency stands out.
    pub own: usize,
    /// Those of them in which the other frequency can be found.
    pub other: usize,
}

/// Looks for `own` and `other` in `samples`.
pub fn listen(samples: &[i16], own: f64, other: f64) -> Heard {
    let mut heard = Heard { stretches: 0, own: 0, other: 0 };
    for stretch in samples.chunks_exact(STRETCH) {
        let square = |sample: &i16| f64::from(*sample).powi(2);
        let rms = (stretch.iter().map(square).sum::<f64>() / STRETCH as f64).sqrt();
        if rms < SILENCE {
            continue;
        }
        heard.stretches += 1;
        // A pure sine has an amplitude of 1.41 times its root mean square.
        heard.own += usize::from(amplitude(stretch, own) > rms);
        heard.other += usize::from(amplitude(stretch, other) > rms / 5.0);
    }
    heard
}

/// Fails unless at least `seconds` of `own` are heard, nearly nothing else, and `other` never.
#[track_caller]
pub fn assert_heard(samples: &[i16], own: f64, other: f64, seconds: f64) {
    let heard = listen(samples, own, other);
    assert!(heard.own as f64 >= seconds * 10.0, "{own} Hz is missing: {heard:?}");
    // Where a sound begins or ends, and at a packet lost on a busy machine, a stretch is no sine.
    assert!(heard.own * 10 >= heard.stretches * 9, "{own} Hz is disturbed: {heard:?}");
    assert_eq!(heard.other, 0, "{other} Hz is there: {heard:?}");
}

/// Amplitude above which a tone is there beside others.
const LOUD: f64 = 4_000.0;

/// Stretches of 100 ms in which all of `tones` are there, and in which any of `others` is.
pub fn stretches(samples: &[i16], tones: &[f64], others: &[f64]) -> (usize, usize) {
    let mut found = (0, 0);
    for stretch in samples.chunks_exact(STRETCH) {
        let power = stretch.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        let rms = (power / STRETCH as f64).sqrt();
        let is = |hz: &f64| amplitude(stretch, *hz) > LOUD;
        let leaks = |hz: &f64| rms > 1_000.0 && amplitude(stretch, *hz) > rms / 4.0;
        found.0 += usize::from(tones.iter().all(is));
        found.1 += usize::from(others.iter().any(leaks));
    }
    found
}

/// A sample of µ-law (ITU-T G.711 table 2), at 16 bits.
pub fn ulaw(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i16::from(code & 15) << 3) + 132) << ((code >> 4) & 7);
    if code & 0x80 == 0 { magnitude - 132 } else { 132 - magnitude }
}

/// A sample of A-law (ITU-T G.711 table 1), at 16 bits.
pub fn alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (low, exponent) = ((i16::from(code & 15) << 4) + 8, (code >> 4) & 7);
    let magnitude = if exponent == 0 { low } else { (low + 256) << (exponent - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// The µ-law codes whose samples are nearest to `samples`.
pub fn to_ulaw(samples: &[i16]) -> Vec<u8> {
    to_law(samples, ulaw)
}

/// The A-law codes whose samples are nearest to `samples`.
pub fn to_alaw(samples: &[i16]) -> Vec<u8> {
    to_law(samples, alaw)
}

fn to_law(samples: &[i16], law: fn(u8) -> i16) -> Vec<u8> {
    let mut codes: Vec<(i16, u8)> = (0..=255).map(|code| (law(code), code)).collect();
    codes.sort_unstable();
    let nearest = |sample: &i16| {
        let above = codes.partition_point(|(value, _)| value < sample);
        let around = &codes[above.saturating_sub(1)..(above + 1).min(codes.len())];
        let away =
            |(value, code): &(i16, u8)| (i32::from(*value).abs_diff((*sample).into()), *code);
        around.iter().map(away).min().unwrap().1
    };
    samples.iter().map(nearest).collect()
}
