//! Recording of calls: two channels on one clock, streamed to disk by a thread off the path.
//!
//! ```text
//! worker                                     recorder thread
//! heard ─► Track (place on the clock) ─┐
//! said  ─► Track ──────────────────────┴─► ring ─► Mix (two channels) ─► WAV file
//! ```
//!
//! Left is the peer, right is what the peer hears. The file begins at the answer, or when the
//! recording is started after it, and both channels count from there: a frame stands where it came
//! or was due, and from then on where its media time says, so that jitter is not heard. What was
//! lost, held or paused is silence of the same length. A disk that is behind loses whole frames of
//! either side, the oldest first, and never holds up a worker; all frames after them still stand
//! where they belong.

mod file;
mod head;
mod live;
mod mix;
mod recorder;
mod store;
mod track;

pub use adapters::agent::RecordOrder as Order;
pub use head::{Head, head};
pub use live::{Live, Sides};
pub use recorder::{Job, Recorder, RecorderEvent, RecorderEventKind, Written};
pub use store::{Found, Store, file_name};

/// Seconds of both directions that may wait for the disk.
const RING_S: usize = 2;
/// Milliseconds of audio that lie in one slot of the ring.
const SLOT_MS: u32 = 20;

/// What is on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// The peer alone.
    Peer,
    /// The peer on the left, what it hears on the right.
    Both,
}

impl Channels {
    /// How many there are.
    pub const fn count(self) -> u16 {
        match self {
            Self::Peer => 1,
            Self::Both => 2,
        }
    }
}

/// How a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It records, or will from the answer on.
    Recording,
    /// It records silence.
    Paused,
    /// Nothing more is recorded; the last of it may be on its way to the disk.
    Stopped,
    /// Its file is complete.
    Complete,
    /// It could not be written.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Recording, Self::Paused, Self::Stopped, Self::Complete, Self::Failed];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// True once nothing of the file changes any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}

/// The state after `order`, if it can be carried out. A call is recorded once: what was stopped
/// does not start again.
///
/// # Errors
///
/// Why it cannot.
pub fn next(state: Option<State>, order: Order) -> Result<State, &'static str> {
    match (state, order) {
        (None | Some(State::Recording), Order::Start) => Ok(State::Recording),
        (Some(State::Recording | State::Paused), Order::Stop) => Ok(State::Stopped),
        (Some(State::Recording | State::Paused), Order::Pause) => Ok(State::Paused),
        (Some(State::Recording | State::Paused), Order::Resume) => Ok(State::Recording),
        (Some(State::Paused), Order::Start) => Err("the recording is paused; resume it"),
        (None, _) => Err("the call is not recorded"),
        (Some(State::Stopped | State::Complete), _) => Err("the recording is complete"),
        (Some(State::Failed), _) => Err("the recording has failed"),
    }
}

/// Samples a second of the file for a call in this format: the codec's rate, 8 or 16 kHz.
pub const fn rate_hz(format: media::codec::AudioFormat) -> u32 {
    if format.rate_hz >= 16_000 { 16_000 } else { 8_000 }
}

#[cfg(test)]
mod tests;
