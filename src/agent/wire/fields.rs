//! Fields of a JSON message as they come, so that a wrong one is named and an unknown one ignored.
//!
//! Each type here accepts any JSON value and remembers whether it was of the right kind. So one
//! pass over the text reads a message whatever its event, and without a tree of values.

use std::borrow::Cow;
use std::fmt;

use adapters::wire::WireError;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string or a whole number.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Whole(u64),
    /// `true`, a fraction, a negative number, an array, an object.
    Other,
}

impl<'a> Scalar<'a> {
    /// The text, if there is one.
    pub(super) fn text(self, field: &'static str) -> Result<Option<Cow<'a, str>>, WireError> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Whole(_) | Self::Other => Err(bad(field, "is not a string")),
        }
    }

    /// The text, which must be there.
    pub(super) fn required_text(self, field: &'static str) -> Result<String, WireError> {
        self.text(field)?.map(Cow::into_owned).ok_or_else(|| bad(field, "is missing"))
    }

    /// The number, if there is one.
    pub(super) fn whole(self, field: &'static str) -> Result<Option<u32>, WireError> {
        match self {
            Self::Absent => Ok(None),
            Self::Whole(number) => {
                u32::try_from(number).map(Some).map_err(|_| bad(field, "is too large"))
            }
            Self::Text(_) | Self::Other => Err(bad(field, "is not a whole number")),
        }
    }
}

/// A field that is missing or wrong.
pub(super) fn bad(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}

/// An object, an array, or what stood in its place.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Nested<T> {
    #[default]
    Absent,
    Some(T),
    /// Of the wrong kind.
    Other,
}

impl<T> Nested<T> {
    pub(super) fn take(self, field: &'static str, kind: &str) -> Result<Option<T>, WireError> {
        match self {
            Self::Absent => Ok(None),
            Self::Some(value) => Ok(Some(value)),
            Self::Other => Err(bad(field, kind)),
        }
    }
}

/// `in` and `out` of `configure`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FormatFields<'a> {
    #[serde(borrow)]
    pub(super) codec: Scalar<'a>,
    #[serde(borrow)]
    pub(super) rate_hz: Scalar<'a>,
    #[serde(borrow)]
    pub(super) ptime_ms: Scalar<'a>,
}

/// Strings of an array.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Strings(pub(super) Vec<String>);

/// Strings and numbers of an object, by name, as text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

/// Visitor methods for the values that are of the wrong kind.
macro_rules! reject {
    ($other:expr; $($kind:ident)*) => { $(reject!(@$kind $other);)* };
    (@bool $other:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> { Ok($other) }
    };
    (@numbers $other:expr) => {
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> { Ok($other) }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> { Ok($other) }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> { Ok($other) }
    };
    (@string $other:expr) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> { Ok($other) }
    };
    (@seq $other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
    (@map $other:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a number")
    }

    reject!(Scalar::Other; bool seq map);

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Whole))
    }

    /// Some writers of JSON say `100.0` for 100.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        Ok(if whole { Scalar::Whole(number as u64) } else { Scalar::Other })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct FormatVisitor;

impl<'de> Visitor<'de> for FormatVisitor {
    type Value = Nested<FormatFields<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    reject!(Nested::Other; bool numbers string seq);

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Nested::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        FormatFields::deserialize(MapAccessDeserializer::new(map)).map(Nested::Some)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Nested<FormatFields<'a>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormatVisitor)
    }
}

struct StringsVisitor;

impl<'de> Visitor<'de> for StringsVisitor {
    type Value = Nested<Strings>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    reject!(Nested::Other; bool numbers string map);

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Nested::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut strings = Some(Vec::new());
        while let Some(element) = seq.next_element::<Scalar<'de>>()? {
            match (element, &mut strings) {
                (Scalar::Text(text), Some(strings)) => strings.push(text.into_owned()),
                _ => strings = None,
            }
        }
        Ok(strings.map_or(Nested::Other, |strings| Nested::Some(Strings(strings))))
    }
}

impl<'de> Deserialize<'de> for Nested<Strings> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Nested<Pairs>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings and numbers")
    }

    reject!(Nested::Other; bool numbers string seq);

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Nested::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Some(Vec::new());
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, Scalar<'de>>()? {
            match (value, &mut pairs) {
                (Scalar::Absent, _) => {}
                (Scalar::Text(text), Some(pairs)) => {
                    pairs.push((key.into_owned(), text.into_owned()));
                }
                (Scalar::Whole(number), Some(pairs)) => {
                    pairs.push((key.into_owned(), number.to_string()));
                }
                _ => pairs = None,
            }
        }
        Ok(pairs.map_or(Nested::Other, |pairs| Nested::Some(Pairs(pairs))))
    }
}

impl<'de> Deserialize<'de> for Nested<Pairs> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor)
    }
}
