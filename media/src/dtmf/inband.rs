//! Digits as tones in the audio (ITU-T Q.23, Q.24).
//!
//! Every 10 ms a Hann window of 20 ms is measured at the eight frequencies. A window looks like a
//! digit if one tone of each group is there, neither too weak nor too unequal, and if the two
//! together are most of the sound: speech has its energy in many places. A run of such windows is a
//! digit if it is long enough and each tone is at its frequency. The frequency comes from how the
//! phase turns from window to window, which is exact where the width of a short window is not. As
//! overlapping Hann windows add up to one, the length of a tone is the sum of its amplitudes.
//!
//! Works at 8,000 Hz, where all tones are; a [`Converter`](crate::convert::Converter) brings other
//! audio there.

#[cfg(test)]
mod tests;

use std::f32::consts::TAU;
use std::sync::LazyLock;

use super::{Digit, Pressed};

/// Samples a second that are listened to.
pub const RATE_HZ: u32 = 8_000;

/// Samples from window to window: 10 ms.
const HOP: usize = 80;
const HOP_MS: f32 = 10.0;
/// Samples in a window: 20 ms.
const WINDOW: usize = 2 * HOP;

/// The frequencies of rows and columns (Q.23).
pub(super) const TONES_HZ: [f32; 8] = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];
/// Digits by row and column.
pub(super) const KEYS: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];

/// Weakest tone, in decibels below a full sine: about -31 dBm0.
const LEVEL_MIN_DB: f32 = -34.0;
/// How much stronger the tone of the high group may be, and that of the low group: 4 and 8 dB, and
/// what noise adds.
const TWIST_HIGH_MAX_DB: f32 = 5.0;
const TWIST_LOW_MAX_DB: f32 = 9.0;
/// Least share of both tones in the energy of a window. Tones 1.5 % off lose a fifth in the window.
const SHARE_MIN: f32 = 0.65;
/// How far a tone may be off its frequency: 1.5 % must be taken, 3.5 % refused (Q.24).
const OFF_MAX: f32 = 0.025;
/// Shortest tone: 40 ms must be taken, 23 ms refused.
const TONE_MIN_MS: f32 = 32.0;
/// Windows in a tone of 40 ms that look like a digit, however they lie.
const GOOD_MIN: u32 = 2;
/// Amplitude below which a tone counts as gone, as a part of its greatest.
const GONE: f32 = 0.35;
/// Windows without the tone that end it; less is an interruption, of which 10 ms must be forgiven.
const GONE_WINDOWS: u32 = 2;

/// Listens to one stream.
#[derive(Clone, Debug)]
pub struct Inband {
    line: [f32; WINDOW],
    filled: usize,
    /// The last window at each frequency.
    before: [Complex; 8],
    run: Option<Run>,
    found: Option<Pressed>,
}

/// A tone pair that goes on.
#[derive(Clone, Debug)]
struct Run {
    row: usize,
    column: usize,
    /// Sum and greatest of the amplitudes of its windows.
    sum: f32,
    max: f32,
    /// Windows that looked like the digit.
    good: u32,
    /// Windows in a row without it.
    gone: u32,
    /// How phases turned, besides what the frequencies do.
    low_turn: Complex,
    high_turn: Complex,
}

#[derive(Clone, Copy, Debug, Default)]
struct Complex {
    re: f32,
    im: f32,
}

impl Complex {
    fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    /// This times the conjugate of `other`.
    fn over(self, other: Self) -> Self {
        Self {
            re: self.re * other.re + self.im * other.im,
            im: self.im * other.re - self.re * other.im,
        }
    }

    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

/// Window times cosine and sine of each frequency, by sample.
struct Tables {
    tones: [[[f32; 2]; WINDOW]; 8],
    /// By how much a phase turns from window to window.
    turns: [Complex; 8],
    window: [f32; WINDOW],
    /// Sum of the window, and of its squares.
    sum: f32,
    squares: f32,
}

static TABLES: LazyLock<Box<Tables>> = LazyLock::new(|| {
    let mut tables = Box::new(Tables {
        tones: [[[0.0; 2]; WINDOW]; 8],
        turns: [Complex::default(); 8],
        window: [0.0; WINDOW],
        sum: 0.0,
        squares: 0.0,
    });
    for (n, weight) in tables.window.iter_mut().enumerate() {
        *weight = 0.5 - 0.5 * (TAU * n as f32 / WINDOW as f32).cos();
    }
    tables.sum = tables.window.iter().sum();
    tables.squares = tables.window.iter().map(|weight| weight * weight).sum();
    let window = tables.window;
    for (tone, hz) in TONES_HZ.into_iter().enumerate() {
        let turn = |samples: usize| {
            let turns = f64::from(hz) * samples as f64 / f64::from(RATE_HZ);
            (turns.fract() * std::f64::consts::TAU) as f32
        };
        for (n, (entry, weight)) in tables.tones[tone].iter_mut().zip(window).enumerate() {
            let (sin, cos) = turn(n).sin_cos();
            *entry = [weight * cos, -weight * sin];
        }
        let (im, re) = turn(HOP).sin_cos();
        tables.turns[tone] = Complex { re, im };
    }
    tables
});

impl Default for Inband {
    fn default() -> Self {
        Self::new()
    }
}

impl Inband {
    /// A listener with silence behind it.
    pub fn new() -> Self {
        // Made now, and not when the first frame comes.
        LazyLock::force(&TABLES);
        Self {
            line: [0.0; WINDOW],
            filled: HOP,
            before: [Complex::default(); 8],
            run: None,
            found: None,
        }
    }

    /// Listens to the next samples of the stream. Ask [`Inband::poll`] at least every 40 ms.
    pub fn push(&mut self, samples: &[i16]) {
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(WINDOW - self.filled));
            for (to, sample) in self.line[self.filled..].iter_mut().zip(now) {
                *to = f32::from(*sample);
            }
            self.filled += now.len();
            rest = later;
            if self.filled == WINDOW {
                self.window();
                self.line.copy_within(HOP.., 0);
                self.filled = HOP;
            }
        }
    }

    /// A digit that has ended.
    pub const fn poll(&mut self) -> Option<Pressed> {
        self.found.take()
    }

    /// Judges a window.
    fn window(&mut self) {
        let tables = &**TABLES;
        let mut tones = [Complex::default(); 8];
        for (tone, table) in tones.iter_mut().zip(&tables.tones) {
            // In four strands, so that the additions need not wait for one another.
            let mut sums = [[0.0_f32; 2]; 4];
            for (samples, entries) in self.line.chunks_exact(4).zip(table.chunks_exact(4)) {
                for ((sum, sample), [re, im]) in sums.iter_mut().zip(samples).zip(entries) {
                    sum[0] += sample * re;
                    sum[1] += sample * im;
                }
            }
            let sum = |part: usize| sums.iter().map(|sum| sum[part]).sum();
            *tone = Complex { re: sum(0), im: sum(1) };
        }
        let before = std::mem::replace(&mut self.before, tones);
        let seen = self.look(&tones);
        if let Some(run) = &mut self.run {
            let same = seen.is_none_or(|seen| seen == (run.row, run.column));
            if same && run.goes_on(&tones, &before, seen.is_some()) {
                return;
            }
            self.found = self.run.take().and_then(|run| run.pressed()).or(self.found);
        }
        if let Some((row, column)) = seen {
            let mut run = Run::new(row, column, &before);
            run.goes_on(&tones, &before, true);
            self.run = Some(run);
        }
    }

    /// The digit that the window looks like.
    fn look(&self, tones: &[Complex; 8]) -> Option<(usize, usize)> {
        let tables = &**TABLES;
        let power = tones.map(|tone| 2.0 * tone.power() / (tables.sum * tables.sum));
        let strongest = |from: usize| {
            (from..from + 4).max_by(|a, b| power[*a].total_cmp(&power[*b])).unwrap_or(from)
        };
        let (row, column) = (strongest(0), strongest(4));
        let (low, high) = (power[row], power[column]);
        let least = from_db(LEVEL_MIN_DB) * 32_768.0 * 32_768.0 / 2.0;
        if low < least || high < least {
            return None;
        }
        if high > low * from_db(TWIST_HIGH_MAX_DB) || low > high * from_db(TWIST_LOW_MAX_DB) {
            return None;
        }
        let weighted = self.line.iter().zip(&tables.window).map(|(x, w)| (x * w) * (x * w));
        let energy = weighted.sum::<f32>() / tables.squares;
        (low + high >= SHARE_MIN * energy).then_some((row, column))
    }
}

impl Run {
    /// Begins with what the window before, which was not whole, has of it.
    fn new(row: usize, column: usize, before: &[Complex; 8]) -> Self {
        let sum = (before[row].power() + before[column].power()).sqrt();
        let none = Complex::default();
        Self { row, column, sum, max: 0.0, good: 0, gone: 0, low_turn: none, high_turn: none }
    }

    /// Takes a window; false if it was the last.
    fn goes_on(&mut self, tones: &[Complex; 8], before: &[Complex; 8], good: bool) -> bool {
        let (low, high) = (tones[self.row], tones[self.column]);
        let amplitude = (low.power() + high.power()).sqrt();
        self.max = self.max.max(amplitude);
        if amplitude < GONE * self.max {
            self.gone += 1;
            if self.gone == 1 {
                // The end of the tone, if it is not noise.
                self.sum += amplitude;
            }
            return self.gone < GONE_WINDOWS;
        }
        self.gone = 0;
        self.sum += amplitude;
        self.good += u32::from(good);
        let turns = &TABLES.turns;
        self.low_turn = self.low_turn.add(low.over(before[self.row]).over(turns[self.row]));
        self.high_turn =
            self.high_turn.add(high.over(before[self.column]).over(turns[self.column]));
        true
    }

    /// The digit that it was.
    fn pressed(&self) -> Option<Pressed> {
        let duration_ms = HOP_MS * self.sum / self.max.max(1.0);
        if duration_ms < TONE_MIN_MS || self.good < GOOD_MIN {
            return None;
        }
        for (turn, tone) in [(self.low_turn, self.row), (self.high_turn, self.column)] {
            let off_hz = turn.im.atan2(turn.re) / TAU * RATE_HZ as f32 / HOP as f32;
            if off_hz.abs() > OFF_MAX * TONES_HZ[tone] {
                return None;
            }
        }
        let digit = Digit::from_char(char::from(KEYS[self.row][self.column - 4]))?;
        Some(Pressed { digit, duration_ms: duration_ms.round() as u32 })
    }
}

fn from_db(db: f32) -> f32 {
    10.0_f32.powf(db / 10.0)
}
