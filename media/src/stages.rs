//! The time line of a frame: when it reached which step on its way through the server.
//!
//! One frame at a time passes through a worker, so its stamps are a value that goes along with it:
//! [`Stamps::begin`] as it comes into sight, [`Stamps::lap`] behind each step, [`Stamps::take`] at
//! its end. Frames that are not stamped cost one comparison a step. What is taken is counted in
//! buckets whose bounds are the same everywhere ([`BOUNDS_NS`]).

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use crate::buckets::{bucket_of, one_two_five, quantile};
use crate::time::MonoTime;

/// One frame in so many is stamped, each way: reading the clock at every step of every frame would
/// cost more than some of the steps.
pub const STAMPED_EVERY: u8 = 8;
const _: () = assert!(STAMPED_EVERY.is_power_of_two());

/// A step of a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// From the kernel's receipt of a packet until its worker turns to it.
    KernelReceive,
    /// Until it is taken from the kernel, its protection is off and its place is known.
    Decode,
    /// Out of order, until those before it have come or are given up.
    Ring,
    /// Converted, framed, and written to the agent.
    AgentOut,
    /// From turning to an agent's message until its audio is in the queue.
    AgentIn,
    /// Until its turn comes: the time at which the packet to the peer is due that begins with it.
    Queue,
    /// From the time at which a packet to the peer is due until its worker turns to it.
    Pacer,
    /// Coded, protected and handed to the kernel.
    KernelSend,
}

impl Stage {
    /// All, in the order of a frame's way to the agent and back.
    pub const ALL: [Self; Self::COUNT] = [
        Self::KernelReceive,
        Self::Decode,
        Self::Ring,
        Self::AgentOut,
        Self::AgentIn,
        Self::Queue,
        Self::Pacer,
        Self::KernelSend,
    ];
    /// How many there are.
    pub const COUNT: usize = 8;

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KernelReceive => "kernel_receive",
            Self::Decode => "decode",
            Self::Ring => "ring",
            Self::AgentOut => "agent_out",
            Self::AgentIn => "agent_in",
            Self::Queue => "queue",
            Self::Pacer => "pacer",
            Self::KernelSend => "kernel_send",
        }
    }
}

/// Upper bounds of the buckets in which steps are counted, in nanoseconds: 500 ns to 500 ms.
pub const BOUNDS_NS: [u64; 19] = one_two_five(500);

/// Buckets, the one without bound included.
const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Decides which frames of one way are stamped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampler(u8);

impl Sampler {
    /// A frame comes; whether it is stamped.
    #[inline]
    pub const fn next(&mut self) -> bool {
        self.0 = (self.0 + 1) % STAMPED_EVERY;
        self.0 == 0
    }
}

/// The stamps of the frame that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    /// The frame is stamped.
    on: bool,
    /// When it was stamped last.
    at: MonoTime,
    /// What each step took, in nanoseconds; none of those that it did not take.
    took_ns: [u32; Stage::COUNT],
}

/// The value that stands for a step that was not taken.
const NOT_TAKEN_NS: u32 = u32::MAX;

impl Default for Stamps {
    fn default() -> Self {
        Self { on: false, at: MonoTime::ZERO, took_ns: [NOT_TAKEN_NS; Stage::COUNT] }
    }
}

impl Stamps {
    /// A frame that is stamped comes into sight, or was due, at `at`.
    pub const fn begin(&mut self, at: MonoTime) {
        *self = Self { on: true, at, took_ns: [NOT_TAKEN_NS; Stage::COUNT] };
    }

    /// A frame comes into sight that is not stamped, whatever became of the one before.
    #[inline]
    pub const fn stop(&mut self) {
        self.on = false;
    }

    /// Whether the frame under way is stamped.
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// A step has taken so long, as something else tells.
    pub fn note(&mut self, stage: Stage, took: Duration) {
        let nanos = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX).min(NOT_TAKEN_NS - 1);
        if let Some(kept) = self.took_ns.get_mut(stage as usize) {
            *kept = nanos;
        }
    }

    /// A step ends at the time that `clock` tells, if the frame is stamped.
    #[inline]
    pub fn lap(&mut self, stage: Stage, clock: impl FnOnce() -> MonoTime) {
        if self.on {
            self.stamp(stage, clock());
        }
    }

    #[cold]
    fn stamp(&mut self, stage: Stage, now: MonoTime) {
        self.note(stage, now.since(self.at));
        self.at = now;
    }

    /// The frame is on its way: what each step took. What follows is not stamped.
    pub fn take(&mut self) -> impl Iterator<Item = (Stage, Duration)> + use<> {
        let took_ns = std::mem::take(self).took_ns;
        let steps = Stage::ALL.into_iter().zip(took_ns);
        let taken = steps.filter(|(_, nanos)| *nanos != NOT_TAKEN_NS);
        taken.map(|(stage, nanos)| (stage, Duration::from_nanos(u64::from(nanos))))
    }
}

/// What the steps of one call's frames took. One thread counts, any number read.
///
/// Each call has its own, so counts are small: those of a step are halved when one of them is full,
/// after hours, which leaves their shares as they are.
#[derive(Debug)]
pub struct StageCounts([[AtomicU16; BUCKETS]; Stage::COUNT]);

impl Default for StageCounts {
    fn default() -> Self {
        Self([const { [const { AtomicU16::new(0) }; BUCKETS] }; Stage::COUNT])
    }
}

/// How long a step took, as far as was counted: bounds that half of the frames, and 99 % of them,
/// kept to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageTimes {
    /// Which.
    pub stage: Stage,
    /// Frames that were stamped, in hours: see [`StageCounts`].
    pub count: u64,
    /// At most so long took half of them; absent beyond the last bound.
    pub p50: Option<Duration>,
    /// At most so long took 99 % of them.
    pub p99: Option<Duration>,
}

impl StageCounts {
    /// Counts one step.
    #[inline]
    pub fn record(&self, stage: Stage, took: Duration) {
        let Some(counts) = self.0.get(stage as usize) else { return };
        let Some(count) = counts.get(bucket_of(&BOUNDS_NS, took)) else { return };
        if count.load(Relaxed) == u16::MAX {
            counts.iter().for_each(|count| count.store(count.load(Relaxed) / 2, Relaxed));
        }
        // With one writer, without the locked instruction.
        count.store(count.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// What was counted, of steps that were taken.
    pub fn read(&self) -> Vec<StageTimes> {
        let steps = Stage::ALL.into_iter().zip(&self.0);
        let read = steps.map(|(stage, counts)| times(stage, counts));
        read.filter(|times| times.count > 0).collect()
    }
}

fn times(stage: Stage, counts: &[AtomicU16; BUCKETS]) -> StageTimes {
    let counts = counts.each_ref().map(|count| u64::from(count.load(Relaxed)));
    let at = |q| {
        let bound = quantile(counts.iter().copied(), q).and_then(|at| BOUNDS_NS.get(at));
        bound.map(|nanos| Duration::from_nanos(*nanos))
    };
    StageTimes { stage, count: counts.iter().sum(), p50: at(0.5), p99: at(0.99) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> MonoTime {
        MonoTime::from_nanos(7_000_000_000 + micros * 1_000)
    }

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// Steps follow each other without a gap, and those that were not taken are not told.
    #[test]
    fn steps_follow_each_other() {
        let mut stamps = Stamps::default();
        stamps.lap(Stage::Decode, || unreachable!("a frame that is not stamped reads no clock"));
        assert_eq!(stamps.take().count(), 0);
        stamps.begin(at(100));
        stamps.note(Stage::KernelReceive, micros(40));
        stamps.lap(Stage::Decode, || at(103));
        stamps.lap(Stage::AgentOut, || at(111));
        let taken: Vec<_> = stamps.take().collect();
        let expected = [(Stage::KernelReceive, 40), (Stage::Decode, 3), (Stage::AgentOut, 8)];
        assert_eq!(taken, expected.map(|(stage, us)| (stage, micros(us))));
        assert!(!stamps.is_on());
        assert_eq!(stamps.take().count(), 0);
        stamps.begin(at(200));
        stamps.stop();
        stamps.lap(Stage::Pacer, || unreachable!("the frame that was stamped led to nothing"));
    }

    /// A frame that leaves before it is due is not late; one that is stuck for a minute is counted.
    #[test]
    fn the_ends_of_time() {
        let mut stamps = Stamps::default();
        stamps.begin(at(500));
        stamps.lap(Stage::Pacer, || at(300));
        stamps.lap(Stage::KernelSend, || at(60_000_000));
        let taken: Vec<_> = stamps.take().collect();
        assert_eq!(taken[0], (Stage::Pacer, Duration::ZERO));
        assert!(taken[1].1 > Duration::from_secs(4));
    }

    /// One frame in eight.
    #[test]
    fn few_are_stamped() {
        let mut sampler = Sampler::default();
        let stamped = (0..800).filter(|_| sampler.next()).count();
        assert_eq!(stamped, 100);
    }

    /// Quantiles are bounds, inclusive, and none beyond the last; what was not taken is not there.
    #[test]
    fn quantiles_are_bounds() {
        let counts = StageCounts::default();
        assert_eq!(counts.read(), []);
        for nanos in [500, 501, 1_000, 90_000] {
            counts.record(Stage::Pacer, Duration::from_nanos(nanos));
        }
        counts.record(Stage::Ring, Duration::from_secs(2));
        let read = counts.read();
        assert_eq!((read[0].stage, read[0].count, read[0].p50), (Stage::Ring, 1, None));
        let pacer = StageTimes {
            stage: Stage::Pacer,
            count: 4,
            p50: Some(micros(1)),
            p99: Some(micros(100)),
        };
        assert_eq!(read[1..], [pacer]);
    }

    /// A call may last for days: shares stay what they were.
    #[test]
    fn full_counts_are_halved() {
        let counts = StageCounts::default();
        for _ in 0..40_000 {
            counts.record(Stage::Decode, micros(1));
        }
        for _ in 0..70_000 {
            counts.record(Stage::Decode, micros(90));
            counts.record(Stage::Pacer, micros(1));
        }
        let read = counts.read();
        assert_eq!((read[0].stage, read[0].p50), (Stage::Decode, Some(micros(100))));
        // 65,535 of either fit; of 40,000 are left 20,000, and of 65,535 are left 32,767.
        assert_eq!(read[0].count, 20_000 + 32_767 + 70_000 - 65_535);
        assert_eq!(read[1].count, 32_767 + 70_000 - 65_535);
    }

    /// Bounds ascend to half a second, and words are different.
    #[test]
    fn the_sets_are_sets() {
        assert!(BOUNDS_NS.is_sorted_by(|one, next| one < next));
        assert_eq!(BOUNDS_NS.last(), Some(&500_000_000));
        let mut words = Stage::ALL.map(Stage::as_str);
        words.sort_unstable();
        assert!(words.is_sorted_by(|one, next| one < next));
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index);
        }
    }
}
