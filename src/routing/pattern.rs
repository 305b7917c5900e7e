//! Patterns of numbers and users.

use std::fmt;

/// Which numbers or users are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This number or user, nothing else.
    Exact(String),
    /// Everything that starts so; never empty.
    Prefix(String),
    /// Everything.
    Any,
}

/// Most bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 128;

/// A number or user as it is compared: numbers match with and without `+`, as carriers disagree on
/// it.
pub(super) fn plain(text: &str) -> &str {
    text.strip_prefix('+').unwrap_or(text)
}

impl Pattern {
    /// What [`Pattern::parse`] takes, for messages.
    pub const ALLOWED: &str = "a number, a user, the start of one with * at the end, or *";

    /// How well the pattern fits the user part of a URI: the more, the more specific. `None` if it
    /// does not fit.
    pub fn fit(&self, user: &str) -> Option<usize> {
        let user = plain(user);
        match self {
            Self::Exact(number) => (plain(number) == user).then_some(usize::MAX),
            Self::Prefix(start) => user.starts_with(plain(start)).then(|| plain(start).len()),
            Self::Any => Some(0),
        }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When it is none; the message says why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (start, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        if start.contains('*') {
            return Err("* stands at the end only".to_owned());
        }
        // RFC 3261 25.1: what a user part may hold without escapes.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~'()&=+$,;?/#".contains(&byte);
        let bytes = start.bytes().all(fits);
        if !bytes || text.is_empty() || start == "+" || text.len() > PATTERN_BYTES_MAX {
            return Err("not a number or user".to_owned());
        }
        Ok(match (start, open) {
            ("", _) => Self::Any,
            (start, true) => Self::Prefix(start.to_owned()),
            (start, false) => Self::Exact(start.to_owned()),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns take what they say and the more specific one fits better.
    #[test]
    fn patterns_fit_by_specificity() {
        let fit = |pattern: &str, to: &str| Pattern::parse(pattern).unwrap().fit(to);
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

    /// What is no pattern is refused, and what is one is written as it was read.
    #[test]
    fn patterns_are_read_and_written() {
        for bad in ["", "4*9", "**", "a b", "a@b", "+", "+*", "a\r\nb", "é"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["*", "+49*", "echo", "+4930"] {
            assert_eq!(Pattern::parse(good).unwrap().to_string(), good);
        }
    }
}
