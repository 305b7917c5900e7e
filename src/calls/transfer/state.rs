//! How far a transfer is.

/// How far a transfer is. Later states are greater; one that is reached is never left for an
/// earlier one, and some may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was asked for.
    Requested,
    /// Somebody is called: by us, or by the peer, which took the request.
    Dialling,
    /// There it rings.
    Ringing,
    /// Somebody answered.
    Answered,
    /// Who answered takes the call.
    Accepted,
    /// The caller talks with somebody else now.
    Bridged,
    /// Nothing came of it.
    Failed,
    /// It was given up: whoever wanted it wants it no more, or the call is over.
    Cancelled,
    /// Whoever had joined peer and agent is gone again. Told behind `Bridged`, which is what became
    /// of the transfer.
    Left,
}

impl State {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Dialling,
        Self::Ringing,
        Self::Answered,
        Self::Accepted,
        Self::Bridged,
        Self::Failed,
        Self::Cancelled,
        Self::Left,
    ];

    /// Every word, in the order of the states.
    pub const WORDS: [&'static str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = Self::ALL[at].as_str();
            at += 1;
        }
        words
    };

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Dialling => "dialling",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Accepted => "accepted",
            Self::Bridged => "bridged",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Left => "left",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// True if nothing follows.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Bridged | Self::Failed | Self::Cancelled | Self::Left)
    }
}
