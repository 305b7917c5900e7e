//! G.711 for x86-64: AVX2, and AVX-512 with BW and VBMI.
//!
//! AVX-512 machines without VBMI (the first generation) take the AVX2 path: it is nearly as fast
//! there, and spares the lower clock that wide vectors cost them.
//!
//! Both laws share their kernels. With `u` = a code whose wire inversion is undone, decoding is
//! `((interval·8 | lead[segment]) · power[segment]) − bias`, and encoding finds the shift that
//! leaves five bits, `16..32` (`0..16` in A-law's segment 0, whose shift equals that of segment 1).

use super::{Kernels, scalar, x86_fir, x86_frames};
use crate::codec::g711::Law;
use std::arch::x86_64::*;

/// What differs between the laws.
trait Companding {
    const LAW: Law;
    /// Undoes the wire inversion and makes the sign bit set for negative samples.
    const FLIP: u8;
    /// Added to magnitudes before encoding, taken away after decoding.
    const BIAS: i16;
    /// By segment: leading one (if any) and the half interval, interval in bits 3 to 6.
    const LEAD: [u8; 16];
    /// By segment: the interval's width in eighths.
    const POWER: [u8; 16];
    /// By the high seven bits of a biased magnitude: how far to shift for 4 bits and a leading one.
    const LOWEST_SHIFT: u8;
}

struct Mu;
struct A;

impl Companding for Mu {
    const LAW: Law = Law::Mu;
    const FLIP: u8 = 0xff;
    const BIAS: i16 = 0x84;
    const LEAD: [u8; 16] = [0x84; 16];
    const POWER: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];
    const LOWEST_SHIFT: u8 = 3;
}

impl Companding for A {
    const LAW: Law = Law::A;
    const FLIP: u8 = 0xd5;
    const BIAS: i16 = 0;
    const LEAD: [u8; 16] = {
        let mut lead = [0x84; 16];
        lead[0] = 4;
        lead
    };
    const POWER: [u8; 16] = [2, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];
    const LOWEST_SHIFT: u8 = 4;
}

/// The AVX2 path, if this machine has it.
pub(super) fn avx2() -> Option<&'static Kernels> {
    static AVX2: Kernels = Kernels {
        name: "avx2",
        decode: [decode_avx2::<Mu>, decode_avx2::<A>],
        encode: [encode_avx2::<Mu>, encode_avx2::<A>],
        transcode: scalar::transcode,
        split: x86_frames::split_avx2,
        fir: x86_fir::fir_avx2,
        join: x86_frames::join_avx2,
    };
    is_x86_feature_detected!("avx2").then_some(&AVX2)
}

/// The AVX-512 path, if this machine has it.
pub(super) fn avx512() -> Option<&'static Kernels> {
    static AVX512: Kernels = Kernels {
        name: "avx512",
        decode: [decode_avx512::<Mu>, decode_avx512::<A>],
        encode: [encode_avx512::<Mu>, encode_avx512::<A>],
        transcode: transcode_avx512,
        split: x86_frames::split_avx512,
        fir: x86_fir::fir_vnni,
        join: x86_frames::join_avx512,
    };
    let detected = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni");
    detected.then_some(&AVX512)
}

/// The same 16 bytes in both lanes.
#[target_feature(enable = "avx2")]
fn twice(table: [u8; 16]) -> __m256i {
    // SAFETY: reads the 16 bytes of the array.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
fn decode_avx2<L: Companding>(codes: &[u8], bytes: &mut [u8]) {
    let (lead, power) = (twice(L::LEAD), twice(L::POWER));
    let (zero, ones) = (_mm256_setzero_si256(), _mm256_set1_epi8(-1));
    let mut blocks = codes.chunks_exact(32);
    let mut outs = bytes.chunks_exact_mut(64);
    for (codes, out) in (&mut blocks).zip(&mut outs) {
        // SAFETY: `codes` has 32 bytes.
        let wire = unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) };
        // Unpacking works inside of 16-byte lanes: bring the quarters in the order that it needs.
        let wire = _mm256_permute4x64_epi64(wire, 0b11_01_10_00);
        let u = _mm256_xor_si256(wire, _mm256_set1_epi8(L::FLIP as i8));
        let segment = _mm256_and_si256(_mm256_srli_epi16(u, 4), _mm256_set1_epi8(7));
        let interval = _mm256_and_si256(_mm256_slli_epi16(u, 3), _mm256_set1_epi8(0x78));
        let mantissa = _mm256_or_si256(interval, _mm256_shuffle_epi8(lead, segment));
        let power = _mm256_shuffle_epi8(power, segment);
        // A word of all ones with the sign on top: `sign` negates or keeps by it.
        let (sign_lo, sign_hi) = (_mm256_unpacklo_epi8(ones, u), _mm256_unpackhi_epi8(ones, u));
        let bias = _mm256_set1_epi16(L::BIAS);
        let lo = _mm256_mullo_epi16(
            _mm256_unpacklo_epi8(mantissa, zero),
            _mm256_unpacklo_epi8(power, zero),
        );
        let hi = _mm256_mullo_epi16(
            _mm256_unpackhi_epi8(mantissa, zero),
            _mm256_unpackhi_epi8(power, zero),
        );
        let lo = _mm256_sign_epi16(_mm256_sub_epi16(lo, bias), sign_lo);
        let hi = _mm256_sign_epi16(_mm256_sub_epi16(hi, bias), sign_hi);
        // SAFETY: `out` has 64 bytes.
        unsafe {
            _mm256_storeu_si256(out.as_mut_ptr().cast(), lo);
            _mm256_storeu_si256(out.as_mut_ptr().add(32).cast(), hi);
        }
    }
    scalar_decode::<L>(blocks.remainder(), outs.into_remainder());
}

/// The last codes, fewer than a vector.
fn scalar_decode<L: Companding>(codes: &[u8], bytes: &mut [u8]) {
    match L::LAW {
        Law::Mu => scalar::decode_mu(codes, bytes),
        Law::A => scalar::decode_a(codes, bytes),
    }
}

/// The last samples, fewer than a vector.
fn scalar_encode<L: Companding>(bytes: &[u8], codes: &mut [u8]) {
    match L::LAW {
        Law::Mu => scalar::encode_mu(bytes, codes),
        Law::A => scalar::encode_a(bytes, codes),
    }
}

#[target_feature(enable = "avx2")]
fn encode_avx2<L: Companding>(bytes: &[u8], codes: &mut [u8]) {
    let low = L::LOWEST_SHIFT;
    // The shift by the low and by the high nibble of the magnitude's high byte; the larger counts.
    let by_low = twice([low, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7]);
    let by_high = twice([0, 8, 9, 9, 10, 10, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
    // 2^(16 - shift), whose product's high half is the shifted value: its two bytes by shift.
    let power_low = twice([0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 64, 0, 0, 0, 0, 0]);
    let power_high = twice([0, 0, 0, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0]);
    let nibble = _mm256_set1_epi8(15);
    let mut blocks = bytes.chunks_exact(64);
    let mut outs = codes.chunks_exact_mut(32);
    for (samples, out) in (&mut blocks).zip(&mut outs) {
        // SAFETY: `samples` has 64 bytes.
        let (a, b) = unsafe {
            let first = samples.as_ptr();
            (_mm256_loadu_si256(first.cast()), _mm256_loadu_si256(first.add(32).cast()))
        };
        let biased = |v| {
            let magnitude = _mm256_xor_si256(v, _mm256_srai_epi16(v, 15));
            _mm256_adds_epi16(magnitude, _mm256_set1_epi16(L::BIAS))
        };
        let (x, y) = (biased(a), biased(b));
        let high = _mm256_packus_epi16(_mm256_srli_epi16(x, 8), _mm256_srli_epi16(y, 8));
        let shift = _mm256_max_epu8(
            _mm256_shuffle_epi8(by_low, _mm256_and_si256(high, nibble)),
            _mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(high, 4), nibble)),
        );
        let (lo, hi) =
            (_mm256_shuffle_epi8(power_low, shift), _mm256_shuffle_epi8(power_high, shift));
        let rest = _mm256_packus_epi16(
            _mm256_mulhi_epu16(x, _mm256_unpacklo_epi8(lo, hi)),
            _mm256_mulhi_epu16(y, _mm256_unpackhi_epi8(lo, hi)),
        );
        // Segment and interval: rest + (shift - 4) * 16; the sign is that of the packed samples.
        let code = _mm256_add_epi8(rest, _mm256_slli_epi16(shift, 4));
        let code = _mm256_sub_epi8(code, _mm256_set1_epi8(64));
        let sign = _mm256_and_si256(_mm256_packs_epi16(a, b), _mm256_set1_epi8(i8::MIN));
        let code = _mm256_xor_si256(code, sign);
        let code = _mm256_xor_si256(code, _mm256_set1_epi8(L::FLIP as i8));
        let code = _mm256_permute4x64_epi64(code, 0b11_01_10_00);
        // SAFETY: `out` has 32 bytes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), code) };
    }
    scalar_encode::<L>(blocks.remainder(), outs.into_remainder());
}

/// 64 bytes and the next 64 of a table.
#[target_feature(enable = "avx512f")]
fn halves(table: &[u8; 128]) -> (__m512i, __m512i) {
    // SAFETY: the table has twice 64 bytes.
    unsafe {
        let first = table.as_ptr();
        (_mm512_loadu_si512(first.cast()), _mm512_loadu_si512(first.add(64).cast()))
    }
}

/// The lowest `count` bits set, all of them from 64 on.
const fn lowest(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn decode_avx512<L: Companding>(codes: &[u8], bytes: &mut [u8]) {
    let decode = |wire: __m256i| {
        // The highest bit of a code is set for samples that are not negative.
        let positive = _mm256_movepi8_mask(wire);
        // (wire ^ flip) & 0x7f
        let flip = _mm256_set1_epi8(L::FLIP as i8);
        let u = _mm256_ternarylogic_epi32(wire, flip, _mm256_set1_epi8(0x7f), 0b0010_1000);
        let u = _mm512_cvtepu8_epi16(u);
        let segment = _mm512_srli_epi16(u, 4);
        let (lead, shift) = match L::LAW {
            Law::Mu => (_mm512_set1_epi16(0x84), segment),
            // Segment 0 has no leading one and is as wide as segment 1.
            Law::A => {
                let any = _mm512_test_epi16_mask(segment, segment);
                let lead =
                    _mm512_mask_blend_epi16(any, _mm512_set1_epi16(4), _mm512_set1_epi16(0x84));
                (lead, _mm512_max_epu16(segment, _mm512_set1_epi16(1)))
            }
        };
        // ((u << 3) & 0x78) | lead
        let interval = _mm512_slli_epi16(u, 3);
        let mantissa =
            _mm512_ternarylogic_epi32(interval, _mm512_set1_epi16(0x78), lead, 0b1110_1010);
        let value = _mm512_sllv_epi16(mantissa, shift);
        let bias = _mm512_set1_epi16(L::BIAS);
        _mm512_mask_sub_epi16(_mm512_sub_epi16(bias, value), positive, value, bias)
    };
    let mut blocks = codes.chunks_exact(32);
    let mut outs = bytes.chunks_exact_mut(64);
    for (codes, out) in (&mut blocks).zip(&mut outs) {
        // SAFETY: `codes` has 32 bytes, `out` has 64.
        unsafe {
            let samples = decode(_mm256_loadu_si256(codes.as_ptr().cast()));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), samples);
        }
    }
    let (codes, out) = (blocks.remainder(), outs.into_remainder());
    let count = codes.len().min(out.len() / 2);
    if count > 0 {
        // SAFETY: the masks admit `count` codes and `2 * count` bytes, which the slices have;
        // masked lanes are not accessed.
        unsafe {
            let mask = lowest(count) as u32;
            let samples = decode(_mm256_maskz_loadu_epi8(mask, codes.as_ptr().cast()));
            _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), lowest(2 * count), samples);
        }
    }
}

/// By the high seven bits of a biased magnitude: the shift that leaves four bits and a leading one.
const fn shifts(lowest: u8) -> [u8; 128] {
    let mut table = [lowest; 128];
    let mut high = 1;
    while high < 128 {
        table[high] = 4 + high.ilog2() as u8;
        high += 1;
    }
    table
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn encode_avx512<L: Companding>(bytes: &[u8], codes: &mut [u8]) {
    let (shifts, more_shifts) = halves(const { &shifts(L::LOWEST_SHIFT) });
    // In the low byte of each word the interval with its leading one, plus 16 times the shift, plus
    // 128 for negative samples.
    let words = |v: __m512i| {
        let sign = _mm512_srai_epi16(v, 15);
        let magnitude = _mm512_xor_si512(v, sign);
        let biased = _mm512_adds_epi16(magnitude, _mm512_set1_epi16(L::BIAS));
        let high = _mm512_srli_epi16(biased, 8);
        let low_bytes = 0x5555_5555_5555_5555;
        let shift = _mm512_maskz_permutex2var_epi8(low_bytes, shifts, high, more_shifts);
        let rest = _mm512_srlv_epi16(biased, shift);
        let code = _mm512_add_epi16(rest, _mm512_slli_epi16(shift, 4));
        // code ^ (sign & 0x80)
        _mm512_ternarylogic_epi32(code, sign, _mm512_set1_epi16(0x80), 0b0111_1000)
    };
    // Without the leading one and the lowest shift but one: 64 less. Then as on the wire.
    let finish = |code| {
        let code = _mm512_sub_epi8(code, _mm512_set1_epi8(64));
        _mm512_xor_si512(code, _mm512_set1_epi8(L::FLIP as i8))
    };
    let even = even_bytes();
    let mut blocks = bytes.chunks_exact(128);
    let mut outs = codes.chunks_exact_mut(64);
    for (samples, out) in (&mut blocks).zip(&mut outs) {
        // SAFETY: `samples` has 128 bytes, `out` has 64.
        unsafe {
            let first = words(_mm512_loadu_si512(samples.as_ptr().cast()));
            let second = words(_mm512_loadu_si512(samples.as_ptr().add(64).cast()));
            let code = finish(_mm512_permutex2var_epi8(first, even, second));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), code);
        }
    }
    let (samples, out) = (blocks.remainder(), outs.into_remainder());
    for (samples, out) in samples.chunks(64).zip(out.chunks_mut(32)) {
        if let (Some(samples), Some(out)) =
            (samples.first_chunk::<64>(), out.first_chunk_mut::<32>())
        {
            // SAFETY: `samples` has 64 bytes, `out` has 32.
            unsafe {
                let words = words(_mm512_loadu_si512(samples.as_ptr().cast()));
                let code = _mm512_castsi512_si256(finish(_mm512_permutexvar_epi8(even, words)));
                _mm256_storeu_si256(out.as_mut_ptr().cast(), code);
            }
        } else {
            let count = out.len().min(samples.len() / 2);
            // SAFETY: the masks admit `2 * count` bytes and `count` codes, which the slices have;
            // masked lanes are not accessed.
            unsafe {
                let v = _mm512_maskz_loadu_epi8(lowest(2 * count), samples.as_ptr().cast());
                let code = finish(_mm512_permutexvar_epi8(even, words(v)));
                _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), lowest(count), code);
            }
        }
    }
}

/// The even bytes of two vectors, in order: an index for a permutation.
#[target_feature(enable = "avx512f")]
fn even_bytes() -> __m512i {
    const EVEN: [u8; 64] = {
        let mut index = [0; 64];
        let mut i = 0;
        while i < 64 {
            index[i] = 2 * i as u8;
            i += 1;
        }
        index
    };
    // SAFETY: reads the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(EVEN.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn transcode_avx512(codes: &[u8], out: &mut [u8], table: &[u8; 256]) {
    let (lower, upper) = table.split_at(128);
    let (Ok(lower), Ok(upper)) = (lower.try_into(), upper.try_into()) else { return };
    let ((a, b), (c, d)) = (halves(lower), halves(upper));
    let look_up = |index| {
        let lower = _mm512_permutex2var_epi8(a, index, b);
        let upper = _mm512_permutex2var_epi8(c, index, d);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), lower, upper)
    };
    for (codes, out) in codes.chunks(64).zip(out.chunks_mut(64)) {
        let mask = lowest(codes.len().min(out.len()));
        // SAFETY: the mask admits as many bytes as both slices have; masked lanes are not accessed.
        unsafe {
            let index = _mm512_maskz_loadu_epi8(mask, codes.as_ptr().cast());
            _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, look_up(index));
        }
    }
}
