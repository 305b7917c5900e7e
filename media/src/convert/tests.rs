use super::*;
use crate::codec::g722;
use std::f64::consts::TAU;

/// Whole periods in a tenth of a second, but no period of whole samples: the errors of coding are
/// spread instead of repeated.
const TONE_HZ: f64 = 1010.0;
const AMPLITUDE: f64 = 12000.0;

/// Everything that a leg or an agent speaks, but for codecs with a memory.
fn formats() -> Vec<AudioFormat> {
    let mut formats = vec![AudioFormat::PCMU, AudioFormat::PCMA];
    for rate_hz in [8000, 16000, 24000, 48000] {
        formats.extend([AudioFormat::l16le(rate_hz), AudioFormat::l16be(rate_hz)]);
    }
    formats
}

/// Everything that a leg or an agent speaks.
fn all_pairs() -> impl Iterator<Item = (AudioFormat, AudioFormat)> {
    let formats = || formats().into_iter().chain([AudioFormat::G722]);
    formats().flat_map(move |from| formats().map(move |to| (from, to)))
}

fn pairs() -> impl Iterator<Item = (AudioFormat, AudioFormat)> {
    formats().into_iter().flat_map(|from| formats().into_iter().map(move |to| (from, to)))
}

/// Samples as payload, by the definition of each format.
fn payload(format: AudioFormat, samples: impl Iterator<Item = i16>) -> Vec<u8> {
    if format == AudioFormat::G722 {
        let samples: Vec<i16> = samples.collect();
        let mut bytes = vec![0; samples.len() / 2];
        g722::Encoder::new().encode(&samples, &mut bytes);
        return bytes;
    }
    samples
        .flat_map(|sample| match format.codec {
            Codec::Pcmu => vec![Law::Mu.code(sample)],
            Codec::Pcma => vec![Law::A.code(sample)],
            Codec::L16Le => sample.to_le_bytes().to_vec(),
            Codec::L16Be => sample.to_be_bytes().to_vec(),
            Codec::G722 | Codec::Opus => unreachable!(),
        })
        .collect()
}

/// A payload's samples, by the definition of its format.
fn samples(format: AudioFormat, payload: &[u8]) -> Vec<i16> {
    payload
        .chunks(format.codec.sample_bytes())
        .map(|bytes| match (format.codec, bytes) {
            (Codec::Pcmu, [code]) => Law::Mu.sample(*code),
            (Codec::Pcma, [code]) => Law::A.sample(*code),
            (Codec::L16Le, [low, high]) | (Codec::L16Be, [high, low]) => {
                i16::from_be_bytes([*high, *low])
            }
            _ => panic!("a whole number of samples"),
        })
        .collect()
}

fn tone(format: AudioFormat, ms: u32) -> Vec<u8> {
    let step = TAU * TONE_HZ / f64::from(format.rate_hz);
    let samples = (0..format.samples(ms)).map(|n| (AMPLITUDE * (step * n as f64).sin()) as i16);
    payload(format, samples)
}

fn convert(from: AudioFormat, to: AudioFormat, input: &[u8], frame_ms: u32) -> Vec<u8> {
    let mut converter = Converter::new(from, to);
    let mut all = vec![];
    for frame in input.chunks(from.bytes(frame_ms)) {
        let mut out = vec![0; converter.max_output(frame.len())];
        let count = converter.convert(frame, &mut out);
        all.extend_from_slice(&out[..count]);
    }
    all
}

/// Amplitude and phase of the tone (Goertzel's sum over whole periods), and energy of all else.
fn analyse(samples: &[i16], rate_hz: u32, first: usize) -> (f64, f64, f64) {
    let step = TAU * TONE_HZ / f64::from(rate_hz);
    let (mut sin_sum, mut cos_sum, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (step * (n + first) as f64).sin_cos();
        sin_sum += f64::from(*sample) * sin;
        cos_sum += f64::from(*sample) * cos;
        energy += f64::from(*sample).powi(2);
    }
    let half = samples.len() as f64 / 2.0;
    let amplitude = (sin_sum * sin_sum + cos_sum * cos_sum).sqrt() / half;
    (amplitude, cos_sum.atan2(sin_sum), (energy - amplitude * amplitude * half).max(1e-9))
}

/// A tone through every pair of formats: as long, at the same frequency and level, as late as
/// stated, and with no more noise than the codings themselves make.
#[test]
fn a_tone_through_every_pair() {
    for (from, to) in pairs() {
        let out = samples(to, &convert(from, to, &tone(from, 200), 20));
        assert_eq!(out.len(), to.samples(200), "{from:?} {to:?}");
        let skip = to.samples(50);
        let (amplitude, phase, rest) = analyse(&out[skip..][..to.samples(100)], to.rate_hz, skip);
        let level_db = 20.0 * (amplitude / AMPLITUDE).log10();
        assert!(level_db.abs() < 0.1, "{from:?} {to:?}: {level_db} dB");

        let signal = amplitude * amplitude * to.samples(100) as f64 / 2.0;
        let snr_db = 10.0 * (signal / rest).log10();
        let companded = [from, to].iter().filter(|f| law(f.codec).is_some()).count();
        let floor_db = match (companded, from.rate_hz == to.rate_hz) {
            (0, true) => 80.0,
            (0, false) => 60.0,
            (1, _) => 36.0,
            _ => 33.0,
        };
        assert!(snr_db > floor_db, "{from:?} {to:?}: {snr_db} dB");

        let delay = Converter::new(from, to).delay();
        assert_eq!(delay.is_zero(), from.rate_hz == to.rate_hz);
        assert!(delay <= Duration::from_millis(2));
        let off = (phase / TAU + TONE_HZ * delay.as_secs_f64()).rem_euclid(1.0);
        let late_s = off.min(1.0 - off) / TONE_HZ;
        assert!(late_s < 5e-6, "{from:?} {to:?}: off by {late_s} s");
    }
}

/// Silence of each format becomes silence of the other, from the first byte on: at most the 8 that
/// A-law's quietest code stands for, and a filter's swing when that begins.
#[test]
fn silence_stays_silence() {
    for (from, to) in pairs() {
        let input = vec![from.codec.silence(); from.bytes(100)];
        let out = samples(to, &convert(from, to, &input, 20));
        assert_eq!(out.len(), to.samples(100));
        assert!(out.iter().all(|s| s.abs() <= 9), "{from:?} {to:?}");
        if from.codec != Codec::Pcma && to.codec != Codec::Pcma {
            assert!(out.iter().all(|s| *s == 0), "{from:?} {to:?}");
        }
    }
}

/// A tone to G.722 and back from every format: at its level, as late as stated, with the noise of
/// the codec and no more.
#[test]
fn a_tone_through_g722() {
    for format in formats() {
        let coded = convert(format, AudioFormat::G722, &tone(format, 300), 20);
        assert_eq!(coded.len(), AudioFormat::G722.bytes(300), "{format:?}");
        let out = samples(format, &convert(AudioFormat::G722, format, &coded, 20));
        assert_eq!(out.len(), format.samples(300), "{format:?}");
        let skip = format.samples(100);
        let heard = &out[skip..][..format.samples(100)];
        let (amplitude, phase, rest) = analyse(heard, format.rate_hz, skip);
        let level_db = 20.0 * (amplitude / AMPLITUDE).log10();
        assert!(level_db.abs() < 0.3, "{format:?}: {level_db} dB");
        let signal = amplitude * amplitude * heard.len() as f64 / 2.0;
        let snr_db = 10.0 * (signal / rest).log10();
        assert!(snr_db > 24.0, "{format:?}: {snr_db} dB");

        let there = Converter::new(format, AudioFormat::G722).delay();
        let delay = there + Converter::new(AudioFormat::G722, format).delay();
        let off = (phase / TAU + TONE_HZ * delay.as_secs_f64()).rem_euclid(1.0);
        let late_s = off.min(1.0 - off) / TONE_HZ;
        assert!(late_s < 2e-5, "{format:?}: off by {late_s} s");
    }
}

/// Equal formats are the identity, and only these; the bytes pass, an odd one too.
#[test]
fn identity() {
    for (from, to) in all_pairs() {
        assert_eq!(Converter::new(from, to).is_identity(), from == to);
    }
    let mut converter = Converter::new(AudioFormat::l16le(16000), AudioFormat::l16le(16000));
    let mut out = [0; 9];
    assert_eq!(converter.convert(b"payload", &mut out), 7);
    assert_eq!(&out[..7], b"payload");
    assert_eq!(converter.max_output(7), 7);
    assert_eq!(
        (converter.from(), converter.to()),
        (AudioFormat::l16le(16000), AudioFormat::l16le(16000))
    );
}

/// However long the payloads are, from one sample up to the largest message, the stream is the
/// same.
#[test]
fn payloads_of_any_length() {
    for (from, to) in all_pairs() {
        let whole_ms = (MAX_CONVERT_INPUT_BYTES / from.bytes(1)) as u32;
        let input: Vec<u8> = (0..from.bytes(whole_ms) as u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 19) as u8)
            .collect();
        let whole = convert(from, to, &input, whole_ms);
        assert_eq!(whole.len(), to.bytes(whole_ms), "{from:?} {to:?}");
        assert!(convert(from, to, &input, 1) == whole, "{from:?} {to:?}");
        let mut converter = Converter::new(from, to);
        let (mut pieces, mut rest) = (vec![], &input[..]);
        for length in (1..400).cycle() {
            let bytes = (length * from.codec.sample_bytes()).min(rest.len());
            let (now, later) = rest.split_at(bytes);
            rest = later;
            let mut out = vec![0; converter.max_output(bytes)];
            let count = converter.convert(now, &mut out);
            pieces.extend_from_slice(&out[..count]);
            if rest.is_empty() {
                break;
            }
        }
        assert!(pieces == whole, "{from:?} {to:?}");
    }
}

/// Output that is too short is filled and no more; nothing is touched behind it; an odd byte of
/// linear input counts for nothing; no input gives no output.
#[test]
fn short_output_and_odd_input() {
    for (from, to) in all_pairs() {
        let input = tone(from, 20);
        let whole = convert(from, to, &input, 20);
        for room in [0, 1, 7, whole.len() / 2, whole.len() - 1] {
            let mut out = vec![0; room];
            let count = Converter::new(from, to).convert(&input, &mut out);
            assert!(count <= room && count + 12 > room.min(whole.len()), "{from:?} {to:?}");
            assert_eq!(out[..count], whole[..count], "{from:?} {to:?}");
        }
        if from.codec.sample_bytes() == 2 && from != to {
            let odd = [&input[..], &[0x55]].concat();
            assert_eq!(convert(from, to, &odd, 21), whole, "{from:?} {to:?}");
        }
        assert_eq!(Converter::new(from, to).convert(&[], &mut [0; 9]), 0);
    }
}

/// After a reset a converter behaves as a new one.
#[test]
fn reset_forgets() {
    for (from, to) in all_pairs() {
        let input = tone(from, 20);
        let mut converter = Converter::new(from, to);
        let mut out = vec![0; converter.max_output(input.len())];
        converter.convert(&input[..from.bytes(7)], &mut out);
        converter.reset();
        let count = converter.convert(&input, &mut out);
        assert_eq!(out[..count], convert(from, to, &input, 20), "{from:?} {to:?}");
    }
}

/// After a cut what comes out continues nothing, but a decoder goes on with the stream that it has
/// followed: it is not off for the milliseconds that a new one is.
#[test]
fn cut_keeps_the_decoder() {
    let (from, to) = (AudioFormat::G722, AudioFormat::l16le(16_000));
    let input = tone(from, 60);
    let (first, second) = input.split_at(from.bytes(30));
    let whole = convert(from, to, &input, 60);
    let after = |cut: fn(&mut Converter)| {
        let mut converter = Converter::new(from, to);
        let mut out = vec![0; converter.max_output(input.len())];
        converter.convert(first, &mut out);
        cut(&mut converter);
        let count = converter.convert(second, &mut out);
        out.truncate(count);
        out
    };
    assert_eq!(after(Converter::cut), whole[whole.len() / 2..]);
    assert_ne!(after(Converter::reset), whole[whole.len() / 2..]);
    // What is resampled, or coded with a memory, begins anew.
    let (from, to) = (AudioFormat::PCMU, AudioFormat::G722);
    let mut converter = Converter::new(from, to);
    let mut out = vec![0; 960];
    converter.convert(&tone(from, 20), &mut out);
    converter.cut();
    let count = converter.convert(&tone(from, 20), &mut out);
    assert_eq!(out[..count], convert(from, to, &tone(from, 20), 20));
}

/// Rates that nothing converts: an error where asked, else no output and no panic.
#[test]
fn impossible_rates() {
    for rate_hz in [0, 1, 100, u32::MAX] {
        let (from, to) = (AudioFormat::l16le(rate_hz), AudioFormat::PCMU);
        for (from, to) in [(from, to), (to, from)] {
            let error = Converter::try_new(from, to).unwrap_err();
            assert_eq!(error, ConvertError::Rate(ResampleError::Rate { rate_hz }));
            let mut converter = Converter::new(from, to);
            assert_eq!(converter.max_output(100), 0);
            assert_eq!(converter.convert(&[1; 100], &mut [0; 100]), 0);
            assert!(!converter.is_identity());
        }
    }
}
