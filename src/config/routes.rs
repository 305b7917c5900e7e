//! `[[routes]]`: which agent takes a call.

use std::path::PathBuf;
use std::time::Duration;

use super::keep::{Keep, keep};
use super::section::Section;
use super::server::MAX_DURATION_S_MAX;

/// One rule: calls to these numbers go to this agent.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// Called numbers or users.
    pub to: RoutePattern,
    /// Only calls from this trunk.
    pub trunk: Option<String>,
    /// Name of the agent; it exists.
    pub agent: String,
    /// What the caller gets when the agent cannot be reached or is lost.
    pub fallback: Fallback,
    /// True if the agent decides when the call is answered.
    pub agent_answers: bool,
    /// True if an agent that decides so is heard before the answer.
    pub early_media: bool,
    /// Longest call.
    pub max_duration: Duration,
    /// What of its calls is kept: what the route says, then what its agent says.
    pub keep: Keep,
}

/// Which called numbers or users a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutePattern {
    /// This number or user, nothing else.
    Exact(String),
    /// Everything that starts so; never empty.
    Prefix(String),
    /// Everything.
    Any,
}

impl RoutePattern {
    const ALLOWED: &str = "a number, a user, the start of one with * at the end, or *";

    /// How well the pattern fits the user part of the called URI: the more, the more specific.
    /// `None` if it does not fit.
    ///
    /// Numbers match with and without `+`, as carriers disagree on it.
    pub fn fit(&self, to: &str) -> Option<usize> {
        let plain =
            |text: &str| text.strip_prefix('+').map_or_else(|| text.to_owned(), str::to_owned);
        match self {
            Self::Exact(number) => (plain(number) == plain(to)).then_some(usize::MAX),
            Self::Prefix(start) => plain(to).starts_with(&plain(start)).then(|| plain(start).len()),
            Self::Any => Some(0),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (start, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        if start.contains('*') {
            return Err("* stands at the end only".to_owned());
        }
        // RFC 3261 25.1: what a user part may hold without escapes.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~'()&=+$,;?/#".contains(&byte);
        if !start.bytes().all(fits) || text.is_empty() || start == "+" || text.len() > 128 {
            return Err("not a number or user".to_owned());
        }
        Ok(match (start, open) {
            ("", _) => Self::Any,
            (start, true) => Self::Prefix(start.to_owned()),
            (start, false) => Self::Exact(start.to_owned()),
        })
    }
}

/// What the caller gets when the agent cannot be reached, or is lost and does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The call ends: 480 before the answer, BYE after it.
    Hangup,
    /// Another agent, which exists, takes over; its own failure ends the call.
    Agent(String),
    /// A WAV file is played, then the call ends.
    Message(PathBuf),
}

/// A route as written, before names are looked up.
pub(super) struct RouteDraft<'r> {
    pub(super) section: Section<'r>,
    pub(super) to: Option<RoutePattern>,
    pub(super) trunk: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) fallback_agent: Option<String>,
    pub(super) fallback: Fallback,
    pub(super) agent_answers: Option<bool>,
    pub(super) early_media: Option<bool>,
    pub(super) max_duration: Option<Duration>,
    pub(super) keep: Keep,
}

pub(super) fn route(section: Section<'_>) -> RouteDraft<'_> {
    for (key, why) in [("to", RoutePattern::ALLOWED), ("agent", "the agent that takes the calls")] {
        if !section.has(key) {
            section.missing(key, why);
        }
    }
    let named = |key| {
        section.text(key, "a name", |text| match text {
            "" => Err("empty".to_owned()),
            text => Ok(text.to_owned()),
        })
    };
    let to = section.text("to", RoutePattern::ALLOWED, RoutePattern::parse);
    let (trunk, agent) = (named("trunk"), named("agent"));
    let fallback_agent = named("fallback_agent");
    let message = section.file("fallback_message");
    if section.has("fallback_agent") && section.has("fallback_message") {
        let message = "a route falls back on an agent or on a message, not on both";
        section.conflict("fallback_message", message.to_owned());
    }
    let agent_answers = section.flag("agent_answers");
    let early_media = section.flag("early_media");
    let max_duration = section.seconds("max_duration_s", 1..=MAX_DURATION_S_MAX);
    let keep = keep(&section);
    let fallback = message.map_or(Fallback::Hangup, Fallback::Message);
    RouteDraft {
        section,
        to,
        trunk,
        agent,
        fallback_agent,
        fallback,
        agent_answers,
        early_media,
        max_duration,
        keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns take what they say and the more specific one fits better.
    #[test]
    fn patterns_fit_by_specificity() {
        let fit = |pattern: &str, to: &str| RoutePattern::parse(pattern).unwrap().fit(to);
        assert_eq!(fit("+4930", "4930"), Some(usize::MAX));
        assert_eq!(fit("4930", "+4930"), Some(usize::MAX));
        assert_eq!(fit("4930", "49301"), None);
        assert_eq!(fit("+49*", "+4930"), Some(2));
        assert_eq!(fit("+49*", "+1"), None);
        assert_eq!(fit("*", ""), Some(0));
        assert_eq!(fit("echo", "echo"), Some(usize::MAX));
        assert_eq!(
            fit("echo", "Echo"),
            None,
            "user parts are compared with case (RFC 3261 19.1.4)"
        );
        assert!(fit("+4930*", "+4930123") > fit("+49*", "+4930123"));
    }

    /// What is no pattern is refused.
    #[test]
    fn bad_patterns() {
        for bad in ["", "4*9", "**", "a b", "a@b", "+", "+*", "a\r\nb", "é"] {
            assert!(RoutePattern::parse(bad).is_err(), "{bad:?}");
        }
    }
}
