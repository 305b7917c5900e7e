//! Whether somebody speaks: by energy over a noise floor that adapts.
//!
//! Every 10 ms the level is compared with the floor, which is the least that was heard in the last
//! two seconds: between syllables everybody pauses. Speech begins when a few blocks stand out, and
//! is told as of the first of them; it ends when nothing stands out for a while, and is told as of
//! the last that did. A sound that does not vary becomes the floor within two seconds.

#[cfg(test)]
mod tests;

/// Milliseconds of a block.
pub const BLOCK_MS: u32 = 10;

/// How far a block stands out of the floor when speech begins, and while it goes on, in decibels.
const BEGIN_DB: f32 = 9.0;
const GO_ON_DB: f32 = 6.0;
/// Nothing below this is speech, in dBov.
const LEVEL_MIN_DB: f32 = -52.0;
/// Of so many blocks so many must stand out for speech to begin.
const BEGIN_OF: u32 = 6;
const BEGIN_BLOCKS: u32 = 4;
/// Blocks that do not stand out before speech is over: 300 ms, a long pause within a word.
const HANGOVER_BLOCKS: u32 = 30;
/// The floor is the least of so many stretches, each of so many blocks.
const STRETCHES: usize = 4;
const STRETCH_BLOCKS: u32 = 50;
/// By how much the least of many levels is below their mean.
const FLOOR_BIAS_DB: f32 = 2.0;
/// What is assumed of the floor before anything was heard, and its bounds, in dBov.
const FLOOR_START_DB: f32 = -48.0;
const FLOOR_MIN_DB: f32 = -75.0;
/// Level of digital silence, in dBov.
const SILENCE_DB: f32 = -96.0;
/// Part of the level's past in its smoothed value.
const SMOOTHING: f32 = 0.7;

/// Speech began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechChange {
    /// It began.
    pub started: bool,
    /// When, in milliseconds of the stream.
    pub at_ms: u64,
}

/// Listens to one stream of linear samples.
#[derive(Clone, Debug)]
pub struct Vad {
    block_samples: u32,
    /// Of the block that is being filled.
    count: u32,
    energy: f32,
    /// Memory of the filter that takes constants and hum away.
    filter: [f32; 2],
    keep: f32,
    /// Blocks so far.
    blocks: u64,
    level_db: f32,
    smooth_db: f32,
    /// Least of each of the last stretches, the newest last.
    least_db: [f32; STRETCHES],
    stretch_blocks: u32,
    /// Whether each of the last blocks stood out, the newest in the lowest bit.
    out: u32,
    speaking: bool,
    /// Blocks since one stood out.
    quiet: u32,
    change: Option<SpeechChange>,
}

impl Vad {
    /// For samples at `rate_hz`.
    pub fn new(rate_hz: u32) -> Self {
        Self {
            block_samples: (rate_hz * BLOCK_MS / 1000).max(1),
            count: 0,
            energy: 0.0,
            filter: [0.0; 2],
            // One pole at about 80 Hz.
            keep: 1.0 - 500.0 / rate_hz.max(1000) as f32,
            blocks: 0,
            level_db: SILENCE_DB,
            smooth_db: FLOOR_START_DB,
            least_db: [FLOOR_START_DB; STRETCHES],
            stretch_blocks: 0,
            out: 0,
            speaking: false,
            quiet: 0,
            change: None,
        }
    }

    /// Listens to the next samples. Ask [`Vad::poll`] at least every 60 ms.
    pub fn push(&mut self, samples: &[i16]) {
        for sample in samples {
            let sample = f32::from(*sample);
            let passed = sample - self.filter[0] + self.keep * self.filter[1];
            self.filter = [sample, passed];
            self.energy += passed * passed;
            self.count += 1;
            if self.count == self.block_samples {
                self.block();
            }
        }
    }

    /// Lets `ms` milliseconds pass of which nothing came.
    pub fn skip(&mut self, ms: u64) {
        for _ in 0..ms.min(2000) / u64::from(BLOCK_MS) {
            self.count = self.block_samples;
            self.block();
        }
        self.blocks += ms.saturating_sub(2000) / u64::from(BLOCK_MS);
    }

    /// What changed.
    pub const fn poll(&mut self) -> Option<SpeechChange> {
        self.change.take()
    }

    /// How long the stream is up to now, in milliseconds.
    pub const fn clock_ms(&self) -> u64 {
        self.blocks * BLOCK_MS as u64
    }

    /// True while somebody speaks.
    pub const fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// The level of the last block, in dBov.
    pub const fn level_dbov(&self) -> f32 {
        self.level_db
    }

    /// The floor, in dBov.
    pub fn floor_dbov(&self) -> f32 {
        let least = self.least_db.iter().copied().fold(f32::MAX, f32::min);
        (least + FLOOR_BIAS_DB).max(FLOOR_MIN_DB)
    }

    fn block(&mut self) {
        // The filter's gain is above one.
        let gain = (1.0 + self.keep) / 2.0;
        let mean = gain * gain * self.energy / self.count.max(1) as f32;
        (self.count, self.energy) = (0, 0.0);
        // A square wave between the extremes is 0 dBov (RFC 6464).
        let level_db = 10.0 * (mean / (32_768.0 * 32_768.0)).max(1e-12).log10();
        self.level_db = level_db.max(SILENCE_DB);
        self.smooth_db += (1.0 - SMOOTHING) * (self.level_db - self.smooth_db);
        let floor_db = self.floor_dbov();
        self.follow_floor();
        let margin_db = if self.speaking { GO_ON_DB } else { BEGIN_DB };
        let stands_out = self.level_db > (floor_db + margin_db).max(LEVEL_MIN_DB);
        self.out = self.out << 1 | u32::from(stands_out);
        self.blocks += 1;
        self.quiet = if stands_out { 0 } else { self.quiet.saturating_add(1) };
        let recent = self.out & ((1 << BEGIN_OF) - 1);
        if !self.speaking && recent.count_ones() >= BEGIN_BLOCKS {
            let first = u64::from(u32::BITS - recent.leading_zeros());
            self.change(true, self.blocks.saturating_sub(first));
        } else if self.speaking && self.quiet >= HANGOVER_BLOCKS {
            self.change(false, self.blocks.saturating_sub(u64::from(self.quiet)));
        }
    }

    fn change(&mut self, started: bool, block: u64) {
        self.speaking = started;
        self.change = Some(SpeechChange { started, at_ms: block * u64::from(BLOCK_MS) });
    }

    /// Keeps the least levels.
    fn follow_floor(&mut self) {
        self.stretch_blocks += 1;
        let [.., newest] = &mut self.least_db;
        *newest = newest.min(self.smooth_db);
        if self.stretch_blocks == STRETCH_BLOCKS {
            self.stretch_blocks = 0;
            self.least_db.rotate_left(1);
            let [.., newest] = &mut self.least_db;
            *newest = self.smooth_db;
        }
    }
}
