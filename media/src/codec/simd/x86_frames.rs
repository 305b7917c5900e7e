//! Dealing frames out to lines and weaving groups together, for x86-64.
//!
//! Both are transposes: `N` vectors become `N` others, each of which takes its samples from all of
//! the sources. AVX2 shuffles bytes inside of 16-byte lanes, so that 8 frames are a unit and a
//! vector has two of these; AVX-512 moves words across whole vectors of 32 frames.

use super::bank::{Line, MAX_FRAMES, MAX_GROUPS};
use super::scalar;
use std::arch::x86_64::*;

/// Frames of a vector of AVX2 and of AVX-512.
const NARROW: usize = 16;
const WIDE: usize = 32;

/// Deals frames out to lines, `scalar::split`.
#[target_feature(enable = "avx2")]
pub(super) fn split_avx2(input: &[i16], lines: &mut [Line], at: usize) {
    let count = lines.len();
    if at + input.len() / count.max(1) > MAX_FRAMES {
        return;
    }
    let done = match lines {
        [line] => {
            line.present()[at..at + input.len()].copy_from_slice(input);
            input.len()
        }
        _ => match count {
            2 => split_narrow::<2>(input, lines, at),
            3 => split_narrow::<3>(input, lines, at),
            6 => split_narrow::<6>(input, lines, at),
            _ => 0,
        },
    };
    if done * count < input.len() {
        scalar::split_from(done, input, lines, at);
    }
}

/// Deals frames out to lines, `scalar::split`.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
pub(super) fn split_avx512(input: &[i16], lines: &mut [Line], at: usize) {
    let count = lines.len();
    if at + input.len() / count.max(1) > MAX_FRAMES {
        return;
    }
    let done = match count {
        2 => split_wide::<2>(input, lines, at),
        3 => split_wide::<3>(input, lines, at),
        6 => split_wide::<6>(input, lines, at),
        _ => 0,
    };
    if done * count < input.len() {
        split_avx2(&input[done * count..], lines, at + done);
    }
}

/// Weaves groups into a stream, `scalar::join`.
#[target_feature(enable = "avx2")]
pub(super) fn join_avx2(groups: &[i16], count: usize, out: &mut [i16]) {
    if groups_hold(groups, count, out) {
        join_rest(0, groups, count, out);
    }
}

/// Weaves groups into a stream, `scalar::join`.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
pub(super) fn join_avx512(groups: &[i16], count: usize, out: &mut [i16]) {
    if !groups_hold(groups, count, out) {
        return;
    }
    let done = match count {
        2 => join_wide::<2>(groups, out),
        3 => join_wide::<3>(groups, out),
        6 => join_wide::<6>(groups, out),
        _ => 0,
    };
    if done * count < out.len() {
        join_rest(done, groups, count, out);
    }
}

fn groups_hold(groups: &[i16], count: usize, out: &[i16]) -> bool {
    let frames = out.len() / count.max(1);
    frames <= MAX_FRAMES && count <= MAX_GROUPS && groups.len() >= count * MAX_FRAMES
}

/// The frames from `first` on.
#[target_feature(enable = "avx2")]
fn join_rest(first: usize, groups: &[i16], count: usize, out: &mut [i16]) {
    let done = match count {
        2 => join_narrow::<2>(first, groups, out),
        3 => join_narrow::<3>(first, groups, out),
        6 => join_narrow::<6>(first, groups, out),
        _ => first,
    };
    scalar::join_from(done, groups, count, out);
}

/// Where each of `N` times 8 samples goes: by destination vector and source vector, which bytes to
/// take, 0x80 for none.
type Moves<const N: usize> = [[[u8; 16]; N]; N];

/// How `N` vectors of frames of `N` samples become `N` vectors of 8 samples of a line each.
const fn split_moves<const N: usize>() -> Moves<N> {
    let mut moves = [[[0x80; 16]; N]; N];
    let mut from = 0;
    while from < 8 * N {
        let (frame, line) = (from / N, from % N);
        moves[line][from / 8][2 * frame] = (from % 8 * 2) as u8;
        moves[line][from / 8][2 * frame + 1] = (from % 8 * 2) as u8 + 1;
        from += 1;
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

#[inline]
#[target_feature(enable = "avx2")]
fn permute_narrow<const N: usize>(moves: &Moves<N>, from: [__m256i; N]) -> [__m256i; N] {
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

/// As many frames as fill vectors. Returns how many.
#[target_feature(enable = "avx2")]
fn split_narrow<const N: usize>(input: &[i16], lines: &mut [Line], at: usize) -> usize {
    let moves = const { &split_moves::<N>() };
    let mut frame = at;
    for block in input.chunks_exact(NARROW * N) {
        let mut vectors = [_mm256_setzero_si256(); N];
        for (i, vector) in vectors.iter_mut().enumerate() {
            let at = block.as_ptr();
            // The first eight frames in the low lanes, the next eight in the high ones.
            // SAFETY: `block` has 2 * N times 8 samples.
            *vector =
                unsafe { _mm256_loadu2_m128i(at.add(8 * (N + i)).cast(), at.add(8 * i).cast()) };
        }
        let vectors = permute_narrow(moves, vectors);
        for (line, vector) in lines.iter_mut().zip(vectors) {
            if let Some(line) = line.present()[frame..].first_chunk_mut::<NARROW>() {
                // SAFETY: `line` has 16 samples.
                unsafe { _mm256_storeu_si256(line.as_mut_ptr().cast(), vector) };
            }
        }
        frame += NARROW;
    }
    frame - at
}

/// From frame `first` on as many frames as fill vectors. Returns where it stopped.
#[target_feature(enable = "avx2")]
fn join_narrow<const N: usize>(first: usize, groups: &[i16], out: &mut [i16]) -> usize {
    let moves = const { &join_moves::<N>() };
    let mut frame = first;
    for block in out[first * N..].chunks_exact_mut(NARROW * N) {
        let mut vectors = [_mm256_setzero_si256(); N];
        for (vector, group) in vectors.iter_mut().zip(groups.chunks_exact(MAX_FRAMES)) {
            if let Some(group) = group[frame..].first_chunk::<NARROW>() {
                // SAFETY: `group` has 16 samples.
                *vector = unsafe { _mm256_loadu_si256(group.as_ptr().cast()) };
            }
        }
        for (i, vector) in permute_narrow(moves, vectors).into_iter().enumerate() {
            let at = block.as_mut_ptr();
            // SAFETY: `block` has 2 * N times 8 samples.
            unsafe {
                _mm256_storeu2_m128i(at.add(8 * (N + i)).cast(), at.add(8 * i).cast(), vector);
            }
        }
        frame += NARROW;
    }
    frame
}

/// Where each of `N` times 32 samples comes from: by destination vector, the word inside of its
/// source (and 32 added if that is the second source); and by source, which words to take from it.
struct WideMoves<const N: usize> {
    words: [[u16; 32]; N],
    takes: [[u32; N]; N],
}

impl<const N: usize> WideMoves<N> {
    /// From `N` vectors of frames to `N` lines, or back from groups to frames.
    const fn new(split: bool) -> Self {
        let (mut words, mut takes) = ([[0; 32]; N], [[0; N]; N]);
        let mut i = 0;
        while i < 32 * N {
            // Position `i` of the woven stream is sample `i % N` of frame `i / N`.
            let (woven, woven_word, plain, plain_word) = (i / 32, i % 32, i % N, i / N);
            let (to, to_word, from, word) = if split {
                (plain, plain_word, woven, woven_word)
            } else {
                (woven, woven_word, plain, plain_word)
            };
            words[to][to_word] = word as u16 + if from == 1 { 32 } else { 0 };
            takes[to][from] |= 1 << to_word;
            i += 1;
        }
        Self { words, takes }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[expect(clippy::needless_range_loop, reason = "iterator chains are not unrolled here")]
fn permute_wide<const N: usize>(moves: &WideMoves<N>, from: [__m512i; N]) -> [__m512i; N] {
    let mut to = [_mm512_setzero_si512(); N];
    for i in 0..N {
        // SAFETY: reads the 32 words of the array.
        let words = unsafe { _mm512_loadu_si512(moves.words[i].as_ptr().cast()) };
        to[i] = _mm512_permutex2var_epi16(from[0], words, from[1]);
        for j in 2..N {
            // This permutation only looks at the lower five bits of `words`.
            to[i] = _mm512_mask_permutexvar_epi16(to[i], moves.takes[i][j], words, from[j]);
        }
    }
    to
}

/// As many frames as fill vectors. Returns how many.
#[target_feature(enable = "avx512f,avx512bw")]
fn split_wide<const N: usize>(input: &[i16], lines: &mut [Line], at: usize) -> usize {
    let moves = const { &WideMoves::<N>::new(true) };
    let mut frame = at;
    for block in input.chunks_exact(WIDE * N) {
        let mut vectors = [_mm512_setzero_si512(); N];
        for (i, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: `block` has N times 32 samples.
            *vector = unsafe { _mm512_loadu_si512(block.as_ptr().add(WIDE * i).cast()) };
        }
        let vectors = permute_wide(moves, vectors);
        for (line, vector) in lines.iter_mut().zip(vectors) {
            if let Some(line) = line.present()[frame..].first_chunk_mut::<WIDE>() {
                // SAFETY: `line` has 32 samples.
                unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), vector) };
            }
        }
        frame += WIDE;
    }
    frame - at
}

/// As many frames as fill vectors. Returns how many.
#[target_feature(enable = "avx512f,avx512bw")]
fn join_wide<const N: usize>(groups: &[i16], out: &mut [i16]) -> usize {
    let moves = const { &WideMoves::<N>::new(false) };
    let mut frame = 0;
    for block in out.chunks_exact_mut(WIDE * N) {
        let mut vectors = [_mm512_setzero_si512(); N];
        for (vector, group) in vectors.iter_mut().zip(groups.chunks_exact(MAX_FRAMES)) {
            if let Some(group) = group[frame..].first_chunk::<WIDE>() {
                // SAFETY: `group` has 32 samples.
                *vector = unsafe { _mm512_loadu_si512(group.as_ptr().cast()) };
            }
        }
        for (i, vector) in permute_wide(moves, vectors).into_iter().enumerate() {
            // SAFETY: `block` has N times 32 samples.
            unsafe { _mm512_storeu_si512(block.as_mut_ptr().add(WIDE * i).cast(), vector) };
        }
        frame += WIDE;
    }
    frame
}
