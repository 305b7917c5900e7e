//! The resampler's kernels for x86-64: AVX2, and AVX-512 VNNI at 256 bits.
//!
//! Filtering goes down the frames, not along the taps: a vector holds 8 pairs of neighbouring
//! samples of a line, one multiply-add counts them for 8 frames with even index, another for the 8
//! frames with odd index (see [`Bank::pairs`]), and no horizontal sum is needed. Five or ten
//! vectors of 16 frames share each pair of coefficients, so that loading those costs little.
//!
//! 256 bits also with AVX-512: the loads are unaligned, half of the narrow and all of the wide ones
//! would straddle cache lines. What counts of AVX-512 is the fused multiply-add of VNNI and twice
//! the registers.

use super::bank::{Bank, Line, ROUNDING, SCALE_BITS};
use std::arch::x86_64::*;

/// Frames of one vector.
const VECTOR_FRAMES: usize = 16;

macro_rules! fir {
    ($name:ident, $tile:ident, $features:literal, $madd:expr, [$($n:literal),+]) => {
        /// One output sample a frame, `scalar::fir`.
        #[target_feature(enable = $features)]
        pub(super) fn $name(bank: &Bank, group: usize, lines: &[Line], out: &mut [i16]) {
            let (mut first, mut rest) = (0, out);
            $(while rest.len() >= $n * VECTOR_FRAMES {
                let (now, later) = rest.split_at_mut($n * VECTOR_FRAMES);
                $tile::<$n>(bank, group, lines, first, now);
                first += $n * VECTOR_FRAMES;
                rest = later;
            })+
            for out in rest.chunks_mut(VECTOR_FRAMES) {
                $tile::<1>(bank, group, lines, first, out);
                first += VECTOR_FRAMES;
            }
        }

        /// `16 * N` frames from `first` on, of which as many are written as `out` holds.
        #[target_feature(enable = $features)]
        fn $tile<const N: usize>(
            bank: &Bank,
            group: usize,
            lines: &[Line],
            first: usize,
            out: &mut [i16],
        ) {
            let zero = _mm256_setzero_si256();
            let mut even = [_mm256_set1_epi32(ROUNDING); N];
            let mut odd = even;
            let pre_shift = _mm_cvtsi32_si128(bank.pre_shift as i32);
            for (r, line) in lines.iter().enumerate() {
                let mut sums = [[zero; 2]; N];
                let window = line.window(bank.taps);
                let Some(([_, last], pairs)) = bank.pairs(group, r).split_last() else { return };
                // What the loads below read of the window; never too much for a bank and frames
                // that `covers` admits.
                if first + 2 * pairs.len() + N * VECTOR_FRAMES > window.len() {
                    return;
                }
                let load = |j: usize, n: usize| {
                    // SAFETY: reads 16 samples of the window, that end no later than was checked.
                    unsafe {
                        let at = window.as_ptr().add(first + 2 * j + n * VECTOR_FRAMES);
                        _mm256_loadu_si256(at.cast())
                    }
                };
                for (j, [for_even, for_odd]) in pairs.iter().enumerate() {
                    let for_even = _mm256_set1_epi32(*for_even);
                    let for_odd = _mm256_set1_epi32(*for_odd);
                    for (n, sums) in sums.iter_mut().enumerate() {
                        let samples = load(j, n);
                        sums[0] = $madd(sums[0], samples, for_even);
                        sums[1] = $madd(sums[1], samples, for_odd);
                    }
                }
                // The last pair has nothing for even frames.
                let last = _mm256_set1_epi32(*last);
                for (n, sums) in sums.iter_mut().enumerate() {
                    sums[1] = $madd(sums[1], load(pairs.len(), n), last);
                }
                for (n, [for_even, for_odd]) in sums.into_iter().enumerate() {
                    even[n] = _mm256_add_epi32(even[n], _mm256_sra_epi32(for_even, pre_shift));
                    odd[n] = _mm256_add_epi32(odd[n], _mm256_sra_epi32(for_odd, pre_shift));
                }
            }
            for (out, (even, odd)) in out.chunks_mut(VECTOR_FRAMES).zip(even.into_iter().zip(odd)) {
                store(even, odd, out);
            }
        }
    };
}

#[target_feature(enable = "avx2")]
fn madd(sum: __m256i, samples: __m256i, pair: __m256i) -> __m256i {
    _mm256_add_epi32(sum, _mm256_madd_epi16(samples, pair))
}

fir!(fir_avx2, tile_avx2, "avx2", madd, [5]);
fir!(fir_vnni, tile_vnni, "avx2,avx512f,avx512vl,avx512vnni", _mm256_dpwssd_epi32, [10, 5]);

/// Rounds, saturates and interleaves the sums of 16 frames.
#[target_feature(enable = "avx2")]
fn store(even: __m256i, odd: __m256i, out: &mut [i16]) {
    let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
    ));
    let shift = |v| _mm256_srai_epi32(v, SCALE_BITS as i32);
    let samples = _mm256_packs_epi32(shift(even), shift(odd));
    let samples = _mm256_shuffle_epi8(samples, order);
    if let Some(out) = out.first_chunk_mut::<VECTOR_FRAMES>() {
        // SAFETY: `out` has 16 samples.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), samples) };
    } else {
        let mut all = [0i16; VECTOR_FRAMES];
        // SAFETY: `all` has 16 samples.
        unsafe { _mm256_storeu_si256(all.as_mut_ptr().cast(), samples) };
        out.copy_from_slice(&all[..out.len()]);
    }
}
