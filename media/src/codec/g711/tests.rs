use super::*;
use crate::codec::simd::SCALAR;

const LAWS: [Law; 2] = [Law::Mu, Law::A];

/// The decision values x(0)..x(128) of G.711, tables 1a and 2a: the ends of the 128 intervals of
/// one sign, in units of 1/8159 (µ-law, 14-bit) or 1/4096 (A-law, 13-bit) of full load.
fn decision_values(law: Law) -> Vec<i32> {
    // (intervals, their width) of each straight piece of the characteristic.
    let pieces: &[(usize, i32)] = match law {
        Law::Mu => {
            &[(1, 1), (15, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128), (16, 256)]
        }
        Law::A => &[(32, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128)],
    };
    let mut ends = vec![0];
    for (intervals, width) in pieces {
        for _ in 0..*intervals {
            ends.push(ends[ends.len() - 1] + width);
        }
    }
    assert_eq!(ends.len(), 129);
    ends
}

/// G.711's character signals, bits as transmitted, of interval `n` (0..128).
fn character(law: Law, positive: bool, n: usize) -> u8 {
    let sign = if positive { 0x80 } else { 0 };
    match law {
        // Interval 0 is 1111111, interval 127 is 0000000.
        Law::Mu => sign | (127 - n as u8),
        // Interval 0 is 0000000, then the even bits are inverted.
        Law::A => (sign | n as u8) ^ 0x55,
    }
}

/// The scalar definition against the tables of G.711: each of the 256 codes means the middle of its
/// interval (0 for the innermost one of µ-law), scaled to 16 bits.
#[test]
fn samples_are_the_middles_of_intervals() {
    for (law, unit) in [(Law::Mu, 4), (Law::A, 8)] {
        let ends = decision_values(law);
        for n in 0..128 {
            let middle = match (law, n) {
                (Law::Mu, 0) => 0,
                _ => (ends[n] + ends[n + 1]) * unit / 2,
            };
            assert_eq!(i32::from(law.sample(character(law, true, n))), middle, "{law:?} {n}");
            assert_eq!(i32::from(law.sample(character(law, false, n))), -middle, "{law:?} {n}");
        }
    }
}

/// The scalar definition against the tables of G.711 as G.191 reads them: each of the 65,536
/// samples gets the interval that its magnitude (one's complement if negative, cut to 14 or 13
/// bits) lies in, and the last interval takes all overload.
#[test]
fn codes_are_the_intervals_of_all_samples() {
    for (law, bits_cut) in [(Law::Mu, 2), (Law::A, 3)] {
        let ends = decision_values(law);
        for sample in i16::MIN..=i16::MAX {
            let magnitude = if sample < 0 { -i32::from(sample) - 1 } else { i32::from(sample) };
            let magnitude = magnitude >> bits_cut;
            let n = ends[1..128].iter().filter(|end| **end <= magnitude).count();
            assert_eq!(law.code(sample), character(law, sample >= 0, n), "{law:?} {sample}");
        }
    }
}

/// Values that one can look up: overload, zero, the smallest steps.
#[test]
fn known_values() {
    assert_eq!(Law::Mu.sample(0x00), -32124);
    assert_eq!(Law::Mu.sample(0x80), 32124);
    assert_eq!(Law::Mu.sample(0xff), 0);
    assert_eq!(Law::A.sample(0x2a), -32256);
    assert_eq!(Law::A.sample(0xaa), 32256);
    assert_eq!(Law::A.sample(0xd5), 8);
    assert_eq!([-32768, -1, 0, 3, 4, 32767].map(|s| Law::Mu.code(s)), [0, 127, 255, 255, 254, 128]);
    assert_eq!([-32768, -1, 0, 15, 16].map(|s| Law::A.code(s)), [0x2a, 0x55, 0xd5, 0xd5, 0xd4]);
}

/// Every path of this machine equals the scalar definition on all codes, all samples and all
/// transcodings.
#[test]
fn every_path_on_all_inputs() {
    let codes: Vec<u8> = (0..=255).collect();
    let samples: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
    for path in simd::available() {
        for law in LAWS {
            let mut out = vec![0; 512];
            assert_eq!(law.decode_le_with(path, &codes, &mut out), 256);
            let expected = codes.iter().flat_map(|c| law.sample(*c).to_le_bytes());
            assert!(out.iter().copied().eq(expected), "{} decodes {law:?}", path.name);

            let mut out = vec![0; 65536];
            assert_eq!(law.encode_le_with(path, &samples, &mut out), 65536);
            let expected = (i16::MIN..=i16::MAX).map(|s| law.code(s));
            assert!(out.iter().copied().eq(expected), "{} encodes {law:?}", path.name);

            let other = if law == Law::Mu { Law::A } else { Law::Mu };
            let mut out = vec![0; 256];
            assert_eq!(law.transcode_with(path, &codes, &mut out), 256);
            let expected = codes.iter().map(|c| other.code(law.sample(*c)));
            assert!(out.iter().copied().eq(expected), "{} transcodes {law:?}", path.name);
        }
    }
}

/// Every path at every length up to 200 and every alignment of input and output within a cache
/// line: equals the scalar twin, and writes nothing before or behind its output.
#[test]
fn every_path_at_every_length_and_alignment() {
    const CANARY: u8 = 0xa7;
    let input: Vec<u8> =
        (0..1024u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    type Run = fn(Law, &Kernels, &[u8], &mut [u8]) -> usize;
    // Bytes of input and of output for each sample.
    let runs: [(usize, usize, Run); 3] =
        [(1, 2, Law::decode_le_with), (2, 1, Law::encode_le_with), (1, 1, Law::transcode_with)];
    for path in simd::available() {
        for (law, (bytes_in, bytes_out, run)) in
            LAWS.into_iter().flat_map(|law| runs.map(|run| (law, run)))
        {
            for length in 0..=200 {
                let mut expected = vec![CANARY; length * bytes_out];
                for align in 0..64 {
                    // Different alignments of both sides, each of which takes all 64 values.
                    let from = &input[align..][..length * bytes_in];
                    assert_eq!(run(law, &SCALAR, from, &mut expected), length);
                    let begin = 64 + (align * 37 + length) % 64;
                    let mut out = Aligned([CANARY; 640]);
                    let end = begin + length * bytes_out;
                    assert_eq!(run(law, path, from, &mut out.0[begin..end]), length);
                    assert_eq!(out.0[begin..end], expected, "{} {law:?} {length}", path.name);
                    let outside = out.0[..begin].iter().chain(&out.0[end..]);
                    assert!(outside.copied().all(|byte| byte == CANARY), "{}", path.name);
                }
            }
        }
    }
}

#[repr(align(64))]
struct Aligned([u8; 640]);

/// Slices of unlike length: the shorter one decides.
#[test]
fn the_shorter_slice_decides() {
    for law in LAWS {
        let mut samples = [7; 40];
        assert_eq!(law.decode(&[law.code(1000); 33], &mut samples), 33);
        assert_eq!(samples[32], law.sample(law.code(1000)));
        assert_eq!(samples[33], 7);
        let mut codes = [7; 40];
        assert_eq!(law.encode(&samples, &mut codes[..10]), 10);
        assert_eq!(codes[9], law.code(1000));
        assert_eq!(codes[10], 7);
        assert_eq!(law.encode_le(&[0; 5], &mut codes), 2);
        assert_eq!(law.decode_le(&[0; 5], &mut [0; 9]), 4);
        assert_eq!(law.transcode(&[0; 5], &mut codes[..3]), 3);
    }
}

/// Decoding and encoding again keeps every code, but for µ-law's negative zero; and one pass
/// through the other law moves a sample by no more than half an interval of each.
#[test]
fn round_trips() {
    for law in LAWS {
        for code in 0..=255u8 {
            let again = law.code(law.sample(code));
            let kept = match (law, code) {
                (Law::Mu, 0x7f) => 0xff,
                // A negative middle is an interior point of its interval in one's complement too.
                _ => code,
            };
            assert_eq!(again, kept, "{law:?}");
        }
    }
    for code in 0..=255u8 {
        let sample = i32::from(Law::Mu.sample(code));
        let there = Law::Mu.to_other()[usize::from(code)];
        let error = (i32::from(Law::A.sample(there)) - sample).abs();
        // Half of A-law's interval: 1/32 of the magnitude and never less than 8.
        assert!(error <= 8.max(sample.abs() / 32 + 1), "{code}: {error}");
    }
}
