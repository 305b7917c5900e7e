//! The filters that part a signal into two bands and join them again (clauses 3.1 and 4.4).

use super::PIECE_BYTES;
use super::tables::QMF;

/// Taps of both filters.
const TAPS: usize = 24;
/// Samples of the past that the next two need.
const PAST: usize = TAPS - 2;

/// Taps in the order of time: of the sum of the two halves of the filter, and of their difference.
const PART_LOW: [i16; TAPS] = taps(1);
const PART_HIGH: [i16; TAPS] = taps(-1);

const fn taps(even_sign: i16) -> [i16; TAPS] {
    let mut taps = [0; TAPS];
    let mut i = 0;
    while i < TAPS / 2 {
        taps[2 * i] = even_sign * QMF[i];
        taps[2 * i + 1] = QMF[TAPS / 2 - 1 - i];
        i += 1;
    }
    taps
}

/// Parts a signal at 16 kHz.
#[derive(Clone, Debug)]
pub(super) struct Analysis {
    past: [i16; PAST],
}

impl Analysis {
    pub(super) const fn new() -> Self {
        Self { past: [0; PAST] }
    }

    /// Parts the pairs of `samples`, at most [`PIECE_BYTES`] of them, into a sample of each band.
    #[inline]
    pub(super) fn run(&mut self, samples: &[i16], low: &mut [i16], high: &mut [i16]) {
        let mut line = [0; PAST + 2 * PIECE_BYTES];
        line[..PAST].copy_from_slice(&self.past);
        line[PAST..PAST + samples.len()].copy_from_slice(samples);
        let windows = line.windows(TAPS).step_by(2);
        for ((window, low), high) in windows.zip(low).zip(high).take(samples.len() / 2) {
            // No rounding and no overflow: the taps' magnitudes add up to 0.8 of 2^14.
            *low = (dot(window, &PART_LOW) >> 14) as i16;
            *high = (dot(window, &PART_HIGH) >> 14) as i16;
        }
        self.past.copy_from_slice(&line[samples.len()..][..PAST]);
    }
}

/// Joins two bands.
#[derive(Clone, Debug)]
pub(super) struct Synthesis {
    sums: [i16; PAST / 2],
    differences: [i16; PAST / 2],
}

impl Synthesis {
    pub(super) const fn new() -> Self {
        Self { sums: [0; PAST / 2], differences: [0; PAST / 2] }
    }

    /// Joins the bands, which are within 15 bits and at most [`PIECE_BYTES`] long, to pairs.
    #[inline]
    pub(super) fn run(&mut self, low: &[i16], high: &[i16], samples: &mut [i16]) {
        const HALF: usize = PAST / 2;
        let count = low.len();
        let (mut sums, mut differences) = ([0; HALF + PIECE_BYTES], [0; HALF + PIECE_BYTES]);
        sums[..HALF].copy_from_slice(&self.sums);
        differences[..HALF].copy_from_slice(&self.differences);
        let lines = sums[HALF..].iter_mut().zip(&mut differences[HALF..]);
        for ((sum, difference), (low, high)) in lines.zip(low.iter().zip(high)) {
            (*sum, *difference) = (low + high, low - high);
        }
        let windows = sums.windows(TAPS / 2).zip(differences.windows(TAPS / 2));
        for (pair, (sums, differences)) in samples.as_chunks_mut::<2>().0.iter_mut().zip(windows) {
            let (mut first, mut second) = (0, 0);
            for i in 0..TAPS / 2 {
                first += i32::from(differences[i]) * i32::from(QMF[TAPS / 2 - 1 - i]);
                second += i32::from(sums[i]) * i32::from(QMF[i]);
            }
            let clamp = |value: i32| (value >> 11).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            *pair = [clamp(first), clamp(second)];
        }
        self.sums.copy_from_slice(&sums[count..][..HALF]);
        self.differences.copy_from_slice(&differences[count..][..HALF]);
    }
}

#[inline]
fn dot(window: &[i16], taps: &[i16; TAPS]) -> i32 {
    window.iter().zip(taps).map(|(sample, tap)| i32::from(*sample) * i32::from(*tap)).sum()
}
