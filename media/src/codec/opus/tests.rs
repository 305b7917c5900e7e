//! Opus against libopus itself: what is coded, what is heard of it, and what a loss does.

use std::f64::consts::TAU;

use super::*;
use crate::codec::AudioFormat;
use crate::convert::Converter;

/// Speech-like: three harmonics of a gliding voice, with pauses.
fn voice(rate_hz: u32, ms: u32) -> Vec<i16> {
    let mut phase = 0.0;
    (0..rate_hz / 1_000 * ms)
        .map(|n| {
            let at = f64::from(n) / f64::from(rate_hz);
            phase += TAU * (150.0 + 40.0 * (at * 3.0).sin()) / f64::from(rate_hz);
            let loud = (at * 4.0).sin().max(0.0);
            let sound = phase.sin() + 0.5 * (3.0 * phase).sin() + 0.3 * (7.0 * phase).sin();
            (sound * loud * 6_000.0) as i16
        })
        .collect()
}

fn sine(hz: f64, rate_hz: u32, ms: u32) -> Vec<i16> {
    let sample = |n: u32| (f64::from(n) * TAU * hz / f64::from(rate_hz)).sin() * 10_000.0;
    (0..rate_hz / 1_000 * ms).map(|n| sample(n) as i16).collect()
}

/// Amplitude of `hz` in the last half second.
fn amplitude(samples: &[i16], hz: f64, rate_hz: u32) -> f64 {
    let part = &samples[samples.len() - rate_hz as usize / 2..];
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in part.iter().enumerate() {
        let phase = n as f64 * TAU * hz / f64::from(rate_hz);
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    2.0 * re.hypot(im) / part.len() as f64
}

fn packets(encoder: &mut Encoder, sound: &[i16], frame: usize) -> Vec<Vec<u8>> {
    let mut out = [0; PACKET_BYTES_MAX];
    sound
        .chunks_exact(frame)
        .map(|samples| {
            encoder.push(samples);
            let bytes = encoder.packet(&mut out);
            out[..bytes].to_vec()
        })
        .collect()
}

/// Tones survive at every rate of an agent, in packets of 20 ms of the length they claim.
#[test]
fn opus_tones_at_every_rate() {
    for rate_hz in [8_000, 12_000, 16_000, 24_000, 48_000] {
        let frame = rate_hz as usize / 50;
        let mut encoder = Encoder::new(rate_hz).unwrap();
        let mut decoder = Decoder::new(rate_hz).unwrap();
        for hz in [440.0, 1_000.0, 3_000.0] {
            let mut heard = Vec::new();
            for packet in packets(&mut encoder, &sine(hz, rate_hz, 1_000), frame) {
                assert_eq!(packet_ticks(&packet), 960);
                let mut out = vec![0; 6 * frame];
                assert_eq!(decoder.decode(&packet, &mut out), frame);
                heard.extend_from_slice(&out[..frame]);
            }
            let left = amplitude(&heard, hz, rate_hz);
            assert!((8_500.0..11_000.0).contains(&left), "{hz} Hz at {rate_hz}: {left}");
        }
    }
}

/// Through converters, to and from every format that agents and peers have; what is above 4 kHz
/// reaches an agent at 16 kHz, and G.711 in frames of 30 ms becomes packets without a gap.
#[test]
fn opus_in_converters() {
    for (format, hz) in [
        (AudioFormat::PCMU, 1_000.0),
        (AudioFormat::G722, 6_000.0),
        (AudioFormat::l16le(16_000), 6_000.0),
        (AudioFormat::l16le(24_000), 6_000.0),
        (AudioFormat::l16be(48_000), 7_000.0),
    ] {
        for ms in [20, 30] {
            let rate_hz = format.rate_hz;
            let mut code = Converter::new(AudioFormat::l16le(rate_hz), format);
            let (mut to, mut from) = (
                Converter::new(format, AudioFormat::OPUS),
                Converter::new(AudioFormat::OPUS, format),
            );
            let mut listen = Converter::new(format, AudioFormat::l16le(rate_hz));
            let (mut coded, mut packet, mut back, mut linear) =
                (vec![0; 8_192], vec![0; 8_192], vec![0; 65_536], vec![0; 65_536]);
            let (mut heard, mut ticks) = (Vec::new(), 0);
            let sound = sine(hz, rate_hz, 1_500);
            for samples in sound.chunks_exact(format.samples(ms)) {
                let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
                let length = code.convert(&bytes, &mut coded);
                let length = to.convert(&coded[..length], &mut packet);
                assert!(length <= to.max_output(coded.len()));
                ticks += packet_ticks(&packet[..length]);
                if length > 0 {
                    let length = from.convert(&packet[..length], &mut back);
                    let length = listen.convert(&back[..length], &mut linear);
                    heard.extend(
                        linear[..length].chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]])),
                    );
                }
            }
            assert_eq!(ticks + to.held_ticks(), 1_500 * 48, "{format:?} {ms}");
            let left = amplitude(&heard, hz, rate_hz);
            assert!((7_000.0..11_500.0).contains(&left), "{hz} Hz in {format:?}: {left}");
        }
    }
}

/// What the receiver wants is obeyed: bandwidth, bit rate, and pauses in which nothing is sent.
#[test]
fn opus_settings_are_obeyed() {
    let mut encoder = Encoder::new(48_000).unwrap();
    let narrow = Settings { max_rate_hz: 8_000, ..Settings::default() };
    encoder.tune(&narrow);
    let mut decoder = Decoder::new(48_000).unwrap();
    let mut heard = Vec::new();
    for packet in packets(&mut encoder, &sine(6_000.0, 48_000, 1_000), 960) {
        // Narrow-band SILK or CELT (RFC 6716 table 2).
        assert!(matches!(packet[0] >> 3, 0..4 | 16..20), "{:#x}", packet[0]);
        let mut out = [0; 5_760];
        let count = decoder.decode(&packet, &mut out);
        heard.extend_from_slice(&out[..count]);
    }
    assert!(amplitude(&heard, 6_000.0, 48_000) < 500.0);

    let size = |settings: Settings| {
        let mut encoder = Encoder::new(48_000).unwrap();
        encoder.tune(&settings);
        let sound = voice(48_000, 4_000);
        packets(&mut encoder, &sound, 960).iter().map(Vec::len).sum::<usize>()
    };
    let usual = size(Settings::default());
    assert!((8_000..=18_000).contains(&usual), "{usual} bytes in 4 s");
    let small = size(Settings { max_bitrate_bps: Some(12_000), ..Settings::default() });
    assert!(small <= 7_000, "{small} bytes in 4 s");

    let mut quiet = Encoder::new(48_000).unwrap();
    quiet.tune(&Settings { pauses: true, ..Settings::default() });
    let sent = packets(&mut quiet, &[0; 48_000 * 4], 960);
    let sent = sent.iter().filter(|packet| !packet.is_empty()).count();
    assert!((5..=60).contains(&sent), "{sent} of 200 packets of silence");
}

/// A lost packet is made up for by the one after it, closer to what was said than a guess is.
#[test]
fn opus_recovers_a_lost_packet() {
    let sound = voice(16_000, 6_000);
    let mut encoder = Encoder::new(16_000).unwrap();
    encoder.tune(&Settings { redundancy: true, ..Settings::default() });
    let sent = packets(&mut encoder, &sound, 320);
    let redundant = sent.iter().filter(|packet| has_redundancy(packet)).count();
    assert!(redundant > sent.len() / 4, "{redundant} of {}", sent.len());
    let mut plain = Encoder::new(16_000).unwrap();
    assert!(!packets(&mut plain, &sound, 320).iter().any(|packet| has_redundancy(packet)));

    let (mut whole, mut mended, mut guessed) = (
        Decoder::new(16_000).unwrap(),
        Decoder::new(16_000).unwrap(),
        Decoder::new(16_000).unwrap(),
    );
    let (mut error_mended, mut error_guessed, mut losses) = (0.0, 0.0, 0);
    let decode = |decoder: &mut Decoder, packet: &[u8]| {
        let mut out = [0; 1_920];
        assert_eq!(decoder.decode(packet, &mut out), 320);
        out
    };
    let difference = |a: &[i16], b: &[i16]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(i32::from(*a) - i32::from(*b)).powi(2)).sum()
    };
    for (n, packet) in sent.iter().enumerate() {
        let right = decode(&mut whole, packet);
        if n % 10 == 5 && sent.get(n + 1).is_some_and(|next| has_redundancy(next)) {
            let (mut repeated, mut guess) = ([0; 320], [0; 320]);
            assert_eq!(mended.recover(&sent[n + 1], &mut repeated), 320);
            assert_eq!(guessed.conceal(&mut guess), 320);
            error_mended += difference(&repeated, &right);
            error_guessed += difference(&guess, &right);
            losses += 1;
        } else {
            decode(&mut mended, packet);
            decode(&mut guessed, packet);
        }
    }
    assert!(losses >= 5, "{losses}");
    assert!(error_mended < error_guessed / 2.0, "{error_mended} {error_guessed}");
    // What repeats nothing is told.
    assert_eq!(mended.recover(&[0xfc, 1, 2], &mut [0; 320]), 0);
}

/// No bytes do harm, and what comes out is never more than was asked for.
#[test]
fn opus_takes_any_bytes() {
    let mut random = 7_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    let mut decoder = Decoder::new(16_000).unwrap();
    for _ in 0..3_000 {
        let len = usize::from(next());
        let bytes: Vec<u8> = (0..len).map(|_| next()).collect();
        let mut out = [0; 1_920];
        let count = decoder.decode(&bytes, &mut out);
        assert!(count <= 1_920);
        assert!(decoder.recover(&bytes, &mut out) <= 1_920);
        assert!(decoder.conceal(&mut out[..usize::from(next())]) <= 255);
    }
}

/// What is lost is repeated for every bandwidth that a peer may play and an agent may have.
#[test]
fn opus_repeats_at_every_bandwidth() {
    for max_rate_hz in [12_000, 16_000, 24_000, 48_000] {
        let mut encoder = Encoder::new(48_000).unwrap();
        encoder.tune(&Settings { redundancy: true, max_rate_hz, ..Settings::default() });
        let sent = packets(&mut encoder, &voice(48_000, 6_000), 960);
        let redundant = sent.iter().filter(|packet| has_redundancy(packet)).count();
        assert!(redundant > sent.len() / 4, "{max_rate_hz}: {redundant} of {}", sent.len());
    }
}
