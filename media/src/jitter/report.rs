//! What a jitter buffer tells.

use std::time::Duration;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits for its time.
    Queued,
    /// Its time has passed.
    Late,
    /// It is there already.
    Duplicate,
    /// There is no memory for it.
    NoMemory,
}

/// What a frame mostly is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing came yet: silence.
    #[default]
    Silence,
    /// Sound as it came.
    Played,
    /// Sound, made shorter to lower the delay.
    Accelerated,
    /// Sound, made longer to raise the delay.
    Expanded,
    /// Part of it stands for what is missing.
    Concealed,
    /// The peer says nothing: noise of the background.
    Comfort,
}

/// What a frame is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// What it mostly is.
    pub kind: Kind,
    /// Samples of sound that came.
    pub played: usize,
    /// Samples that stand for what is missing.
    pub concealed: usize,
    /// Samples of comfort noise, or of silence.
    pub comfort: usize,
    /// Extended timestamp of its first sample, if that came.
    pub ext_ts: Option<u64>,
}

/// Counts since the buffer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounters {
    /// Packets put in. Each is one of: duplicate, late, discarded, played, still waiting.
    pub received: u64,
    /// Packets that were there already.
    pub duplicate: u64,
    /// Packets whose time had passed.
    pub late: u64,
    /// Packets that were dropped to keep the delay under its cap, or for want of memory.
    pub discarded: u64,
    /// Packets whose time came.
    pub played: u64,
    /// Places in the sequence whose time came without a packet: lost, or late.
    pub missing: u64,
    /// Samples that came out of the decoder.
    pub decoded_samples: u64,
    /// Of these, samples of missing packets that the packets after them repeated.
    pub recovered_samples: u64,
    /// Samples that stood for what was missing.
    pub concealed_samples: u64,
    /// Of these, samples that raised the delay, because packets come later than they did.
    pub held_samples: u64,
    /// Samples of comfort noise where the peer said nothing.
    pub comfort_samples: u64,
    /// Samples that were left out to lower the delay.
    pub accelerated_samples: u64,
    /// Samples that were added to raise it.
    pub expanded_samples: u64,
    /// Decoded samples that were not played: of packets dropped to keep the cap, and the part of
    /// packets whose time had passed.
    pub dropped_samples: u64,
    /// Times that nothing was there to play in mid-sound.
    pub underruns: u64,
}

impl JitterCounters {
    /// Packets that never came.
    pub const fn lost(&self) -> u64 {
        self.missing.saturating_sub(self.late)
    }
}

/// How a jitter buffer fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JitterSnapshot {
    /// Counts since the buffer was made.
    pub counters: JitterCounters,
    /// Sound that waits.
    pub depth: Duration,
    /// The least and the most that waited since the last snapshot, at the pulls.
    pub depth_min: Duration,
    /// See `depth_min`.
    pub depth_max: Duration,
    /// The longest that a packet waited since the last snapshot.
    pub waited_max: Duration,
    /// How much later than the quickest packet sound is played.
    pub delay: Duration,
    /// The same, as it is aimed at.
    pub target: Duration,
    /// By how many millionths the sender's clock is faster than ours, once that can be told.
    pub skew_ppm: Option<f32>,
    /// Milliseconds that were concealed.
    pub concealed_ms: u64,
}
