//! What Q.24 asks of a receiver, and what speech must not do to it.

use std::f64::consts::TAU;

use super::*;

/// Random numbers, the same each time.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Gaussian, of deviation one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// One key as somebody's telephone sends it.
#[derive(Clone, Copy, Debug)]
struct Key {
    digit: char,
    ms: f64,
    /// Of the low tone, in decibels below a full sine.
    level_db: f64,
    /// High tone over low tone.
    twist_db: f64,
    /// Off the frequencies, of rows and columns.
    off: [f64; 2],
    snr_db: f64,
}

const KEY: Key =
    Key { digit: '5', ms: 60.0, level_db: -12.0, twist_db: 0.0, off: [0.0; 2], snr_db: 60.0 };

/// Appends a pause and the key.
fn press(samples: &mut Vec<i16>, random: &mut Random, key: Key, pause_ms: f64) {
    let place = KEYS.iter().flatten().position(|k| char::from(*k) == key.digit).unwrap();
    let hz = [(place / 4, 0), (place % 4 + 4, 1)]
        .map(|(tone, group)| f64::from(TONES_HZ[tone]) * (1.0 + key.off[group]));
    let low = 32_767.0 * 10_f64.powf(key.level_db / 20.0);
    let high = low * 10_f64.powf(key.twist_db / 20.0);
    let power = (low * low + high * high) / 2.0;
    let noise = (power / 10_f64.powf(key.snr_db / 10.0)).sqrt();
    let phase = [random.unit(), random.unit()];
    let pause = (pause_ms * 8.0 + random.between(0.0, 1.0)) as usize;
    for n in 0..pause + (key.ms * 8.0) as usize {
        let mut sample = noise * random.normal();
        if n >= pause {
            let turn = |tone: usize| (TAU * (hz[tone] * n as f64 / 8000.0 + phase[tone])).sin();
            sample += low * turn(0) + high * turn(1);
        }
        samples.push(sample.clamp(-32_768.0, 32_767.0) as i16);
    }
}

fn listen(samples: &[i16]) -> Vec<Pressed> {
    let mut inband = Inband::new();
    let mut found = vec![];
    // Frames of 20 ms, and a pause behind the last.
    for frame in samples.chunks(160).chain([&[0_i16; 160][..]; 5]) {
        inband.push(frame);
        found.extend(inband.poll());
    }
    found
}

fn digits(found: &[Pressed]) -> String {
    found.iter().map(|pressed| pressed.digit.as_char()).collect()
}

/// Presses `count` keys, each as `make` wants it, and tells how many were heard as they were
/// pressed; nothing else may be heard.
fn heard(seed: u64, count: usize, mut make: impl FnMut(&mut Random) -> Key) -> usize {
    let mut random = Random(seed);
    let mut right = 0;
    for _ in 0..count {
        let place = (random.unit() * 16.0) as usize;
        let digit = char::from(KEYS[place / 4][place % 4]);
        let key = Key { digit, ..make(&mut random) };
        let mut samples = vec![];
        let pause_ms = random.between(40.0, 60.0);
        press(&mut samples, &mut random, key, pause_ms);
        let found = digits(&listen(&samples));
        assert!(found.is_empty() || found == digit.to_string(), "{found} for {key:?}");
        right += usize::from(!found.is_empty());
    }
    right
}

/// A thousand digits of every length, level, twist and offset that Q.24 wants recognised, with
/// noise 15 dB below: all are, once each.
#[test]
fn a_thousand_digits() {
    let right = heard(1, 1000, |random| Key {
        ms: random.between(40.0, 120.0),
        level_db: random.between(-25.0, -6.0),
        twist_db: random.between(-8.0, 4.0),
        off: [random.between(-0.015, 0.015), random.between(-0.015, 0.015)],
        snr_db: 15.0,
        ..KEY
    });
    assert_eq!(right, 1000);
}

/// With less and less signal over noise of the whole band, digits are missed and never mistaken.
#[test]
fn noise_sweep() {
    println!("| signal to noise | heard of 300 |\n|---|---|");
    let mut last = 300;
    for (snr_db, least) in [(30.0, 300), (15.0, 300), (12.0, 297), (9.0, 270), (6.0, 0), (0.0, 0)] {
        let right = heard(2, 300, |_| Key { snr_db, ms: 80.0, ..KEY });
        println!("| {snr_db} dB | {right} |");
        assert!(right >= least && right <= last, "{right} at {snr_db} dB");
        last = right;
    }
}

/// Tones 1.5 % off are taken, tones 3.5 % off refused, in either group.
#[test]
fn frequency_limits() {
    for (off, taken) in [(0.015, 200), (-0.015, 200), (0.035, 0), (-0.035, 0)] {
        for group in [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] {
            let off = group.map(|part| part * off);
            assert_eq!(heard(3, 200, |_| Key { off, snr_db: 30.0, ..KEY }), taken, "{off:?}");
        }
    }
}

/// Twist within 4 and -8 dB is taken, 8 and -12 dB refused.
#[test]
fn twist_limits() {
    for (twist_db, taken) in [(4.0, 100), (-8.0, 100), (8.0, 0), (-12.0, 0)] {
        let right = heard(4, 100, |_| Key { twist_db, snr_db: 30.0, ..KEY });
        assert_eq!(right, taken, "{twist_db} dB");
    }
}

/// Tones of 40 ms are taken and of 23 ms refused, wherever the windows lie; too weak ones are
/// refused.
#[test]
fn length_and_level_limits() {
    for (ms, taken) in [(40.0, 300), (23.0, 0), (10.0, 0)] {
        assert_eq!(heard(5, 300, |_| Key { ms, snr_db: 30.0, ..KEY }), taken, "{ms} ms");
    }
    for (level_db, taken) in [(-31.0, 100), (-40.0, 0)] {
        let right = heard(6, 100, |_| Key { level_db, snr_db: 30.0, ..KEY });
        assert_eq!(right, taken, "{level_db} dB");
    }
}

/// The same key three times with pauses of 40 ms is three digits; an interruption of 10 ms is none;
/// another key at once is another digit.
#[test]
fn pauses_and_interruptions() {
    let mut random = Random(7);
    let mut samples = vec![];
    for (digit, pause_ms) in [('5', 50.0), ('5', 40.0), ('5', 40.0), ('5', 10.0), ('9', 0.0)] {
        press(&mut samples, &mut random, Key { digit, ..KEY }, pause_ms);
    }
    assert_eq!(digits(&listen(&samples)), "5559");
}

/// Lengths are told to 6 ms.
#[test]
fn durations() {
    let mut random = Random(8);
    for ms in [40.0, 57.0, 100.0, 250.0, 1000.0] {
        let mut samples = vec![];
        press(&mut samples, &mut random, Key { ms, ..KEY }, 43.0);
        let found = listen(&samples);
        let [one] = found[..] else { panic!("{ms} ms: {found:?}") };
        assert!((f64::from(one.duration_ms) - ms).abs() < 6.0, "{ms} ms: {one:?}");
    }
}

/// Ten minutes of sound that is no digit: noise, vowels whose pitch and formants glide, chords,
/// single tones of the very frequencies, and what a PBX sends of its own. None is a digit.
#[test]
fn other_sounds_are_no_digits() {
    let mut random = Random(9);
    for kind in 0..5 {
        let mut samples = vec![];
        while samples.len() < 2 * 60 * 8000 {
            sound(kind, &mut random, &mut samples);
        }
        let found = listen(&samples);
        assert!(found.is_empty(), "kind {kind}: {} digits", found.len());
    }
}

/// A stretch of 200 ms of a kind of sound.
fn sound(kind: u32, random: &mut Random, samples: &mut Vec<i16>) {
    let pitch = random.between(80.0, 400.0);
    let glide = random.between(-60.0, 60.0);
    let formants = [
        random.between(300.0, 900.0),
        random.between(900.0, 2400.0),
        random.between(2400.0, 3400.0),
    ];
    let chord = [0.0, 4.0, 7.0, 12.0, 16.0].map(|step: f64| pitch * 2.0 * 2_f64.powf(step / 12.0));
    let tone = f64::from(TONES_HZ[(random.unit() * 8.0) as usize]);
    let mut phase = 0.0;
    for n in 0..1600 {
        let t = f64::from(n) / 8000.0;
        let sample = match kind {
            0 => 3000.0 * random.normal(),
            1 => {
                phase += (pitch + glide * t) / 8000.0;
                let harmonic = |h: u32| {
                    let hz = pitch * f64::from(h);
                    let near = |f: &f64| 1.0 / (1.0 + ((hz - f) / 120.0).powi(2));
                    let gain: f64 = formants.iter().map(near).sum();
                    gain * (TAU * phase * f64::from(h)).sin()
                };
                4000.0 * (1..40).map(harmonic).sum::<f64>()
            }
            2 => chord.iter().map(|hz| 3000.0 * (TAU * hz * t).sin()).sum(),
            3 => 9000.0 * (TAU * tone * t).sin(),
            // Dial tone, busy and ringing of Europe and North America.
            _ => {
                let pairs = [[425.0, 0.0], [350.0, 440.0], [440.0, 480.0], [480.0, 620.0]];
                let [a, b] = pairs[(pitch / 100.0) as usize % 4];
                5000.0 * ((TAU * a * t).sin() + (TAU * b * t).sin())
            }
        };
        samples.push(sample.clamp(-32_768.0, 32_767.0) as i16);
    }
}
