//! Bit for bit against two independent implementations, and against what the Recommendation says.

use std::f64::consts::TAU;

use audio_codec::g722::{Bitrate, G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

use super::*;

/// Numbers that look random and are the same everywhere.
fn numbers() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(1_u32), |x| {
        Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    })
    .skip(1)
}

/// A signal in integer arithmetic alone, so that any language makes the same.
fn signal(name: &str, count: usize) -> Vec<i16> {
    let mut phase = 0_u32;
    let mut sample = |i: u32, x: u32| {
        let noise = (x >> 16) as i16;
        match name {
            "noise" => noise,
            "quiet" => noise >> 7,
            "square" => {
                phase += 1 + (i >> 8);
                if phase >> 8 & 1 == 1 { i16::MAX } else { i16::MIN }
            }
            "sweep" => {
                phase = phase.wrapping_add(i.wrapping_mul(20_000));
                let height = i32::from((phase >> 16) as i16).abs();
                (2 * height - 32_767).clamp(-32_768, 32_767) as i16
            }
            "bursts" => match i % 4000 {
                rise @ ..2000 => ((i32::from(noise) * rise as i32) >> 11) as i16,
                _ => 0,
            },
            "zero" => 0,
            "max" => i16::MAX,
            "min" => i16::MIN,
            _ => panic!("no signal {name}"),
        }
    };
    (0..).zip(numbers()).take(count).map(|(i, x)| sample(i, x)).collect()
}

fn random_bytes(count: usize) -> Vec<u8> {
    numbers().take(count).map(|x| (x >> 24) as u8).collect()
}

fn encode(samples: &[i16]) -> Vec<u8> {
    let mut bytes = vec![0; samples.len() / 2];
    assert_eq!(Encoder::new().encode(samples, &mut bytes), bytes.len());
    bytes
}

fn decode(bytes: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; bytes.len() * 2];
    assert_eq!(Decoder::default().decode(bytes, &mut samples), samples.len());
    samples
}

/// FNV-1a, so that long outputs can be compared with what was made elsewhere.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, fold)
}

fn hash_samples(samples: &[i16]) -> u64 {
    hash(samples.iter().flat_map(|sample| sample.to_le_bytes()))
}

/// Four seconds of each signal, coded from the reset state and decoded again, equal what libg722
/// 1.2 (a C library in wide use) makes of them: noise, quiet noise, steps between the extremes of
/// rising frequency, a sweep, bursts with pauses, and constants.
#[test]
fn equals_a_c_library_from_the_reset_on() {
    let expected = [
        ("noise", 0xe9b9bee3269d309a, 0x348a83547eb80af5),
        ("quiet", 0x8e5aed22b0151b21, 0xba1cb9f330fee9fc),
        ("square", 0xe6499832d5169e02, 0x4bf3a9c8868b1431),
        ("sweep", 0x9675498debabcc5e, 0xa95be978a83a947a),
        ("bursts", 0xf0c35158be846dd5, 0x31f70281bce08480),
        ("zero", 0xe404bd594fa3d8cd, 0x5687ec910ea281bf),
        ("max", 0x916c279dc6d77483, 0xe4fa95ef472fd9e3),
        ("min", 0xa4dccd5c7932ee6b, 0x3902a80f6cb87cad),
    ];
    for (name, bytes_hash, samples_hash) in expected {
        let bytes = encode(&signal(name, 64_000));
        assert_eq!(hash(bytes.iter().copied()), bytes_hash, "{name}: encoder");
        assert_eq!(hash_samples(&decode(&bytes)), samples_hash, "{name}: decoder");
    }
}

/// Bytes that no encoder sends are sound too, in each mode, and the same sound as in libg722.
#[test]
fn any_bytes_sound_as_in_a_c_library() {
    let bytes = random_bytes(64_000);
    let expected = [
        (Mode::One, 0x834d43855230e4ce),
        (Mode::Two, 0xa062ef50f108716c),
        (Mode::Three, 0x0356e70abc8f7655),
    ];
    for (mode, samples_hash) in expected {
        let mut samples = vec![0; bytes.len() * 2];
        Decoder::new(mode).decode(&bytes, &mut samples);
        assert_eq!(hash_samples(&samples), samples_hash, "{mode:?}");
    }
}

/// The first bytes from the reset state, in full.
#[test]
fn first_bytes() {
    let samples = &signal("bursts", 4000)[1000..1080];
    let bytes = [
        42, 133, 38, 154, 9, 132, 139, 160, 4, 35, 174, 20, 152, 188, 146, 166, 45, 47, 24, 189,
        18, 137, 154, 22, 153, 58, 227, 235, 47, 23, 110, 167, 24, 239, 28, 81, 180, 169, 189, 208,
    ];
    assert_eq!(encode(samples), bytes);
    let heard = [
        0, -1, -1, 0, 0, -2, -1, 3, -2, -9, 7, 26, 2, -55, -32, 43, 77, 38, -49, -252, -168, 85,
        -541, -1327, 243, 2424, 136, -4222, -2637, 4464, 9335, 7704, 2309, -2774, -5265, -4635,
        -1049, 1966, -1689, -7025, -3059, 9157, 13028, 7111, 4697, 6565, 5083, -1845, -3066, -197,
        8, -3376, -8532, -13670, -13215, -3853, -1958, -5566, -4557, -1308, -3215, -3508, 6578,
        14356, 15238, 12155, 9376, 8115, 8134, -1607, -870, -260, 7037, 14175, 5195, -4699, -363,
        4322, 4673, -1462,
    ];
    assert_eq!(decode(&bytes), heard);
}

/// The same as another implementation in Rust, which starts from another state: after a second of
/// noise both have forgotten where they came from.
#[test]
fn equals_another_once_the_start_is_forgotten() {
    let warm = signal("noise", 16_000);
    for name in ["noise", "quiet", "square", "sweep", "bursts"] {
        let samples = [&warm[..], &signal(name, 32_000)].concat();
        let theirs = G722Encoder::with_options(Bitrate::Mode1_64000, false, false).encode(&samples);
        let ours = encode(&samples);
        assert!(ours[8000..] == theirs[8000..], "{name}: encoder");
        let theirs = G722Decoder::with_options(Bitrate::Mode1_64000, false, false).decode(&ours);
        assert!(decode(&ours)[16_000..] == theirs[16_000..], "{name}: decoder");
    }
}

/// Level and delay of a tone through both ends, with the energy of all else, in decibels.
fn tone(hz: f64, peak: f64) -> (f64, f64) {
    let samples: Vec<i16> = (0..16_000)
        .map(|n| (peak * (TAU * hz * f64::from(n) / 16_000.0).sin()).round() as i16)
        .collect();
    let heard = &decode(&encode(&samples))[3200..][..9600];
    let (mut sin_sum, mut cos_sum, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in heard.iter().enumerate() {
        let (sin, cos) = (TAU * hz * n as f64 / 16_000.0).sin_cos();
        sin_sum += f64::from(*sample) * sin;
        cos_sum += f64::from(*sample) * cos;
        energy += f64::from(*sample).powi(2);
    }
    let half = heard.len() as f64 / 2.0;
    let amplitude = (sin_sum * sin_sum + cos_sum * cos_sum).sqrt() / half;
    let signal = amplitude * amplitude * half;
    (20.0 * (amplitude / peak).log10(), 10.0 * (signal / (energy - signal).max(1e-9)).log10())
}

/// The response is flat from 100 Hz to 7 kHz but for the corner between the bands, and the codec
/// adds little besides the tone: more in the high band, which has two bits.
#[test]
fn frequency_response() {
    for hz in [100.0, 300.0, 1000.0, 2000.0, 3000.0, 3500.0, 4500.0, 5000.0, 6000.0, 7000.0] {
        let (level_db, snr_db) = tone(hz, 8000.0);
        assert!(level_db.abs() < 1.0, "{hz} Hz: {level_db:.2} dB");
        let floor_db = if hz < 4000.0 { 27.0 } else { 12.0 };
        assert!(snr_db > floor_db, "{hz} Hz: {snr_db:.1} dB of signal to noise");
    }
}

/// The signal-to-noise ratio holds over 45 dB of level, because the scale follows.
#[test]
fn dynamic_range() {
    for peak in [160.0, 500.0, 1600.0, 5000.0, 16_000.0, 28_000.0] {
        let (level_db, snr_db) = tone(1020.0, peak);
        assert!(level_db.abs() < 0.5 && snr_db > 24.0, "{peak}: {level_db:.2} dB, {snr_db:.1} dB");
    }
}

/// A sound comes out 22 samples (1.375 ms) after it went in.
#[test]
fn delay() {
    let mut samples = vec![0; 800];
    samples[400..440].copy_from_slice(&signal("noise", 40));
    let heard = decode(&encode(&samples));
    let likeness = |late: usize| -> i64 {
        samples[400..440]
            .iter()
            .zip(&heard[400 + late..])
            .map(|(a, b)| i64::from(*a) * i64::from(*b))
            .sum()
    };
    assert_eq!((0..60).max_by_key(|late| likeness(*late)), Some(22));
}

/// Pieces of any length, odd ones too, make the same stream as the whole.
#[test]
fn pieces_are_a_stream() {
    let samples = signal("bursts", 4001);
    let whole = encode(&samples);
    assert_eq!(whole.len(), 2000);
    let (mut encoder, mut bytes, mut rest) = (Encoder::new(), vec![], &samples[..]);
    for length in (0..700).step_by(37).cycle() {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        let mut out = [0; 400];
        let count = encoder.encode(piece, &mut out);
        bytes.extend_from_slice(&out[..count]);
        if rest.is_empty() {
            break;
        }
    }
    assert!(bytes == whole);

    let heard = decode(&whole);
    let (mut decoder, mut pieces) = (Decoder::default(), vec![]);
    for piece in whole.chunks(7) {
        let mut out = [0; 14];
        let count = decoder.decode(piece, &mut out);
        pieces.extend_from_slice(&out[..count]);
    }
    assert!(pieces == heard);
}

/// What has no room is not written, and nothing behind the room is touched.
#[test]
fn short_output() {
    let samples = signal("noise", 800);
    let (bytes, heard) = (encode(&samples), decode(&encode(&samples)));
    for room in [0, 1, 2, 3, 161, 399] {
        let mut out = vec![0; room];
        assert_eq!(Encoder::new().encode(&samples, &mut out), room);
        assert_eq!(out, bytes[..room]);
        let mut out = vec![0x55; room];
        let count = Decoder::default().decode(&bytes, &mut out);
        assert_eq!(count, room & !1);
        assert_eq!(out[..count], heard[..count]);
        assert!(out[count..].iter().all(|sample| *sample == 0x55));
    }
}

/// A reset is as good as a new one, whatever was before.
#[test]
fn reset_state() {
    let samples = signal("noise", 640);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::default());
    let (mut bytes, mut heard) = ([0; 320], [0; 640]);
    encoder.encode(&samples[..333], &mut bytes);
    decoder.decode(&random_bytes(320), &mut heard);
    encoder.reset();
    decoder.reset();
    encoder.encode(&samples, &mut bytes);
    decoder.decode(&bytes, &mut heard);
    assert_eq!(bytes[..], encode(&samples));
    assert_eq!(heard[..], decode(&bytes));
}

/// The byte of silence is no more than 56 dB below full scale 20 ms after the loudest noise, and
/// that at 0 and 8,000 Hz alone.
#[test]
fn silence() {
    let mut bytes = encode(&signal("noise", 3200));
    let speech = bytes.len() * 2;
    bytes.extend([SILENCE; 8000]);
    let heard = decode(&bytes);
    assert!(heard[speech + 320..].iter().all(|sample| sample.abs() <= 60));
    let settled = &heard[speech + 4000..];
    assert!(settled.windows(3).all(|three| three[0] == three[2]));
}

/// The codes 0 to 3 of the low band, which with a high band of zero would make a byte of zeros or
/// nearly so, are never sent (clause 3.2.1).
#[test]
fn reserved_codes_are_not_sent() {
    for name in ["noise", "quiet", "square", "sweep", "bursts", "max", "min"] {
        assert!(encode(&signal(name, 64_000)).iter().all(|byte| byte & 63 > 3), "{name}");
    }
}
