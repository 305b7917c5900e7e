//! What a playout queue tells.

use thiserror::Error;

use super::{MARKS_MAX, NAME_MAX_BYTES, UTTERANCES_MAX};

/// Why a mark or an utterance was refused. The queue is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlayoutError {
    /// The name is empty or longer than [`NAME_MAX_BYTES`].
    #[error("a name has 1 to {NAME_MAX_BYTES} bytes")]
    BadName,
    /// [`MARKS_MAX`] marks are waiting.
    #[error("more than {MARKS_MAX} marks are waiting")]
    TooManyMarks,
    /// [`UTTERANCES_MAX`] utterances are waiting to be played.
    #[error("more than {UTTERANCES_MAX} utterances are waiting")]
    TooManyUtterances,
}

/// The queue holds audio, which would be misread in another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the playout queue is not empty")]
pub struct NotDrained;

/// What became of audio that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pushed {
    /// Bytes from the front of the audio that are queued now: whole samples.
    pub accepted_bytes: usize,
    /// True if audio was refused, because the queue is at its limit or the pool is.
    pub full: bool,
}

/// What the wire gets this ptime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popped {
    /// One whole frame.
    Frame {
        /// Bytes of silence at its end.
        fill_bytes: usize,
        /// True if nothing was there to play the time before: the frame starts a talkspurt (the
        /// marker bit of RFC 3551 4.1).
        talkspurt_start: bool,
    },
    /// One packet of a queue of packets.
    Packet {
        /// Its bytes.
        bytes: usize,
        /// As in a frame.
        talkspurt_start: bool,
    },
    /// Nothing to play, or a remainder that still waits for more. The output is untouched.
    Empty,
}

/// What a clear did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Milliseconds of audio that were dropped, rounded down.
    pub dropped_ms: u64,
    /// The agent's own samples played since the start, at its rate, without fill.
    pub samples: u64,
    /// The same in milliseconds, rounded down.
    pub played_ms: u64,
    /// Each utterance since the clear before, in order.
    pub utterances: Vec<UtterancePlayed>,
}

/// What a mark is told with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkReport {
    /// The agent's own name for it.
    pub name: String,
    /// True if all audio before it was dropped or played and some was dropped.
    pub cleared: bool,
    /// The agent's own samples played before it since the start, at its rate, without fill.
    pub samples: u64,
    /// The same in milliseconds, rounded down.
    pub played_ms: u64,
}

/// What happened in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayoutEvent {
    /// A mark came due: the last audio before it is on the wire, or was dropped.
    Mark(MarkReport),
}

/// Samples by what became of them, on the wire's side: `pushed = played + dropped + queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutCounters {
    /// Samples accepted.
    pub pushed_samples: u64,
    /// Samples handed to the wire.
    pub played_samples: u64,
    /// Samples dropped by clears.
    pub dropped_samples: u64,
    /// Samples that wait.
    pub queued_samples: u64,
    /// Samples refused, in none of the above.
    pub refused_samples: u64,
    /// Samples of silence that were put behind remainders, in none of the above.
    pub fill_samples: u64,
}

/// What became of one utterance by the time of a clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UtterancePlayed {
    /// The agent's own name for it.
    pub id: String,
    /// The agent's samples of it that were played.
    pub samples: u64,
    /// True if it had audio and none of it was dropped or refused.
    pub complete: bool,
}
