//! The states that a call is told to be in, the same for every carrier.

use serde::{Deserialize, Serialize};

use crate::calls::cause::Cause;

/// The canonical state of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It exists.
    Initiated,
    /// It waits for its turn.
    Queued,
    /// The called party is alerted.
    Ringing,
    /// It was answered.
    InProgress,
    /// It was answered and is over.
    Completed,
    /// It was not answered: the called party is busy or refused.
    Busy,
    /// It was not answered in time.
    NoAnswer,
    /// It was not answered, for want of a way.
    Failed,
    /// It was given up before the answer.
    Canceled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Initiated,
        Self::Queued,
        Self::Ringing,
        Self::InProgress,
        Self::Completed,
        Self::Busy,
        Self::NoAnswer,
        Self::Failed,
        Self::Canceled,
    ];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// True if nothing follows.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Failed | Self::Canceled
        )
    }

    /// The state in which a call ends. One that was answered is completed, whatever cut it short:
    /// the cause tells. `sip_status` is the final one, if there was one: who declines (RFC 3261
    /// 21.6.2, RFC 8197) is there, unlike whoever has no way or does not let us.
    pub const fn of_end(cause: Cause, answered: bool, sip_status: Option<u16>) -> Self {
        if answered {
            return Self::Completed;
        }
        match cause {
            Cause::Busy => Self::Busy,
            Cause::Rejected => match sip_status {
                None | Some(603 | 607 | 608) => Self::Busy,
                Some(_) => Self::Failed,
            },
            Cause::NoAnswer => Self::NoAnswer,
            // Somebody gave up, on whichever side.
            Cause::Normal | Cause::Cancelled | Cause::PeerAbsent | Cause::Transferred => {
                Self::Canceled
            }
            Cause::NotFound
            | Cause::AgentUnreachable
            | Cause::AgentLost
            | Cause::MaxDuration
            | Cause::BudgetSpent
            | Cause::MediaTimeout
            | Cause::NetworkFailure
            | Cause::SessionExpired
            | Cause::Congestion
            | Cause::Draining
            | Cause::Internal
            | Cause::NodeLost => Self::Failed,
        }
    }
}
