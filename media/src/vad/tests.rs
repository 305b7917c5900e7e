//! Speech in noise, and what is no speech. `--no-capture` prints the figures.

use std::f64::consts::TAU;

use super::*;

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Root mean square of speech in these tests, about -26 dBov.
const SPEECH_RMS: f64 = 1640.0;

/// Syllables of 150 to 250 ms between pauses of 30 to 90, as a phrase of `seconds`.
fn speech(random: &mut Random, rate_hz: u32, seconds: f64) -> Vec<f64> {
    let rate = f64::from(rate_hz);
    let count = (seconds * rate) as usize;
    let mut samples = Vec::with_capacity(count + rate as usize);
    while samples.len() < count {
        let pitch = 90.0 + 150.0 * random.unit();
        let length = ((0.15 + 0.1 * random.unit()) * rate) as usize;
        for n in 0..length {
            let t = n as f64 / rate;
            let envelope = (std::f64::consts::PI * n as f64 / length as f64).sin();
            let voice: f64 =
                (1..20).map(|h| (TAU * pitch * f64::from(h) * t).sin() / f64::from(h)).sum();
            samples.push(envelope * voice);
        }
        samples.resize(samples.len() + ((0.03 + 0.06 * random.unit()) * rate) as usize, 0.0);
    }
    samples.truncate(count);
    let rms = (samples.iter().map(|s| s * s).sum::<f64>() / count as f64).sqrt();
    samples.iter().map(|sample| sample * SPEECH_RMS / rms).collect()
}

fn changes(rate_hz: u32, samples: &[i16]) -> Vec<SpeechChange> {
    let mut vad = Vad::new(rate_hz);
    let mut found = vec![];
    for frame in samples.chunks(rate_hz as usize / 50) {
        vad.push(frame);
        found.extend(vad.poll());
    }
    found
}

fn ints(samples: impl IntoIterator<Item = f64>) -> Vec<i16> {
    samples.into_iter().map(|sample| sample.clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// Forty phrases of 1.5 s between pauses of 1.5 s, in noise: at 10 dB and more nearly every 10 ms
/// are judged rightly, from the attack to the hangover.
#[test]
fn phrases_in_noise() {
    println!("| signal to noise | false alarms | misses |\n|---|---|---|");
    for rate_hz in [8000, 16_000] {
        for (snr_db, most) in [(40.0, 0.01), (20.0, 0.02), (15.0, 0.03), (10.0, 0.08)] {
            let mut random = Random(1);
            let noise = SPEECH_RMS / 10_f64.powf(snr_db / 20.0);
            let mut vad = Vad::new(rate_hz);
            let (mut alarms, mut misses) = (0, 0);
            for _ in 0..40 {
                let block = rate_hz as usize / 100;
                let mut phrase = vec![0.0; 150 * block];
                phrase.extend(speech(&mut random, rate_hz, 1.5));
                let phrase = ints(phrase.iter().map(|s| s + noise * random.normal()));
                for (at, block) in phrase.chunks(block).enumerate() {
                    vad.push(block);
                    // The hangover and the attack are meant.
                    match at {
                        ..40 => {}
                        40..150 => alarms += u32::from(vad.is_speaking()),
                        150..160 => {}
                        _ => misses += u32::from(!vad.is_speaking()),
                    }
                }
            }
            let (alarms, misses) = (f64::from(alarms) / 4400.0, f64::from(misses) / 5600.0);
            println!("| {snr_db} dB, {rate_hz} Hz | {alarms:.4} | {misses:.4} |");
            assert!(alarms < most && misses < most, "{snr_db} dB: {alarms} {misses}");
        }
    }
}

/// Beginnings and ends are told as of when they were, though later.
#[test]
fn times() {
    let mut random = Random(2);
    let mut samples = vec![0.0; 8000];
    samples.extend(speech(&mut random, 8000, 2.0));
    samples.extend(vec![0.0; 8000]);
    let samples = ints(samples.iter().map(|s| s + 10.0 * random.normal()));
    let found = changes(8000, &samples);
    let [begin, end] = found[..] else { panic!("{found:?}") };
    assert!(begin.started && (1000..=1050).contains(&begin.at_ms), "{begin:?}");
    assert!(!end.started && (2850..=3010).contains(&end.at_ms), "{end:?}");
}

/// A minute each of silence, steady noise, a constant and mains hum is no speech; noise that begins
/// at once is taken for speech for two seconds at most.
#[test]
fn what_is_no_speech() {
    let mut random = Random(3);
    let minute = 60 * 8000;
    assert!(changes(8000, &vec![0; minute]).is_empty());
    assert!(changes(8000, &vec![12_000; minute]).len() <= 2, "but for the step");
    for rms in [3.0, 30.0, 300.0] {
        let noise = ints((0..minute).map(|_| rms * random.normal()));
        let found = changes(8000, &noise);
        let spoken: u64 = found.iter().map(|change| change.at_ms).max().unwrap_or(0);
        assert!(spoken <= 2600, "noise of {rms}: {found:?}");
    }
    let hum = ints((0..minute).map(|n| 60.0 * (TAU * 50.0 * n as f64 / 8000.0).sin()));
    assert!(changes(8000, &hum).is_empty(), "hum");
    let tone = ints((0..minute).map(|n| 8000.0 * (TAU * 1000.0 * n as f64 / 8000.0).sin()));
    let found = changes(8000, &tone);
    let [begin, end] = found[..] else { panic!("{found:?}") };
    assert!(begin.started && !end.started && end.at_ms < 2600, "{found:?}");
}

/// A gap is silence, however long.
#[test]
fn gaps_are_silence() {
    let mut random = Random(4);
    let mut vad = Vad::new(8000);
    let voice = ints(speech(&mut random, 8000, 1.0));
    vad.push(&voice);
    assert!(vad.is_speaking());
    vad.poll();
    vad.skip(100_000);
    let end = vad.poll().unwrap();
    assert!(!end.started && end.at_ms <= 1000, "{end:?}");
    vad.push(&voice);
    assert!(vad.poll().is_some_and(|begin| begin.started && begin.at_ms >= 101_000));
}

/// Levels are told in dBov: a square wave between the extremes is 0, a sine 3 below.
#[test]
fn levels() {
    let mut vad = Vad::new(8000);
    vad.push(&ints((0..800).map(|n| 32_767.0 * (TAU * 1000.0 * f64::from(n) / 8000.0).sin())));
    assert!((vad.level_dbov() + 3.0).abs() < 0.2, "{}", vad.level_dbov());
    vad.skip(1000);
    assert!(vad.level_dbov() <= -90.0);
}
