//! The coefficients of a polyphase filter, laid out for the kernels.

/// Frames that one pass filters: 20 ms at 8 kHz.
pub(crate) const MAX_FRAMES: usize = 160;
/// Lines, and groups, of a bank.
pub(crate) const MAX_GROUPS: usize = 6;
/// Taps on one line: the frames of the past that a line keeps in front of those of this pass.
pub(crate) const MAX_TAPS: usize = 32;
/// Samples of a line: past, present, and what wide loads touch beyond it.
const LINE_SAMPLES: usize = MAX_TAPS + MAX_FRAMES + 32;

/// One sample of each frame: first [`MAX_TAPS`] of the past, then those of this pass.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Line([i16; LINE_SAMPLES]);

impl Line {
    /// A line of silence.
    pub(crate) const SILENT: Self = Self([0; LINE_SAMPLES]);

    /// The frames of this pass and the room behind them.
    #[inline]
    pub(super) fn present(&mut self) -> &mut [i16] {
        &mut self.0[MAX_TAPS..]
    }

    /// What the first of `taps` taps counts for the first frame, and all that follows.
    #[inline]
    pub(super) fn window(&self, taps: usize) -> &[i16] {
        &self.0[MAX_TAPS + 1 - taps.min(MAX_TAPS)..]
    }

    /// Makes the last ones of `frames` frames the past.
    #[inline]
    pub(crate) fn pass(&mut self, frames: usize) {
        self.0.copy_within(frames..frames + MAX_TAPS, 0);
    }
}

/// Fraction bits of the sum over all lines: a gain of one is `1 << SCALE_BITS`.
pub(crate) const SCALE_BITS: u32 = 14;
/// Half of the last place, to round.
pub(super) const ROUNDING: i32 = 1 << (SCALE_BITS - 1);

/// The coefficients that make `groups` output samples from each frame of `lines` input samples.
///
/// Output `g` of frame `q` is
/// `saturate(round(Σ_r (Σ_k coefficient(g, r, k) · window_r[q + k]) >> pre_shift))`, where the
/// newest sample that counts is that of frame `q` itself, with 32-bit sums that cannot overflow
/// (checked by [`Bank::new`]), so that the order of addition does not matter and all kernels agree.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(super) groups: usize,
    pub(super) lines: usize,
    pub(super) taps: usize,
    pub(super) pre_shift: u32,
    /// By group, line, tap.
    coefficients: Box<[i16]>,
    /// By group, line and pair of samples: what the pair counts for frames with even and with odd
    /// index. See [`Self::pairs`].
    pairs: Box<[[i32; 2]]>,
}

impl Bank {
    /// A bank from coefficients by group, line and tap, with `SCALE_BITS + pre_shift` fraction
    /// bits. `None` if the dimensions do not fit the kernels or a sum could overflow.
    pub(crate) fn new(
        groups: usize,
        lines: usize,
        pre_shift: u32,
        coefficients: Box<[i16]>,
    ) -> Option<Self> {
        let taps = coefficients.len().checked_div(groups * lines)?;
        let fits = (1..=MAX_GROUPS).contains(&groups)
            && (1..=MAX_GROUPS).contains(&lines)
            && coefficients.len() == groups * lines * taps
            && taps.is_multiple_of(2)
            && (2..=MAX_TAPS).contains(&taps);
        if !fits || !sums_fit(&coefficients, lines, taps, pre_shift) {
            return None;
        }
        let pair = |first: i16, second: i16| i32::from(first) & 0xffff | (i32::from(second) << 16);
        let pairs = coefficients
            .chunks_exact(taps)
            .flat_map(|line| {
                let tap = |k: usize| line.get(k).copied().unwrap_or(0);
                (0..=taps / 2).map(move |j| {
                    let before = if j == 0 { 0 } else { tap(2 * j - 1) };
                    [pair(tap(2 * j), tap(2 * j + 1)), pair(before, tap(2 * j))]
                })
            })
            .collect();
        Some(Self { groups, lines, taps, pre_shift, coefficients, pairs })
    }

    /// The taps of one group on one line.
    pub(super) fn taps_of(&self, group: usize, line: usize) -> &[i16] {
        &self.coefficients[(group * self.lines + line) * self.taps..][..self.taps]
    }

    /// What samples `2j` and `2j + 1` after a frame with even index count for this frame, and for
    /// the frame after it: two 16-bit coefficients each, the first one in the low half.
    ///
    /// A vector of 8 pairs beginning at an even frame thus serves 16 frames with one load.
    pub(super) fn pairs(&self, group: usize, line: usize) -> &[[i32; 2]] {
        let count = self.taps / 2 + 1;
        &self.pairs[(group * self.lines + line) * count..][..count]
    }

    /// Whether kernels may run: there are so many lines, and `frames` fit.
    pub(super) fn covers(&self, group: usize, lines: &[Line], frames: usize) -> bool {
        group < self.groups && lines.len() == self.lines && frames <= MAX_FRAMES
    }
}

/// Whether neither the sum of a line nor that of all lines can leave 32 bits, whatever the input.
fn sums_fit(coefficients: &[i16], lines: usize, taps: usize, pre_shift: u32) -> bool {
    let largest =
        |line: &[i16]| 32768 * line.iter().map(|c| i64::from(c.unsigned_abs())).sum::<i64>();
    let limit = i64::from(i32::MAX);
    coefficients.chunks_exact(lines * taps).all(|group| {
        let sums: Vec<i64> = group.chunks_exact(taps).map(largest).collect();
        let total: i64 = sums.iter().map(|sum| (sum >> pre_shift) + 1).sum();
        sums.iter().all(|sum| *sum <= limit) && total + i64::from(ROUNDING) <= limit
    })
}
