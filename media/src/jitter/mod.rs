//! The jitter buffer: sound from a network, played out on a clock of our own.
//!
//! Packets go in as they come ([`JitterBuffer::put`]); sound comes out every ptime
//! ([`JitterBuffer::pull`]), always as much as is asked for. What is missing is concealed, pauses
//! are filled with noise of the background, and sound that waits too long or not long enough is
//! made shorter or longer by whole periods, where that is not heard. Skewed clocks need nothing
//! else: they move the delay, and the delay is held.
//!
//! **How long sound waits.** For as long as nearly all packets need (`delay.rs`) and one pull more,
//! because a pull may want sound of a packet up to its own length early. The wait is raised at once
//! when packets come too late, and lowered slowly.
//!
//! **What is bounded.** What waits never exceeds [`JitterConfig::max_ms`]: beyond it the oldest is
//! dropped, and the seam is blended. Memory for packets comes from the caller's pool, everything
//! else is taken when the buffer is made.
//!
//! **Timeline.** Sequence numbers and timestamps are those of a [`Receiver`](crate::rtp::Receiver),
//! whose timeline goes on over new sources and sequences. A gap in the numbers is loss and is
//! concealed for as long as it was; a jump of the time without one is a pause, after which the wait
//! starts anew.

mod decode;
mod delay;
mod filling;
#[doc(hidden)]
pub mod fuzz;
mod pull;
mod queue;
mod ready;
mod report;
mod skew;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::blocks::{BlockPool, Chain};
use crate::comfort::{Background, ComfortNoise};
use crate::conceal::Concealer;
use crate::rtp::PACKET_BYTES_MAX;
use crate::time::MonoTime;
pub use decode::Decode;
use delay::Delays;
use filling::Filling;
pub use queue::Content;
use queue::{Queue, Slot};
use ready::Ready;
pub use report::{JitterCounters, JitterSnapshot, Kind, Pulled, Put};

/// Sound that may wait, unless something else is configured.
pub const MAX_DEFAULT_MS: u32 = 200;
/// The range of that.
pub const MAX_MIN_MS: u32 = 80;
/// See [`MAX_MIN_MS`].
pub const MAX_MAX_MS: u32 = 2_000;
/// The wait before anything is known of the network, besides the pull.
pub const START_DEFAULT_MS: u32 = 20;
/// Longest packet, and longest pull.
pub const FRAME_MAX_MS: u32 = 120;
/// The shortest packet that room is made for: with shorter ones less waits.
const PACKET_MIN_MS: u32 = 5;
/// Decoded sound that may be at hand: a packet, and what is needed to scale time.
const READY_MS: u32 = FRAME_MAX_MS + 2 * 60;

/// How a jitter buffer is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    /// Samples a second of what comes out: 8, 16, 24, 32 or 48 kHz.
    pub rate_hz: u32,
    /// Ticks a second of the timestamps that go in.
    pub clock_hz: u32,
    /// Sound that may wait, in milliseconds; cut to [`MAX_MIN_MS`] and [`MAX_MAX_MS`].
    pub max_ms: u32,
    /// The wait before anything is known, in milliseconds.
    pub start_ms: u32,
}

impl JitterConfig {
    /// The defaults for sound of `rate_hz` whose timestamps tick `clock_hz` times a second.
    pub const fn new(rate_hz: u32, clock_hz: u32) -> Self {
        Self { rate_hz, clock_hz, max_ms: MAX_DEFAULT_MS, start_ms: START_DEFAULT_MS }
    }
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Extended sequence number.
    pub ext_seq: u64,
    /// Extended timestamp.
    pub ext_ts: u64,
    /// Media time that the payload holds, in clock units; 0 for other content than audio.
    pub units: u32,
    /// What it holds.
    pub content: Content,
    /// It begins a new source or sequence.
    pub splice: bool,
    /// The payload.
    pub payload: &'a [u8],
}

/// Where playing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came yet.
    Idle,
    /// The peer says nothing; the next sound waits its full wait.
    Pause,
    /// Sound is played, or concealed where it is missing.
    Playing,
}

/// A jitter buffer of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    delays: Delays,
    queue: Queue,
    ready: Ready,
    concealer: Concealer,
    filling: Filling,
    noise: ComfortNoise,
    /// The peer told how its silence sounds.
    shaped: bool,
    background: Background,
    /// How loud the noise is in what went out last, 0 to 1.
    noise_part: f32,
    state: State,
    /// Number that comes next.
    next_seq: u64,
    /// Media time of the sample after those in `ready`.
    play_ts: u64,
    /// Samples that were concealed since the queue ran dry.
    stalled: usize,
    /// Samples of the last pull.
    pull_samples: usize,
    scaled_at: MonoTime,
    /// When nothing was found that could be left out.
    unscaled_at: MonoTime,
    counters: JitterCounters,
    depth_min: usize,
    depth_max: usize,
    waited_max: Duration,
    last_pull: MonoTime,
    payload: Box<[u8]>,
    decoded: Box<[i16]>,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterConfig) -> Self {
        let rate_hz = config.rate_hz.clamp(8_000, 48_000);
        let max_ms = config.max_ms.clamp(MAX_MIN_MS, MAX_MAX_MS);
        let config = JitterConfig { rate_hz, max_ms, clock_hz: config.clock_hz.max(1), ..config };
        let samples = |ms: u32| (rate_hz / 1_000 * ms) as usize;
        Self {
            delays: Delays::new(config.clock_hz, config.start_ms),
            queue: Queue::new((max_ms / PACKET_MIN_MS) as usize),
            ready: Ready::new(rate_hz, samples(READY_MS)),
            concealer: Concealer::new(rate_hz),
            filling: Filling::new(rate_hz),
            noise: ComfortNoise::new(rate_hz),
            shaped: false,
            background: Background::default(),
            noise_part: 0.0,
            state: State::Idle,
            next_seq: 0,
            play_ts: 0,
            stalled: 0,
            pull_samples: samples(20),
            scaled_at: MonoTime::ZERO,
            unscaled_at: MonoTime::ZERO,
            counters: JitterCounters::default(),
            depth_min: usize::MAX,
            depth_max: 0,
            waited_max: Duration::ZERO,
            last_pull: MonoTime::ZERO,
            payload: vec![0; PACKET_BYTES_MAX.max(samples(FRAME_MAX_MS) * 2)].into(),
            decoded: vec![0; samples(FRAME_MAX_MS)].into(),
            config,
        }
    }

    /// What holds.
    pub const fn config(&self) -> &JitterConfig {
        &self.config
    }

    /// Takes a packet that arrived at `now`. `blocks` must be the same pool with every call.
    pub fn put(&mut self, now: MonoTime, blocks: &mut BlockPool, packet: Incoming<'_>) -> Put {
        self.counters.received += 1;
        let Incoming { ext_seq, ext_ts, units, content, splice, payload } = packet;
        if splice {
            self.delays.restart();
        }
        let passed = self.state == State::Playing
            && content != Content::Other
            && ext_ts.saturating_add(u64::from(units)) <= self.play_ts
            && units > 0;
        if matches!(content, Content::Audio(_)) {
            let behind = self.delays.arrived(now, ext_ts);
            let due = self.state == State::Playing && ext_ts < self.play_ts;
            if due || self.stalled > 0 {
                self.delays.late(now, behind);
            }
        }
        if self.state != State::Idle && (ext_seq < self.next_seq || passed) {
            self.counters.late += 1;
            return Put::Late;
        }
        let Some(place) = self.queue.place(ext_seq) else {
            self.counters.duplicate += 1;
            return Put::Duplicate;
        };
        if self.queue.is_full() {
            if place == 0 {
                self.counters.discarded += 1;
                return Put::NoMemory;
            }
            self.drop_oldest(blocks);
        }
        // Where the oldest was dropped, the place has moved.
        let Some(place) = self.queue.place(ext_seq) else { return Put::Duplicate };
        let mut chain = Chain::new();
        if chain.push(blocks, payload) < payload.len() {
            chain.clear(blocks);
            self.counters.discarded += 1;
            return Put::NoMemory;
        }
        let at = now;
        self.queue.insert(
            place,
            Slot { seq: ext_seq, ts: ext_ts, units, content, splice, at, payload: chain },
        );
        self.keep_cap(blocks);
        Put::Queued
    }

    /// Takes another clock of the timestamps: what waits is dropped, what is known of the network
    /// stays.
    pub fn set_clock(&mut self, blocks: &mut BlockPool, clock_hz: u32) {
        let start_ms = self.delays_ms();
        self.flush(blocks);
        self.config.clock_hz = clock_hz.max(1);
        self.delays = Delays::new(self.config.clock_hz, start_ms);
    }

    /// Drops what waits; the next sound begins anew. The account goes on.
    pub fn flush(&mut self, blocks: &mut BlockPool) {
        while self.queue.len() > 0 {
            self.discard_head(blocks);
        }
        self.counters.dropped_samples += self.ready.len() as u64;
        self.ready.clear();
        self.filling.finish();
        self.concealer.splice();
        self.stalled = 0;
        if self.state == State::Playing {
            self.state = State::Pause;
        }
        self.delays.restart();
    }

    /// Gives all blocks back, at the end of the stream.
    pub fn release(&mut self, blocks: &mut BlockPool) {
        self.counters.discarded += self.queue.clear(blocks) as u64;
        self.counters.dropped_samples += self.ready.len() as u64;
        self.ready.clear();
    }

    /// How it fares. The range of depths starts anew.
    pub fn snapshot(&mut self, now: MonoTime) -> JitterSnapshot {
        let depth = self.depth();
        let least = if self.depth_min == usize::MAX { depth } else { self.depth_min };
        let snapshot = JitterSnapshot {
            counters: self.counters,
            depth: self.duration(depth),
            depth_min: self.duration(least),
            depth_max: self.duration(self.depth_max.max(depth)),
            delay: Duration::from_nanos(u64::try_from(self.delay(now)).unwrap_or(0)),
            waited_max: self.waited_max,
            target: Duration::from_nanos(u64::try_from(self.target(now)).unwrap_or(0)),
            skew_ppm: self.delays.skew_ppm(),
            concealed_ms: self.counters.concealed_samples * 1_000 / u64::from(self.config.rate_hz),
        };
        (self.depth_min, self.depth_max) = (usize::MAX, 0);
        self.waited_max = Duration::ZERO;
        snapshot
    }

    /// Sound that waits, as [`JitterSnapshot::depth`] tells it.
    pub fn waits(&self) -> Duration {
        self.duration(self.depth())
    }

    /// Counts since the buffer was made.
    pub const fn counters(&self) -> &JitterCounters {
        &self.counters
    }

    /// Packets that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Drops the oldest packet and what was missing before it.
    fn discard_head(&mut self, blocks: &mut BlockPool) {
        let Some(mut slot) = self.queue.pop() else { return };
        slot.payload.clear(blocks);
        self.counters.discarded += 1;
        self.pass(slot.seq);
        if self.state == State::Playing {
            self.play_ts = self.play_ts.max(slot.ts + u64::from(slot.units));
        }
    }

    /// The place `seq` has come; those before it that have not come are missing.
    fn pass(&mut self, seq: u64) {
        if self.state != State::Idle {
            self.counters.missing += seq.saturating_sub(self.next_seq);
        }
        self.next_seq = seq + 1;
    }

    /// Drops the oldest until what waits is under the cap.
    fn keep_cap(&mut self, blocks: &mut BlockPool) {
        let max = self.samples_of_ms(self.config.max_ms);
        while self.depth() > max && self.queue.len() > 1 {
            self.drop_oldest(blocks);
        }
    }

    /// Drops the oldest packet, what was decoded before it and what is missing after it; the seam
    /// is blended.
    fn drop_oldest(&mut self, blocks: &mut BlockPool) {
        self.discard_head(blocks);
        if self.state == State::Playing
            && let Some(head) = self.queue.head()
        {
            self.play_ts = self.play_ts.max(head.ts);
            self.counters.missing += head.seq.saturating_sub(self.next_seq);
            self.next_seq = head.seq;
        }
        self.counters.dropped_samples += self.ready.len() as u64;
        self.ready.clear();
        self.concealer.splice();
        self.stalled = 0;
    }

    /// Samples that wait: decoded, queued, and those that will stand for what is missing between.
    fn depth(&self) -> usize {
        let mut seq = self.next_seq;
        let mut ts = self.play_ts;
        let mut stalled = self.units_of(self.stalled);
        let mut units = 0;
        let mut known = self.state == State::Playing;
        for slot in self.queue.iter() {
            if slot.content == Content::Other {
                seq = slot.seq + 1;
                continue;
            }
            let gap = slot.ts.saturating_sub(ts);
            if known && slot.seq > seq && gap <= self.gap_units_max() {
                units += gap.saturating_sub(stalled);
            }
            stalled = 0;
            units += u64::from(slot.units);
            ts = slot.ts.saturating_add(u64::from(slot.units));
            (seq, known) = (slot.seq + 1, slot.content != Content::Comfort);
        }
        self.ready.len() + self.samples_of(units)
    }

    /// A gap in time that is longer than this is a pause, even if packets are missing in it.
    const fn gap_units_max(&self) -> u64 {
        self.config.clock_hz as u64 * self.config.max_ms as u64 / 1_000
    }

    /// Nanoseconds by which what is played at `now` is behind the quickest packet.
    fn delay(&self, now: MonoTime) -> i64 {
        if self.state != State::Playing {
            return 0;
        }
        let ready = self.units_of(self.ready.len());
        self.delays.behind(now, self.play_ts.saturating_sub(ready))
    }

    /// Nanoseconds by which it should be.
    fn target(&self, now: MonoTime) -> i64 {
        let pull = self.pull_samples as i64 * 1_000_000_000 / i64::from(self.config.rate_hz);
        let max = i64::from(self.config.max_ms) * 1_000_000;
        (self.delays.target(now) + pull).clamp(0, max - pull.min(max / 2))
    }

    fn delays_ms(&self) -> u32 {
        u32::try_from(self.delays.target(self.last_pull) / 1_000_000).unwrap_or(0)
    }

    const fn samples_of_ms(&self, ms: u32) -> usize {
        (self.config.rate_hz as usize / 1_000) * ms as usize
    }

    fn samples_of(&self, units: u64) -> usize {
        let samples =
            u128::from(units) * u128::from(self.config.rate_hz) / u128::from(self.config.clock_hz);
        usize::try_from(samples).unwrap_or(usize::MAX / 4)
    }

    const fn units_of(&self, samples: usize) -> u64 {
        samples as u64 * self.config.clock_hz as u64 / self.config.rate_hz as u64
    }

    fn duration(&self, samples: usize) -> Duration {
        Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(self.config.rate_hz))
    }
}
