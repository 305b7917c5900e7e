//! The resampler for ratios of small numbers.
//!
//! For a ratio of L to M, `M` input samples make one frame, and each frame makes `L` output
//! samples, one for each phase of the filter. The input is dealt out to M lines (sample `r` of each
//! frame to line `r`), so that output `g` of every frame is one plain filter over the lines and
//! vectors run along the frames; then the L groups of output are woven together. Interpolation (M =
//! 1), decimation (L = 1) and 3:2 are the same code.

use super::prototype::Prototype;
use crate::codec::simd::{Bank, Kernels, Line, MAX_FRAMES, MAX_GROUPS, SCALE_BITS};
use std::time::Duration;

/// The largest shift that a bank may need.
const MAX_PRE_SHIFT: u32 = 3;

#[derive(Debug)]
pub(super) struct Polyphase {
    path: &'static Kernels,
    bank: Bank,
    /// L: output samples a frame.
    groups: usize,
    /// M: input samples a frame.
    count: usize,
    /// The input, past and present.
    lines: Box<[Line]>,
    /// The output by groups, before it is woven together. Unused with one group.
    outputs: Box<[i16]>,
    /// The beginning of a frame whose end has not come yet.
    pending: [i16; MAX_GROUPS],
    pending_len: usize,
    delay: Duration,
}

impl Polyphase {
    /// `None` for ratios that no prototype serves.
    pub(super) fn new(path: &'static Kernels, from_hz: u32, to_hz: u32) -> Option<Self> {
        let divisor = gcd(from_hz, to_hz);
        let (groups, count) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        let factor = groups.max(count);
        // Two and three to one another, besides one to something: nothing else has a prototype.
        if groups.min(count) != 1 && groups + count != 5 {
            return None;
        }
        let prototype = Prototype::of(factor)?;
        let bank = bank(prototype, groups, count)?;
        // The newest sample of a frame stands `count - 1` input samples after its first one, which
        // is where the frame's output begins.
        let halves = (prototype.taps() - 1 - 2 * (count - 1)) as u64;
        let delay =
            Duration::from_nanos(halves * 1_000_000_000 / (2 * u64::from(from_hz) * groups as u64));
        Some(Self {
            path,
            bank,
            groups,
            count,
            lines: vec![Line::SILENT; count].into(),
            outputs: vec![0; groups * MAX_FRAMES].into(),
            pending: [0; MAX_GROUPS],
            pending_len: 0,
            delay,
        })
    }

    pub(super) fn process(&mut self, mut input: &[i16], out: &mut [i16]) -> usize {
        let mut written = 0;
        while self.pending_len + input.len() >= self.count {
            let frames = self.load(&mut input);
            written += self.filter(frames, &mut out[written..]);
            for line in &mut self.lines {
                line.pass(frames);
            }
        }
        self.pending[self.pending_len..][..input.len()].copy_from_slice(input);
        self.pending_len += input.len();
        written
    }

    /// Puts one to [`MAX_FRAMES`] frames into the lines. Returns how many. At least one is there.
    fn load(&mut self, input: &mut &[i16]) -> usize {
        let mut frames = 0;
        if self.pending_len > 0 {
            let (head, rest) = input.split_at(self.count - self.pending_len);
            self.pending[self.pending_len..self.count].copy_from_slice(head);
            self.path.split(&self.pending[..self.count], &mut self.lines, 0);
            *input = rest;
            self.pending_len = 0;
            frames = 1;
        }
        let more = (input.len() / self.count).min(MAX_FRAMES - frames);
        let (now, rest) = input.split_at(more * self.count);
        self.path.split(now, &mut self.lines, frames);
        *input = rest;
        frames + more
    }

    /// Writes the output of `frames` frames, as many whole frames as `out` holds.
    fn filter(&mut self, frames: usize, out: &mut [i16]) -> usize {
        let frames = frames.min(out.len() / self.groups);
        let out = &mut out[..frames * self.groups];
        if self.groups == 1 {
            self.path.fir(&self.bank, 0, &self.lines, out);
        } else {
            for (group, output) in self.outputs.chunks_exact_mut(MAX_FRAMES).enumerate() {
                self.path.fir(&self.bank, group, &self.lines, &mut output[..frames]);
            }
            self.path.join(&self.outputs, self.groups, out);
        }
        out.len()
    }

    pub(super) fn max_output(&self, input: usize) -> usize {
        input.saturating_add(self.count - 1) / self.count * self.groups
    }

    pub(super) fn reset(&mut self) {
        self.lines.fill(Line::SILENT);
        self.pending_len = 0;
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }
}

/// Cuts a prototype into the taps of each group on each line.
///
/// At the common higher rate, input sample `i` stands at `i · L` and output `n` at `n · M`; output
/// `n` weighs input `i` by prototype tap `n·M + (M−1) − i·L`, so that the last input of a frame is
/// the newest one that its outputs use.
fn bank(prototype: &Prototype, groups: usize, count: usize) -> Option<Bank> {
    // The prototype's share, and for 3:2 what the offsets of the outputs in a frame add.
    let taps = (prototype.taps() + (count - 1) * (groups - 1)).div_ceil(groups * count);
    let taps = taps.next_multiple_of(2);
    let mut raw = vec![];
    for group in 0..groups {
        for line in 0..count {
            for k in 0..taps {
                let newest = group * count + count - 1;
                let age = (taps - 1 - k) * groups * count;
                raw.push(prototype.tap((newest + age) as isize - (line * groups) as isize));
            }
        }
    }
    // As fine as 16-bit taps and 32-bit sums allow.
    (0..=MAX_PRE_SHIFT).rev().find_map(|pre_shift| {
        let rows = raw.chunks_exact(count * taps).map(|row| quantise(row, SCALE_BITS + pre_shift));
        let coefficients: Vec<i16> = rows.collect::<Option<Vec<_>>>()?.concat();
        Bank::new(groups, count, pre_shift, coefficients.into())
    })
}

/// Scales taps so that they sum up to exactly `1 << bits`: a constant comes out as it went in, on
/// every phase, hence no image of it either. The rounding errors of the taps are the least possible
/// (largest remainders). `None` if a tap does not fit 16 bits.
fn quantise(taps: &[i32], bits: u32) -> Option<Vec<i16>> {
    let sum: i64 = taps.iter().map(|tap| i64::from(*tap)).sum();
    let scaled = |tap: &i32| i64::from(*tap) << bits;
    let mut quantised: Vec<i64> = taps.iter().map(|tap| scaled(tap).div_euclid(sum)).collect();
    let missing = (1 << bits) - quantised.iter().sum::<i64>();
    let mut by_remainder: Vec<usize> = (0..taps.len()).collect();
    by_remainder.sort_by_key(|i| -scaled(&taps[*i]).rem_euclid(sum));
    for i in by_remainder.into_iter().take(usize::try_from(missing).ok()?) {
        quantised[i] += 1;
    }
    quantised.into_iter().map(|tap| i16::try_from(tap).ok()).collect()
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
