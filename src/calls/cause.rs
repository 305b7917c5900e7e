//! Why a call ended.

use serde::{Deserialize, Serialize};

/// Why a call ended: told to the agent, written into the call's record, a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody hung up.
    Normal,
    /// The caller gave up before the answer.
    Cancelled,
    /// The called party is busy.
    Busy,
    /// The called party did not answer in time.
    NoAnswer,
    /// The called party, or the agent, refused.
    Rejected,
    /// Nobody has that number.
    NotFound,
    /// The agent could not be reached before the answer.
    AgentUnreachable,
    /// The agent was lost in mid-call and did not come back.
    AgentLost,
    /// The call reached its longest duration.
    MaxDuration,
    /// The organisation has spent what it may.
    BudgetSpent,
    /// The peer was awaited in vain: a web page never opened its socket.
    PeerAbsent,
    /// No audio came from the peer for too long.
    MediaTimeout,
    /// The peer no longer answered signalling.
    NetworkFailure,
    /// The peer did not refresh the session in time (RFC 4028).
    SessionExpired,
    /// This server is full.
    Congestion,
    /// This server shuts down.
    Draining,
    /// A defect of this server.
    Internal,
    /// The peer was transferred: it talks with somebody else.
    Transferred,
    /// The server that held the call lost it: it was ended in mid-call, or lost track of it.
    NodeLost,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 19] = [
        Self::Normal,
        Self::Cancelled,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::NotFound,
        Self::AgentUnreachable,
        Self::AgentLost,
        Self::MaxDuration,
        Self::BudgetSpent,
        Self::PeerAbsent,
        Self::MediaTimeout,
        Self::NetworkFailure,
        Self::SessionExpired,
        Self::Congestion,
        Self::Draining,
        Self::Internal,
        Self::Transferred,
        Self::NodeLost,
    ];

    /// Every word, for labels of metrics.
    pub const WORDS: [&'static str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = Self::ALL[at].as_str();
            at += 1;
        }
        words
    };

    /// The cause that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::AgentUnreachable => "agent_unreachable",
            Self::AgentLost => "agent_lost",
            Self::MaxDuration => "max_duration",
            Self::BudgetSpent => "budget_spent",
            Self::PeerAbsent => "peer_absent",
            Self::MediaTimeout => "media_timeout",
            Self::NetworkFailure => "network_failure",
            Self::SessionExpired => "session_expired",
            Self::Congestion => "congestion",
            Self::Draining => "draining",
            Self::Internal => "internal",
            Self::Transferred => "transferred",
            Self::NodeLost => "node_lost",
        }
    }

    /// The SIP status and reason phrase that refuse an INVITE for this cause (RFC 3261 21).
    pub const fn sip_status(self) -> (u16, &'static str) {
        match self {
            Self::Busy => (486, "Busy Here"),
            Self::Rejected => (603, "Decline"),
            Self::NotFound => (404, "Not Found"),
            Self::Cancelled => (487, "Request Terminated"),
            Self::Congestion | Self::Draining | Self::BudgetSpent => (503, "Service Unavailable"),
            Self::Internal => (500, "Server Internal Error"),
            Self::Normal
            | Self::Transferred
            | Self::NoAnswer
            | Self::AgentUnreachable
            | Self::AgentLost
            | Self::MaxDuration
            | Self::PeerAbsent
            | Self::MediaTimeout
            | Self::NetworkFailure
            | Self::NodeLost
            | Self::SessionExpired => (480, "Temporarily Unavailable"),
        }
    }

    /// The Q.850 cause value that a Reason header carries (RFC 3326).
    pub const fn q850(self) -> u8 {
        match self {
            Self::Normal | Self::Transferred | Self::Cancelled | Self::MaxDuration => 16,
            Self::Busy => 17,
            Self::NoAnswer => 19,
            Self::Rejected => 21,
            Self::NotFound => 1,
            Self::AgentUnreachable | Self::Draining | Self::Internal | Self::NodeLost => 41,
            Self::AgentLost | Self::MediaTimeout | Self::NetworkFailure => 38,
            Self::SessionExpired | Self::PeerAbsent => 102,
            Self::Congestion | Self::BudgetSpent => 42,
        }
    }

    /// The Reason header of a request or response that ends a call for this cause (RFC 3326).
    pub fn reason_header(self) -> String {
        format!("Q.850;cause={};text=\"{}\"", self.q850(), self.as_str())
    }

    /// The cause that an agent's word names; unknown words are [`Cause::Rejected`].
    pub fn from_agent(word: Option<&str>) -> Self {
        match word {
            Some("busy") => Self::Busy,
            Some("no_answer") => Self::NoAnswer,
            Some("not_found") => Self::NotFound,
            Some("congestion") => Self::Congestion,
            Some("normal") => Self::Normal,
            _ => Self::Rejected,
        }
    }

    /// The cause that a final SIP response to our INVITE means (RFC 3398 8.2.6.1 in short).
    pub const fn from_sip(status: u16) -> Self {
        match status {
            486 | 600 => Self::Busy,
            408 | 480 => Self::NoAnswer,
            404 | 410 | 484 | 604 => Self::NotFound,
            487 => Self::Cancelled,
            503 => Self::Congestion,
            500..=502 | 504..=599 => Self::NetworkFailure,
            _ => Self::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::core::session_timer::EXPIRED_REASON;

    /// Words are unique, lead back to their cause, and are what serialisation writes.
    #[test]
    fn words_name_causes() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_word(cause.as_str()), Some(cause));
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
    }

    /// The SIP core says of a session that has expired what everybody else does.
    #[test]
    fn expired_sessions_have_one_reason() {
        assert_eq!(Cause::SessionExpired.reason_header(), EXPIRED_REASON);
    }
}
