//! The resampler's kernels for x86-64: AVX2, and AVX-512 VNNI at 256 bits.
//!
//! Filtering goes down the frames, not along the taps: a vector holds 8 pairs of neighbouring
//! samples of a line, one multiply-add counts them for 8 frames with even index, another for the 8
//! frames with odd index (see [`Bank::pairs`]), and no horizontal sum is needed. Five vectors of 16
//! frames share each pair of coefficients, so that loading those costs little.
//!
//! 256 bits also with AVX-512: the loads are unaligned, half of the narrow and all of the wide ones
//! would straddle cache lines. What counts of AVX-512 is the fused multiply-add of VNNI and twice
//! the registers.

use super::bank::{Bank, LINE_SAMPLES, MAX_FRAMES, MAX_GROUPS, ROUNDING, SCALE_BITS};
use super::scalar;
use std::arch::x86_64::*;

/// Frames of one vector.
const VECTOR_FRAMES: usize = 16;
/// Vectors filtered together.
const TILE: usize = 5;

macro_rules! fir {
    ($name:ident, $tile:ident, $features:literal, $madd:expr) => {
        /// One output sample a frame, [`scalar::fir`].
        pub(super) fn $name(bank: &Bank, group: usize, lines: &[i16], out: &mut [i16]) {
            if !bank.covers(group, lines, out.len()) {
                return;
            }
            #[target_feature(enable = $features)]
            fn all(bank: &Bank, group: usize, lines: &[i16], out: &mut [i16]) {
                let mut first = 0;
                let mut tiles = out.chunks_exact_mut(TILE * VECTOR_FRAMES);
                for out in &mut tiles {
                    $tile::<TILE>(bank, group, lines, first, out);
                    first += TILE * VECTOR_FRAMES;
                }
                for out in tiles.into_remainder().chunks_mut(VECTOR_FRAMES) {
                    $tile::<1>(bank, group, lines, first, out);
                    first += VECTOR_FRAMES;
                }
            }
            // SAFETY: this function is only in the table of a machine that has these features.
            unsafe { all(bank, group, lines, out) }
        }

        /// `16 * N` frames from `first` on, of which as many are written as `out` holds.
        #[target_feature(enable = $features)]
        fn $tile<const N: usize>(
            bank: &Bank,
            group: usize,
            lines: &[i16],
            first: usize,
            out: &mut [i16],
        ) {
            let zero = _mm256_setzero_si256();
            let mut even = [_mm256_set1_epi32(ROUNDING); N];
            let mut odd = even;
            let pre_shift = _mm_cvtsi32_si128(bank.pre_shift as i32);
            for (r, line) in lines.chunks_exact(LINE_SAMPLES).take(bank.lines).enumerate() {
                let mut sums = [[zero; 2]; N];
                let pairs = bank.pairs(group, r);
                // What the loads below read of the line; never false for a bank and frames that
                // `covers` admits.
                let read = first + 2 * (pairs.len() - 1) + N * VECTOR_FRAMES;
                if read > LINE_SAMPLES {
                    return;
                }
                for (j, [for_even, for_odd]) in pairs.iter().enumerate() {
                    let (for_even, for_odd) =
                        (_mm256_set1_epi32(*for_even), _mm256_set1_epi32(*for_odd));
                    for (n, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: reads 16 samples that end `read` samples after the beginning of
                        // the line at the latest, hence inside of it.
                        let samples = unsafe {
                            let at = line.as_ptr().add(first + 2 * j + n * VECTOR_FRAMES);
                            _mm256_loadu_si256(at.cast())
                        };
                        sums[0] = $madd(sums[0], samples, for_even);
                        sums[1] = $madd(sums[1], samples, for_odd);
                    }
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

fir!(fir_avx2, tile_avx2, "avx2", madd);
fir!(fir_vnni, tile_vnni, "avx2,avx512f,avx512vl,avx512vnni", _mm256_dpwssd_epi32);

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

/// By destination vector and source vector: which bytes to take, 0x80 for none.
type Moves<const N: usize> = [[[u8; 16]; N]; N];

/// How `N` vectors of frames of `N` samples become `N` vectors of 8 samples of a line each.
const fn split_moves<const N: usize>() -> Moves<N> {
    let mut moves = [[[0x80; 16]; N]; N];
    let mut line = 0;
    while line < N {
        let mut frame = 0;
        while frame < 8 {
            let from = frame * N + line;
            moves[line][from / 8][2 * frame] = (from % 8 * 2) as u8;
            moves[line][from / 8][2 * frame + 1] = (from % 8 * 2) as u8 + 1;
            frame += 1;
        }
        line += 1;
    }
    moves
}

/// The way back: how `N` vectors of 8 samples of a group become 8 frames of `N` samples.
const fn join_moves<const N: usize>() -> Moves<N> {
    let mut moves = [[[0x80; 16]; N]; N];
    let mut to = 0;
    while to < 8 * N {
        let (frame, group) = (to / N, to % N);
        moves[to / 8][group][to % 8 * 2] = (frame * 2) as u8;
        moves[to / 8][group][to % 8 * 2 + 1] = (frame * 2) as u8 + 1;
        to += 1;
    }
    moves
}

#[target_feature(enable = "avx2")]
fn permute<const N: usize>(moves: &Moves<N>, from: [__m256i; N]) -> [__m256i; N] {
    let mut to = [_mm256_setzero_si256(); N];
    for (to, moves) in to.iter_mut().zip(moves) {
        for (from, moves) in from.iter().zip(moves) {
            // SAFETY: reads the 16 bytes of the array.
            let moves = unsafe { _mm_loadu_si128(moves.as_ptr().cast()) };
            let moved = _mm256_shuffle_epi8(*from, _mm256_broadcastsi128_si256(moves));
            *to = _mm256_or_si256(*to, moved);
        }
    }
    to
}

/// Deals frames out to lines, [`scalar::split`].
pub(super) fn split(input: &[i16], count: usize, lines: &mut [i16], at: usize) {
    let frames = input.len() / count.max(1);
    if at + frames > LINE_SAMPLES || lines.len() < count * LINE_SAMPLES {
        return;
    }
    // SAFETY: this function is only in tables of machines that have AVX2.
    let done = unsafe {
        match count {
            1 => {
                lines[at..at + frames].copy_from_slice(input);
                frames
            }
            2 => split_vectors::<2>(input, lines, at),
            3 => split_vectors::<3>(input, lines, at),
            6 => split_vectors::<6>(input, lines, at),
            _ => 0,
        }
    };
    scalar::split_from(done, input, count, lines, at);
}

/// As many frames as fill vectors. Returns how many. The caller has checked that the lines are
/// whole and hold the frames.
#[target_feature(enable = "avx2")]
fn split_vectors<const N: usize>(input: &[i16], lines: &mut [i16], at: usize) -> usize {
    let moves = const { &split_moves::<N>() };
    let mut frame = 0;
    for block in input.chunks_exact(VECTOR_FRAMES * N) {
        let mut vectors = [_mm256_setzero_si256(); N];
        for (i, vector) in vectors.iter_mut().enumerate() {
            // The first eight frames in the low lanes, the next eight in the high ones.
            // SAFETY: `block` has 2 * N times 8 samples.
            *vector = unsafe {
                _mm256_loadu2_m128i(
                    block.as_ptr().add(8 * (N + i)).cast(),
                    block.as_ptr().add(8 * i).cast(),
                )
            };
        }
        for (line, vector) in lines.chunks_exact_mut(LINE_SAMPLES).zip(permute(moves, vectors)) {
            if let Some(line) = line[at + frame..].first_chunk_mut::<VECTOR_FRAMES>() {
                // SAFETY: `line` has 16 samples.
                unsafe { _mm256_storeu_si256(line.as_mut_ptr().cast(), vector) };
            }
        }
        frame += VECTOR_FRAMES;
    }
    frame
}

/// Weaves groups into a stream, [`scalar::join`].
pub(super) fn join(groups: &[i16], count: usize, out: &mut [i16]) {
    let frames = out.len() / count.max(1);
    if frames > MAX_FRAMES || count > MAX_GROUPS || groups.len() < count * MAX_FRAMES {
        return;
    }
    // SAFETY: this function is only in tables of machines that have AVX2.
    let done = unsafe {
        match count {
            2 => join_vectors::<2>(groups, out),
            3 => join_vectors::<3>(groups, out),
            6 => join_vectors::<6>(groups, out),
            _ => 0,
        }
    };
    scalar::join_from(done, groups, count, out);
}

/// As many frames as fill vectors. Returns how many. The caller has checked that the groups are
/// whole and hold the frames.
#[target_feature(enable = "avx2")]
fn join_vectors<const N: usize>(groups: &[i16], out: &mut [i16]) -> usize {
    let moves = const { &join_moves::<N>() };
    let mut frame = 0;
    for block in out.chunks_exact_mut(VECTOR_FRAMES * N) {
        let mut vectors = [_mm256_setzero_si256(); N];
        for (vector, group) in vectors.iter_mut().zip(groups.chunks_exact(MAX_FRAMES)) {
            if let Some(group) = group[frame..].first_chunk::<VECTOR_FRAMES>() {
                // SAFETY: `group` has 16 samples.
                *vector = unsafe { _mm256_loadu_si256(group.as_ptr().cast()) };
            }
        }
        for (i, vector) in permute(moves, vectors).into_iter().enumerate() {
            // SAFETY: `block` has 2 * N times 8 samples.
            unsafe {
                _mm256_storeu2_m128i(
                    block.as_mut_ptr().add(8 * (N + i)).cast(),
                    block.as_mut_ptr().add(8 * i).cast(),
                    vector,
                );
            }
        }
        frame += VECTOR_FRAMES;
    }
    frame
}
