//! What was said on a call.

use serde::{Deserialize, Serialize};

use super::QualitySample;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The agent.
    Agent,
    /// The peer.
    Caller,
}

impl Speaker {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Agent, Self::Caller];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Caller => "caller",
        }
    }
}

/// How something that was said ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All of it was heard.
    Played,
    /// What had not been heard was dropped, as was wished: somebody spoke, most likely.
    Cleared,
    /// The call ended, or another agent had it then, before all was heard.
    Ended,
}

impl Ending {
    /// The stable words.
    pub const WORDS: [&'static str; 3] = ["played", "cleared", "ended"];
}

/// Something that was said on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// When it began, in microseconds since 1970.
    #[serde(skip)]
    pub at_us: i64,
    /// By whom.
    pub who: Speaker,
    /// How much of it was heard, in milliseconds.
    pub played_ms: u64,
    /// How much was dropped, in milliseconds.
    pub dropped_ms: u64,
    /// How it ended.
    pub outcome: Ending,
    /// How long the other side had waited for it, in milliseconds, if that is known.
    pub waited_ms: Option<u64>,
    /// What the agent calls it.
    pub utterance: Option<Box<str>>,
}

/// What is written of a call's media while it lasts. None of it is a fact: without it the log is
/// complete.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// How they fare.
    Quality(QualitySample),
    /// What was said.
    Spoken(Spoken),
}

impl Sample {
    /// When, in microseconds since 1970.
    pub const fn at_us(&self) -> i64 {
        match self {
            Self::Quality(sample) => sample.at_us,
            Self::Spoken(spoken) => spoken.at_us,
        }
    }
}
