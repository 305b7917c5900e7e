//! The formats and limits of a playout queue.

use crate::codec::AudioFormat;

/// How long a call's playout queue may be, unless configured otherwise.
pub const QUEUE_DEFAULT_MS: u32 = 30_000;

/// How long less than a frame of audio waits for more.
pub const REMAINDER_WAIT_DEFAULT_MS: u32 = 40;

/// The formats and limits of a playout queue.
///
/// Rates are sampling rates, or for a codec that packs several samples into a byte (G.722) its RTP
/// clock: what counts is that `sample_bytes` are `1 / wire_rate_hz` seconds. In a queue of packets
/// (Opus) each push is one packet, each pop another, and `frame_bytes` holds the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// Bytes of one frame on the wire: one ptime, whole samples.
    pub frame_bytes: usize,
    /// What is queued are packets of their own lengths, each of which stays whole.
    pub packets: bool,
    /// Bytes of one sample on the wire.
    pub sample_bytes: usize,
    /// The byte that codes silence on the wire.
    pub silence: u8,
    /// Samples a second on the wire.
    pub wire_rate_hz: u32,
    /// Samples a second as the agent sends them: the unit of the account.
    pub agent_rate_hz: u32,
    /// The most audio the queue takes.
    pub max_queue_ms: u32,
    /// How long less than a frame of audio waits for more.
    pub remainder_wait_ms: u32,
}

impl PlayoutConfig {
    /// Frames of `ptime_ms` in the format `wire`, from an agent that sends at `agent_rate_hz`, with
    /// the default limits.
    pub const fn new(wire: AudioFormat, ptime_ms: u32, agent_rate_hz: u32) -> Self {
        Self {
            frame_bytes: wire.bytes(ptime_ms),
            packets: wire.codec.is_packets(),
            sample_bytes: wire.codec.sample_bytes(),
            silence: wire.codec.silence(),
            wire_rate_hz: wire.clock_hz(),
            agent_rate_hz,
            max_queue_ms: QUEUE_DEFAULT_MS,
            remainder_wait_ms: REMAINDER_WAIT_DEFAULT_MS,
        }
    }

    /// The same without zeros, with frames of whole samples.
    pub(super) fn sane(self) -> Self {
        let sample_bytes = self.sample_bytes.max(1);
        Self {
            frame_bytes: self.frame_bytes.max(1).next_multiple_of(sample_bytes),
            sample_bytes,
            wire_rate_hz: self.wire_rate_hz.max(1),
            agent_rate_hz: self.agent_rate_hz.max(1),
            ..self
        }
    }

    /// True if audio queued under one is what it was under the other.
    pub(super) const fn same_samples(&self, other: &Self) -> bool {
        self.packets == other.packets
            && self.sample_bytes == other.sample_bytes
            && self.wire_rate_hz == other.wire_rate_hz
            && self.silence == other.silence
    }

    /// [`Self::max_queue_ms`] in samples on the wire.
    pub(super) fn max_queue_samples(&self) -> u64 {
        u64::from(self.max_queue_ms) * u64::from(self.wire_rate_hz) / 1000
    }

    /// [`Self::max_queue_ms`] in bytes: whole samples.
    pub(super) fn max_queue_bytes(&self) -> usize {
        usize::try_from(self.max_queue_samples())
            .unwrap_or(usize::MAX)
            .saturating_mul(self.sample_bytes)
    }
}
