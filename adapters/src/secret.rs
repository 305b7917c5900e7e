//! Values that must not be shown: secrets of a configuration, and what identifies a person.

use std::fmt;

use serde::{Serialize, Serializer};
use subtle::ConstantTimeEq;

/// A secret: shown nowhere but through [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
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

/// What identifies a person: a phone number, a SIP address, a name a caller gave.
///
/// `Debug` shows the ends of the number and its length; hosts and schemes stay readable. Serialised
/// it is shown whole: what is serialised goes to the store and to those who may see the call.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pii(String);

/// Characters shown at the start of a number.
const SHOWN_FIRST: usize = 3;
/// Characters shown at the end of a number.
const SHOWN_LAST: usize = 2;

impl Pii {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, to be dialled, matched or stored.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pii {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once(':') {
            Some((scheme @ ("sip" | "sips" | "tel"), rest)) => (Some(scheme), rest),
            _ => (None, self.0.as_str()),
        };
        if let Some(scheme) = scheme {
            write!(f, "{scheme}:")?;
        }
        let (number, host) = match rest.rsplit_once('@') {
            Some((number, host)) => (number, Some(host)),
            None => (rest, None),
        };
        let length = number.chars().count();
        // Never more than half.
        let last = SHOWN_LAST.min(length / 2);
        let first = SHOWN_FIRST.min(length / 2 - last);
        for (index, character) in number.chars().enumerate() {
            let hidden = index >= first && index + last < length;
            fmt::Write::write_char(f, if hidden { '*' } else { character })?;
        }
        host.map_or(Ok(()), |host| write!(f, "@{host}"))
    }
}

impl Serialize for Pii {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Debug` of a secret, alone or inside another value, does not contain it; equality is that of
    /// the text.
    #[test]
    fn secrets_are_hidden_and_compared() {
        let secret = Some(Secret::new("hunter2"));
        assert_eq!(format!("{secret:?}"), "Some([secret])");
        assert!(!format!("{secret:#?}").contains("hunter2"));
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("ab"));
    }

    /// Numbers keep their ends only, short ones even less; hosts and schemes stay readable; what is
    /// serialised is whole.
    #[test]
    fn personal_data_keeps_its_ends() {
        let cases = [
            ("+4930123456789", "+49*********89"),
            ("1000", "**00"),
            ("echo", "**ho"),
            ("a", "*"),
            ("", ""),
            ("sip:+15551234567@carrier.example:5060", "sip:+15*******67@carrier.example:5060"),
            ("tel:+15551234567", "tel:+15*******67"),
            ("Jörg", "**rg"),
        ];
        for (value, shown) in cases {
            let pii = Pii::new(value);
            assert_eq!(format!("{pii:?}"), shown);
            assert_eq!(serde_json::to_value(&pii).unwrap(), value);
        }
    }
}
