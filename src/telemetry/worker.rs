//! Counters, and the set of them that each media worker writes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use media::silence::{Reason, Way};

use super::histogram::{FRAME_TIMES, Histogram, NETWORK_TIMES};
use super::labels::{DropReason, Kind};
use super::stages::StageMetrics;

/// A counter that any number of threads may write.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `by`.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// What has been counted.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A counter with one writer: an ordinary load and store, without the locked instruction that
/// [`Counter`] costs on every frame. Two writers would lose counts.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `by`.
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// What has been counted.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A value that goes up and down; any number of threads may write.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `by`, which may be negative.
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// Sets the value.
    pub fn set(&self, to: i64) {
        self.0.store(to, Relaxed);
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// What one worker counts. Only its thread writes; every write is wait-free.
///
/// Aligned so that no two workers write to one cache line (64 bytes, fetched in pairs).
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    packets_in: [Tally; Kind::COUNT],
    bytes_in: [Tally; Kind::COUNT],
    packets_out: [Tally; Kind::COUNT],
    bytes_out: [Tally; Kind::COUNT],
    drops: [Tally; DropReason::COUNT],
    silences: [[Tally; Reason::ALL.len()]; Way::ALL.len()],
    /// RTP packets that were sent to us and never came (RFC 3550 A.3).
    pub lost: Tally,
    /// Times that an agent had nothing to play in mid-utterance.
    pub underruns: Tally,
    /// Frames sent later than a frame's length after they were due.
    pub late: Tally,
    /// Times the worker woke up.
    pub wakeups: Tally,
    /// Nanoseconds that it was at work, between waking up and going to sleep.
    pub busy_ns: Tally,
    /// Calls it holds.
    pub calls: Gauge,
    /// The share of its time that it is at work, in percent, as the control plane sees it.
    pub busy_pct: Gauge,
    /// 1 while it takes no calls for its load.
    pub refuses: Gauge,
    /// When frames left, after they were due.
    pub lateness: Histogram,
    /// Time that frames spent here: egress less the later of ingress and due time.
    pub added: Histogram,
    /// How long the steps of frames that are stamped took.
    pub stages: StageMetrics,
    /// From an agent's ping to its pong.
    pub agent_round_trip: Histogram,
    /// From a report to its echo in the peer's report (RFC 3550 6.4.1).
    pub peer_round_trip: Histogram,
    /// Interarrival jitter, once per report (RFC 3550 6.4.1).
    pub jitter: Histogram,
    /// From the end of what a caller said to the agent's answer, of agents that are told of speech.
    pub turns: Histogram,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        Self {
            packets_in: Default::default(),
            bytes_in: Default::default(),
            packets_out: Default::default(),
            bytes_out: Default::default(),
            drops: Default::default(),
            silences: Default::default(),
            lost: Tally::default(),
            underruns: Tally::default(),
            late: Tally::default(),
            wakeups: Tally::default(),
            busy_ns: Tally::default(),
            calls: Gauge::default(),
            busy_pct: Gauge::default(),
            refuses: Gauge::default(),
            lateness: Histogram::new(FRAME_TIMES),
            added: Histogram::new(FRAME_TIMES),
            stages: StageMetrics::default(),
            agent_round_trip: Histogram::new(NETWORK_TIMES),
            peer_round_trip: Histogram::new(NETWORK_TIMES),
            jitter: Histogram::new(NETWORK_TIMES),
            turns: Histogram::new(NETWORK_TIMES),
        }
    }
}

impl WorkerMetrics {
    /// Counts one packet or message that came, with its bytes.
    pub fn received(&self, kind: Kind, bytes: usize) {
        self.packets_in[kind.index()].inc();
        self.bytes_in[kind.index()].add(bytes as u64);
    }

    /// Counts one packet or message that left, with its bytes.
    pub fn sent(&self, kind: Kind, bytes: usize) {
        self.packets_out[kind.index()].inc();
        self.bytes_out[kind.index()].add(bytes as u64);
    }

    /// Counts one thing that was dropped.
    pub fn dropped(&self, reason: DropReason) {
        self.drops[reason.index()].inc();
    }

    /// Counts `count` things that were dropped.
    pub fn dropped_many(&self, reason: DropReason, count: u64) {
        self.drops[reason.index()].add(count);
    }

    /// Counts a direction that carries no sound any more.
    pub fn silent(&self, way: Way, reason: Reason) {
        self.silences[way as usize][reason as usize].inc();
    }

    /// How often a direction carried no sound for this reason.
    pub fn silent_total(&self, way: Way, reason: Reason) -> u64 {
        self.silences[way as usize][reason as usize].get()
    }

    /// Packets and bytes that came.
    pub fn received_total(&self, kind: Kind) -> (u64, u64) {
        (self.packets_in[kind.index()].get(), self.bytes_in[kind.index()].get())
    }

    /// Packets and bytes that left.
    pub fn sent_total(&self, kind: Kind) -> (u64, u64) {
        (self.packets_out[kind.index()].get(), self.bytes_out[kind.index()].get())
    }

    /// How many were dropped for this reason.
    pub fn dropped_total(&self, reason: DropReason) -> u64 {
        self.drops[reason.index()].get()
    }
}
