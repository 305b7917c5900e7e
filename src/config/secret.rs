//! Values that must not be shown.

use std::fmt;

use serde_json::Value as Json;
use subtle::ConstantTimeEq;

/// A secret: shown nowhere but through [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself, for the one place that signs or compares with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Equality in a time that depends on the lengths alone.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// Settings with secrets in clear: an object whose `Debug` shows the names of its keys alone.
#[derive(Clone, Default, PartialEq)]
pub struct SecretSettings(Json);

impl SecretSettings {
    /// Wraps `settings`.
    pub const fn new(settings: Json) -> Self {
        Self(settings)
    }

    /// The settings themselves, to be read, sealed or masked.
    pub const fn expose(&self) -> &Json {
        &self.0
    }
}

impl fmt::Debug for SecretSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.as_object().into_iter().flat_map(serde_json::Map::keys);
        f.debug_set().entries(keys).finish()
    }
}

/// Shows a phone number or user name with its middle hidden: `+49*****67`.
///
/// At most the first three and the last two characters are shown, and never more than half of
/// them. What follows a `@` (a host) is shown whole; a scheme (`sip:`) as well.
#[derive(Clone, Copy)]
pub struct Masked<'a>(pub &'a str);

/// Characters shown at the start of a masked number.
const SHOWN_FIRST: usize = 3;
/// Characters shown at the end of a masked number.
const SHOWN_LAST: usize = 2;

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, rest) = match self.0.split_once(':') {
            Some((scheme @ ("sip" | "sips" | "tel"), rest)) => (Some(scheme), rest),
            _ => (None, self.0),
        };
        if let Some(scheme) = head {
            write!(f, "{scheme}:")?;
        }
        let (number, host) = match rest.split_once('@') {
            Some((number, host)) => (number, Some(host)),
            None => (rest, None),
        };
        let length = number.chars().count();
        let (first, last) = shown(length);
        for (index, character) in number.chars().enumerate() {
            let hidden = index >= first && index + last < length;
            fmt::Write::write_char(f, if hidden { '*' } else { character })?;
        }
        match host {
            Some(host) => write!(f, "@{host}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many characters of `length` are shown at the start and at the end: never more than half.
fn shown(length: usize) -> (usize, usize) {
    let budget = length / 2;
    let last = SHOWN_LAST.min(budget);
    (SHOWN_FIRST.min(budget - last), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Debug` of a secret, alone or inside another value, does not contain it.
    #[test]
    fn debug_hides_the_secret() {
        let secret = Some(Secret::new("hunter2".into()));
        assert_eq!(format!("{secret:?}"), "Some([secret])");
        assert!(!format!("{secret:#?}").contains("hunter2"));
    }

    /// Of settings the names alone are shown, however deep a secret lies.
    #[test]
    fn debug_hides_settings() {
        let settings = serde_json::json!({"auth": {"password": "hunter2"}, "list": ["hunter2"]});
        let settings = SecretSettings::new(settings);
        assert_eq!(format!("{settings:?}"), r#"{"auth", "list"}"#);
        let text = SecretSettings::new(Json::from("hunter2"));
        assert_eq!(format!("{text:?}"), "{}");
    }

    /// Numbers keep their ends only, short ones even less; hosts and schemes stay readable.
    #[test]
    fn masks_the_middle() {
        let cases = [
            ("+4930123456789", "+49*********89"),
            ("1000", "**00"),
            ("echo", "**ho"),
            ("a", "*"),
            ("", ""),
            ("112", "**2"),
            ("sip:+15551234567@carrier.example:5060", "sip:+15*******67@carrier.example:5060"),
            ("tel:+15551234567", "tel:+15*******67"),
            ("ünïcödé", "ü****dé"),
        ];
        for (number, expected) in cases {
            assert_eq!(Masked(number).to_string(), expected);
        }
    }

    /// At every length at least half of the characters are hidden.
    #[test]
    fn never_shows_more_than_half() {
        for length in 1..40 {
            let masked = Masked(&"7".repeat(length)).to_string();
            let stars = masked.chars().filter(|c| *c == '*').count();
            assert!(stars * 2 >= length && masked.len() == length, "{masked}");
        }
    }
}
