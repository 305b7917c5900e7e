//! The resampler for all other ratios: a windowed sinc of the crate `rubato`, which is named in
//! this file alone.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};
use std::time::Duration;

/// Taps for each sample of the lower rate: half of them are the delay.
const TAPS_PER_PHASE: usize = 48;
/// −6 dB at 95 % of the lower Nyquist frequency: with these taps and a Blackman window the pass
/// band ends at 3.3 kHz of 4 kHz, the stop band (74 dB) begins at 4.3 kHz.
const CUTOFF: f32 = 0.95;
/// Tabulated positions of the sinc between two samples; between two of these it runs straight,
/// which costs 80 dB of signal to noise and halves the work that a cubic would be.
const POSITIONS: usize = 128;
/// Pieces of input a second, each of which is filtered as soon as it is complete.
const CHUNKS_PER_S: u32 = 1000;

pub(super) struct Sinc {
    filter: Async<f32>,
    input: Box<[f32]>,
    filled: usize,
    output: Box<[f32]>,
    delay: Duration,
}

impl std::fmt::Debug for Sinc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sinc").field("ratio", &self.filter.resample_ratio()).finish_non_exhaustive()
    }
}

impl Sinc {
    /// `None` if the crate refuses the ratio.
    pub(super) fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        // Lengths count input samples: a filter at a lower output rate is longer by the ratio.
        let taps = (TAPS_PER_PHASE * from_hz as usize).div_ceil(from_hz.min(to_hz) as usize);
        let parameters = SincInterpolationParameters {
            sinc_len: taps,
            f_cutoff: Some(CUTOFF),
            oversampling_factor: POSITIONS,
            interpolation: SincInterpolationType::Linear,
            window: WindowFunction::Blackman,
        };
        let chunk = (from_hz / CHUNKS_PER_S) as usize;
        let ratio = f64::from(to_hz) / f64::from(from_hz);
        let filter = Async::new_sinc(ratio, 1.0, &parameters, chunk, 1, FixedAsync::Input).ok()?;
        let output = vec![0.0; filter.output_frames_max()].into();
        // The crate rounds lengths up to a multiple of eight, and its first output stands one
        // output interval after the first input.
        let half = taps.next_multiple_of(8) as u64 / 2;
        let nanos = |samples: u64, rate_hz: u32| samples * 1_000_000_000 / u64::from(rate_hz);
        let delay = Duration::from_nanos(nanos(half, from_hz).saturating_sub(nanos(1, to_hz)));
        Some(Self { filter, input: vec![0.0; chunk].into(), filled: 0, output, delay })
    }

    pub(super) fn process(&mut self, mut input: &[i16], out: &mut [i16]) -> usize {
        let mut written = 0;
        while !input.is_empty() {
            let take = input.len().min(self.input.len() - self.filled);
            let (now, rest) = input.split_at(take);
            for (to, from) in self.input[self.filled..].iter_mut().zip(now) {
                *to = f32::from(*from);
            }
            input = rest;
            self.filled += take;
            if self.filled == self.input.len() {
                self.filled = 0;
                written += self.filter_chunk(&mut out[written..]);
            }
        }
        written
    }

    /// Filters the chunk of input that is complete.
    fn filter_chunk(&mut self, out: &mut [i16]) -> usize {
        let (frames_in, frames_out) = (self.input.len(), self.output.len());
        let (Ok(from), Ok(mut to)) = (
            SequentialSlice::new(&self.input[..], 1, frames_in),
            SequentialSlice::new_mut(&mut self.output[..], 1, frames_out),
        ) else {
            return 0;
        };
        // It refuses nothing but buffers too small, and these have the sizes that it asked for.
        let Ok((_, ready)) = self.filter.process_into_buffer(&from, &mut to, None) else {
            return 0;
        };
        let ready = ready.min(out.len());
        for (to, from) in out.iter_mut().zip(&self.output[..ready]) {
            // The conversion saturates.
            *to = from.round() as i16;
        }
        ready
    }

    pub(super) fn max_output(&self, input: usize) -> usize {
        (input / self.input.len() + 1).saturating_mul(self.output.len())
    }

    pub(super) fn reset(&mut self) {
        self.filter.reset();
        self.filled = 0;
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }
}
