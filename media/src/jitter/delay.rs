//! How late packets are, and for how long sound must wait so that nearly none is too late.
//!
//! A packet's transit is its arrival less its media time. The quickest transit of the last seconds
//! is the base; by how much another is slower is its delay. The wait that is aimed at is a quantile
//! of the delays, of which old ones are forgotten (the way of WebRTC's NetEQ). The base follows a
//! skew of the clocks by itself, in both directions.

use std::time::Duration;

use super::skew::Skew;
use crate::time::MonoTime;

/// Width of a class of delays.
const CLASS_MS: u64 = 5;
/// Classes: delays up to half a second; slower ones count as that.
const CLASSES: usize = 100;
/// Part of the packets that are to come in time.
const QUANTILE: f32 = 0.99;
/// What is left of the weight of a delay with every packet after it: half in 20 s at 50 a second.
const MEMORY: f32 = 0.9993;
/// Length of a block of the base, and how many there are: the base is the quickest of 4 s.
const BASE_BLOCK: Duration = Duration::from_millis(500);
const BASE_BLOCKS: usize = 8;
/// So many late packets within [`LATE_WITHIN`] raise the wait at once to what they needed.
const LATE_COUNT: usize = 3;
const LATE_WITHIN: Duration = Duration::from_secs(1);
/// How fast such a raise is given up again, in milliseconds a second.
const RAISE_DECAY_MS_PER_S: f32 = 10.0;

const NS_PER_MS: i64 = 1_000_000;

/// Delays of one stream.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    clock_hz: u32,
    /// Where transits are counted from.
    reference: Option<(MonoTime, u64)>,
    /// Quickest transit of each block, the current one last; in nanoseconds.
    blocks: [i64; BASE_BLOCKS],
    block_at: MonoTime,
    classes: [f32; CLASSES],
    packets: u32,
    late_at: [MonoTime; LATE_COUNT],
    raise_ms: f32,
    raised_at: MonoTime,
    skew: Skew,
}

impl Delays {
    /// Of a stream whose timestamps tick `clock_hz` times a second. Before anything is known the
    /// wait is `start_ms`.
    pub(super) fn new(clock_hz: u32, start_ms: u32) -> Self {
        let mut classes = [0.0; CLASSES];
        let start = (u64::from(start_ms) / CLASS_MS).saturating_sub(1) as usize;
        classes[start.min(CLASSES - 1)] = 1.0;
        Self {
            clock_hz,
            reference: None,
            blocks: [i64::MAX; BASE_BLOCKS],
            block_at: MonoTime::ZERO,
            classes,
            packets: 0,
            late_at: [MonoTime::ZERO; LATE_COUNT],
            raise_ms: 0.0,
            raised_at: MonoTime::ZERO,
            skew: Skew::default(),
        }
    }

    /// Takes a packet's arrival and tells its delay in nanoseconds.
    pub(super) fn arrived(&mut self, now: MonoTime, ext_ts: u64) -> i64 {
        if self.reference.is_none() {
            self.reference = Some((now, ext_ts));
            self.block_at = now;
        }
        let transit = self.transit(now, ext_ts);
        if now.since(self.block_at) >= BASE_BLOCK {
            self.skew.add(self.block_at, self.blocks[BASE_BLOCKS - 1]);
            self.blocks.rotate_left(1);
            self.blocks[BASE_BLOCKS - 1] = i64::MAX;
            self.block_at = now;
        }
        let current = &mut self.blocks[BASE_BLOCKS - 1];
        *current = transit.min(*current);
        let delay = transit - self.base();
        self.remember(delay);
        delay
    }

    /// A packet came when its sound was already due, `delay` nanoseconds after the quickest.
    pub(super) fn late(&mut self, now: MonoTime, delay: i64) {
        self.late_at.rotate_left(1);
        self.late_at[LATE_COUNT - 1] = now;
        if self.late_at[0] > MonoTime::ZERO && now.since(self.late_at[0]) <= LATE_WITHIN {
            let delay_ms = (delay / NS_PER_MS).min(CLASSES as i64 * CLASS_MS as i64) as f32;
            self.raise_ms = self.raise(now).max(delay_ms);
            self.raised_at = now;
        }
    }

    /// Forgets where transits stood, for a stream that begins anew; what is known of the network
    /// stays.
    pub(super) fn restart(&mut self) {
        self.reference = None;
        self.blocks = [i64::MAX; BASE_BLOCKS];
        self.skew = Skew::default();
    }

    /// Nanoseconds by which media time `ext_ts` at `now` is behind the quickest packet's.
    pub(super) fn behind(&self, now: MonoTime, ext_ts: u64) -> i64 {
        self.transit(now, ext_ts).saturating_sub(self.base())
    }

    /// How long sound must wait, in nanoseconds.
    pub(super) fn target(&self, now: MonoTime) -> i64 {
        let mut sum = 0.0;
        let reached = self.classes.iter().position(|part| {
            sum += part;
            sum >= QUANTILE
        });
        let class = reached.unwrap_or(CLASSES - 1) as i64 + 1;
        let raise_ns = (self.raise(now) * NS_PER_MS as f32) as i64;
        (class * CLASS_MS as i64 * NS_PER_MS).max(raise_ns)
    }

    /// By how many millionths the sender's clock is faster than ours, once that can be told.
    pub(super) fn skew_ppm(&self) -> Option<f32> {
        self.skew.ppm()
    }

    fn raise(&self, now: MonoTime) -> f32 {
        let decay = now.since(self.raised_at).as_secs_f32() * RAISE_DECAY_MS_PER_S;
        (self.raise_ms - decay).max(0.0)
    }

    fn base(&self) -> i64 {
        let base = self.blocks.iter().copied().min().unwrap_or(i64::MAX);
        if base == i64::MAX { 0 } else { base }
    }

    fn transit(&self, now: MonoTime, ext_ts: u64) -> i64 {
        let Some((at, ts)) = self.reference else { return 0 };
        let passed = i128::from(now.as_nanos()) - i128::from(at.as_nanos());
        let media = (i128::from(ext_ts) - i128::from(ts)) * 1_000_000_000;
        (passed - media / i128::from(self.clock_hz.max(1))) as i64
    }

    fn remember(&mut self, delay: i64) {
        self.packets = self.packets.saturating_add(1);
        let memory = MEMORY.min(1.0 - 1.0 / (self.packets as f32 + 1.0));
        for part in &mut self.classes {
            *part *= memory;
        }
        let class = (delay.max(0) / (CLASS_MS as i64 * NS_PER_MS)) as usize;
        self.classes[class.min(CLASSES - 1)] += 1.0 - memory;
    }
}
