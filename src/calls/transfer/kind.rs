//! How a transfer is carried out, and the words for that.

/// The word that stands in the place of a kind to give up the transfer that is under way.
pub const CANCEL: &str = "cancel";
/// The word that stands in the place of a kind to leave two others talking.
pub const LEAVE: &str = "leave";
/// What is said to other words.
pub const NO_KIND: &str = "kind: is none of \"blind\", \"attended\", \"bridge\", \"warm\", \
    \"agent\", \"cancel\", \"leave\"";

/// How a transfer is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peer is asked to call somebody (RFC 3515).
    Blind,
    /// The peer is asked to take the place of our end of another call (RFC 3891).
    Attended,
    /// We call somebody, who takes the agent's place on answering.
    Bridge,
    /// We call somebody, who is told what it is about and may have to accept.
    Warm,
    /// Another agent takes the place of this one.
    Agent,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Blind, Self::Attended, Self::Bridge, Self::Warm, Self::Agent];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
            Self::Bridge => "bridge",
            Self::Warm => "warm",
            Self::Agent => "agent",
        }
    }

    /// The kind that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it is the peer that calls somebody.
    pub const fn is_asked(self) -> bool {
        matches!(self, Self::Blind | Self::Attended)
    }
}
