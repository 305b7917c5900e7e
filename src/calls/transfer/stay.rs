//! What becomes of whoever is at the agent's end of a call once somebody else has come.

/// What becomes of whoever is at the agent's end once somebody else has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stay {
    /// It leaves.
    #[default]
    No,
    /// It stays, and three talk.
    Talk,
    /// Three are there, and the agent among them listens.
    Listen,
}

impl Stay {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::No, Self::Talk, Self::Listen];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Talk => "talk",
            Self::Listen => "listen",
        }
    }

    /// The one that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stay| stay.as_str() == word)
    }

    /// Whether three are there afterwards.
    pub const fn makes_three(self) -> bool {
        !matches!(self, Self::No)
    }
}
